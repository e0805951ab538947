//! How workers are.
//!
//! Owns: reading their failures out of pods and answers.
//! Never: decides what is done about it.

use jiff::{SignedDuration, Timestamp};
use streamjob_crds::worker::{Termination, WorkerPhase};
use streamjob_crds::{ConditionType, Operation, Reason};

use super::facts::trouble;
use super::pass::Pass;
use crate::world::{PodSeen, Trouble};

/// How long a pod may take to get a node and an image before that is worth a word.
const PATIENCE_MS: i64 = 60_000;

/// Why an operation's workers will not get there, or did not in time.
pub(crate) fn verdict(pass: &Pass<'_>, operation: &Operation) -> Option<Trouble> {
    let failure = failure(pass, operation.incarnation);
    if let Some(ended) = failure.as_ref().filter(|ended| !ended.retryable) {
        return Some(trouble(ended.reason, sentence(&ended.message)));
    }
    if !pass.is_past(operation.step_deadline.as_ref()) {
        return None;
    }
    if let Some(ended) = failure {
        return Some(trouble(outage_or(ended.reason), sentence(&ended.message)));
    }
    let policy = &pass.facts.policy;
    let minutes = policy.progress_deadline_ms / 1_000;
    let detail = waits_for(pass, operation.incarnation).unwrap_or_else(|| "Nothing says why.".to_owned());
    let reason =
        pod_trouble(pass, operation.incarnation).map_or(Reason::ProgressDeadlineExceeded, |seen| seen.reason);
    Some(trouble(
        reason,
        format!("Incarnation {} did not get there within {minutes} s. {detail}", operation.incarnation),
    ))
}

/// What a later start may mend is what it is; a worker that was fenced says nothing about itself.
fn outage_or(reason: Reason) -> Reason {
    let about_itself = !matches!(reason, Reason::Fenced | Reason::Unknown);
    if about_itself { reason } else { Reason::ProgressDeadlineExceeded }
}

/// What an incarnation's workers left behind, while none of them processes rows.
pub(crate) fn failure(pass: &Pass<'_>, incarnation: i64) -> Option<Termination> {
    let worker = pass.world.worker(incarnation);
    if worker.is_some_and(|status| status.failure.is_none() && status.phase == WorkerPhase::Running) {
        return None;
    }
    let said = worker.and_then(|status| status.failure.clone());
    let left = pass.world.pods(incarnation).into_iter().find_map(|pod| pod.termination);
    said.or(left)
}

/// What the workers of an incarnation wait for, in a sentence.
pub(crate) fn waits_for(pass: &Pass<'_>, incarnation: i64) -> Option<String> {
    if let Some(ended) = failure(pass, incarnation) {
        return Some(format!("Its worker ended with {}: {}", ended.reason, sentence(&ended.message)));
    }
    if let Some(found) = pod_trouble(pass, incarnation) {
        return Some(found.message);
    }
    let waiting = pass.world.worker(incarnation)?.waiting_for.clone()?;
    Some(format!("Its worker waits for {waiting}."))
}

/// What keeps a pod from running, once that took longer than it should.
pub(crate) fn pod_trouble(pass: &Pass<'_>, incarnation: i64) -> Option<Trouble> {
    let pods = pass.world.pods(incarnation);
    if pods.is_empty() {
        return missing(pass, incarnation);
    }
    let patience = SignedDuration::from_millis(PATIENCE_MS);
    pods.iter().find_map(|pod| no_node(pass, pod).or_else(|| trouble_of(pod, pass.world.now, patience)))
}

/// A set without pods, for longer than it takes to make another one.
fn missing(pass: &Pass<'_>, incarnation: i64) -> Option<Trouble> {
    let set = pass.facts.set(incarnation)?;
    let patience = SignedDuration::from_millis(PATIENCE_MS);
    let made = set.object.instant("/metadata/creationTimestamp")?;
    let since = unavailable_since(pass)?.max(made);
    (since + patience <= pass.world.now).then(|| {
        let text = format!("The StatefulSet {} gets no pod: its events say why.", set.object.name());
        trouble(Reason::PodsMissing, text)
    })
}

/// Since when no rows are processed, as far as was told.
fn unavailable_since(pass: &Pass<'_>) -> Option<Timestamp> {
    let conditions = &pass.world.job.status.as_ref()?.conditions;
    let available =
        conditions.iter().find(|condition| condition.type_ == ConditionType::Available.as_str())?;
    (available.status == "False").then_some(available.last_transition_time.0)
}

fn no_node(pass: &Pass<'_>, pod: &PodSeen) -> Option<Trouble> {
    let waiting = pod.unschedulable.as_ref()?;
    let text = format!("The pod {} has no node: {}.", pod.name, waiting.message.trim_end_matches('.'));
    let patience = SignedDuration::from_millis(PATIENCE_MS);
    is_late(pod, pass.world.now, patience).then(|| trouble(Reason::Unschedulable, text))
}

/// Whether it was made so long ago and does not run.
fn is_late(pod: &PodSeen, now: Timestamp, patience: SignedDuration) -> bool {
    pod.creation_timestamp.unwrap_or(now) + patience <= now && !pod.running
}

/// What keeps a pod that has a node from running, once that took longer than `patience`.
pub(crate) fn trouble_of(pod: &PodSeen, now: Timestamp, patience: SignedDuration) -> Option<Trouble> {
    if !is_late(pod, now, patience) {
        return None;
    }
    let waiting = pod.waiting.as_ref()?;
    let detail = waiting.message.trim_end_matches('.');
    match waiting.reason.as_str() {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            let text = format!("The pod {} does not get its image ({}): {detail}.", pod.name, waiting.reason);
            Some(trouble(Reason::ImagePullFailed, text))
        }
        // What is mounted is there: the image comes, which may take long.
        "ContainerCreating" if pod.has_mounts => None,
        "ContainerCreating" => {
            let secrets: Vec<String> = pod.secrets.iter().map(|name| format!("`{name}`")).collect();
            let which = match secrets.as_slice() {
                [] => "perhaps its ConfigMap".to_owned(),
                [one] => format!("it mounts the Secret {one}"),
                more => format!("it mounts the Secrets {}", more.join(", ")),
            };
            let text =
                format!("The pod {} is not started: something that it mounts is missing; {which}.", pod.name);
            Some(trouble(Reason::SecretMissing, text))
        }
        "CreateContainerConfigError" => {
            let text = format!("The pod {} is not started: {detail}.", pod.name);
            Some(trouble(Reason::SecretMissing, text))
        }
        _ => {
            let text = format!("The pod {} does not run ({}).", pod.name, waiting.reason);
            Some(trouble(Reason::CrashLooping, text))
        }
    }
}

pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}
