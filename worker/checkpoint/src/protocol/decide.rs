//! With what a start begins, or why it may not.
//!
//! Owns: the decision.
//! Never: reads anything; generations are compared here and nowhere else.

use std::collections::BTreeMap;

use super::start::{BeginAt, Claimant, Refusal, StartRequest, check_owner, is_done};
use crate::checkpoint::Checkpoint;
use crate::ids::{Epoch, Generation};
use crate::record::{Body, Stored};

/// What a start has read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// The newest record and the one it begins at.
    pub(super) log: Option<(&'a Stored, &'a Stored)>,
    /// There are objects of checkpoints.
    pub(super) any_data: bool,
}

/// What a start appends.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Decision {
    /// Nothing: all is done.
    Finished,
    /// A Claim.
    Claim,
    /// A Genesis: with what is restored, or with nothing; before the latter, the end of the lineage that is there.
    Genesis { base: Option<Box<Checkpoint>>, discard: bool },
}

/// The generation that a start claims over this head.
pub(super) fn generation_over(start: &StartRequest, head: Option<&Stored>) -> Generation {
    let newest = head.map(|head| head.record.generation).unwrap_or_default();
    match start.claimant {
        Claimant::Next => Generation { incarnation: newest.incarnation + 1, attempt: 1 },
        Claimant::Incarnation(own) if own == newest.incarnation => {
            Generation { attempt: newest.attempt + 1, ..newest }
        }
        Claimant::Incarnation(own) => Generation { incarnation: own, attempt: 1 },
        Claimant::Exactly(own) => own,
    }
}

/// Decides.
pub(super) fn decide(start: &StartRequest, own: Generation, facts: Facts<'_>) -> Result<Decision, Refusal> {
    let found = facts.log.map(|(head, _)| head.record.seq).unwrap_or_default();
    if let Some(floor) = start.floor.filter(|&floor| found < floor) {
        return Err(Refusal::BelowFloor { head: found, floor });
    }
    let Some((head, beginning)) = facts.log else { return over_nothing(start, facts.any_data) };
    let take_over = start.take_over.as_deref().filter(|_| start.begin == BeginAt::Latest);
    check_owner(&head.record.owner, &start.owner, take_over)?;
    let begin = what_is_left(start, head);
    // What is taken over is claimed even so: else it would stay the other's.
    let is_own = head.record.owner == start.owner;
    if let (Body::Final { finished: true, .. }, BeginAt::Latest, true) = (&head.record.body, begin, is_own) {
        check_fingerprint(start, head.record.checkpoint())?;
        let newest = head.record.generation;
        // Nobody claims what is finished; but who was replaced is to hear of it.
        return match start.claimant {
            Claimant::Incarnation(incarnation) if incarnation < newest.incarnation => {
                Err(Refusal::Fenced { by: newest, own })
            }
            Claimant::Next | Claimant::Incarnation(_) | Claimant::Exactly(_) => Ok(Decision::Finished),
        };
    }
    check_generation(start, own, head)?;
    match begin {
        BeginAt::Latest if head.record.body == Body::Deleted => {
            Ok(Decision::Genesis { base: None, discard: false })
        }
        BeginAt::Latest => {
            check_fingerprint(start, beginning.record.checkpoint())?;
            check_sink(start, head, has_ended(beginning))?;
            Ok(Decision::Claim)
        }
        BeginAt::Nothing { discard, .. } => with_nothing(start, head, *discard),
        BeginAt::From { checkpoint, .. } => {
            check_fingerprint(start, Some(checkpoint))?;
            check_sink(start, head, true)?;
            // In one record: a start that dies behind a Deleted would be followed by one with nothing.
            Ok(Decision::Genesis { base: Some(checkpoint.clone()), discard: false })
        }
    }
}

fn over_nothing(start: &StartRequest, any_data: bool) -> Result<Decision, Refusal> {
    let (base, may_lose) = match &start.begin {
        BeginAt::Latest => (None, false),
        BeginAt::Nothing { discard, .. } => (None, *discard),
        BeginAt::From { checkpoint, .. } => (Some(checkpoint.clone()), true),
    };
    if any_data && !may_lose {
        return Err(Refusal::LogLost);
    }
    check_fingerprint(start, base.as_deref())?;
    Ok(Decision::Genesis { base, discard: false })
}

/// A restore runs once: the log that has seen its request goes on with what came of it.
fn what_is_left<'a>(start: &'a StartRequest, head: &Stored) -> &'a BeginAt {
    match &start.begin {
        BeginAt::From { request, .. } | BeginAt::Nothing { request: Some(request), .. }
            if is_done(request, &head.record) =>
        {
            &BeginAt::Latest
        }
        BeginAt::From { .. } | BeginAt::Latest | BeginAt::Nothing { .. } => &start.begin,
    }
}

fn with_nothing(start: &StartRequest, head: &Stored, discard: bool) -> Result<Decision, Refusal> {
    check_sink(start, head, true)?;
    let deleted = head.record.body == Body::Deleted;
    match head.record.last_epoch {
        Some(_) | None if deleted => Ok(Decision::Genesis { base: None, discard: false }),
        None => Ok(Decision::Claim),
        Some(epoch) if !discard => Err(Refusal::StateExists { epoch }),
        Some(_) => Ok(Decision::Genesis { base: None, discard: true }),
    }
}

fn check_generation(start: &StartRequest, own: Generation, head: &Stored) -> Result<(), Refusal> {
    let newest = head.record.generation;
    match &head.record.body {
        // Who did not name one has lost to a start beside it that has ended already.
        Body::Final { .. } if newest.incarnation == own.incarnation && start.claimant != Claimant::Next => {
            // Who takes over has this number by chance: it was not this one that ended.
            let is_own = head.record.owner == start.owner;
            let ended = Refusal::Ended { incarnation: own.incarnation };
            Err(if is_own { ended } else { Refusal::Fenced { by: newest, own } })
        }
        Body::Genesis { .. }
        | Body::Claim { .. }
        | Body::Epoch { .. }
        | Body::Final { .. }
        | Body::Deleted
            if own <= newest =>
        {
            Err(Refusal::Fenced { by: newest, own })
        }
        Body::Genesis { .. }
        | Body::Claim { .. }
        | Body::Epoch { .. }
        | Body::Final { .. }
        | Body::Deleted => Ok(()),
    }
}

fn check_fingerprint(start: &StartRequest, checkpoint: Option<&Checkpoint>) -> Result<(), Refusal> {
    let Some(checkpoint) = checkpoint else { return Ok(()) };
    match first_difference(&checkpoint.fingerprint, &start.fingerprint) {
        Some((field, old, new)) => Err(Refusal::FingerprintChanged { field, old, new }),
        None => Ok(()),
    }
}

/// Output that may not be out yet goes where it would have gone. `ended`: no output can be missing but that.
fn check_sink(start: &StartRequest, head: &Stored, ended: bool) -> Result<(), Refusal> {
    if ended && head.record.unpublished.is_none() {
        return Ok(());
    }
    match first_difference(&head.record.sink, &start.sink) {
        Some((target, old, new)) => Err(Refusal::SinkChanged { target, old, new }),
        None => Ok(()),
    }
}

/// Whether the record that a start begins at is the end of an incarnation, or the beginning of all: epoch 0 is committed
/// before the first row is read.
fn has_ended(beginning: &Stored) -> bool {
    match &beginning.record.body {
        Body::Final { .. } | Body::Genesis { base: None } => true,
        Body::Epoch { checkpoint } => checkpoint.epoch == Epoch(0),
        Body::Genesis { base: Some(_) } | Body::Claim { .. } | Body::Deleted => false,
    }
}

fn first_difference(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Option<(String, String, String)> {
    let of = |map: &BTreeMap<String, String>, key: &str| map.get(key).cloned().unwrap_or_default();
    let mut keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
    let key = keys.find(|key| old.get(*key) != new.get(*key))?;
    Some((key.clone(), of(old, key), of(new, key)))
}
