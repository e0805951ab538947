//! What people and tools read: conditions, and one word for `kubectl get`.
//!
//! Owns: what each condition says, for every state that a job can be in. All of them are there from the first look on.
//! Never: decides anything; what it says is what was decided or seen.

pub(crate) mod condition;
mod events;
pub mod message;
mod phase;
#[cfg(test)]
mod tests;
mod trouble;

use condition::Said;
use streamjob_crds::worker::WorkerPhase;
use streamjob_crds::{ConditionType, Operation, OperationType, Reason, Step};

use crate::decide::{self, Pass, millis_between};
use crate::world::Trouble;

/// Fills in the conditions, the phase and the generation that they are about.
pub(crate) fn conditions(pass: &mut Pass<'_>) {
    let view = View::of(pass);
    let before = pass.world.job.status.clone().unwrap_or_default().conditions;
    let (generation, now) = (pass.world.job.generation, pass.world.now);
    let said = [
        view.ready(pass),
        view.reconciling(pass),
        view.stalled(),
        view.accepted(pass),
        view.available(pass),
        view.checkpoints(pass),
        view.suspended(),
    ];
    pass.status.conditions =
        said.into_iter().map(|said| condition::next(&before, said, generation, now)).collect();
    pass.status.phase = Some(view.phase(pass));
    pass.status.observed_generation = Some(generation);
    events::tell(pass, &before);
}

/// What the conditions are made of.
struct View {
    operation: Option<Operation>,
    /// What needs help, with the remedy in its message.
    trouble: Option<Trouble>,
    /// Whether the trouble is with the spec.
    refused: bool,
    /// The job is stopped as the spec asks.
    suspended: bool,
    /// The workers process rows.
    processes: bool,
    /// The incarnation that is there.
    running: Option<i64>,
}

fn said(kind: ConditionType, truth: bool, reason: Reason, message: impl Into<String>) -> Said {
    Said { kind, truth, reason, message: message.into() }
}

impl View {
    fn of(pass: &mut Pass<'_>) -> Self {
        let running = pass.facts.running().map(|set| set.incarnation);
        let worker = running.and_then(|incarnation| pass.world.worker(incarnation));
        let processes = worker.is_some_and(|status| status.phase == WorkerPhase::Running);
        let operation = pass.status.operation.clone();
        let idle = operation.is_none() && pass.waiting.is_none() && pass.paused.is_none();
        let suspended = pass.facts.policy.suspend && idle && running.is_none();
        let refusal = pass.not_accepted.clone().or_else(|| pass.facts.wanted.clone().err());
        let refused = refusal.is_some();
        let trouble = refusal.or_else(|| trouble::of(pass, running).filter(|_| !pass.finished));
        let job = &pass.world.job;
        let trouble = trouble.map(|found| Trouble {
            reason: found.reason,
            message: message::with_remedy(&found, &job.namespace, &job.name),
        });
        Self { operation, trouble, refused, suspended, processes, running }
    }

    fn ready(&self, pass: &Pass<'_>) -> Said {
        let is = |truth, reason, message: String| said(ConditionType::Ready, truth, reason, message);
        if let Some(trouble) = &self.trouble {
            let reason = if self.refused { Reason::NotAccepted } else { trouble.reason };
            return is(false, reason, trouble.message.clone());
        }
        if let Some(waiting) = self.held_up(pass) {
            return is(false, waiting.reason, waiting.message);
        }
        if let Some(operation) = &self.operation {
            return is(false, reason_of(operation.operation_type), message::operation(pass, operation));
        }
        if pass.finished {
            return is(true, Reason::Finished, "All input was read, and all output is published.".to_owned());
        }
        if self.suspended {
            return is(true, Reason::Suspended, "The job is stopped, its state kept.".to_owned());
        }
        if self.processes {
            return is(true, Reason::UpToDate, message::runs(pass));
        }
        let waits = self.running.and_then(|incarnation| decide::waits_for(pass, incarnation));
        is(false, Reason::Recovering, waits.unwrap_or_else(|| "The workers start again.".to_owned()))
    }

    /// What keeps the operator from doing what the spec asks for.
    fn held_up(&self, pass: &Pass<'_>) -> Option<Trouble> {
        let paused = pass.paused.as_ref().filter(|_| !self.is_as_asked(pass));
        paused.or(pass.waiting.as_ref()).cloned()
    }

    /// Whether a paused job is what its spec asks for anyway.
    fn is_as_asked(&self, pass: &Pass<'_>) -> bool {
        let same = decide::same_as_wanted(pass) && !pass.facts.restore_is_due(&pass.status);
        let suspended = pass.facts.policy.suspend;
        self.operation.is_none() && if suspended { self.running.is_none() } else { self.processes && same }
    }

    fn reconciling(&self, pass: &Pass<'_>) -> Said {
        let kind = ConditionType::Reconciling;
        // Whoever reads conditions in kstatus's order must come as far as Stalled.
        let goes_on = self.trouble.is_none();
        if let Some(waiting) = self.held_up(pass) {
            return said(kind, goes_on, waiting.reason, waiting.message);
        }
        if let Some(operation) = &self.operation {
            return said(kind, goes_on, reason_of_step(operation.step), message::step(pass, operation));
        }
        let rests = pass.finished || self.suspended || self.processes || pass.paused.is_some();
        if rests || !goes_on {
            return said(kind, false, Reason::Idle, "");
        }
        said(kind, true, Reason::Recovering, "The workers start again.")
    }

    fn stalled(&self) -> Said {
        match &self.trouble {
            Some(trouble) => said(ConditionType::Stalled, true, trouble.reason, trouble.message.clone()),
            None => said(ConditionType::Stalled, false, Reason::Progressing, ""),
        }
    }

    fn accepted(&self, pass: &Pass<'_>) -> Said {
        let kind = ConditionType::Accepted;
        if let Some(trouble) = self.trouble.as_ref().filter(|_| self.refused) {
            return said(kind, false, trouble.reason, trouble.message.clone());
        }
        let revision = pass.facts.wanted.as_ref().map_or("", |wanted| wanted.name.as_str());
        said(kind, true, Reason::Accepted, format!("The spec is revision {revision}."))
    }

    fn available(&self, pass: &Pass<'_>) -> Said {
        let not = |reason, text: &str| said(ConditionType::Available, false, reason, text);
        if self.processes {
            let worker = self.running.and_then(|incarnation| pass.world.worker(incarnation));
            let waits = worker.and_then(|status| status.waiting_for.as_deref());
            return match waits.filter(|what| what.starts_with("Kafka")) {
                Some(what) => not(Reason::KafkaUnavailable, &format!("The workers wait for {what}.")),
                None => said(ConditionType::Available, true, Reason::Processing, ""),
            };
        }
        if pass.finished {
            return not(Reason::Finished, "All input was read.");
        }
        if self.suspended {
            return not(Reason::Suspended, "The job is stopped.");
        }
        if let Some(ended) = self.running.and_then(|incarnation| decide::failure(pass, incarnation)) {
            return not(ended.reason, &decide::sentence(&ended.message));
        }
        if let Some(found) = self.running.and_then(|incarnation| decide::pod_trouble(pass, incarnation)) {
            return not(found.reason, &found.message);
        }
        let step = self.operation.as_ref().map(|operation| operation.step);
        if matches!(step, Some(Step::Handover | Step::Teardown)) {
            return not(Reason::Handover, "The workers hand over.");
        }
        let ran = pass.status.revisions.as_ref().is_some_and(|known| known.current.is_some());
        if ran {
            not(Reason::Restoring, "The workers start from the latest checkpoint.")
        } else {
            not(Reason::NotStarted, "The workers have not processed a row yet.")
        }
    }

    fn checkpoints(&self, pass: &mut Pass<'_>) -> Said {
        let kind = ConditionType::CheckpointsHealthy;
        let set = pass.facts.running().filter(|_| self.processes && !pass.finished);
        let status = set.as_ref().and_then(|set| pass.world.worker(set.incarnation)).cloned();
        let (Some(set), Some(status)) = (set, status) else {
            return said(kind, true, Reason::NotStarted, "");
        };
        if let Some(what) = status.waiting_for.as_deref().filter(|what| what.starts_with("store")) {
            // As the worker says it, whatever the store calls it.
            let denied = what.contains("(StoreAccessDenied)");
            let reason = if denied { Reason::StoreDenied } else { Reason::StoreUnavailable };
            return said(kind, false, reason, format!("The workers wait for the {what}."));
        }
        let since = status.running_since.unwrap_or(status.started_time);
        let last = status.last_checkpoint.map_or(since, |last| last.completion_time.max(since));
        if decide::overdue(pass, &set) {
            return said(
                kind,
                false,
                Reason::CheckpointsOverdue,
                format!("No checkpoint was completed since {last}."),
            );
        }
        if millis_between(last, pass.world.now) > slow_after_ms(pass, set.revision) {
            return said(
                kind,
                false,
                Reason::CheckpointsFailing,
                format!("The last checkpoint was completed at {last}."),
            );
        }
        said(kind, true, Reason::CheckpointsCompleting, "")
    }

    fn suspended(&self) -> Said {
        let kind = ConditionType::Suspended;
        let stops = self
            .operation
            .as_ref()
            .is_some_and(|operation| operation.operation_type == OperationType::Suspend);
        if self.suspended {
            said(kind, true, Reason::Requested, "The spec asks for it.")
        } else if stops {
            said(kind, false, Reason::Suspending, "The job is being stopped.")
        } else {
            said(kind, false, Reason::NotRequested, "")
        }
    }
}

/// Longer than a checkpoint may take and the pause before it.
fn slow_after_ms(pass: &Pass<'_>, revision: Option<&str>) -> i64 {
    let revision = pass.revision(revision);
    let checkpoint = revision.and_then(|revision| revision.content.effective.state.checkpoint);
    let millis =
        |duration: Option<streamjob_crds::Duration>| duration.map_or(0, |duration| duration.millis());
    checkpoint.map_or(i64::MAX, |checkpoint| millis(checkpoint.interval) + millis(checkpoint.timeout))
}

fn reason_of(kind: OperationType) -> Reason {
    match kind {
        OperationType::Start => Reason::Starting,
        OperationType::Upgrade => Reason::Upgrading,
        OperationType::Restart => Reason::Restarting,
        OperationType::Rescale => Reason::Rescaling,
        OperationType::Suspend => Reason::Suspending,
        OperationType::Restore => Reason::Restoring,
        OperationType::Rollback => Reason::RollingBack,
        OperationType::Delete => Reason::Deleting,
        OperationType::Replace => Reason::Replacing,
    }
}

fn reason_of_step(step: Step) -> Reason {
    match step {
        Step::Prepare => Reason::Prepare,
        Step::Check => Reason::Check,
        Step::Handover => Reason::Handover,
        Step::Teardown => Reason::Teardown,
        Step::Launch => Reason::Launch,
        Step::Verify => Reason::Verify,
        Step::Retire => Reason::Retire,
    }
}
