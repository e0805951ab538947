//! What `kubectl get` shows.
//!
//! Owns: the printer columns of both kinds.
//! Never: shows what changes more often than once a minute.

use serde_json::{Value, json};

fn column(name: &str, kind: &str, path: &str, description: &str) -> Value {
    json!({"name": name, "type": kind, "jsonPath": path, "description": description, "priority": 0})
}

/// The same, shown by `--output=wide` only.
fn wide(name: &str, kind: &str, path: &str, description: &str) -> Value {
    let mut column = column(name, kind, path, description);
    column["priority"] = json!(1);
    column
}

pub(super) fn stream_job() -> Value {
    json!([
        column("Phase", "string", ".status.phase", "One word of the conditions."),
        column(
            "Ready",
            "string",
            r#".status.conditions[?(@.type=="Ready")].status"#,
            "The cluster is as the spec asks."
        ),
        column(
            "Reason",
            "string",
            r#".status.conditions[?(@.type=="Ready")].reason"#,
            "Why Ready is as it is."
        ),
        column(
            "Available",
            "string",
            r#".status.conditions[?(@.type=="Available")].status"#,
            "Rows are processed and checkpoints complete.",
        ),
        column("Parallelism", "integer", ".status.parallelism.current", "The slots that run."),
        column("Workers", "string", ".status.workers.summary", "Pods that process rows, and pods."),
        column("Checkpoint", "date", ".status.lastCheckpoint.completionTime", "Since the newest checkpoint."),
        column("Age", "date", ".metadata.creationTimestamp", "Since the object was created."),
        wide("Step", "string", ".status.operation.step", "How far the operation is."),
        wide("Incarnation", "integer", ".status.incarnation", "The number of the set of workers."),
        wide("Restarts", "integer", ".status.restarts", "Starts after a failure."),
        wide(
            "Message",
            "string",
            r#".status.conditions[?(@.type=="Ready")].message"#,
            "The message of Ready."
        ),
    ])
}

pub(super) fn savepoint() -> Value {
    json!([
        column("Job", "string", ".spec.streamJobName", "The job."),
        column("Phase", "string", ".status.phase", "How far it is."),
        column("Bytes", "integer", ".status.sizeBytes", "Its size."),
        column("Completed", "date", ".status.completionTime", "Since it was complete."),
        column("Age", "date", ".metadata.creationTimestamp", "Since the object was created."),
        wide("URI", "string", ".status.uri", "Its folder in the store."),
        wide(
            "Message",
            "string",
            r#".status.conditions[?(@.type=="Ready")].message"#,
            "The message of Ready."
        ),
    ])
}
