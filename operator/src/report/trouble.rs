//! What needs somebody's help.
//!
//! Owns: which failures do, though the spec makes sense.
//! Never: counts a failure that is being recovered from.

use streamjob_crds::{OperationType, Reason, Step};

use crate::decide::{self, Pass, millis_between};
use crate::world::Trouble;

/// What is wrong with a job whose spec is accepted; `running` is its incarnation.
pub(super) fn of(pass: &mut Pass<'_>, running: Option<i64>) -> Option<Trouble> {
    if let Some(stalled) = pass.stalled.clone() {
        return Some(stalled);
    }
    if let Some(refused) = refused_write(pass) {
        return Some(refused);
    }
    if let Some(operation) = &pass.status.operation {
        let waits = operation.step == Step::Handover && operation.tries > 0;
        let message = operation.message.clone().filter(|_| waits);
        let replaces = operation.operation_type == OperationType::Replace;
        let failed = message.map(|message| Trouble { reason: Reason::HandoverFailed, message });
        return failed.or_else(|| replaces.then(|| decide::rolled_back(pass)).flatten());
    }
    let incarnation = running?;
    if let Some(ended) = decide::failure(pass, incarnation).filter(|ended| !ended.retryable) {
        return Some(Trouble { reason: ended.reason, message: decide::sentence(&ended.message) });
    }
    if let Some(found) = exhausted(pass, incarnation) {
        return Some(found);
    }
    let set = pass.facts.running()?;
    decide::overdue(pass, &set).then(|| Trouble {
        reason: Reason::CheckpointsOverdue,
        message: "No checkpoint was completed for `recovery.checkpointDeadline`.".to_owned(),
    })
}

/// A write that the API server refuses keeps being tried, and keeps being told while it is.
fn refused_write(pass: &Pass<'_>) -> Option<Trouble> {
    if let Some(refused) = pass.world.answers.refused.iter().find(|refused| !refused.namespace_terminating) {
        let (kind, name) = (refused.kind.as_str(), &refused.name);
        let message =
            format!("The API server refuses the {kind} {name}: {}", decide::sentence(&refused.message));
        return Some(Trouble { reason: Reason::PodTemplateRejected, message });
    }
    let applies = pass.actions.iter().any(|action| matches!(action, decide::Action::Apply(_)));
    applies.then(|| pass.stalled_before(Reason::PodTemplateRejected)).flatten()
}

fn exhausted(pass: &Pass<'_>, incarnation: i64) -> Option<Trouble> {
    let policy = &pass.facts.policy;
    let restarts: i64 = pass.world.pods(incarnation).iter().map(|pod| pod.restarts).sum();
    let worker = pass.world.worker(incarnation);
    let attempts = worker.map_or(0, |status| status.attempt - 1);
    let since = worker.and_then(|status| status.running_since);
    let healthy = since.is_some_and(|since| millis_between(since, pass.world.now) >= policy.healthy_after_ms);
    if healthy || restarts.max(attempts) < policy.max_restarts {
        return None;
    }
    let last = decide::failure(pass, incarnation);
    let last = last.map_or(String::new(), |ended| {
        format!(" The last time: {}: {}", ended.reason, decide::sentence(&ended.message))
    });
    let message = format!(
        "The workers were started again {} times (`recovery.maxRestarts`).{last}",
        policy.max_restarts
    );
    Some(Trouble { reason: Reason::RestartsExhausted, message })
}
