//! Events that follow from a condition that changed.
//!
//! Owns: which changes are worth one; each is told once, as a condition changes once.
//! Never: tells what a step has told itself.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use streamjob_crds::{ConditionType, Reason};

use crate::decide::Pass;

/// Compares the conditions of before with those of now.
pub(super) fn tell(pass: &mut Pass<'_>, before: &[Condition]) {
    let now = pass.status.conditions.clone();
    let find = |all: &[Condition], kind: ConditionType| {
        all.iter().find(|condition| condition.type_ == kind.as_str()).cloned()
    };
    let pair = |kind| (find(before, kind), find(&now, kind));
    if let (was, Some(is)) = pair(ConditionType::Accepted) {
        let same = was.as_ref().is_some_and(|was| was.status == is.status && was.reason == is.reason);
        match is.status.as_str() {
            "True" if !same => pass.tell(Reason::Accepted, is.message),
            "False" if !same => pass.warn(Reason::Rejected, is.message),
            _ => {}
        }
    }
    if let (Some(was), Some(is)) = pair(ConditionType::CheckpointsHealthy) {
        match (was.status.as_str(), is.status.as_str()) {
            ("True", "False") => pass.warn(Reason::CheckpointsFailing, is.message),
            ("False", "True") => pass.tell(Reason::CheckpointsRecovered, "Checkpoints complete again."),
            _ => {}
        }
    }
    worker_failed(pass);
}

/// A worker that ended is told once for each time that it was started again.
fn worker_failed(pass: &mut Pass<'_>) {
    let seen = pass.world.job.status.as_ref();
    let same_workers = seen.and_then(|status| status.selector.as_ref()) == pass.status.selector.as_ref();
    let before = seen.and_then(|status| status.restarts).unwrap_or(0);
    let now = pass.status.restarts.unwrap_or(0);
    if !same_workers || now <= before {
        return;
    }
    let incarnation = pass.facts.running().map(|set| set.incarnation);
    let pods = incarnation.map(|incarnation| pass.world.pods(incarnation)).unwrap_or_default();
    let left = pods.into_iter().find_map(|pod| pod.termination);
    let why =
        left.map_or("it left no message".to_owned(), |ended| format!("{}: {}", ended.reason, ended.message));
    pass.warn(Reason::WorkerFailed, format!("A worker ended and was started again: {why}"));
}
