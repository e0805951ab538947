//! Which operation a job needs.
//!
//! Owns: what differs between the spec and what runs, and which difference comes first.
//! Never: gates a newer spec on the health of an older one.

use streamjob_crds::{Operation, OperationType, ParallelismStatus, Reason, RestoreFrom, Step};

use super::pass::Pass;
use super::{held, replace};
use crate::effective::Effective;
use crate::revision::Revision;
use crate::world::{SetSeen, Trouble, labels};

/// What becomes of an operation before its next step.
pub(crate) enum Fate {
    /// It goes on.
    Keep,
    /// It is over.
    Drop,
    /// Another takes its place.
    Instead(Box<Operation>),
    /// It is asked again in the next pass.
    Later,
}

/// The most urgent operation, if there is none.
pub(crate) fn next(pass: &mut Pass<'_>) -> Option<Operation> {
    if pass.facts.policy.suspend {
        return suspend(pass);
    }
    let running = pass.facts.running();
    if running.is_none() && stays_without_workers(pass) {
        return None;
    }
    if let Some(operation) = of_spec(pass, running.as_ref())
        && held::back(pass).is_none()
    {
        return Some(taken(pass, operation));
    }
    replace::needed(pass, running.as_ref()?)
}

/// Whether the operation is still what the spec asks for.
pub(crate) fn fate(pass: &mut Pass<'_>, operation: &mut Operation) -> Fate {
    let suspend = pass.facts.policy.suspend;
    match (operation.operation_type, operation.step) {
        (OperationType::Delete, _) => Fate::Keep,
        // A hand-over that began is finished: its workers will not process another row.
        (OperationType::Suspend, Step::Handover) if !suspend && operation.tries > 0 => Fate::Drop,
        (OperationType::Suspend, _) => Fate::Keep,
        (_, Step::Handover | Step::Teardown) if suspend => {
            operation.operation_type = OperationType::Suspend;
            operation.to_revision = None;
            Fate::Keep
        }
        _ if suspend => {
            let incarnation = operation.incarnation;
            let running = pass.facts.running().is_some();
            let instead =
                running.then(|| pass.operation(OperationType::Suspend, Step::Handover, incarnation));
            instead.map_or(Fate::Drop, |operation| Fate::Instead(Box::new(operation)))
        }
        (_, Step::Handover) if operation.tries == 0 => Fate::Keep,
        (_, Step::Teardown) => Fate::Keep,
        (_, Step::Prepare | Step::Check | Step::Handover | Step::Launch | Step::Verify | Step::Retire) => {
            retargeted(pass, operation)
        }
    }
}

/// A newer spec takes over, with the incarnation of the operation if no workers of that were started.
fn retargeted(pass: &mut Pass<'_>, operation: &Operation) -> Fate {
    if !target_changed(pass, operation) {
        return Fate::Keep;
    }
    if pass.stops_workers() {
        return Fate::Later;
    }
    let running = pass.facts.running();
    let Some(mut other) = of_spec(pass, running.as_ref()) else {
        return Fate::Drop;
    };
    let launched = pass.facts.set(operation.incarnation).is_some();
    if launched {
        // What was handed over was to these workers; they have a hand-over of their own before them.
        other = taken(pass, other);
        other.from_revision = operation.to_revision.clone();
    } else {
        other.incarnation = operation.incarnation;
        other.id = other
            .id
            .rsplit_once('-')
            .map_or(other.id.clone(), |(begin, _)| format!("{begin}-{}", operation.incarnation));
        other.from_revision = operation.from_revision.clone();
        other.handover = operation.handover;
        record_target(pass, &other);
    }
    Fate::Instead(Box::new(other))
}

/// Whether nobody asks for an operation any more.
pub(crate) fn is_outdated(pass: &Pass<'_>, operation: &Operation) -> bool {
    match operation.operation_type {
        OperationType::Suspend => !pass.facts.policy.suspend,
        OperationType::Start
        | OperationType::Upgrade
        | OperationType::Restart
        | OperationType::Rescale
        | OperationType::Restore
        | OperationType::Rollback
        | OperationType::Delete
        | OperationType::Replace => target_changed(pass, operation),
    }
}

/// Whether the spec asks for something else than when the operation began.
fn target_changed(pass: &Pass<'_>, operation: &Operation) -> bool {
    let Ok(wanted) = &pass.facts.wanted else { return false };
    let update = pass.status.revisions.as_ref().and_then(|known| known.update.as_deref());
    let user = pass.revision(update).map(|revision| revision.content.user);
    let slots = pass.status.parallelism.map(|parallelism| parallelism.desired);
    let of_set = pass.facts.set(operation.incarnation);
    let asked = pass.facts.policy.restore.as_ref().map(|restore| restore.request_id.as_str());
    let restores = pass.facts.restore_is_due(&pass.status)
        && match of_set {
            Some(set) => {
                set.arguments.restore_request.as_deref() != asked
                    || set.arguments.take_over != take_over(pass)
            }
            None => operation.operation_type != OperationType::Restore,
        };
    user.as_ref() != Some(&wanted.content.user)
        || slots != Some(i64::from(pass.facts.policy.parallelism))
        || restores
}

fn suspend(pass: &mut Pass<'_>) -> Option<Operation> {
    let running = pass.facts.running()?;
    if held::failed_handover(pass).is_some() {
        return None;
    }
    Some(pass.operation(OperationType::Suspend, Step::Handover, running.incarnation))
}

/// What the spec asks for and does not run. Its incarnation is not taken yet.
fn of_spec(pass: &mut Pass<'_>, running: Option<&SetSeen<'_>>) -> Option<Operation> {
    let wanted = pass.facts.wanted.clone().ok()?;
    let current = pass.facts.current(&pass.status).cloned();
    let runs = running.and_then(|set| pass.revision(set.revision));
    let slots = pass.facts.policy.parallelism;
    let restore = pass.facts.restore_is_due(&pass.status);
    let kind = match (running, runs.or_else(|| current.clone())) {
        _ if restore => OperationType::Restore,
        (None, None) => OperationType::Start,
        (None, Some(old)) if old.content.user == wanted.content.user => OperationType::Start,
        (_, Some(old)) if old.content.user != wanted.content.user => another(&old, &wanted),
        // Nobody knows what runs, so it is replaced by what is known.
        (Some(_), None) => OperationType::Upgrade,
        (Some(set), Some(_)) if set.arguments.parallelism != slots => OperationType::Rescale,
        (_, Some(_)) => return None,
    };
    let mut operation = pass.operation(kind, Step::Prepare, pass.facts.last_incarnation + 1);
    operation.to_revision = Some(wanted.name);
    Some(operation)
}

fn another(old: &Revision, new: &Revision) -> OperationType {
    let like = |effective: &Effective, other: &Effective| {
        let mut same = effective.clone();
        same.restarted_at.clone_from(&other.restarted_at);
        same.workers.image.clone_from(&other.workers.image);
        same
    };
    let asked = old.effective().restarted_at != new.effective().restarted_at;
    if asked && like(old.effective(), new.effective()) == *new.effective() {
        OperationType::Restart
    } else {
        OperationType::Upgrade
    }
}

/// Takes the operation's number: from now it is never given again.
pub(crate) fn taken(pass: &mut Pass<'_>, mut operation: Operation) -> Operation {
    let number = pass.next_incarnation();
    if let Some((begin, _)) = operation.id.rsplit_once('-') {
        operation.id = format!("{begin}-{number}");
    }
    operation.incarnation = number;
    record_target(pass, &operation);
    operation
}

/// What the spec asks for, as far as it was acted upon.
fn record_target(pass: &mut Pass<'_>, operation: &Operation) {
    pass.revisions().update.clone_from(&operation.to_revision);
    let desired = i64::from(operation.parallelism);
    let current = pass.status.parallelism.map_or(0, |parallelism| parallelism.current);
    pass.status.parallelism = Some(ParallelismStatus { current, desired });
}

/// Whether there are no workers, and that is as it should be or will be mended without an operation.
fn stays_without_workers(pass: &mut Pass<'_>) -> bool {
    if pass.facts.restore_is_due(&pass.status) {
        return false;
    }
    if held::finished(pass) {
        return true;
    }
    if super::children::can_be_made_again(pass) {
        return true;
    }
    // A set that somebody deleted takes its pods along first.
    let last = pass.status.incarnation;
    let going = pass.world.sets().iter().any(|set| Some(set.incarnation) == last && !set.stays());
    if going && held::was_made_once(pass) {
        pass.again_in(2_000);
        return true;
    }
    false
}

/// Where a restore begins, as workers take it.
pub(crate) fn restore_argument(pass: &Pass<'_>) -> Result<String, Trouble> {
    let Some(restore) = &pass.facts.policy.restore else { return Ok("latest".to_owned()) };
    match restore.from {
        RestoreFrom::Latest => Ok("latest".to_owned()),
        RestoreFrom::Nothing => Ok("nothing".to_owned()),
        RestoreFrom::Uri => Ok(restore.uri.clone().unwrap_or_default()),
        RestoreFrom::Savepoint => {
            let name = restore.savepoint_name.as_deref().unwrap_or_default();
            let seen = pass.world.savepoints.iter().find(|savepoint| savepoint.name == name);
            let uri = seen.and_then(|savepoint| savepoint.status.as_ref()?.uri.clone());
            let what = match seen {
                Some(_) => "is not complete",
                None => "does not exist",
            };
            uri.ok_or_else(|| Trouble {
                reason: Reason::SavepointNotFound,
                message: format!("The StreamJobSavepoint `{name}` that `spec.restore` names {what}."),
            })
        }
    }
}

/// Whose state a restore that is due takes over, as workers take it. The annotation says it of this restore alone: it is no part of
/// a revision, and a job that went on from its own state is never told of it.
pub(crate) fn take_over(pass: &Pass<'_>) -> Option<String> {
    let restore = pass.facts.policy.restore.as_ref().filter(|_| pass.facts.restore_is_due(&pass.status))?;
    let named = pass.world.job.annotations.get(labels::TAKE_OVER).map(|owner| owner.trim().to_owned());
    named.filter(|owner| restore.from == RestoreFrom::Latest && !owner.is_empty())
}
