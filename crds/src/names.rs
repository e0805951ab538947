//! The names that the API, the operator and the workers share.
//!
//! Owns: labels, annotations, the finalizer, ports and paths in a pod.
//! Never: makes a name from parts; the operator does.

/// The API group.
pub const GROUP: &str = "streamjob.dev";
/// On everything that belongs to a job: its name.
pub const LABEL_JOB: &str = "streamjob.dev/job";
/// On StatefulSets, pods and what belongs to one incarnation: its number.
pub const LABEL_INCARNATION: &str = "streamjob.dev/incarnation";
/// The revision that something was rendered for.
pub const LABEL_REVISION: &str = "streamjob.dev/revision";
/// `worker`, `check` or `janitor`.
pub const LABEL_COMPONENT: &str = "app.kubernetes.io/component";
/// Who manages an object.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// What the operator writes into [`LABEL_MANAGED_BY`], and what it is as a field manager.
pub const MANAGER: &str = "streamjob-operator";
/// On a StreamJob: `paused` makes the operator observe and report only.
pub const ANNOTATION_RECONCILE: &str = "streamjob.dev/reconcile";
/// On a StreamJob: the owner, as `CLUSTER/NAMESPACE/NAME`, whose state a restore with `from: Latest` takes over.
pub const ANNOTATION_TAKE_OVER: &str = "streamjob.dev/take-over";
/// On children: the hash of what was last applied.
pub const ANNOTATION_APPLIED_HASH: &str = "streamjob.dev/applied-hash";
/// On a CustomResourceDefinition: the hash of its schema.
pub const ANNOTATION_SCHEMA_HASH: &str = "streamjob.dev/schema-hash";
/// On a StreamJob whose state goes with it.
pub const FINALIZER: &str = "streamjob.dev/state";
/// Health, metrics, status: read-only.
pub const ADMIN_PORT: u16 = 8080;
/// Stop and savepoints: with a token.
pub const CONTROL_PORT: u16 = 8081;
/// Where the effective manifest is in a pod.
pub const JOB_FILE: &str = "/etc/streamjob/job.json";
/// Below this, `NAME/KEY` is a key of a mounted Secret.
pub const SECRETS_FOLDER: &str = "/etc/streamjob/secrets";
/// Where a pod keeps ephemeral state.
pub const EPHEMERAL_FOLDER: &str = "/tmp/streamjob";
