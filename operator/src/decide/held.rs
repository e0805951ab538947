//! What was tried with this generation of the spec and is not tried again.
//!
//! Owns: reading verdicts back from conditions; they are the memory of what ended without an operation left.
//! Never: holds a newer generation back.

use streamjob_crds::{ConditionType, Reason};

use super::choose;
use super::facts::trouble;
use super::pass::Pass;
use super::prepare;
use crate::names;
use crate::report::message;
use crate::world::{Kind, Trouble};

/// Why an operation that the spec asks for is not begun; it goes into the conditions.
pub(crate) fn back(pass: &mut Pass<'_>) -> Option<Trouble> {
    if let Some(refused) = refused(pass) {
        pass.not_accepted = Some(refused.clone());
        return Some(refused);
    }
    if let Err(missing) = choose::restore_argument(pass)
        && pass.facts.restore_is_due(&pass.status)
    {
        pass.not_accepted = Some(missing.clone());
        pass.again_in(10_000);
        return Some(missing);
    }
    // A restore was not tried if it is still due.
    let verdict = verdict(pass, &[Reason::RolledBack, Reason::HandoverFailed])?;
    pass.stalled = Some(verdict.clone());
    Some(verdict)
}

/// That this generation was rolled back; workers that are replaced meanwhile change nothing about it.
pub(crate) fn rolled_back(pass: &Pass<'_>) -> Option<Trouble> {
    verdict(pass, &[Reason::RolledBack])
}

/// The hand-over of this generation was given up.
pub(crate) fn failed_handover(pass: &mut Pass<'_>) -> Option<Trouble> {
    let verdict = verdict(pass, &[Reason::HandoverFailed])?;
    pass.stalled = Some(verdict.clone());
    Some(verdict)
}

fn verdict(pass: &Pass<'_>, reasons: &[Reason]) -> Option<Trouble> {
    let seen = said(pass, ConditionType::Stalled, "True")?;
    reasons.contains(&seen.reason).then_some(seen)
}

/// What the API server or a check said to this generation. Both are asked again; a check at once, if somebody deleted its Job.
fn refused(pass: &mut Pass<'_>) -> Option<Trouble> {
    let seen = said(pass, ConditionType::Accepted, "False")?;
    let wanted = pass.facts.wanted.clone().ok()?;
    if seen.reason == Reason::PodTemplateRejected {
        return prepare::still_refused(pass, &wanted, seen);
    }
    let check = names::check(&pass.world.job.name, &wanted.name);
    let job = pass.world.object(Kind::Job, &check).cloned()?;
    super::check::still_refused(pass, &wanted, &job, seen)
}

/// What a condition says of this generation.
pub(crate) fn said(pass: &Pass<'_>, kind: ConditionType, status: &str) -> Option<Trouble> {
    let job = &pass.world.job;
    let conditions = &job.status.as_ref()?.conditions;
    let seen = conditions.iter().find(|condition| condition.type_ == kind.as_str())?;
    let same = seen.observed_generation == Some(job.generation) && seen.status == status;
    same.then(|| trouble(Reason::parse(&seen.reason), message::without_remedy(&seen.message)))
}

/// Whether all input was read by what the spec asks for.
pub(crate) fn finished(pass: &Pass<'_>) -> bool {
    let Some(status) = &pass.world.job.status else { return false };
    let ready = status.conditions.iter().find(|condition| condition.type_ == ConditionType::Ready.as_str());
    let done = ready.is_some_and(|ready| ready.status == "True" && ready.reason == Reason::Finished.as_str());
    done && same_as_wanted(pass)
}

/// Whether the revision that ran last is what the spec asks for.
pub(crate) fn same_as_wanted(pass: &Pass<'_>) -> bool {
    let current = pass.facts.current(&pass.status);
    let slots = pass
        .status
        .parallelism
        .is_some_and(|slots| slots.current == i64::from(pass.facts.policy.parallelism));
    match (&pass.facts.user, current) {
        (Some(user), Some(current)) => *user == current.content.user && slots,
        (None, _) => true,
        (Some(_), None) => false,
    }
}

/// Whether the newest incarnation ran, and was neither suspended nor finished.
pub(crate) fn was_made_once(pass: &Pass<'_>) -> bool {
    let Some(status) = &pass.world.job.status else { return false };
    let suspended = status
        .conditions
        .iter()
        .any(|condition| condition.type_ == ConditionType::Suspended.as_str() && condition.status == "True");
    let current = status.revisions.as_ref().is_some_and(|known| known.current.is_some());
    status.incarnation.is_some() && current && !suspended
}
