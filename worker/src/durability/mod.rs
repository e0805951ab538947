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

/// An error and what it comes from, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // A transparent error says what its cause says.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
