//! What differs between one machine and a cluster.
//!
//! Owns: the rules that depend on the place as a whole; `state` and `kafka` have those of their fields.
//! Never: asks a cluster.

use super::{Findings, Place};
use crate::{Delivery, FieldError, Pipeline, StreamJob};

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
        let name = &job.metadata.name;
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            let remedy = "begin with a letter, as the names of Services do";
            findings.add("metadata.name", format!("`{name}` begins with a digit: {remedy}"));
        }
        if location.is_none() {
            let remedy = "say where state is kept, such as `state: {location: {uri: s3://BUCKET/FOLDER}}`";
            findings.add("spec.state.location", format!("is missing: {remedy}"));
        }
        files(findings, &job.spec.pipeline);
    }
}

/// Fields that are written though nothing on one machine reads them, each with what to do there instead.
pub fn notes(job: &StreamJob) -> Vec<FieldError> {
    let spec = &job.spec;
    let id = spec.state.as_ref().is_some_and(|state| state.id.is_some());
    let fields = [
        ("spec.suspend", spec.suspend == Some(true), "stop the process with Ctrl-C"),
        ("spec.restartedAt", spec.restarted_at.is_some(), "start the process again"),
        ("spec.upgrade", spec.upgrade.is_some(), "an edited job goes on from its last checkpoint"),
        ("spec.restore", spec.restore.is_some(), "use `--from`"),
        ("spec.recovery", spec.recovery.is_some(), "failures that may pass are tried again by themselves"),
        ("spec.workers", spec.workers.is_some(), "the process runs as whoever starts it"),
        ("spec.network", spec.network.is_some(), "nothing listens unless `--admin` says so"),
        ("spec.observability", spec.observability.is_some(), "use `--log` and `--log-format`"),
        ("spec.deletion", spec.deletion.is_some(), "state goes when its folder goes"),
        ("spec.revisionHistoryLimit", spec.revision_history_limit.is_some(), "there are no revisions"),
        (STATE_ID, id, "the job's name says which state is its own"),
    ];
    let written = fields.into_iter().filter(|(_, written, _)| *written);
    let note = |instead: &str| format!("has no effect on one machine: {instead}");
    written.map(|(path, _, instead)| FieldError::new(path, note(instead))).collect()
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
