//! A job that is being deleted.
//!
//! Owns: how its state goes with it, if it is to; the finalizer.
//! Never: holds an object back for longer than its deletion may take.

use jiff::SignedDuration;
use streamjob_crds::worker::Termination;
use streamjob_crds::{Operation, OperationType, Reason, StateDeletion, Step};

use super::engine::{self, Go};
use super::pass::{Pass, millis_between};
use super::{About, Action, Note, check, teardown};
use crate::names;
use crate::render::{self, For};
use crate::revision::Revision;
use crate::world::{Kind, Object, labels};

/// What is left to do about a job that somebody deleted. Without our finalizer that is nothing: its owner references take
/// everything along, and its workers a last checkpoint.
pub(crate) fn step(pass: &mut Pass<'_>) {
    let job = &pass.world.job;
    let (Some(deleted), true) = (job.deletion_timestamp, holds(pass)) else { return };
    let terminating = pass.world.answers.refused.iter().any(|refused| refused.namespace_terminating);
    let forced = job.annotations.get(labels::FORCE_DELETE).is_some_and(|value| value == "true");
    let end = deleted + SignedDuration::from_millis(pass.facts.policy.deletion_timeout_ms);
    if pass.facts.policy.deletion == StateDeletion::Retain {
        return release(pass);
    }
    let reason = if terminating {
        Some("its namespace goes away")
    } else if forced {
        Some("the annotation `streamjob.dev/force-delete` says so")
    } else {
        (end <= pass.world.now).then_some("the time of `spec.deletion.timeout` is over")
    };
    if let Some(reason) = reason {
        left_behind(pass, reason);
        if let Some(revision) = revision(pass) {
            forget_janitor(pass, &revision);
        }
        return release(pass);
    }
    pass.again_at(end);
    let Some(revision) = revision(pass) else {
        // It never ran: there is no state.
        return release(pass);
    };
    let mut operation = match pass.status.operation.take() {
        Some(operation) if operation.operation_type == OperationType::Delete => operation,
        Some(_) | None => begun(pass),
    };
    match operation.step {
        Step::Retire => delete_state(pass, &revision),
        Step::Prepare | Step::Check | Step::Handover | Step::Teardown | Step::Launch | Step::Verify => {
            if let Go::To(step) = teardown::step(pass, &mut operation) {
                engine::enter(pass, &mut operation, step);
                delete_state(pass, &revision);
            }
        }
    }
    pass.status.operation = Some(operation);
}

/// Whether our finalizer is on the job.
fn holds(pass: &Pass<'_>) -> bool {
    pass.world.job.finalizers.iter().any(|name| name == labels::FINALIZER)
}

/// Puts the finalizer on a job whose state is to be deleted with it, or takes it off.
pub(crate) fn finalizer(pass: &mut Pass<'_>) {
    if pass.world.job.spec.is_err() {
        return;
    }
    match (pass.facts.policy.deletion, holds(pass)) {
        (StateDeletion::Delete, false) => pass.act(Action::AddFinalizer),
        (StateDeletion::Retain, true) => pass.act(Action::RemoveFinalizer),
        (StateDeletion::Delete, true) | (StateDeletion::Retain, false) => {}
    }
}

fn begun(pass: &mut Pass<'_>) -> Operation {
    let incarnation = pass.facts.last_incarnation;
    let mut operation = pass.operation(OperationType::Delete, Step::Teardown, incarnation);
    engine::enter(pass, &mut operation, Step::Teardown);
    pass.tell(Reason::Deleting, "The workers are stopped, then the state is deleted.");
    operation
}

fn revision(pass: &Pass<'_>) -> Option<Revision> {
    let current = pass.facts.current(&pass.status).cloned();
    let of_sets = || pass.world.sets().iter().find_map(|set| pass.revision(set.revision));
    let begun = || {
        let revisions = pass.world.of_kind(Kind::ControllerRevision);
        let newest =
            revisions.filter(|object| pass.world.is_ours(object)).max_by_key(|object| object.incarnation());
        newest.filter(|object| object.incarnation().unwrap_or(0) > 0).and_then(Revision::read)
    };
    current.or_else(of_sets).or_else(begun)
}

/// A janitor deletes the state. What it needs has no owner, or a deletion in the foreground would take it away first.
fn delete_state(pass: &mut Pass<'_>, revision: &Revision) {
    if revision.effective().is_ephemeral() {
        return release(pass);
    }
    let incarnation = pass.facts.last_incarnation;
    let seen = janitor(pass);
    let foreign = said(pass).filter(|ended| ended.reason == Reason::StateOwned);
    if let Some(ended) = &foreign {
        pass.warn(
            Reason::StateOwned,
            format!("Its state is not its own and was not deleted. {}", ended.message),
        );
    }
    if foreign.is_some() || seen.as_ref().is_some_and(|job| job.number("/status/succeeded").unwrap_or(0) > 0)
    {
        forget_janitor(pass, revision);
        return release(pass);
    }
    for object in needs(pass, revision) {
        let kind = object.kind().expect("only known kinds are rendered");
        let there = pass.world.object(kind, object.name());
        if there.is_none_or(|there| there.0["metadata"]["ownerReferences"].is_array()) {
            pass.act(Action::Apply(object));
        }
    }
    if seen.is_none() {
        let left = pass.world.job.deletion_timestamp.map_or(0, |deleted| {
            pass.facts.policy.deletion_timeout_ms - millis_between(deleted, pass.world.now)
        });
        let job = render::janitor(&orphan(pass), revision, incarnation, left / 1_000);
        pass.act(Action::Apply(job));
    }
    pass.again_in(2_000);
}

fn janitor(pass: &Pass<'_>) -> Option<Object> {
    let name = names::janitor(&pass.world.job.name, pass.facts.last_incarnation);
    pass.world.object(Kind::Job, &name).cloned()
}

/// What the janitor's last pod left behind.
fn said(pass: &Pass<'_>) -> Option<Termination> {
    check::said(pass, &janitor(pass)?)
}

/// Nobody else takes the janitor and what it needs away.
fn forget_janitor(pass: &mut Pass<'_>, revision: &Revision) {
    let janitor = janitor(pass);
    for object in needs(pass, revision).iter().chain(&janitor) {
        forget(pass, object);
    }
}

fn orphan<'a>(pass: &Pass<'a>) -> For<'a> {
    For { orphan: true, ..pass.facts.to() }
}

/// What the janitor's pod takes: the manifest and who it is.
fn needs(pass: &Pass<'_>, revision: &Revision) -> Vec<Object> {
    let to = orphan(pass);
    let mut objects = vec![render::config_map(&to, revision)];
    if revision.effective().workers.service_account_name.is_none() {
        objects.push(render::service_account(&to));
    }
    objects
}

fn forget(pass: &mut Pass<'_>, object: &Object) {
    let kind = object.kind().expect("only known kinds are kept");
    if let Some(seen) = pass.world.object(kind, object.name()) {
        let (name, uid) = (seen.name().to_owned(), seen.uid().to_owned());
        pass.act(Action::Delete { kind, name, uid });
    }
}

fn left_behind(pass: &mut Pass<'_>, reason: &str) {
    let Some(revision) = revision(pass).filter(|revision| !revision.effective().is_ephemeral()) else {
        return;
    };
    let location = revision.effective().state.location.as_ref().and_then(|location| location.uri.clone());
    let job = &pass.world.job;
    let text = format!(
        "The state of {}/{} was left behind in {}/{}, as {reason}.",
        job.namespace,
        job.name,
        location.unwrap_or_default().trim_end_matches('/'),
        revision.effective().state_id()
    );
    let why = said(pass)
        .map_or(String::new(), |ended| format!(" What deletes it said {}: {}", ended.reason, ended.message));
    let text = text + &why;
    // The job's own events go with its namespace; the operator's stay.
    pass.warn(Reason::StateLeftBehind, text.clone());
    pass.events.push(Note { about: About::Operator, warning: true, reason: Reason::StateLeftBehind, text });
}

fn release(pass: &mut Pass<'_>) {
    pass.act(Action::RemoveFinalizer);
}
