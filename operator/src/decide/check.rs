//! Check: a program with the new image looks at plan, store and Kafka before anything is stopped.
//!
//! Owns: reading the verdict of the check's Job.
//! Never: lets a cluster without room for the check stop an operation, or one that cannot start begin it.

use jiff::SignedDuration;
use streamjob_crds::worker::Termination;
use streamjob_crds::{ConditionType, Operation, OperationType, Reason, Step};

use super::engine::Go;
use super::facts::trouble;
use super::pass::Pass;
use super::{Action, choose, health, held};
use crate::names;
use crate::render;
use crate::revision::Revision;
use crate::world::{Kind, Object, PodSeen, Trouble};

/// A check that finds no node for this long is left out.
const ROOM_MS: i64 = 60_000;
/// A check that gets no image, or nothing to mount, for this long has refused. It goes on trying, and may pass yet.
const START_MS: i64 = 15_000;
/// The first pause before a check that may pass is tried again, doubled each time.
const AGAIN_MS: i64 = 15_000;
const AGAIN_MAX_MS: i64 = 600_000;
/// A refused generation is looked at again so often: topics, Secrets and rights change without it.
const REFUSED_AGAIN_MS: i64 = 300_000;

pub(crate) fn step(pass: &mut Pass<'_>, operation: &mut Operation) -> Go {
    let same = operation.from_revision == operation.to_revision;
    let first = pass.facts.running().is_none() || same || operation.operation_type == OperationType::Rollback;
    let Some(revision) = pass.revision(operation.to_revision.as_deref()).filter(|_| !first) else {
        return Go::To(Step::Handover);
    };
    // Until the next verdict the last one stands.
    if operation.tries > 0 {
        pass.not_accepted = held::said(pass, ConditionType::Accepted, "False");
    }
    let go = look(pass, operation, &revision);
    if matches!(go, Go::To(_)) {
        pass.not_accepted = None;
    }
    go
}

fn look(pass: &mut Pass<'_>, operation: &mut Operation, revision: &Revision) -> Go {
    let name = names::check(&pass.world.job.name, &revision.name);
    let Some(job) = pass.world.object(Kind::Job, &name).cloned() else {
        if pass.is_past(operation.step_deadline.as_ref()) {
            operation.step_deadline = Some(pass.in_ms(super::engine::CHECK_MS));
        }
        let object = render::check(&pass.facts.to(), revision, operation.parallelism, restore(pass));
        pass.act(Action::Apply(object));
        pass.again_in(2_000);
        return Go::Stay;
    };
    if job.deletion_timestamp().is_some() {
        pass.again_in(1_000);
        return Go::Stay;
    }
    if job.number("/status/succeeded").unwrap_or(0) > 0 {
        return Go::To(Step::Handover);
    }
    if has_failed(&job) {
        return failed(pass, operation, &job);
    }
    pass.again_in(2_000);
    if let Some(why) = without_room(pass, &job) {
        return skipped(pass, &job, &why);
    }
    if let Some(stuck) = cannot_start(pass, &job) {
        pass.not_accepted = Some(stuck);
        return Go::Dropped;
    }
    if pass.is_past(operation.step_deadline.as_ref()) {
        operation.tries += 1;
        pass.not_accepted = Some(refused(Reason::CheckFailed, &format!("The Job {name} does not end.")));
        pass.act(Action::Delete { kind: Kind::Job, name: job.name().to_owned(), uid: job.uid().to_owned() });
    }
    Go::Stay
}

/// Looks once more at a generation that a check refused, without an operation: what is wrong may be mended outside. None: it
/// would be taken now.
pub(crate) fn still_refused(
    pass: &mut Pass<'_>,
    wanted: &Revision,
    job: &Object,
    before: Trouble,
) -> Option<Trouble> {
    if job.number("/status/succeeded").unwrap_or(0) > 0 {
        return None;
    }
    if job.deletion_timestamp().is_some() || !has_failed(job) {
        pass.again_in(2_000);
        return Some(before);
    }
    let due = job.instant("/metadata/creationTimestamp").unwrap_or(pass.world.now)
        + SignedDuration::from_millis(REFUSED_AGAIN_MS);
    if due > pass.world.now {
        pass.again_at(due);
    } else {
        let slots = pass.facts.policy.parallelism;
        let object = render::check(&pass.facts.to(), wanted, slots, restore(pass));
        // In one pass: as long as there is one of its name, this generation is known to be refused.
        pass.act(Action::Delete { kind: Kind::Job, name: job.name().to_owned(), uid: job.uid().to_owned() });
        pass.act(Action::Apply(object));
        pass.again_in(2_000);
    }
    // One that found no node says nothing new.
    Some(said(pass, job).map_or(before, |ended| refused(ended.reason, &ended.message)))
}

fn refused(reason: Reason, why: &str) -> Trouble {
    let text = "The check of the new revision failed: nothing was stopped, and it is tried again by itself.";
    trouble(reason, format!("{text} {why}"))
}

/// What keeps its pod from starting.
fn cannot_start(pass: &Pass<'_>, job: &Object) -> Option<Trouble> {
    let patience = SignedDuration::from_millis(START_MS);
    let pods = pods(pass, job);
    let found = pods.iter().find_map(|pod| health::trouble_of(pod, pass.world.now, patience))?;
    Some(refused(found.reason, &found.message))
}

/// What the workers will begin with, as they take it.
fn restore(pass: &Pass<'_>) -> Vec<String> {
    let due = pass.facts.policy.restore.as_ref().filter(|_| pass.facts.restore_is_due(&pass.status));
    let begin = choose::restore_argument(pass).ok();
    let both = due.zip(begin);
    both.map_or(Vec::new(), |(restore, from)| {
        let mut words =
            vec![format!("--restore={from}"), format!("--restore-request={}", restore.request_id)];
        words.extend(choose::take_over(pass).map(|owner| format!("--take-over={owner}")));
        words
    })
}

/// Whether a Job has ended without success.
pub(crate) fn has_failed(job: &Object) -> bool {
    let conditions = job.list("/status/conditions");
    conditions.iter().any(|condition| condition["type"] == "Failed" && condition["status"] == "True")
}

fn failed(pass: &mut Pass<'_>, operation: &mut Operation, job: &Object) -> Go {
    let ended = verdict(pass, job);
    let trouble = refused(ended.reason, &ended.message);
    let message = trouble.message.clone();
    pass.not_accepted = Some(trouble);
    if !ended.retryable {
        return Go::Dropped;
    }
    // Kafka or the store may come back: the same generation is tried again.
    let pause = (AGAIN_MS << operation.tries.min(10)).min(AGAIN_MAX_MS);
    let waits = operation.message.is_some();
    if !waits {
        operation.tries += 1;
        operation.step_deadline = Some(pass.in_ms(pause));
        operation.message = Some(message);
    } else if pass.is_past(operation.step_deadline.as_ref()) {
        operation.message = None;
        pass.act(Action::Delete { kind: Kind::Job, name: job.name().to_owned(), uid: job.uid().to_owned() });
    }
    pass.again_in(pause);
    Go::Stay
}

fn verdict(pass: &Pass<'_>, job: &Object) -> Termination {
    said(pass, job).unwrap_or_else(|| {
        let why = job.list("/status/conditions").iter().find(|condition| condition["type"] == "Failed");
        let why = why.and_then(|condition| condition["message"].as_str()).unwrap_or("it left no message");
        Termination {
            reason: Reason::CheckFailed,
            message: format!("{}: {why}.", job.name()),
            retryable: false,
            incarnation: None,
        }
    })
}

/// What a Job's pod left behind.
pub(super) fn said(pass: &Pass<'_>, job: &Object) -> Option<Termination> {
    pods(pass, job).iter().filter_map(|pod| pod.termination.clone()).next_back()
}

/// Its own: those of a Job of its name before may still be there.
fn pods(pass: &Pass<'_>, job: &Object) -> Vec<PodSeen> {
    let of_job = |object: &&Object| {
        let mut owners = object.list("/metadata/ownerReferences").iter();
        owners.any(|owner| owner["uid"].as_str() == Some(job.uid()))
    };
    pass.world.of_kind(Kind::Pod).filter(of_job).filter_map(PodSeen::of).collect()
}

fn without_room(pass: &Pass<'_>, job: &Object) -> Option<String> {
    let patience = SignedDuration::from_millis(ROOM_MS);
    let created = job.instant("/metadata/creationTimestamp")?;
    if created + patience > pass.world.now {
        return None;
    }
    let pods = pods(pass, job);
    let Some(pod) = pods.first() else {
        return (!had_pod(job)).then(|| "it gets no pod".to_owned());
    };
    pod.unschedulable.as_ref().map(|waiting| waiting.message.clone())
}

/// Whether there was a pod: one whose time is over is deleted before its Job is said to have failed.
fn had_pod(job: &Object) -> bool {
    let counts = ["active", "failed", "terminating"].map(|field| job.number(&format!("/status/{field}")));
    let ends = job.list("/status/conditions").iter().any(|condition| condition["type"] == "FailureTarget");
    ends || counts.into_iter().flatten().any(|pods| pods > 0)
}

fn skipped(pass: &mut Pass<'_>, job: &Object, why: &str) -> Go {
    pass.warn(Reason::CheckSkipped, format!("{} is left out: {why}.", job.name()));
    pass.act(Action::Delete { kind: Kind::Job, name: job.name().to_owned(), uid: job.uid().to_owned() });
    Go::To(Step::Handover)
}
