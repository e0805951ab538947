//! What is done to pods, nodes and the operator, and the proof that it happened.
//!
//! Owns: killing, evicting, draining, freezing.
//! Never: waits for what comes of it.

use anyhow::{Context, Result, ensure};
use kube::api::EvictParams;
use serde_json::Value;

use super::{Kind, Kubernetes, OPERATOR_NAMESPACE, run, script, text};

impl Kubernetes {
    /// `kill -9` of the first process of a pod's container; gives how often it had been restarted before.
    pub fn kill_container(&self, pod: &Value) -> Result<u64> {
        let node = text(pod, "/spec/nodeName");
        let socket = self.folder().join(node).join("containerd.sock");
        let id = text(pod, "/status/containerStatuses/0/containerID").trim_start_matches("containerd://");
        ensure!(!id.is_empty(), "the pod has no container: {pod}");
        let mut command = std::process::Command::new("ctr");
        command.arg("-a").arg(socket).args(["-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", id]);
        run(&mut command, "")?;
        Ok(restarts(pod))
    }

    /// Waits until that container was killed by signal 9 and runs again.
    pub fn wait_killed(&self, pod: &Value, restarts_before: u64) -> Result<()> {
        let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        self.wait(&format!("{name} was killed and started again"), super::SOON, || {
            let pod = self.get(Kind::POD, namespace, name)?.context("the pod is gone")?;
            let last = "/status/containerStatuses/0/lastState/terminated/exitCode";
            let killed = pod.pointer(last).and_then(Value::as_u64) == Some(137);
            Ok((killed && restarts(&pod) > restarts_before).then_some(()))
        })
    }

    /// Asks politely for a pod's end, as `kubectl drain` does: budgets may refuse it.
    pub fn evict(&self, pod: &Value) -> Result<()> {
        let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
            kube::Api::namespaced(self.client(), text(pod, "/metadata/namespace"));
        self.block_on(pods.evict(text(pod, "/metadata/name"), &EvictParams::default()))?;
        Ok(())
    }

    /// Empties a node; give it back with [`Self::uncordon`].
    pub fn drain(&self, node: &str) -> Result<String> {
        let how = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=90s"];
        self.kubectl(&[&["drain", node][..], &how[..]].concat(), "")
    }

    /// Lets pods be put on a node again.
    pub fn uncordon(&self, node: &str) -> Result<()> {
        self.kubectl(&["uncordon", node], "").map(drop)
    }

    /// Takes the operator away if there is one, and brings it back afterwards.
    pub fn while_no_operator_runs<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let deployments = ["get", "-n", OPERATOR_NAMESPACE, "deployments", "-o", "name"];
        if self.kubectl(&deployments, "")?.is_empty() {
            return work();
        }
        let scale = |replicas: &str| {
            let operator = "deployment/streamjob-operator";
            self.kubectl(&["scale", "-n", OPERATOR_NAMESPACE, operator, replicas], "")
        };
        scale("--replicas=0")?;
        let gone = self.wait("no operator", super::SOON, || {
            Ok(self.list(Kind::POD, OPERATOR_NAMESPACE, "")?.is_empty().then_some(()))
        });
        let done = gone.and_then(|()| work());
        scale("--replicas=2")?;
        done
    }

    /// Sends a signal to a part of the cluster, such as `apiserver` or `kubelet-2`; a part that ends is started again.
    pub fn signal(&self, part: &str, signal: &str) -> Result<()> {
        run(script("cluster").arg("signal").args([part, signal]).env("STREAMJOB_CLUSTER", self.folder()), "")
            .map(drop)
    }
}

/// How often a pod's container was started again.
fn restarts(pod: &Value) -> u64 {
    pod.pointer("/status/containerStatuses/0/restartCount").and_then(Value::as_u64).unwrap_or(0)
}
