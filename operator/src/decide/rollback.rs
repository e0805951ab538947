//! Rollback: the previous revision takes over from one that failed.
//!
//! Owns: when that is safe: it must be able to read what the failed one wrote, and publish nothing twice.
//! Never: does so twice for one generation.

use streamjob_crds::{Operation, OperationType, Reason, Step};

use super::engine::{self, Go};
use super::facts::trouble;
use super::pass::Pass;
use crate::revision::Revision;
use crate::world::Trouble;

/// What follows from the failure of an operation's workers.
pub(crate) fn or_stall(pass: &mut Pass<'_>, operation: &mut Operation, failure: Trouble) -> Go {
    pass.again_in(10_000);
    let Some(previous) = previous(pass, operation, &failure) else {
        engine::waits_for(operation, Some(failure.message.clone()));
        pass.stalled = Some(failure);
        return Go::Stay;
    };
    if let Some(why) = unsafe_because(pass, operation, &previous) {
        let message = format!("{} It is not rolled back: {why}.", failure.message);
        engine::waits_for(operation, Some(message.clone()));
        if pass.stalled_before(Reason::RollbackUnsafe).is_none() {
            pass.warn(Reason::RollbackUnsafe, message.clone());
        }
        pass.stalled = Some(trouble(Reason::RollbackUnsafe, message));
        return Go::Stay;
    }
    Go::Instead(Box::new(back(pass, operation, &previous, &failure)))
}

fn back(pass: &mut Pass<'_>, operation: &Operation, previous: &Revision, failure: &Trouble) -> Operation {
    let number = pass.next_incarnation();
    let mut other = pass.operation(OperationType::Rollback, Step::Handover, number);
    other.from_revision.clone_from(&operation.to_revision);
    other.to_revision = Some(previous.name.clone());
    other.parallelism = slots_before(pass, operation);
    let failed = operation.to_revision.as_deref().unwrap_or_default();
    let what = if operation.operation_type == OperationType::Rescale {
        format!("The job could not be run with {}", engine::slots(operation.parallelism))
    } else {
        format!("Revision {failed} failed")
    };
    let message = format!(
        "{what}: {} Revision {} runs again, with {}.",
        failure.message,
        previous.name,
        engine::slots(other.parallelism)
    );
    pass.warn(Reason::RolledBack, message.clone());
    other.message = Some(message);
    other
}

fn slots_before(pass: &Pass<'_>, operation: &Operation) -> u32 {
    let before = pass.status.parallelism.map(|parallelism| parallelism.current);
    before
        .and_then(|slots| u32::try_from(slots).ok())
        .filter(|&slots| slots > 0)
        .unwrap_or(operation.parallelism)
}

/// The revision to go back to, if that could help.
fn previous(pass: &Pass<'_>, operation: &Operation, failure: &Trouble) -> Option<Revision> {
    let rescale = match operation.operation_type {
        OperationType::Upgrade | OperationType::Restart => false,
        OperationType::Rescale => true,
        OperationType::Start
        | OperationType::Suspend
        | OperationType::Restore
        | OperationType::Rollback
        | OperationType::Delete
        | OperationType::Replace => return None,
    };
    if !pass.facts.policy.rollback || (rescale && slots_before(pass, operation) == operation.parallelism) {
        return None;
    }
    // Only one that has proved itself.
    let stable = pass.status.revisions.as_ref().and_then(|known| known.stable.clone());
    let previous = pass.revision(stable.as_deref())?;
    let failed = pass.revision(operation.to_revision.as_deref())?;
    if !rescale && previous.name == failed.name {
        return None;
    }
    // Another revision that depends on the same servers would wait for them just as well.
    let outage = matches!(failure.reason, Reason::KafkaUnavailable | Reason::StoreUnavailable);
    let same_servers = servers(&previous) == servers(&failed);
    (!outage || !same_servers).then_some(previous)
}

/// What a revision is connected to.
fn servers(revision: &Revision) -> serde_json::Value {
    let effective = revision.effective();
    let source = effective.pipeline.source.kafka.as_ref().map(|kafka| &kafka.cluster);
    let sink = effective.pipeline.sink.kafka.as_ref().and_then(|kafka| kafka.cluster.as_ref());
    serde_json::json!([source, sink, effective.state.location])
}

/// Why going back could lose or repeat something. None: it begins at the newest checkpoint, whoever took it.
fn unsafe_because(pass: &Pass<'_>, operation: &Operation, previous: &Revision) -> Option<String> {
    let failed = pass.revision(operation.to_revision.as_deref())?;
    if failed.content.fingerprint != previous.content.fingerprint {
        return Some(format!("revision {} cannot read its state", previous.name));
    }
    let sinks = [&failed, previous].map(|revision| &revision.effective().pipeline.sink);
    // Workers that were seen at work may have committed before they ended.
    let last = pass.status.last_checkpoint.as_ref();
    let committed = operation.step == Step::Verify
        || last.is_some_and(|last| last.incarnation == operation.incarnation)
        || pass.world.worker(operation.incarnation).is_some_and(|status| status.checkpoints_since_start > 0);
    if sinks[0] != sinks[1] && committed {
        return Some("it has written output to another sink".to_owned());
    }
    None
}
