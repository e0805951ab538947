//! Launch: the new workers start, restore and run.
//!
//! Owns: their start arguments; what it means that they do not run.
//! Never: starts them below what the log is known to have.

use streamjob_crds::worker::WorkerPhase;
use streamjob_crds::{Operation, OperationType, Reason, Step};

use super::engine::{self, Go};
use super::pass::Pass;
use super::{Action, choose, health, prepare, replace, rollback, teardown};
use crate::render;
use crate::revision::Revision;
use crate::world::{SetSeen, StartArguments};

pub(crate) fn step(pass: &mut Pass<'_>, operation: &mut Operation) -> Go {
    let Some(revision) = pass.revision(operation.to_revision.as_deref()) else {
        return Go::Dropped;
    };
    teardown::delete_sets(pass, operation, false);
    prepare::needed(pass, &revision, operation.incarnation);
    let Some(set) = pass.facts.set(operation.incarnation) else {
        return begin(pass, operation, &revision);
    };
    super::children::repair_set(pass, &set, &revision);
    if runs(pass, &set) {
        began(pass, operation, &set);
        return Go::To(Step::Verify);
    }
    unless_failed(pass, operation)
}

/// What is wrong with an operation's workers, and what follows from it.
pub(crate) fn unless_failed(pass: &mut Pass<'_>, operation: &mut Operation) -> Go {
    if let Some(greater) = replace::fenced_by(pass, operation.incarnation) {
        return again(
            pass,
            operation,
            format!("knows incarnation {greater}, this is {}", operation.incarnation),
        );
    }
    if replace::ended(pass, operation.incarnation) {
        // A job of this name had this number once and was stopped; nothing on the cluster remembers it.
        return again(pass, operation, format!("says that incarnation {} has ended", operation.incarnation));
    }
    match health::verdict(pass, operation) {
        Some(found) => rollback::or_stall(pass, operation, found),
        None => {
            pass.again_in(2_000);
            engine::waits_for(operation, health::waits_for(pass, operation.incarnation));
            if let Some(deadline) = &operation.step_deadline {
                pass.again_at(deadline.0);
            }
            Go::Stay
        }
    }
}

fn begin(pass: &mut Pass<'_>, operation: &mut Operation, revision: &Revision) -> Go {
    let restores =
        operation.operation_type == OperationType::Restore && pass.facts.restore_is_due(&pass.status);
    let restore = match choose::restore_argument(pass) {
        Ok(restore) => restore,
        Err(missing) if restores => {
            pass.stalled = Some(missing);
            pass.again_in(10_000);
            return Go::Stay;
        }
        Err(_) => String::new(),
    };
    let request = pass.facts.policy.restore.as_ref().map(|restore| restore.request_id.clone());
    let arguments = StartArguments {
        cluster_id: pass.world.settings.cluster_id.clone(),
        incarnation: operation.incarnation,
        parallelism: operation.parallelism,
        restore: if restores { restore } else { "latest".to_owned() },
        restore_request: request.filter(|_| restores),
        take_over: choose::take_over(pass).filter(|_| restores),
        floor: pass.facts.floor(&floor_status(pass, operation), revision),
        token: pass.world.settings.token.clone(),
    };
    if pass.facts.restore_is_due(&pass.status) && arguments.floor.is_none() {
        pass.status.floor = None;
    }
    let set = render::set(&pass.facts.to(), revision, &arguments, &operation.id);
    pass.act(Action::Apply(set));
    pass.again_in(1_000);
    Go::Stay
}

/// The status with the operation in it, as hand-overs count for the floor.
fn floor_status(pass: &Pass<'_>, operation: &Operation) -> streamjob_crds::StreamJobStatus {
    let mut status = pass.status.clone();
    status.operation = Some(operation.clone());
    status
}

/// Whether the workers claimed the log, restored and process rows.
fn runs(pass: &Pass<'_>, set: &SetSeen<'_>) -> bool {
    let Some(status) = pass.world.worker(set.incarnation) else { return false };
    let began = matches!(status.phase, WorkerPhase::Running | WorkerPhase::Finished | WorkerPhase::Stopping);
    began && status.head >= set.arguments.floor.unwrap_or(0)
}

fn began(pass: &mut Pass<'_>, operation: &Operation, set: &SetSeen<'_>) {
    let first = pass.status.revisions.as_ref().is_none_or(|known| known.current.is_none());
    let found = pass.world.worker(set.incarnation).and_then(|status| status.restored_from);
    if let Some(from) = found.filter(|from| first && from.epoch > 0 && set.arguments.restore == "latest") {
        let whose = set.arguments.take_over.as_deref().unwrap_or("a job of its name");
        let text = format!("The job goes on from checkpoint {} of {whose}.", from.epoch);
        pass.tell(Reason::StateAdopted, text);
    }
    pass.revisions().current.clone_from(&operation.to_revision);
    if let Some(request) = &set.arguments.restore_request {
        pass.status.completed_restore_request = Some(request.clone());
        let text = format!("The job began with the state that restore `{request}` asks for.");
        pass.warn(Reason::RestoreRewinds, text);
    }
}

/// The log is further than the incarnation: the operation goes on with a greater one.
fn again(pass: &mut Pass<'_>, operation: &Operation, what: String) -> Go {
    let number = pass.next_incarnation();
    let mut other = operation.clone();
    other.id =
        operation.id.rsplit_once('-').map_or(operation.id.clone(), |(begin, _)| format!("{begin}-{number}"));
    other.incarnation = number;
    other.step = Step::Teardown;
    let text = format!("The log of the state {what}: the job goes on as {number}.");
    pass.warn(Reason::IncarnationRepaired, text);
    Go::Instead(Box::new(other))
}
