//! What a worker's coordinator says and is told over HTTP, and what it leaves behind when it ends.
//!
//! Owns: the bodies of `GET /v1/status`, `POST /v1/stop`, `POST /v1/savepoints`, and the termination message.
//! Never: is trusted for correctness; the log in the store is. Unknown fields are ignored, as the other side may be newer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Reason;

/// The answer of `GET /v1/status` on the admin port.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerStatus {
    /// The pod, if the worker knows it.
    #[serde(default, rename = "podUID", skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// The number of its set.
    pub incarnation: i64,
    /// Which start of the dataflow this is; 0 before the first.
    pub attempt: i64,
    /// What it does.
    pub phase: WorkerPhase,
    /// When the process began.
    pub started_time: Timestamp,
    /// Since when this attempt processes rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Timestamp>,
    /// The newest record of the log that it knows; 0 before it looked.
    pub head: i64,
    /// Where this attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_from: Option<CheckpointRef>,
    /// The newest checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_checkpoint: Option<CheckpointSummary>,
    /// Checkpoints that this process completed.
    pub checkpoints_since_start: i64,
    /// Records that were read by this process.
    pub records: i64,
    /// Bytes of output that no reader can see yet.
    pub unpublished_bytes: i64,
    /// What it waits for: `Kafka`, `store`, with whatever is known about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// What it was last asked to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<WorkerOperation>,
    /// Why the last attempt ended, while no later one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Termination>,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum WorkerPhase {
    /// It claims, restores and connects.
    Starting,
    /// It processes rows.
    Running,
    /// It takes its last checkpoint and publishes it.
    Stopping,
    /// Its incarnation has ended; it waits to be torn down.
    Stopped,
    /// All input was read, all output is published; it waits to be torn down.
    Finished,
    /// Its attempt failed; the next one begins after a pause, or never.
    Failed,
}

/// A checkpoint by its numbers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointRef {
    /// Its number.
    pub epoch: i64,
    /// The sequence number of its record in the log.
    pub seq: i64,
}

/// A checkpoint.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointSummary {
    /// Its number.
    pub epoch: i64,
    /// The sequence number of its record in the log.
    pub seq: i64,
    /// When it was complete.
    pub completion_time: Timestamp,
    /// The bytes of everything that it refers to.
    pub size_bytes: i64,
    /// From its barrier to its record.
    pub duration_millis: i64,
}

/// What a worker was last asked to do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerOperation {
    /// The id that whoever asked gave it.
    pub id: String,
    /// What it is.
    pub kind: WorkerOperationKind,
    /// How it stands: the name of a [`StopState`] or a [`SavepointState`].
    pub result: String,
}

/// What a worker can be asked to do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum WorkerOperationKind {
    /// `POST /v1/stop`.
    Stop,
    /// `POST /v1/savepoints`.
    Savepoint,
}

/// The body of `POST /v1/stop`: end with a last checkpoint whose output is published. Asking again is harmless.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StopRequest {
    /// Becomes part of the last record of the log.
    #[serde(rename = "operationID")]
    pub operation_id: String,
    /// When the worker gives up and goes on processing.
    pub deadline: Timestamp,
}

/// The answer of `POST /v1/stop`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StopAnswer {
    /// Of the request.
    #[serde(rename = "operationID")]
    pub operation_id: String,
    /// How it stands.
    pub state: StopState,
    /// With Stopped: what was handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointRef>,
    /// What it waits for, or why it went on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How a stop stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum StopState {
    /// The last checkpoint is being taken or published.
    Stopping,
    /// The log ends with this operation: the incarnation never claims again.
    Stopped,
    /// The deadline came first; rows are processed again.
    Resumed,
}

/// The body of `POST /v1/savepoints`. Asking again with the same id gives the same savepoint.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SavepointRequest {
    /// Its name in the store.
    pub id: String,
    /// The operation that it is part of, if any.
    #[serde(default, rename = "operationID", skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
}

/// The answer of `POST /v1/savepoints`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SavepointAnswer {
    /// Of the request.
    pub id: String,
    /// How it stands.
    pub state: SavepointState,
    /// With Completed: its folder in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// With Completed: its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// The epoch that it is a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// Event time up to which results are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Timestamp>,
    /// What it waits for, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How a savepoint stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum SavepointState {
    /// It is being copied, or its output is not published yet.
    InProgress,
    /// It is in the store.
    Completed,
    /// It will not be taken under this id.
    Failed,
}

/// What a worker leaves behind when it ends by itself: one line of JSON, at most [`Termination::BYTES_MAX`] long.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Termination {
    /// Why.
    pub reason: Reason,
    /// A sentence, with topic, partition, offset or window; never a value or a key.
    pub message: String,
    /// Whether starting again may help.
    pub retryable: bool,
    /// With Fenced: the incarnation that took over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<i64>,
}

impl Termination {
    /// What the kubelet keeps of a termination message.
    pub const BYTES_MAX: usize = 4096;
    const MESSAGE_BYTES_MAX: usize = 3000;

    /// The line, its message cut so that it fits.
    pub fn line(&self) -> String {
        let mut cut = self.clone();
        let mut limit = Self::MESSAGE_BYTES_MAX;
        loop {
            let end = cut.message.floor_char_boundary(limit.min(cut.message.len()));
            cut.message.truncate(end);
            let line = serde_json::to_string(&cut).expect("texts and numbers have a JSON form");
            if line.len() <= Self::BYTES_MAX {
                return line;
            }
            limit = end / 2;
        }
    }

    /// Reads what a container left; `None` if it is not such a line.
    pub fn parse(text: &str) -> Option<Self> {
        text.lines().rev().find_map(|line| serde_json::from_str(line.trim()).ok())
    }
}
