//! A savepoint: a checkpoint kept because someone asked for it.
//!
//! Owns: the kind StreamJobSavepoint.
//! Never: deletes what it made; the copy stays in the store when the object goes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// Which job is to be saved.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "streamjob.dev",
    version = "v1alpha1",
    kind = "StreamJobSavepoint",
    root = "SavepointObject",
    doc = "A copy of a job's state that stays: made once, when this object is created.",
    namespaced,
    derive = "PartialEq",
    status = "StreamJobSavepointStatus",
    shortname = "sjs",
    category = "streaming",
    selectable = "spec.streamJobName"
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamJobSavepointSpec {
    /// A StreamJob in the same namespace. Never changes.
    pub stream_job_name: String,
    /// How long it may take from when the object was created. Default 30m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// How far a savepoint is, and where it is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamJobSavepointStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One word for `kubectl get`. Not an API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SavepointPhase>,
    /// Complete, Failed, Ready, Reconciling, Stalled: all of them, always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Its name in the store: the uid of this object.
    #[serde(default, rename = "savepointID", skip_serializing_if = "Option::is_none")]
    pub savepoint_id: Option<String>,
    /// Its folder in the store, for `restore.uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// The epoch that it is a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// The revision that it was taken of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The slots that it was taken of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
    /// Event time up to which results are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Time>,
    /// When the job was asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// How often the job was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<u32>,
}

/// One word for `kubectl get`. Not an API.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum SavepointPhase {
    /// The job cannot be asked yet.
    Pending,
    /// The job was asked.
    InProgress,
    /// It is in the store.
    Completed,
    /// It will not be taken.
    Failed,
}
