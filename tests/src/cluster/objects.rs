//! Objects of a cluster, as JSON.
//!
//! Owns: the kinds that tests look at; reading, changing and deleting them; what a test says when it fails.
//! Never: knows what a StreamJob means.

use std::time::Duration;

use anyhow::{Context, Result};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use super::{Kubernetes, tool};

/// A kind of object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kind {
    group: &'static str,
    version: &'static str,
    name: &'static str,
}

impl Kind {
    /// `StreamJob`.
    pub const JOB: Self = Self { group: "streamjob.dev", version: "v1alpha1", name: "StreamJob" };
    /// `StreamJobSavepoint`.
    pub const SAVEPOINT: Self =
        Self { group: "streamjob.dev", version: "v1alpha1", name: "StreamJobSavepoint" };
    /// `Pod`.
    pub const POD: Self = Self { group: "", version: "v1", name: "Pod" };
    /// `Namespace`.
    pub const NAMESPACE: Self = Self { group: "", version: "v1", name: "Namespace" };
    /// `StatefulSet`.
    pub const SET: Self = Self { group: "apps", version: "v1", name: "StatefulSet" };
    /// `Lease`.
    pub const LEASE: Self = Self { group: "coordination.k8s.io", version: "v1", name: "Lease" };
    /// `Event`.
    pub const EVENT: Self = Self { group: "events.k8s.io", version: "v1", name: "Event" };
}

impl Kubernetes {
    /// The objects of a kind in a namespace.
    pub fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk(kind.group, kind.version, kind.name);
        let resource = ApiResource::from_gvk(&gvk);
        if kind == Kind::NAMESPACE {
            return Api::all_with(self.client(), &resource);
        }
        Api::namespaced_with(self.client(), namespace, &resource)
    }

    /// Makes a namespace that enforces the standard `restricted`, with the secret `store` for the bucket.
    pub fn make_namespace(&self, name: &str) -> Result<()> {
        let variables = std::fs::read_to_string(self.folder().join("s3.env"))?;
        let keys: serde_json::Map<String, Value> = variables
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store", "namespace": name}, "stringData": keys},
        ]});
        self.kubectl(&["apply", "-f", "-"], &list.to_string()).map(drop)
    }

    /// One object, if it is there.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Value>> {
        let api = self.api(kind, namespace);
        let found = self.block_on(api.get_opt(name)).with_context(|| format!("{} {name}", kind.name))?;
        Ok(found.map(serde_json::to_value).transpose()?)
    }

    /// All objects of a kind in a namespace that have these labels.
    pub fn list(&self, kind: Kind, namespace: &str, labels: &str) -> Result<Vec<Value>> {
        let api = self.api(kind, namespace);
        let found = self.block_on(api.list(&ListParams::default().labels(labels)))?;
        Ok(found.items.into_iter().map(serde_json::to_value).collect::<Result<_, _>>()?)
    }

    /// Changes an object by a merge patch.
    pub fn patch(&self, kind: Kind, namespace: &str, name: &str, change: &Value) -> Result<()> {
        let api = self.api(kind, namespace);
        self.block_on(api.patch(name, &PatchParams::default(), &Patch::Merge(change)))?;
        Ok(())
    }

    /// Deletes an object; it may take a while to go.
    pub fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<()> {
        let api = self.api(kind, namespace);
        self.block_on(api.delete(name, &DeleteParams::background()))?;
        Ok(())
    }

    /// What a pod's container has said; with `follow`, until it ends.
    pub fn logs(&self, pod: &Value, follow: bool) -> Result<String> {
        let pods: Api<k8s_openapi::api::core::v1::Pod> =
            Api::namespaced(self.client(), text(pod, "/metadata/namespace"));
        let how = LogParams { follow, ..LogParams::default() };
        Ok(self.block_on(pods.logs(text(pod, "/metadata/name"), &how))?)
    }

    /// What the operator has asked the API server for: the events of the audit log, the oldest first.
    pub fn operator_calls(&self) -> Result<Vec<Value>> {
        let account = format!("system:serviceaccount:{}:", super::OPERATOR_NAMESPACE);
        let log = std::fs::read_to_string(self.folder().join("log/audit.json"))?;
        // The last line may be half written.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let events: Result<Vec<Value>, _> = whole.lines().map(serde_json::from_str).collect();
        let mut events = events.context("a line of the audit log is not JSON")?;
        events.retain(|event| text(event, "/user/username").starts_with(&account));
        Ok(events)
    }

    /// Waits until an object is gone.
    pub fn wait_gone(&self, kind: Kind, namespace: &str, name: &str, at_most: Duration) -> Result<()> {
        self.wait(&format!("{} {name} is gone", kind.name), at_most, || {
            Ok(self.get(kind, namespace, name)?.is_none().then_some(()))
        })
    }

    /// All that can be seen of a namespace, for the message of a test that fails.
    pub fn described(&self, namespace: &str) -> String {
        let mut text = String::new();
        let mut add = |arguments: &[&str]| {
            let said = tool("kubectl").and_then(|mut kubectl| Ok(kubectl.args(arguments).output()?));
            let said = said.map(|done| [done.stdout, done.stderr].concat()).unwrap_or_default();
            text += &format!("$ kubectl {}\n{}\n", arguments.join(" "), String::from_utf8_lossy(&said));
        };
        add(&["get", "-n", namespace, "streamjobs,statefulsets,pods,jobs,events", "-o", "wide"]);
        add(&["get", "-n", namespace, "streamjobs", "-o", "jsonpath={.items[*].status}"]);
        let worker = "app.kubernetes.io/managed-by=streamjob-operator";
        add(&["logs", "-n", namespace, "-l", worker, "--tail=30", "--prefix"]);
        add(&[
            "logs",
            "-n",
            super::OPERATOR_NAMESPACE,
            "-l",
            "app.kubernetes.io/name=streamjob-operator",
            "--tail=40",
            "--prefix",
        ]);
        text
    }
}

/// The text at a JSON pointer; empty if there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
