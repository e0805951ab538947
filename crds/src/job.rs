//! The outer shape of a StreamJob manifest.
//!
//! Owns: apiVersion, kind, metadata and the top of the spec.
//! Never: gives a default that the rest of the program would have to repeat.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Pipeline;
use crate::state::State;

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
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamJobSpec {
    /// The number of slots, 1 to 65,536. Each is one thread.
    pub parallelism: u32,
    /// The program.
    pub pipeline: Pipeline,
    /// Where state is kept, and how often it is saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
}

impl StreamJob {
    /// The whole manifest as one text: the same for two manifests that say the same, whatever their layout and comments.
    pub fn canonical(&self) -> String {
        serde_json::to_string(self).expect("a job has nothing but texts, numbers and lists")
    }
}
