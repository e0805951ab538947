//! The outer shape of a StreamJob manifest.
//!
//! Owns: apiVersion, kind, metadata and the top of the spec.
//! Never: gives a default that the rest of the program would have to repeat.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Deletion, Network, Observability, Pipeline, Recovery, Restore, State, StreamJobStatus, Upgrade, Workers,
};

/// One StreamJob manifest: a pipeline, how wide it runs and where its state is kept.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamJob {
    /// Always `streamjob.dev/v1alpha1`.
    pub api_version: String,
    /// Always `StreamJob`.
    pub kind: String,
    /// The name, and what other tools put beside it.
    pub metadata: Metadata,
    /// What runs.
    pub spec: StreamJobSpec,
}

/// The part of Kubernetes object metadata that a manifest carries.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// At most 40 characters: a DNS label that names everything the job owns.
    pub name: String,
    /// The namespace on a cluster; without meaning on one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Kubernetes labels; carried, not read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Kubernetes annotations; carried, not read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What runs, how wide, and where its state is kept.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "streamjob.dev",
    version = "v1alpha1",
    kind = "StreamJob",
    root = "StreamJobObject",
    doc = "A keyed, windowed, exactly-once pipeline whose state survives its pods.",
    namespaced,
    derive = "PartialEq",
    status = "StreamJobStatus",
    shortname = "sj",
    category = "streaming"
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamJobSpec {
    /// The number of slots over all workers, 1 to 65,536. Each is one thread.
    pub parallelism: u32,
    /// Whether the job is to be stopped, its state kept. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Any change of this text restarts the job once, through the normal hand-over, with today's worker image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<String>,
    /// The program.
    pub pipeline: Pipeline,
    /// Where state is kept, and how often it is saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// How a new revision takes over from the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
    /// A start from another state than the latest; done once for each `requestID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
    /// What is done about failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// The pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<Workers>,
    /// Who may reach the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// What the workers say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observability: Option<Observability>,
    /// What becomes of the state when the job is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,
    /// How many old revisions are kept, 1 to 100. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<u32>,
}

impl StreamJob {
    /// The whole manifest as one text: the same for two manifests that say the same, whatever their layout and comments.
    pub fn canonical(&self) -> String {
        serde_json::to_string(self).expect("a job has nothing but texts, numbers and lists")
    }
}
