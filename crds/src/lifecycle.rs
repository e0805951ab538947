//! What happens to a job over its life on a cluster: upgrades, restores, failures, deletion.
//!
//! Owns: the policy fields of the spec.
//! Never: gives a default; those are in the operator's effective spec.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// How a new revision takes over from the old one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Upgrade {
    /// What the old revision leaves to the new one. Default FinalCheckpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<HandoverMode>,
    /// What is done if the old revision cannot take its final checkpoint. Default UseLatestCheckpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_unhealthy: Option<WhenUnhealthy>,
    /// A latest checkpoint that is older is never used instead of a final one. Default 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_checkpoint_age: Option<Duration>,
    /// How long the final checkpoint may take, its output published. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover_timeout: Option<Duration>,
    /// When the old revision comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
}

/// What the old revision leaves to the new one.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum HandoverMode {
    /// It stops its sources, takes a last checkpoint and publishes its output: nothing is read twice.
    #[default]
    FinalCheckpoint,
    /// It is stopped as it is; rows since its latest checkpoint are read again.
    LatestCheckpoint,
}

/// What is done if the final checkpoint cannot be taken.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum WhenUnhealthy {
    /// The latest checkpoint is used, if it is younger than `maxCheckpointAge`.
    #[default]
    UseLatestCheckpoint,
    /// The old revision goes on, and the final checkpoint is tried again.
    Wait,
    /// The old revision goes on, and the upgrade is given up until the spec changes.
    Fail,
}

/// When the old revision comes back.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    /// Whether it comes back by itself, once for each generation. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How long a new revision may take until its first checkpoint. Default 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_deadline: Option<Duration>,
    /// How many checkpoints a new revision completes before it counts as good, 1 to 100. Default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_after_checkpoints: Option<u32>,
}

/// A start from another state than the latest, done once for each `requestID`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restore {
    /// A new one asks for a restore; one that was done is remembered with the state and never repeated.
    #[serde(rename = "requestID")]
    pub request_id: String,
    /// Which state.
    pub from: RestoreFrom,
    /// With `from: Savepoint`: the name of a StreamJobSavepoint in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savepoint_name: Option<String>,
    /// With `from: URI`: the folder of a savepoint in the job's store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// With `from: Nothing`, required: says that the state of the job may be lost. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_state_loss: Option<bool>,
}

/// Which state a restore begins with.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum RestoreFrom {
    /// The newest of the job's own; with the annotation `streamjob.dev/take-over: CLUSTER/NAMESPACE/NAME`, that of this owner.
    Latest,
    /// That of a StreamJobSavepoint.
    Savepoint,
    /// That of a savepoint by its address.
    #[serde(rename = "URI")]
    Uri,
    /// None: the job begins as if it were new.
    Nothing,
}

/// What is done about failures.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recovery {
    /// The pause before the first restart after a failure. Default 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_backoff: Option<Duration>,
    /// The longest pause; each is twice the one before. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_backoff: Option<Duration>,
    /// After this many failures in a row the job is reported as stalled; it is still tried. 1 to 10,000. Default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_restarts: Option<u32>,
    /// Failures count as in a row until the job has run this long. Default 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_after: Option<Duration>,
    /// A job without a completed checkpoint for this long is restarted once, then reported. 0s: never. Default 15m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_deadline: Option<Duration>,
    /// A pod that cannot be reached for this long is replaced. Default 2m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_pod_timeout: Option<Duration>,
}

/// What becomes of the state when the job is deleted.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deletion {
    /// Default Retain: a job of the same name goes on from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateDeletion>,
    /// After this long the object goes, whatever is left behind. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// What becomes of the state when the job is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum StateDeletion {
    /// It stays.
    #[default]
    Retain,
    /// It is deleted, savepoints excepted.
    Delete,
}

/// Who may reach the pods.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Default Managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<NetworkPolicyMode>,
}

/// Whether the operator makes a NetworkPolicy.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum NetworkPolicyMode {
    /// Only the job's own pods, the operator and metrics reach the pods; they reach everything.
    #[default]
    Managed,
    /// The operator makes none.
    None,
}

/// What the workers say.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Observability {
    /// Which log lines are written, as `RUST_LOG` has it: `info`, `warn,streamjob_worker=debug`. Default info.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_filter: Option<String>,
    /// Default JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    #[serde(rename = "JSON")]
    Json,
    /// For people.
    Text,
}
