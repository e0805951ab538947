//! The manifest that workers read: the effective spec, with secrets as files.
//!
//! Owns: which fields it has, and which Secrets its pods mount.
//! Never: holds a secret; nor what may differ between two starts of a revision.

use std::collections::BTreeSet;

use streamjob_crds::names::SECRETS_FOLDER;
use streamjob_crds::{API_VERSION, KIND, Metadata, StreamJob, StreamJobSpec};

use super::For;
use crate::revision::Revision;

/// `job.json`.
pub(super) fn text(to: &For<'_>, revision: &Revision) -> String {
    let manifest = StreamJob {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        metadata: Metadata {
            name: to.name.to_owned(),
            namespace: Some(to.namespace.to_owned()),
            ..Metadata::default()
        },
        spec: spec(revision).in_pod(),
    };
    serde_json::to_string_pretty(&manifest).expect("a manifest has a JSON form")
}

/// What workers read of a spec.
fn spec(revision: &Revision) -> StreamJobSpec {
    let effective = revision.effective().clone();
    StreamJobSpec {
        parallelism: revision.content.parallelism,
        pipeline: effective.pipeline,
        state: Some(effective.state),
        recovery: Some(effective.recovery),
        observability: Some(effective.observability),
        suspend: None,
        restarted_at: None,
        upgrade: None,
        restore: None,
        workers: None,
        network: None,
        deletion: None,
        revision_history_limit: None,
    }
}

/// The Secrets that a revision's pods mount.
pub(super) fn mounted(revision: &Revision) -> BTreeSet<String> {
    let mut names = spec(revision).kafka_secrets();
    if let Some(location) = &revision.effective().state.location {
        names.extend(location.credentials.iter().map(|credentials| credentials.name.clone()));
        names.extend(location.ca.iter().map(|ca| ca.name.clone()));
    }
    names
}

/// Where a key of a Secret is in a pod.
pub(super) fn path(name: &str, key: &str) -> String {
    format!("{SECRETS_FOLDER}/{name}/{key}")
}
