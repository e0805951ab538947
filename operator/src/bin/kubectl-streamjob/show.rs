//! What is printed about jobs.
//!
//! Owns: tables and sentences.
//! Never: changes anything.

use std::fmt::Write;

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use streamjob_crds::worker::Termination;
use streamjob_crds::{Reason, StreamJobObject, StreamJobStatus};

/// What belongs to a job.
#[derive(Default)]
pub(crate) struct Around {
    sets: Vec<StatefulSet>,
    pods: Vec<Pod>,
}

pub(crate) async fn around(client: &Client, namespace: &str, job: &str) -> Result<Around> {
    let labelled = ListParams::default().labels(&format!("streamjob.dev/job={job}"));
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    Ok(Around { sets: sets.list(&labelled).await?.items, pods: pods.list(&labelled).await?.items })
}

/// Events about a job, the newest last.
pub(crate) async fn events(client: &Client, namespace: &str, job: &str) -> Result<Vec<Event>> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let mut found = api.list(&ListParams::default()).await?.items;
    found.retain(|event| {
        let about = event.regarding.as_ref();
        about.is_some_and(|it| it.kind.as_deref() == Some("StreamJob") && it.name.as_deref() == Some(job))
    });
    found.sort_by_key(|event| event.event_time.as_ref().map(|time| time.0));
    Ok(found)
}

fn cell(text: Option<&str>) -> &str {
    text.unwrap_or("-")
}

fn phase(status: &StreamJobStatus) -> String {
    status.phase.map_or_else(|| "-".to_owned(), |phase| format!("{phase:?}"))
}

fn condition<'a>(status: &'a StreamJobStatus, kind: &str) -> (&'a str, &'a str, &'a str) {
    let found = status.conditions.iter().find(|it| it.type_ == kind);
    found.map_or(("-", "-", ""), |it| (&it.status, &it.reason, &it.message))
}

/// Whether a condition is True, of the spec as it is now.
pub(crate) fn holds(job: &StreamJobObject, kind: &str) -> bool {
    let status = job.status.clone().unwrap_or_default();
    let (value, ..) = condition(&status, kind);
    value == "True" && status.observed_generation == job.metadata.generation
}

/// One line a job.
pub(crate) fn jobs(list: &[StreamJobObject]) -> String {
    let mut text = format!(
        "{:<40} {:<12} {:<6} {:<10} {:<8} {}\n",
        "NAME", "PHASE", "READY", "AVAILABLE", "WORKERS", "REASON"
    );
    for job in list {
        let status = job.status.clone().unwrap_or_default();
        let (ready, reason, _) = condition(&status, "Ready");
        let (available, ..) = condition(&status, "Available");
        let workers = status.workers.as_ref().map(|workers| workers.summary.as_str());
        let _ = writeln!(
            text,
            "{:<40} {:<12} {ready:<6} {available:<10} {:<8} {reason}",
            job.name_any(),
            phase(&status),
            cell(workers),
        );
    }
    text
}

/// The job as a tree.
pub(crate) fn job(job: &StreamJobObject, around: &Around, now: Timestamp) -> String {
    let status = job.status.clone().unwrap_or_default();
    let mut text = String::new();
    let (ready, reason, message) = condition(&status, "Ready");
    let _ = writeln!(
        text,
        "StreamJob {}/{}: {}",
        job.namespace().unwrap_or_default(),
        job.name_any(),
        phase(&status)
    );
    let _ = writeln!(text, "  Ready={ready} ({reason}) {message}");
    if let Some(operation) = &status.operation {
        let kind = format!("{:?}", operation.operation_type);
        let deadline = operation.step_deadline.as_ref().map(|time| format!(", until {}", time.0));
        let _ = writeln!(
            text,
            "  Operation {}: {kind}, {:?}{}",
            operation.id,
            operation.step,
            deadline.unwrap_or_default()
        );
    }
    if let Some(last) = &status.last_checkpoint {
        let age = now.as_second() - last.completion_time.0.as_second();
        let _ = writeln!(
            text,
            "  Checkpoint {} (log {}), {age} s ago, {} bytes",
            last.epoch, last.seq, last.size_bytes
        );
    }
    if let Some(last) = &status.last_savepoint {
        let _ = writeln!(text, "  Savepoint {}, {}", last.name, last.completion_time.0);
    }
    let _ = writeln!(
        text,
        "  State {}, incarnation {}, restarts {}",
        cell(status.state_id.as_deref()),
        status.incarnation.unwrap_or(0),
        status.restarts.unwrap_or(0)
    );
    for set in &around.sets {
        let of = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        let ready = set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
        let _ = writeln!(text, "  StatefulSet {}: {ready}/{of} ready", set.name_any());
        for pod in
            around.pods.iter().filter(|pod| pod.name_any().starts_with(&format!("{}-", set.name_any())))
        {
            let _ = writeln!(text, "    Pod {}: {}", pod.name_any(), pod_state(pod));
        }
    }
    text
}

fn pod_state(pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let mut text = status.phase.unwrap_or_default();
    let container = status.container_statuses.unwrap_or_default().into_iter().next();
    let Some(container) = container else { return text };
    let state = container.state.unwrap_or_default();
    if let Some(reason) = state.waiting.and_then(|waiting| waiting.reason) {
        text = reason;
    }
    let ended = state.terminated.or(container.last_state.unwrap_or_default().terminated);
    if let Some(termination) = ended.and_then(|it| it.message).as_deref().and_then(Termination::parse) {
        let _ = write!(text, ", last ended with {}: {}", termination.reason, termination.message);
    }
    let _ = write!(text, ", {} restarts", container.restart_count);
    text
}

/// What is wrong, and what to do.
pub(crate) fn why(job: &StreamJobObject, around: &Around, events: &[Event]) -> String {
    let status = job.status.clone().unwrap_or_default();
    let mut text = String::new();
    let mut wrong = 0;
    for condition in &status.conditions {
        let is_good = match condition.type_.as_str() {
            "Ready" | "Accepted" | "Available" | "CheckpointsHealthy" => condition.status == "True",
            "Reconciling" | "Stalled" => condition.status == "False",
            _ => true,
        };
        if is_good {
            continue;
        }
        wrong += 1;
        let _ = writeln!(
            text,
            "{}={} ({}): {}",
            condition.type_, condition.status, condition.reason, condition.message
        );
        let reason = Reason::parse(&condition.reason);
        let remedy = reason.remedy_for(&job.namespace().unwrap_or_default(), &job.name_any());
        if let Some(remedy) = remedy.filter(|remedy| !condition.message.contains(remedy.as_str())) {
            let _ = writeln!(text, "  to do: `{remedy}`; see docs/runbook.md#{}.", reason.anchor());
        }
    }
    if status.conditions.is_empty() {
        text.push_str(
            "The operator has not looked at this job yet: is it running, and does it watch this namespace?\n",
        );
    } else if wrong == 0 {
        text.push_str("Nothing is wrong with this job.\n");
    }
    for pod in &around.pods {
        let _ = writeln!(text, "Pod {}: {}", pod.name_any(), pod_state(pod));
    }
    for event in events.iter().rev().take(10).rev() {
        let time = event.event_time.as_ref().map(|time| time.0.to_string());
        let (reason, note) = (cell(event.reason.as_deref()), cell(event.note.as_deref()));
        let _ = writeln!(text, "{} {reason}: {note}", cell(time.as_deref()));
    }
    text
}
