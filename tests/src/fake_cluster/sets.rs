//! The controllers of StatefulSets and Jobs.
//!
//! Owns: pods of sets and jobs, and their status.
//! Never: runs a process.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::api_server::{ApiServer, TestClock};

/// Pods that are missing come, unless they are of an image whose pods are refused; pods that are too many go.
pub(crate) fn run(server: &ApiServer, refused: &BTreeSet<String>) {
    for set in server.all("StatefulSet") {
        if is_deleting(&set) {
            continue;
        }
        let (namespace, name) = place(&set);
        let replicas = set["spec"]["replicas"].as_i64().unwrap_or(1);
        for ordinal in 0..replicas {
            let pod = format!("{name}-{ordinal}");
            let image =
                set["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
            if server.one("Pod", namespace, &pod).is_none() && !refused.contains(image) {
                let mut labels = set["spec"]["template"]["metadata"]["labels"].clone();
                labels["apps.kubernetes.io/pod-index"] = json!(ordinal.to_string());
                labels["statefulset.kubernetes.io/pod-name"] = json!(pod);
                server.put("Pod", namespace, pod_of(&set, &pod, labels));
            }
        }
        for pod in pods_of(server, &set) {
            let (_, pod_name) = place(&pod);
            let ordinal = pod_name.rsplit('-').next().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
            if ordinal >= replicas && !is_deleting(&pod) {
                server.delete("Pod", namespace, pod_name, None);
            }
        }
    }
}

/// A job gets one pod after another until one succeeds or it has failed too often.
pub(crate) fn run_jobs(server: &ApiServer, clock: &TestClock) {
    for job in server.all("Job") {
        if is_deleting(&job) || finished(&job) {
            continue;
        }
        let (namespace, name) = place(&job);
        let pods = pods_of(server, &job);
        let count = |phase: &str| pods.iter().filter(|pod| pod["status"]["phase"] == json!(phase)).count();
        let (succeeded, mut failed) = (count("Succeeded"), count("Failed"));
        let limit = job["spec"]["backoffLimit"].as_u64().unwrap_or(6);
        let is_over = is_past_its_deadline(&job, clock);
        if is_over {
            // They are deleted first; the Job has failed once they are gone.
            pods.iter().for_each(|pod| server.delete("Pod", namespace, place(pod).1, Some(0)));
            failed += pods.len() - succeeded - failed;
        }
        let condition = |kind: &str, reason: &str| json!([{"type": kind, "status": "True", "reason": reason, "lastTransitionTime": "2027-01-15T08:00:00Z"}]);
        let mut status =
            json!({"succeeded": succeeded, "failed": failed, "active": pods.len() - succeeded - failed});
        if is_over && !pods.is_empty() {
            status["conditions"] = condition("FailureTarget", "DeadlineExceeded");
        } else if is_over {
            status["conditions"] = condition("Failed", "DeadlineExceeded");
        } else if succeeded > 0 {
            status["conditions"] = condition("Complete", "CompletionsReached");
        } else if failed as u64 > limit {
            status["conditions"] = condition("Failed", "BackoffLimitExceeded");
        } else if pods.len() == succeeded + failed {
            let pod = format!("{name}-{}", pods.len());
            let mut labels = job["spec"]["template"]["metadata"]["labels"].clone();
            labels["batch.kubernetes.io/job-name"] = json!(name);
            server.put("Pod", namespace, pod_of(&job, &pod, labels));
        }
        server.edit("Job", (namespace, name), true, |job| job["status"] = status);
    }
}

/// What sets say of their pods.
pub(crate) fn report(server: &ApiServer) {
    for set in server.all("StatefulSet") {
        let (namespace, name) = place(&set);
        let pods = pods_of(server, &set);
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        server.edit("StatefulSet", (namespace, name), true, |set| {
            set["status"] = json!({
                "replicas": pods.len(), "readyReplicas": ready, "availableReplicas": ready,
                "observedGeneration": set["metadata"]["generation"],
            });
        });
    }
}

fn pod_of(owner: &Value, name: &str, labels: Value) -> Value {
    let template = &owner["spec"]["template"];
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "labels": labels, "annotations": template["metadata"]["annotations"],
            "ownerReferences": [{
                "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": template["spec"],
    })
}

fn pods_of(server: &ApiServer, owner: &Value) -> Vec<Value> {
    let uid = &owner["metadata"]["uid"];
    let is_own = |pod: &Value| {
        pod["metadata"]["ownerReferences"]
            .as_array()
            .is_some_and(|list| list.iter().any(|it| it["uid"] == *uid))
    };
    server.all("Pod").into_iter().filter(is_own).collect()
}

pub(crate) fn place(object: &Value) -> (&str, &str) {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    (text("namespace"), text("name"))
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some()
}

fn finished(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] != "FailureTarget")
}

fn is_past_its_deadline(job: &Value, clock: &TestClock) -> bool {
    let made = job["metadata"]["creationTimestamp"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let seconds = job["spec"]["activeDeadlineSeconds"].as_i64();
    let end = made.zip(seconds).map(|(made, seconds)| made + SignedDuration::from_secs(seconds));
    end.is_some_and(|end| end <= clock.now())
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|it| it["type"] == json!("Ready") && it["status"] == json!("True"))
}
