//! Workers that must be replaced though the spec did not change.
//!
//! Owns: the signs that an incarnation cannot go on by itself.
//! Never: replaces workers for what the kubelet or the coordinator mends.

use jiff::SignedDuration;
use streamjob_crds::worker::WorkerPhase;
use streamjob_crds::{Operation, OperationType, Reason, Step};

use super::pass::{Pass, millis_between};
use crate::world::SetSeen;

/// The operation that replaces the workers of a set, if they need it.
pub(crate) fn needed(pass: &mut Pass<'_>, set: &SetSeen<'_>) -> Option<Operation> {
    pass.revision(set.revision)?;
    let step = if let Some(text) = fenced(pass, set) {
        pass.warn(Reason::IncarnationRepaired, text);
        Step::Teardown
    } else if let Some(text) = lost(pass, set) {
        pass.warn(Reason::WorkerRelocated, text);
        Step::Teardown
    } else if ended(pass, set.incarnation) {
        Step::Teardown
    } else if other_template(pass, set) {
        Step::Handover
    } else if overdue(pass, set) && !made_for_that(set) {
        let text = "No checkpoint was completed for `recovery.checkpointDeadline`: the workers are started once more.";
        pass.warn(Reason::CheckpointsOverdue, text);
        Step::Teardown
    } else {
        return None;
    };
    let number = pass.next_incarnation();
    let mut operation = pass.operation(OperationType::Replace, step, number);
    operation.to_revision = set.revision.map(str::to_owned);
    operation.parallelism = set.arguments.parallelism;
    Some(operation)
}

/// The log knows a greater incarnation than the cluster: an old backup of the cluster, or a janitor, was here.
fn fenced(pass: &Pass<'_>, set: &SetSeen<'_>) -> Option<String> {
    let greater = fenced_by(pass, set.incarnation)?;
    Some(format!(
        "The log of the state knows incarnation {greater}, the cluster {}: the job goes on as {}.",
        set.incarnation,
        pass.facts.last_incarnation + 1
    ))
}

/// The incarnation that an incarnation's workers found in the log, if it is greater than theirs.
pub(crate) fn fenced_by(pass: &Pass<'_>, incarnation: i64) -> Option<i64> {
    let pods = pass.world.pods(incarnation).into_iter().filter_map(|pod| pod.termination);
    let worker = pass.world.worker(incarnation).and_then(|status| status.failure.clone());
    let found = pods.chain(worker).filter(|ended| ended.reason == Reason::Fenced);
    found.filter_map(|ended| ended.incarnation).filter(|&by| by >= incarnation).max()
}

/// A pod is overdue for so long that its node must be gone. The old one may rot: it is fenced.
fn lost(pass: &mut Pass<'_>, set: &SetSeen<'_>) -> Option<String> {
    let timeout = SignedDuration::from_millis(pass.facts.policy.lost_pod_timeout_ms);
    for pod in pass.world.pods(set.incarnation) {
        let Some(end) = pod.deletion_timestamp else { continue };
        if end + timeout <= pass.world.now {
            return Some(format!(
                "The pod {} should be gone since {end}: its work goes to another.",
                pod.name
            ));
        }
        pass.again_at(end + timeout);
    }
    None
}

/// Its log has ended, for an operation that is over: it will never process another row.
pub(crate) fn ended(pass: &Pass<'_>, incarnation: i64) -> bool {
    pass.world.worker(incarnation).is_some_and(|status| status.phase == WorkerPhase::Stopped)
}

/// A pod was made while somebody's edit of the template was in force.
fn other_template(pass: &Pass<'_>, set: &SetSeen<'_>) -> bool {
    let seen = set.object.number("/status/observedGeneration") == set.object.number("/metadata/generation");
    let Some(now) = set.object.text("/status/updateRevision").filter(|_| seen) else { return false };
    let pods = pass.world.of_kind(crate::world::Kind::Pod);
    let mut pods =
        pods.filter(|pod| pod.incarnation() == Some(set.incarnation) && pod.deletion_timestamp().is_none());
    !super::children::differs(pass, set)
        && pods.any(|pod| pod.label("controller-revision-hash").is_some_and(|hash| hash != now))
}

/// Whether workers run and have not completed a checkpoint for `checkpointDeadline`.
pub(crate) fn overdue(pass: &mut Pass<'_>, set: &SetSeen<'_>) -> bool {
    let deadline = pass.facts.policy.checkpoint_deadline_ms;
    let Some(status) = pass.world.worker(set.incarnation) else { return false };
    let Some(since) = status.running_since.filter(|_| status.phase == WorkerPhase::Running && deadline > 0)
    else {
        return false;
    };
    let last = status.last_checkpoint.map_or(since, |last| last.completion_time.max(since));
    let late = millis_between(last, pass.world.now) > deadline;
    if !late {
        pass.again_at(last + SignedDuration::from_millis(deadline));
    }
    late
}

/// Once is enough: workers that were started for that and have the same trouble need somebody's help.
fn made_for_that(set: &SetSeen<'_>) -> bool {
    let made = set.object.annotation(crate::world::labels::OPERATION).unwrap_or_default();
    made.contains("-replace-")
}
