//! What differs between one machine and a cluster.
//!
//! Owns: the rules that depend on the place as a whole; `state` and `kafka` have those of their fields.
//! Never: asks a cluster.

use super::{Findings, Place};
use crate::{Delivery, Pipeline, StreamJob};

const STATE_ID: &str = "spec.state.id";
const STATE_ID_CHARS_MAX: usize = 104;

pub(super) fn check(findings: &mut Findings, job: &StreamJob) {
    let state = job.spec.state.as_ref();
    if let Some(id) = state.and_then(|state| state.id.as_deref()) {
        state_id(findings, id, job.metadata.namespace.as_deref());
    }
    let location = state.and_then(|state| state.location.as_ref());
    if location.is_some_and(|location| location.ephemeral.is_some()) {
        ephemeral(findings, &job.spec.pipeline);
    }
    if findings.place == Place::Cluster {
        if location.is_none() {
            let remedy = "say where state is kept, such as `state: {location: {uri: s3://BUCKET/FOLDER}}`";
            findings.add("spec.state.location", format!("is missing: {remedy}"));
        }
        files(findings, &job.spec.pipeline);
    }
}

fn state_id(findings: &mut Findings, id: &str, namespace: Option<&str>) {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let ends = !id.starts_with(['-', '.']) && !id.ends_with(['-', '.']);
    if id.is_empty() || !ends || !id.bytes().all(inner) || id.contains("..") {
        let allowed = "use a to z, 0 to 9, `-` and `.`, with a letter or digit at both ends";
        findings.add(STATE_ID, format!("`{id}` is no state ID: {allowed}"));
    } else if id.len() > STATE_ID_CHARS_MAX {
        let allowed = format!("at most {STATE_ID_CHARS_MAX} are allowed");
        findings.add(STATE_ID, format!("`{id}` has {} characters: {allowed}", id.len()));
    } else if let Some(namespace) = namespace.filter(|_| findings.place == Place::Cluster)
        && !id.strip_prefix(namespace).is_some_and(|rest| rest.starts_with('.'))
    {
        findings.add(STATE_ID, format!("`{id}` must begin with the namespace: write `{namespace}.NAME`"));
    }
}

/// Output that is promised once needs state that outlives the pod.
fn ephemeral(findings: &mut Findings, pipeline: &Pipeline) {
    let why = "exactly once needs state that outlives the pod";
    if let Some(sink) = &pipeline.sink.kafka {
        if sink.delivery.unwrap_or_default() == Delivery::ExactlyOnce {
            let remedy = "write `delivery: AtLeastOnce`, or a `uri` for the state";
            findings.add("spec.pipeline.sink.kafka.delivery", format!("{why}: {remedy}"));
        }
        return;
    }
    let late = pipeline.window.late.as_ref().is_some_and(|late| late.kafka.is_some());
    let bad = pipeline.source.bad_records.as_ref().is_some_and(|bad| bad.kafka.is_some());
    let targets = [("spec.pipeline.window.late.kafka", late), ("spec.pipeline.source.badRecords.kafka", bad)];
    for (path, _) in targets.iter().filter(|(_, set)| *set) {
        findings.add(*path, format!("{why}: write a `uri` for the state"));
    }
}

/// Pods have no files of the user's.
fn files(findings: &mut Findings, pipeline: &Pipeline) {
    let late = pipeline.window.late.as_ref().is_some_and(|late| late.files.is_some());
    let bad = pipeline.source.bad_records.as_ref().is_some_and(|bad| bad.files.is_some());
    let members = [
        ("spec.pipeline.source.files", pipeline.source.files.is_some(), "kafka` or `generator"),
        ("spec.pipeline.sink.files", pipeline.sink.files.is_some(), "kafka"),
        ("spec.pipeline.window.late.files", late, "kafka"),
        ("spec.pipeline.source.badRecords.files", bad, "kafka"),
    ];
    for (path, _, instead) in members.iter().filter(|(_, set, _)| *set) {
        findings.add(*path, format!("pods have no files of yours: write `{instead}` instead"));
    }
}
