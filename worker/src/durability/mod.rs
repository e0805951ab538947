//! From a barrier to a checkpoint's objects, and back: snapshot -> upload, restore.
//!
//! Owns: the threads that write a worker's state and outbox, and the one that reads old state back.
//! Never: decides that an epoch begins or is committed, or knows a pipeline stage.

pub mod outbox;
pub mod restore;
pub mod snapshot;
pub mod uploader;

use streamjob_checkpoint::bundle::{About, outbox_name, state_name};
use streamjob_checkpoint::ids::{Epoch, Generation, Lineage};
use streamjob_checkpoint::retry::with_causes;
use tokio::runtime::Handle;
use tokio::sync::watch;
use uuid::Uuid;

/// Who writes a worker's objects.
#[derive(Clone, Debug)]
pub struct ObjectWriterId {
    /// The job.
    pub job: String,
    /// The life of its state.
    pub lineage: Lineage,
    /// Whose objects they are.
    pub generation: Generation,
    /// The worker's number.
    pub worker: u32,
}

impl ObjectWriterId {
    /// A new name for states. No name is given twice.
    pub fn state(&self, epoch: Epoch) -> String {
        state_name(self.generation, epoch, self.worker, Uuid::new_v4())
    }

    /// A new name for output.
    pub fn outbox(&self, epoch: Epoch) -> String {
        outbox_name(self.generation, epoch, self.worker, Uuid::new_v4())
    }

    /// What an object of this epoch says about itself.
    pub fn about(&self, epoch: Epoch) -> About {
        About { lineage: self.lineage, job: self.job.clone(), generation: self.generation, epoch }
    }
}

/// How the threads of a worker call the store: they wait for the answer, but not beyond the end of the worker.
#[derive(Clone, Debug)]
pub struct Calls {
    runtime: Handle,
    leaving: watch::Receiver<bool>,
}

impl Calls {
    /// Calls that run on this runtime, and what gives them all up: `true`, or dropping it.
    pub fn new(runtime: Handle) -> (watch::Sender<bool>, Self) {
        let (leave, leaving) = watch::channel(false);
        (leave, Self { runtime, leaving })
    }

    /// Whether the worker ends.
    pub fn are_given_up(&self) -> bool {
        *self.leaving.borrow() || self.leaving.has_changed().is_err()
    }

    /// Waits for an answer. `None`: the worker ends, and nobody needs it any more.
    pub fn wait<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let mut leaving = self.leaving.clone();
        self.runtime.block_on(async {
            tokio::select! {
                answer = call => Some(answer),
                _left = leaving.wait_for(|leaving| *leaving) => None,
            }
        })
    }

    /// The same, with the cause of a failure in words.
    pub fn ask<T, E: std::error::Error>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, String> {
        let answer = self.wait(call).ok_or_else(|| "the worker ends".to_owned())?;
        answer.map_err(|error| with_causes(&error))
    }
}
