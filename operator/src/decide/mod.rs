//! What to do next about a job.
//!
//! Owns: the decision, as values: the status to write first, then the actions, in order.
//! Never: awaits, reads a clock, or knows what became of an action; the next world tells.

mod check;
mod children;
mod choose;
mod conflict;
mod engine;
mod facts;
mod handover;
mod health;
mod held;
mod launch;
mod observe;
mod pass;
mod prepare;
mod remove;
mod replace;
mod rollback;
mod savepoints;
mod teardown;
mod verify;

use std::time::Duration;

pub(crate) use engine::{slots, what};
pub(crate) use health::{failure, pod_trouble, sentence, waits_for};
pub(crate) use held::{rolled_back, same_as_wanted};
pub(crate) use pass::{Pass, millis_between, time};
pub(crate) use replace::overdue;
pub use savepoints::without_job;

use streamjob_crds::worker::{SavepointRequest, StopRequest, WorkerPhase};
use streamjob_crds::{Reason, StreamJobSavepointStatus, StreamJobStatus};

use crate::report;
use crate::world::{Kind, Object, World, labels};

/// What to do next about the job of a world.
pub fn decide(world: &World) -> Decision {
    let mut pass = Pass::new(world);
    if world.job.deletion_timestamp.is_some() {
        remove::step(&mut pass);
        if pass.status.operation.is_none() {
            // Nothing is left to do: who holds it back now is somebody else.
            pass.status = world.job.status.clone().unwrap_or_default();
            return pass.finish();
        }
    } else {
        live(&mut pass);
    }
    observe::workers(&mut pass);
    report::conditions(&mut pass);
    pass.finish()
}

fn live(pass: &mut Pass<'_>) {
    let world = pass.world;
    if world.job.annotations.get(labels::RECONCILE).is_some_and(|value| value == "paused") {
        let text = "Nothing is changed as long as the annotation `streamjob.dev/reconcile: paused` is set.";
        pass.paused = Some(facts::trouble(Reason::Paused, text));
        return;
    }
    if let Some(waiting) = conflict::previous(pass) {
        pass.again_in(2_000);
        pass.waiting = Some(waiting);
        return;
    }
    if let Some(conflict) = conflict::foreign(pass) {
        pass.again_in(30_000);
        pass.not_accepted = Some(conflict);
        return;
    }
    remove::finalizer(pass);
    engine::run(pass);
    if pass.status.operation.is_none() {
        rest(pass);
    }
    savepoints::step(pass);
}

/// What a job without an operation needs.
fn rest(pass: &mut Pass<'_>) {
    let running = pass.facts.running().map(|set| set.incarnation);
    let finished = running.and_then(|incarnation| world_finished(pass, incarnation)).is_some();
    pass.finished = finished || (running.is_none() && held::finished(pass));
    if finished {
        // It was reported, and the log says it: nobody needs the workers any more.
        if held::finished(pass) {
            children::stop(pass);
        } else {
            pass.again_in(1_000);
        }
    } else {
        children::repair(pass);
    }
    children::prune(pass);
}

fn world_finished(pass: &Pass<'_>, incarnation: i64) -> Option<()> {
    let status = pass.world.worker(incarnation)?;
    (status.phase == WorkerPhase::Finished).then_some(())
}

/// What to do, in this order: the status, then the actions, then the events; see [`Decision::in_order`].
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// The status to write first, with the resource version that was seen; if that fails nothing else is done.
    /// None: what is there is right.
    pub status: Option<StreamJobStatus>,
    /// What to do then, in order. One that fails ends the pass; the next decision repeats what is missing.
    pub actions: Vec<Action>,
    /// What to tell people, once.
    pub events: Vec<Note>,
    /// When to look again if nothing happens before.
    pub requeue: Duration,
}

impl Decision {
    /// What comes before the status, and what after. Whoever reads in the status that the spec is accepted may delete
    /// the job at once, and its state goes with it only if the finalizer is there by then.
    pub fn in_order(&self) -> (Vec<&Action>, Vec<&Action>) {
        self.actions.iter().partition(|action| matches!(action, Action::AddFinalizer))
    }
}

/// One effect on the outside. Each may be repeated without harm.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Server-side apply, forced, as `streamjob-operator`.
    Apply(Object),
    /// The API server is asked what it would say to these, and nothing is kept.
    DryRun {
        /// Comes back with the answer.
        id: String,
        /// A StatefulSet and one of its pods.
        objects: Vec<Object>,
    },
    /// Deletes an object, only if it still has that uid, its dependants in the background.
    Delete {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// `POST /v1/stop`; the answer comes back under the operation's id.
    StopWorkers {
        /// Whom to ask.
        worker: Worker,
        /// What to ask.
        request: StopRequest,
    },
    /// `POST /v1/savepoints`; the answer comes back under the savepoint's id.
    TakeSavepoint {
        /// Whom to ask.
        worker: Worker,
        /// What to ask.
        request: SavepointRequest,
    },
    /// Writes the status of a StreamJobSavepoint, with the resource version that was seen.
    SavepointStatus {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
        /// As it was seen.
        resource_version: String,
        /// The whole of it.
        status: Box<StreamJobSavepointStatus>,
    },
    /// Puts the finalizer [`crate::world::labels::FINALIZER`] on the job.
    AddFinalizer,
    /// Takes it off.
    RemoveFinalizer,
}

/// A pod that is called, checked by its uid.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Worker {
    /// Its name.
    pub pod: String,
    /// Its uid; another pod of the name is not called.
    pub uid: String,
}

/// An event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// What it is about.
    pub about: About,
    /// Whether somebody should look.
    pub warning: bool,
    /// In one word.
    pub reason: Reason,
    /// A sentence or two, at most 1,024 bytes.
    pub text: String,
}

/// What an event is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum About {
    /// The StreamJob.
    Job,
    /// A StreamJobSavepoint.
    Savepoint {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// The operator's own pod: it outlives the job's namespace.
    Operator,
}
