//! One decision in the making.
//!
//! Owns: the status as it will be written, and what was collected so far.
//! Never: decides; the steps do.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use streamjob_crds::{Operation, OperationType, Reason, Revisions, Step, StreamJobStatus};

use super::facts::Facts;
use super::{About, Action, Decision, Note};
use crate::revision::Revision;
use crate::world::{Kind, Trouble, World};

/// When nothing happens, things are looked at again after this.
const RESYNC_MS: i64 = 60_000;
/// What the API server takes as the note of an event, with room for who adds to it.
const NOTE_BYTES_MAX: usize = 1_000;

pub(crate) struct Pass<'a> {
    pub(crate) world: &'a World,
    pub(crate) facts: Facts<'a>,
    pub(crate) status: StreamJobStatus,
    pub(crate) actions: Vec<Action>,
    pub(crate) events: Vec<Note>,
    /// Why the spec is not what runs, though it makes sense by itself.
    pub(crate) not_accepted: Option<Trouble>,
    /// What needs somebody's help.
    pub(crate) stalled: Option<Trouble>,
    /// What is waited for without an operation.
    pub(crate) waiting: Option<Trouble>,
    /// Whether somebody keeps the operator's hands off.
    pub(crate) paused: Option<Trouble>,
    /// Whether all input was read.
    pub(crate) finished: bool,
    requeue_ms: i64,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        let mut status = world.job.status.clone().unwrap_or_default();
        adopt(world, &mut status);
        Self {
            world,
            facts: Facts::of(world, &status),
            status,
            actions: Vec::new(),
            events: Vec::new(),
            not_accepted: None,
            stalled: None,
            waiting: None,
            paused: None,
            finished: false,
            requeue_ms: RESYNC_MS,
        }
    }

    /// Looks again after so long at the latest.
    pub(crate) fn again_in(&mut self, millis: i64) {
        self.requeue_ms = self.requeue_ms.min(millis.max(0));
    }

    /// Looks again at that instant at the latest.
    pub(crate) fn again_at(&mut self, instant: Timestamp) {
        self.again_in(millis_between(self.world.now, instant).max(0) + 1);
    }

    pub(crate) fn act(&mut self, action: Action) {
        if !self.actions.contains(&action) {
            self.actions.push(action);
        }
    }

    /// Whether this pass deletes a set.
    pub(crate) fn stops_workers(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Delete { kind: Kind::StatefulSet, .. }))
    }

    pub(crate) fn tell(&mut self, reason: Reason, text: impl Into<String>) {
        self.note(false, reason, text.into());
    }

    pub(crate) fn warn(&mut self, reason: Reason, text: impl Into<String>) {
        self.note(true, reason, text.into());
    }

    fn note(&mut self, warning: bool, reason: Reason, mut text: String) {
        text.truncate(text.floor_char_boundary(NOTE_BYTES_MAX));
        self.events.push(Note { about: About::Job, warning, reason, text });
    }

    pub(crate) fn revisions(&mut self) -> &mut Revisions {
        self.status.revisions.get_or_insert_with(Revisions::default)
    }

    pub(crate) fn revision(&self, name: Option<&str>) -> Option<Revision> {
        let name = name?;
        let known = self.facts.revisions.get(name).cloned();
        known.or_else(|| self.facts.wanted.clone().ok().filter(|wanted| wanted.name == name))
    }

    /// The instant so many milliseconds from now, in whole seconds, as it will be read back.
    pub(crate) fn in_ms(&self, millis: i64) -> Time {
        let later = self.world.now + SignedDuration::from_millis(millis);
        time(if millis % 1_000 == 0 { later } else { later + SignedDuration::from_secs(1) })
    }

    pub(crate) fn now(&self) -> Time {
        time(self.world.now)
    }

    pub(crate) fn is_past(&self, deadline: Option<&Time>) -> bool {
        deadline.is_some_and(|deadline| deadline.0 <= self.world.now)
    }

    /// A new operation, with the next incarnation if it starts workers.
    pub(crate) fn operation(&mut self, kind: OperationType, step: Step, incarnation: i64) -> Operation {
        let generation = self.world.job.generation;
        let id = format!("g{generation}-{}-{incarnation}", kind.as_str().to_lowercase());
        Operation {
            id,
            operation_type: kind,
            step,
            start_time: self.now(),
            step_deadline: None,
            incarnation,
            from_revision: self.status.revisions.as_ref().and_then(|known| known.current.clone()),
            to_revision: None,
            parallelism: self.facts.policy.parallelism,
            tries: 0,
            handover: None,
            message: None,
        }
    }

    /// The next number for a set of workers; it is in the status before the set is made.
    pub(crate) fn next_incarnation(&mut self) -> i64 {
        let last = self.facts.last_incarnation.max(self.status.incarnation.unwrap_or(0));
        self.status.incarnation = Some(last + 1);
        last + 1
    }

    pub(crate) fn finish(self) -> Decision {
        let changed = self.world.job.status.as_ref() != Some(&self.status);
        Decision {
            status: changed.then_some(self.status),
            actions: self.actions,
            events: self.events,
            requeue: Duration::from_millis(u64::try_from(self.requeue_ms.max(1)).unwrap_or(1)),
        }
    }

    /// What the job was reported as stalled for, if that was the reason.
    pub(crate) fn stalled_before(&self, reason: Reason) -> Option<Trouble> {
        let conditions = self.world.job.status.iter().flat_map(|status| &status.conditions);
        let mut stalled =
            conditions.filter(|condition| condition.type_ == "Stalled" && condition.status == "True");
        let before = stalled.find(|condition| condition.reason == reason.as_str())?;
        Some(Trouble { reason, message: crate::report::message::without_remedy(&before.message) })
    }
}

/// In whole seconds: that is what the API server keeps.
pub(crate) fn time(instant: Timestamp) -> Time {
    Time(Timestamp::from_second(instant.as_second()).expect("it was an instant before"))
}

pub(crate) fn millis_between(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond().saturating_sub(from.as_millisecond())
}

/// A status that was lost is made again from what runs.
fn adopt(world: &World, status: &mut StreamJobStatus) {
    if status.incarnation.is_some() {
        return;
    }
    let sets = world.sets();
    let Some(newest) = sets.first() else { return };
    status.incarnation = Some(newest.incarnation);
    status.floor = sets.iter().filter_map(|set| set.arguments.floor).max();
    let revision = newest.revision.map(str::to_owned);
    status.revisions =
        Some(Revisions { current: revision.clone(), update: revision.clone(), stable: revision });
    let slots = i64::from(newest.arguments.parallelism);
    status.parallelism = Some(streamjob_crds::ParallelismStatus { current: slots, desired: slots });
    status.completed_restore_request = newest.arguments.restore_request.clone();
}
