//! The machine: which operation runs, and how it goes from step to step.
//!
//! Owns: the order of steps, their deadlines, and which change of the spec ends an operation.
//! Never: does what a step does.

use streamjob_crds::{Operation, OperationType, Reason, Step};

use super::choose::Fate;
use super::pass::Pass;
use super::{check, choose, handover, launch, prepare, teardown, verify};
use crate::names;

/// What became of a step.
pub(crate) enum Go {
    /// It is not done.
    Stay,
    /// It is done.
    To(Step),
    /// The operation is over, as it should be.
    Done,
    /// The operation is over: nothing was stopped, and what ran runs on.
    Dropped,
    /// Another operation takes its place.
    Instead(Box<Operation>),
}

/// More steps than any operation and its replacement have.
const STEPS_MAX: usize = 24;
/// A deletion is seen at once; this is for the case that it was not done.
const AGAIN_MS: i64 = 1_000;
const PREPARE_MS: i64 = 60_000;
/// How long a check may take before it is left out.
pub(crate) const CHECK_MS: i64 = 240_000;
/// Beside grace and `lostPodTimeout`: until a deleted set's pods are deleted too.
const TEARDOWN_MS: i64 = 60_000;

/// Goes as far as it can without waiting.
pub(crate) fn run(pass: &mut Pass<'_>) {
    for _ in 0..STEPS_MAX {
        let Some(mut operation) = pass.status.operation.take() else {
            match choose::next(pass) {
                Some(operation) => begin(pass, operation),
                None => return,
            }
            continue;
        };
        match choose::fate(pass, &mut operation) {
            Fate::Keep => {}
            Fate::Drop => continue,
            Fate::Instead(other) => {
                begin(pass, *other);
                continue;
            }
            Fate::Later => return again(pass, operation),
        }
        let go = match operation.step {
            Step::Prepare => prepare::step(pass, &mut operation),
            Step::Check => check::step(pass, &mut operation),
            Step::Handover => handover::step(pass, &mut operation),
            Step::Teardown => teardown::step(pass, &mut operation),
            Step::Launch => launch::step(pass, &mut operation),
            Step::Verify => verify::step(pass, &mut operation),
            Step::Retire => Go::Done,
        };
        match go {
            Go::Stay => {
                pass.status.operation = Some(operation);
                return;
            }
            Go::To(step) => {
                enter(pass, &mut operation, step);
                pass.status.operation = Some(operation);
            }
            Go::Instead(other) => begin(pass, *other),
            Go::Done if pass.stops_workers() => return again(pass, operation),
            Go::Done => return finish(pass, &operation),
            Go::Dropped => return,
        }
    }
}

/// What stops workers is written down together with the operation that does so; what follows is for the next pass.
fn again(pass: &mut Pass<'_>, operation: Operation) {
    pass.again_in(AGAIN_MS);
    pass.status.operation = Some(operation);
}

fn begin(pass: &mut Pass<'_>, mut operation: Operation) {
    let step = operation.step;
    enter(pass, &mut operation, step);
    pass.tell(Reason::OperationStarted, format!("{}.", what(pass, &operation)));
    pass.status.operation = Some(operation);
}

/// Begins a step: its deadline starts now.
pub(crate) fn enter(pass: &Pass<'_>, operation: &mut Operation, step: Step) {
    operation.step = step;
    operation.tries = 0;
    waits_for(operation, None);
    let policy = &pass.facts.policy;
    let millis = match step {
        Step::Prepare => Some(PREPARE_MS),
        Step::Check => Some(CHECK_MS),
        Step::Handover => Some(policy.handover_timeout_ms),
        Step::Teardown => Some(teardown_ms(pass, operation)),
        Step::Launch | Step::Verify => Some(policy.progress_deadline_ms),
        Step::Retire => None,
    };
    operation.step_deadline = millis.map(|millis| pass.in_ms(millis));
}

/// Says what an operation waits for; a rollback keeps saying why it is one.
pub(crate) fn waits_for(operation: &mut Operation, message: Option<String>) {
    if operation.operation_type != OperationType::Rollback {
        operation.message = message;
    }
}

fn teardown_ms(pass: &Pass<'_>, operation: &Operation) -> i64 {
    let revision = pass.revision(operation.from_revision.as_deref());
    let grace = revision.map_or(0, |revision| revision.effective().workers.termination_grace_seconds * 1_000);
    grace + pass.facts.policy.lost_pod_timeout_ms + TEARDOWN_MS
}

fn finish(pass: &mut Pass<'_>, operation: &Operation) {
    match operation.operation_type {
        OperationType::Suspend => {}
        OperationType::Rescale => {
            let text = format!("The job runs with {}.", slots(operation.parallelism));
            pass.tell(Reason::Rescaled, text);
        }
        OperationType::Rollback => {
            let message = operation.message.clone().unwrap_or_default();
            pass.stalled = Some(super::facts::trouble(Reason::RolledBack, message));
        }
        OperationType::Replace => pass.stalled = super::held::rolled_back(pass),
        OperationType::Start
        | OperationType::Upgrade
        | OperationType::Restart
        | OperationType::Restore
        | OperationType::Delete => {}
    }
    pass.tell(Reason::OperationFinished, format!("{}: done.", what(pass, operation)));
}

/// A number of slots in words.
pub(crate) fn slots(number: u32) -> String {
    if number == 1 { "1 slot".to_owned() } else { format!("{number} slots") }
}

/// An operation in a few words.
pub(crate) fn what(pass: &Pass<'_>, operation: &Operation) -> String {
    let job = &pass.world.job.name;
    let to = operation.to_revision.as_deref().unwrap_or("no revision");
    let set = names::set(job, operation.incarnation);
    match operation.operation_type {
        OperationType::Start => format!("Start of revision {to} as {set}"),
        OperationType::Upgrade => format!("Upgrade to revision {to} as {set}"),
        OperationType::Restart => format!("Restart with revision {to} as {set}"),
        OperationType::Rescale => format!("Rescale to {} as {set}", slots(operation.parallelism)),
        OperationType::Suspend => "Suspension".to_owned(),
        OperationType::Restore => format!("Restore with revision {to} as {set}"),
        OperationType::Rollback => format!("Rollback to revision {to} as {set}"),
        OperationType::Delete => "Deletion of the job and its state".to_owned(),
        OperationType::Replace => format!("Replacement of the workers by {set}"),
    }
}
