//! The status of a StreamJob: what the operator saw, and what it is in the middle of.
//!
//! Owns: the fields of `status`, and the names of conditions, phases, operations and steps.
//! Never: is read by a worker. It is a cache and a write-ahead log of the operator; the store is the truth about state.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator saw, and what it is in the middle of.
///
/// To rely on: conditions, observedGeneration, revisions, parallelism, lastCheckpoint, lastSavepoint, selector. The rest
/// is internal.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamJobStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One word for `kubectl get`, made of the conditions. Not an API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Ready, Reconciling, Stalled, Accepted, Available, CheckpointsHealthy, Suspended: all of them, always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Who owns the state in the store.
    #[serde(default, rename = "stateID", skip_serializing_if = "Option::is_none")]
    pub state_id: Option<String>,
    /// The greatest number that was given to a set of workers. It grows before the set exists, and is never given twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<i64>,
    /// Which start of the dataflow runs inside the incarnation, as its coordinator counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// Which revisions there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revisions: Option<Revisions>,
    /// What the operator is in the middle of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// How wide the job is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<ParallelismStatus>,
    /// The pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<WorkersStatus>,
    /// Selects the pods of the newest incarnation, for `/scale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The newest checkpoint that is known here, renewed at most once a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_checkpoint: Option<CheckpointStatus>,
    /// The newest savepoint that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_savepoint: Option<LastSavepoint>,
    /// No start may find a log whose head is before this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<i64>,
    /// How often workers were started again after a failure, since the revision began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<i64>,
    /// The `requestID` of the last restore that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_restore_request: Option<String>,
}

/// One word for `kubectl get`. Not an API: what decides reads conditions.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Phase {
    /// Seen, nothing done yet, or waiting for a namesake to go.
    Pending,
    /// The spec is refused; what ran before runs on.
    Rejected,
    /// The first workers are being started, or the job is being resumed.
    Starting,
    /// Rows are processed.
    Running,
    /// A failure is being recovered from.
    Recovering,
    /// Another revision takes over.
    Upgrading,
    /// The same revision is started again.
    Restarting,
    /// The number of slots changes.
    Rescaling,
    /// The job is started from another state.
    Restoring,
    /// The previous revision takes over again.
    RollingBack,
    /// The previous revision runs, as the newest failed.
    RolledBack,
    /// The job is being stopped, its state kept.
    Suspending,
    /// The job is stopped, its state kept.
    Suspended,
    /// All input was read, all output is published.
    Finished,
    /// Nothing goes on without somebody's help.
    Stalled,
    /// The object is being deleted.
    Deleting,
}

/// The conditions of a StreamJob.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ConditionType {
    /// The cluster is as the spec asks.
    Ready,
    /// The operator is in the middle of something.
    Reconciling,
    /// Nothing goes on without somebody's help.
    Stalled,
    /// The spec makes sense.
    Accepted,
    /// Rows are processed and checkpoints complete.
    Available,
    /// Checkpoints complete in time.
    CheckpointsHealthy,
    /// The job is stopped as the spec asks.
    Suspended,
    /// Of a savepoint: it was taken.
    Complete,
    /// Of a savepoint: it will not be taken.
    Failed,
}

impl ConditionType {
    /// Those of a StreamJob, in the order in which they are written.
    pub const OF_A_JOB: [Self; 7] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::Accepted,
        Self::Available,
        Self::CheckpointsHealthy,
        Self::Suspended,
    ];

    /// Those of a StreamJobSavepoint, in the order in which they are written.
    pub const OF_A_SAVEPOINT: [Self; 5] =
        [Self::Complete, Self::Failed, Self::Ready, Self::Reconciling, Self::Stalled];

    /// Its name in `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Accepted => "Accepted",
            Self::Available => "Available",
            Self::CheckpointsHealthy => "CheckpointsHealthy",
            Self::Suspended => "Suspended",
            Self::Complete => "Complete",
            Self::Failed => "Failed",
        }
    }
}

/// Which revisions there are, each the name of a ControllerRevision.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revisions {
    /// The one that runs, or ran last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// The one that the spec asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<String>,
    /// The newest that has completed `stableAfterCheckpoints`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
}

/// Something that the operator does in steps. It is written here before each step is taken.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Made of generation, type and incarnation, such as `g14-upgrade-8`, so that a lost status makes the same one again.
    pub id: String,
    /// What it is.
    #[serde(rename = "type")]
    pub operation_type: OperationType,
    /// How far it is.
    pub step: Step,
    /// When it began.
    pub start_time: Time,
    /// When the step is given up. Unset: it waits for as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_deadline: Option<Time>,
    /// The incarnation that it starts, or the one that it stops if it starts none.
    pub incarnation: i64,
    /// The revision that it stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_revision: Option<String>,
    /// The revision that it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_revision: Option<String>,
    /// How many slots it starts.
    pub parallelism: u32,
    /// How often the step was begun again.
    pub tries: u32,
    /// The checkpoint that was handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
    /// What it waits for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What an operation is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum OperationType {
    /// The first start, or the one after a suspension.
    Start,
    /// Another revision takes over.
    Upgrade,
    /// The same pipeline is started again, because `restartedAt` changed.
    Restart,
    /// The number of slots changes.
    Rescale,
    /// The job is stopped, its state kept.
    Suspend,
    /// The job is started from another state.
    Restore,
    /// The previous revision takes over again.
    Rollback,
    /// The object goes.
    Delete,
    /// Pods that cannot be reached, or a set that somebody changed, are replaced.
    Replace,
}

impl OperationType {
    /// Its name, as in `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Upgrade => "Upgrade",
            Self::Restart => "Restart",
            Self::Rescale => "Rescale",
            Self::Suspend => "Suspend",
            Self::Restore => "Restore",
            Self::Rollback => "Rollback",
            Self::Delete => "Delete",
            Self::Replace => "Replace",
        }
    }
}

/// How far an operation is. Each step can be taken again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Step {
    /// The revision is written, and the server is asked whether it would take the pods.
    Prepare,
    /// A Job with the new image looks at plan, store and Kafka. Nothing was stopped yet.
    Check,
    /// The old workers take their last checkpoint and publish its output.
    Handover,
    /// The old workers go.
    Teardown,
    /// The new workers start, restore and run.
    Launch,
    /// The new workers complete checkpoints.
    Verify,
    /// What is older than the limit goes.
    Retire,
}

impl Step {
    /// Its name, as in `step`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "Prepare",
            Self::Check => "Check",
            Self::Handover => "Handover",
            Self::Teardown => "Teardown",
            Self::Launch => "Launch",
            Self::Verify => "Verify",
            Self::Retire => "Retire",
        }
    }
}

/// The checkpoint that an incarnation handed over.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Handover {
    /// Its epoch.
    pub epoch: i64,
    /// The sequence number of its record in the log.
    pub seq: i64,
}

/// How wide the job is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParallelismStatus {
    /// The slots of the workers that run.
    pub current: i64,
    /// The slots that the spec asks for.
    pub desired: i64,
}

/// The pods of the newest incarnation.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkersStatus {
    /// How many there are to be.
    pub replicas: i64,
    /// How many process rows.
    pub ready: i64,
    /// Both, for `kubectl get`: `2/3`.
    pub summary: String,
}

/// A checkpoint.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointStatus {
    /// Its number.
    pub epoch: i64,
    /// The sequence number of its record in the log.
    pub seq: i64,
    /// When it was complete.
    pub completion_time: Time,
    /// The bytes of everything that it refers to.
    pub size_bytes: i64,
    /// From its barrier to its record.
    pub duration_millis: i64,
    /// The incarnation that took it.
    pub incarnation: i64,
}

/// A savepoint that was taken.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastSavepoint {
    /// The StreamJobSavepoint.
    pub name: String,
    /// When it was complete.
    pub completion_time: Time,
}
