//! Handover: the old workers take their last checkpoint and publish its output.
//!
//! Owns: asking them, and what is done if they cannot.
//! Never: stops workers that process rows without knowing where their successors begin.

use jiff::SignedDuration;
use streamjob_crds::worker::{StopAnswer, StopRequest, StopState, WorkerPhase, WorkerStatus};
use streamjob_crds::{Handover, HandoverMode, Operation, OperationType, Reason, Step, WhenUnhealthy};

use super::engine::{self, Go};
use super::pass::{Pass, millis_between};
use super::{Action, Worker, choose};
use crate::world::{CallFailure, PodSeen, SetSeen};

const ASK_AGAIN_MS: i64 = 1_000;
/// The first pause after a hand-over that failed, doubled each time.
const AGAIN_MS: i64 = 30_000;
const AGAIN_MAX_MS: i64 = 600_000;

pub(crate) fn step(pass: &mut Pass<'_>, operation: &mut Operation) -> Go {
    let Some(old) = pass.facts.running() else {
        return Go::To(Step::Teardown);
    };
    if pass.facts.policy.handover == HandoverMode::LatestCheckpoint {
        return Go::To(Step::Teardown);
    }
    let pods = pass.world.pods(old.incarnation);
    let first = pods.iter().find(|pod| pod.ordinal == 0).cloned();
    let status = pass.world.worker(old.incarnation).cloned();
    if let Some(handed) = handed_over(pass, status.as_ref()) {
        let text = format!("Incarnation {} handed over checkpoint {}.", old.incarnation, handed.epoch);
        pass.tell(Reason::HandoverTaken, text);
        operation.handover = Some(handed);
        pass.status.floor = pass.status.floor.max(Some(handed.seq));
        return Go::To(Step::Teardown);
    }
    if let Some(why) = nothing_runs(first.as_ref(), status.as_ref()) {
        let text = format!("Incarnation {} is not asked for a last checkpoint: {why}.", old.incarnation);
        pass.tell(Reason::Handover, text);
        return Go::To(Step::Teardown);
    }
    match answered(pass) {
        Some(Err(CallFailure::Unauthorized(why))) => {
            let text = format!(
                "The workers do not take the operator's token ({why}): they are told to stop by their set."
            );
            pass.warn(Reason::HandoverFailed, text);
            return Go::To(Step::Teardown);
        }
        Some(Ok(StopAnswer { state: StopState::Resumed, message, .. })) => {
            let why = message.unwrap_or_else(|| "the workers gave it up".to_owned());
            return failed(pass, operation, &old, &why);
        }
        Some(Ok(StopAnswer { message: Some(message), .. })) => {
            engine::waits_for(operation, Some(super::health::sentence(&message)))
        }
        Some(Ok(StopAnswer { message: None, .. })) => {}
        Some(Err(CallFailure::Unreachable(_))) | None => {}
    }
    if pass.is_past(operation.step_deadline.as_ref()) {
        let why = operation.message.clone().unwrap_or_else(|| "it was not there in time".to_owned());
        return failed(pass, operation, &old, &why);
    }
    ask(pass, operation, first)
}

/// Sends the request, unless the pause after the last failure is not over.
fn ask(pass: &mut Pass<'_>, operation: &Operation, pod: Option<PodSeen>) -> Go {
    let timeout = SignedDuration::from_millis(pass.facts.policy.handover_timeout_ms);
    let deadline = operation.step_deadline.as_ref().map_or(pass.world.now, |deadline| deadline.0);
    let begins = deadline - timeout;
    if operation.tries > 0 && pass.world.now < begins {
        pass.again_at(begins);
        return Go::Stay;
    }
    pass.again_in(ASK_AGAIN_MS);
    let asked = pass.world.answers.stop.as_ref().is_some_and(|answer| answer.id == operation.id);
    if let Some(pod) = pod.filter(|pod| pod.running && pod.stays() && !asked) {
        let worker = Worker { pod: pod.name, uid: pod.uid };
        let request = StopRequest { operation_id: operation.id.clone(), deadline };
        pass.act(Action::StopWorkers { worker, request });
    }
    Go::Stay
}

fn answered(pass: &Pass<'_>) -> Option<Result<StopAnswer, CallFailure>> {
    pass.world.answers.stop.as_ref().map(|answer| answer.answer.clone())
}

/// What the workers say that they left, whoever asked them: after its Final an incarnation never goes on.
fn handed_over(pass: &Pass<'_>, status: Option<&WorkerStatus>) -> Option<Handover> {
    let head = status.map_or(0, |status| status.head);
    if let Some(Ok(StopAnswer { state: StopState::Stopped, checkpoint: Some(last), .. })) = answered(pass) {
        return Some(Handover { epoch: last.epoch, seq: last.seq.max(head) });
    }
    let status = status?;
    let last = status.last_checkpoint.map(|last| (last.epoch, last.seq));
    let last = last.or(status.restored_from.map(|from| (from.epoch, from.seq)));
    let (epoch, seq) = last?;
    let ended = matches!(status.phase, WorkerPhase::Stopped | WorkerPhase::Finished);
    ended.then_some(Handover { epoch, seq: seq.max(head) })
}

/// Why there is nobody to ask: what does not run has nothing that is not in its latest checkpoint.
fn nothing_runs(pod: Option<&PodSeen>, status: Option<&WorkerStatus>) -> Option<String> {
    let Some(pod) = pod else {
        return Some("it has no worker".to_owned());
    };
    if !pod.stays() {
        return Some(format!("{} is on its way out", pod.name));
    }
    if let Some(failure) = status.and_then(|status| status.failure.as_ref()) {
        return Some(format!("its worker failed ({}: {})", failure.reason, failure.message));
    }
    if pod.running {
        return None;
    }
    let waits = pod.waiting.as_ref().map(|waiting| waiting.reason.clone());
    let ended = pod.termination.as_ref().map(|ended| ended.reason.to_string());
    Some(format!(
        "{} does not run ({})",
        pod.name,
        waits.or(ended).unwrap_or_else(|| "no container".to_owned())
    ))
}

fn failed(pass: &mut Pass<'_>, operation: &mut Operation, old: &SetSeen<'_>, why: &str) -> Go {
    let policy = pass.facts.policy.clone();
    let status = pass.world.worker(old.incarnation);
    let processes = status.is_some_and(|status| status.phase == WorkerPhase::Running);
    let known = pass.status.last_checkpoint.as_ref().map(|last| last.completion_time.0);
    let last = status.and_then(|status| status.last_checkpoint.map(|last| last.completion_time)).or(known);
    let young = last.is_some_and(|last| millis_between(last, pass.world.now) <= policy.max_checkpoint_age_ms);
    // A restore leaves the state behind anyway.
    let restores = operation.operation_type == OperationType::Restore;
    let latest = policy.when_unhealthy == WhenUnhealthy::UseLatestCheckpoint && (young || !processes);
    if latest || restores {
        let text = format!(
            "The last checkpoint of incarnation {} was not taken, so its latest is used: {why}.",
            old.incarnation
        );
        pass.warn(Reason::HandoverFailed, text);
        return Go::To(Step::Teardown);
    }
    let message =
        format!("Incarnation {} could not take its last checkpoint and goes on: {why}.", old.incarnation);
    pass.warn(Reason::HandoverFailed, message.clone());
    if choose::is_outdated(pass, operation) {
        // What the spec asks for by now was not tried, so nothing is said about it.
        return Go::Dropped;
    }
    if policy.when_unhealthy == WhenUnhealthy::Fail {
        pass.stalled = Some(super::facts::trouble(Reason::HandoverFailed, message));
        return Go::Dropped;
    }
    let pause = (AGAIN_MS << operation.tries.min(10)).min(AGAIN_MAX_MS);
    operation.tries += 1;
    operation.message = Some(message);
    operation.step_deadline = Some(pass.in_ms(pause + policy.handover_timeout_ms));
    pass.again_in(pause);
    Go::Stay
}
