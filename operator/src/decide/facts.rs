//! What follows from a world without deciding anything.
//!
//! Owns: the revision that the spec asks for, or why there is none; the numbers that were used; where a log must be.
//! Never: changes anything.

use std::collections::BTreeMap;

use streamjob_crds::{Reason, RestoreFrom, StreamJobSpec, StreamJobStatus};

use crate::effective::{Effective, Policy};
use crate::render::For;
use crate::revision::{Revision, user_hash};
use crate::world::{Kind, SetSeen, Trouble, World};

/// What follows from a world.
pub(crate) struct Facts<'a> {
    pub(crate) world: &'a World,
    /// How the job is to be treated; of a spec that cannot be read, as if nothing were said.
    pub(crate) policy: Policy,
    /// The hash of what the user asks for.
    pub(crate) user: Option<String>,
    /// The revision that the spec asks for, which may be there already, or why the spec is refused.
    pub(crate) wanted: Result<Revision, Trouble>,
    /// The revisions that are there.
    pub(crate) revisions: BTreeMap<String, Revision>,
    /// The greatest incarnation that anything knows of.
    pub(crate) last_incarnation: i64,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(world: &'a World, status: &StreamJobStatus) -> Self {
        let revisions: BTreeMap<String, Revision> = world
            .of_kind(Kind::ControllerRevision)
            .filter(|object| world.is_ours(object))
            .filter_map(Revision::read)
            .map(|revision| (revision.name.clone(), revision))
            .collect();
        let spec = world.job.spec.as_ref();
        let policy = Policy::of(spec.ok());
        let mut facts = Self {
            world,
            policy,
            user: spec.ok().map(user_hash),
            wanted: Err(Trouble { reason: Reason::InvalidSpec, message: String::new() }),
            last_incarnation: last_incarnation(world, status),
            revisions,
        };
        facts.wanted = facts.wanted(status);
        facts
    }

    /// For whom things are rendered.
    pub(crate) fn to(&self) -> For<'a> {
        let job = &self.world.job;
        For {
            name: &job.name,
            namespace: &job.namespace,
            uid: &job.uid,
            orphan: false,
            settings: &self.world.settings,
        }
    }

    /// The newest incarnation that nobody deleted.
    pub(crate) fn running(&self) -> Option<SetSeen<'a>> {
        self.world.sets().into_iter().find(SetSeen::stays)
    }

    /// The set of an incarnation, unless somebody deleted it.
    pub(crate) fn set(&self, incarnation: i64) -> Option<SetSeen<'a>> {
        self.world.sets().into_iter().find(|set| set.incarnation == incarnation && set.stays())
    }

    /// The revision that runs, or ran last.
    pub(crate) fn current(&self, status: &StreamJobStatus) -> Option<&Revision> {
        self.revisions.get(status.revisions.as_ref()?.current.as_ref()?)
    }

    /// Whether the spec asks for a restore that was not done.
    pub(crate) fn restore_is_due(&self, status: &StreamJobStatus) -> bool {
        let asked = self.policy.restore.as_ref().map(|restore| &restore.request_id);
        asked.is_some() && asked != status.completed_restore_request.as_ref()
    }

    /// Whether a restore is due that brings its own state, or none.
    fn brings_state(&self, status: &StreamJobStatus) -> bool {
        let restore = self.policy.restore.as_ref().filter(|_| self.restore_is_due(status));
        restore.is_some_and(|restore| restore.from != RestoreFrom::Latest)
    }

    fn wanted(&self, status: &StreamJobStatus) -> Result<Revision, Trouble> {
        let world = self.world;
        let spec =
            world.job.spec.as_ref().map_err(|message| trouble(Reason::InvalidSpec, message.clone()))?;
        let fingerprint = world.compiled.as_ref().map_err(Clone::clone)?;
        let Policy { parallelism, slots, .. } = self.policy;
        if self.policy.replicas() > 1 {
            let slots = slots.unwrap_or(parallelism);
            return Err(trouble(
                Reason::TooManyWorkers,
                format!(
                    "`spec.parallelism` is {parallelism} and `spec.workers.slots` is {slots}: that takes more than one \
                     worker, and a job has one: raise `slots` to {parallelism}, or leave it out."
                ),
            ));
        }
        let known = status.revisions.clone().unwrap_or_default();
        let user = user_hash(spec);
        let known = [known.current, known.update, known.stable].into_iter().flatten();
        let same =
            known.filter_map(|name| self.revisions.get(&name)).find(|known| known.content.user == user);
        let wanted = same.cloned().unwrap_or_else(|| self.new_revision(spec, fingerprint));
        self.fits_state(&wanted, status)?;
        Ok(wanted)
    }

    fn new_revision(&self, spec: &StreamJobSpec, fingerprint: &BTreeMap<String, String>) -> Revision {
        let job = &self.world.job;
        let state_id = format!("{}.{}", job.namespace, job.name);
        let effective = Effective::of(spec, &state_id, &self.world.settings.worker_image);
        Revision::of(&job.name, spec, effective, fingerprint)
    }

    /// Whether a revision can go on from the state of the one that runs.
    fn fits_state(&self, wanted: &Revision, status: &StreamJobStatus) -> Result<(), Trouble> {
        let Some(current) = self.current(status).filter(|_| !self.brings_state(status)) else {
            return Ok(());
        };
        if current.effective().is_ephemeral() {
            return Ok(());
        }
        let places = [current, wanted].map(|revision| place(revision.effective()));
        if places[0] != places[1] {
            let [old, new] = places;
            return Err(trouble(
                Reason::StateIncompatible,
                format!(
                    "`spec.state` moves the state from `{}` (id `{}`) to `{}` (id `{}`), where it is not: change it back, or \
                     say in `spec.restore` what the job begins with there.",
                    old.0, old.1, new.0, new.1
                ),
            ));
        }
        let (old, new) = (&current.content.fingerprint, &wanted.content.fingerprint);
        let mut changed: Vec<String> = Vec::new();
        let mut fields: Vec<&String> = old.keys().chain(new.keys()).collect();
        fields.sort();
        fields.dedup();
        for field in fields {
            let [was, is] = [old, new].map(|side| side.get(field).map_or("nothing", String::as_str));
            if was != is {
                changed.push(format!("`{field}` was `{was}` and is to be `{is}`"));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        Err(trouble(
            Reason::StateIncompatible,
            format!(
                "The state cannot be used by the new pipeline: {}. Change it back, or say in `spec.restore` what the job \
                 begins with.",
                changed.join("; ")
            ),
        ))
    }

    /// The record that the log must have reached before a start: what status and sets know.
    pub(crate) fn floor(&self, status: &StreamJobStatus, target: &Revision) -> Option<i64> {
        // Who brings state along, or gives it up, does not need what the log had come to: it may be lost for good.
        if target.effective().is_ephemeral() || self.brings_state(status) {
            return None;
        }
        let moved =
            self.current(status).is_some_and(|now| place(now.effective()) != place(target.effective()));
        if moved {
            return None;
        }
        let handed = status.operation.as_ref().and_then(|operation| operation.handover);
        let of_sets = self.world.sets().iter().filter_map(|set| set.arguments.floor).max();
        let known = [status.floor, handed.map(|handed| handed.seq), of_sets].into_iter().flatten().max();
        // A job that ever ran has written something.
        known.or_else(|| (self.ever_ran()).then_some(1))
    }

    /// Whether workers of this job ever processed rows, as far as revisions know.
    pub(crate) fn ever_ran(&self) -> bool {
        let revisions = self.world.of_kind(Kind::ControllerRevision);
        let mut ours = revisions.filter(|object| self.world.is_ours(object));
        ours.any(|object| object.annotation(crate::world::labels::RAN).is_some())
    }
}

pub(crate) fn trouble(reason: Reason, message: impl Into<String>) -> Trouble {
    Trouble { reason, message: message.into() }
}

/// Where state is: the store's folder and the state's id in it.
fn place(effective: &Effective) -> (String, String) {
    let uri = effective.state.location.as_ref().and_then(|location| location.uri.clone());
    let uri = uri.unwrap_or_default().trim_end_matches('/').to_owned();
    (uri, effective.state_id().to_owned())
}

fn last_incarnation(world: &World, status: &StreamJobStatus) -> i64 {
    let named = world
        .objects
        .iter()
        .filter(|object| object.label(crate::world::labels::JOB) == Some(&world.job.name));
    let labels = named.filter_map(crate::world::Object::incarnation);
    let fenced = world.all_pods().into_iter().filter_map(|pod| pod.termination?.incarnation);
    let failures =
        world.coordinators.iter().filter_map(|seen| seen.answer.as_ref().ok()?.failure.as_ref()?.incarnation);
    let operation = status.operation.iter().map(|operation| operation.incarnation);
    let known = status.incarnation.into_iter().chain(operation);
    labels.chain(fenced).chain(failures).chain(known).max().unwrap_or(0)
}
