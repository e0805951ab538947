//! What coordinator and workers say to each other, and its bytes.
//!
//! Owns: the messages, the envelope around each, the version of both.
//! Never: sends, waits or decides.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use streamjob_checkpoint::checkpoint::{Checkpoint, Object, OutboxObject, WorkerReport};
use streamjob_checkpoint::ids::{Epoch, Generation, Lineage};

use super::figures::Figures;

/// The version of the encoding. Both ends of a link come from one build: another one is refused, not understood.
pub const VERSION: u32 = 3;

/// From the coordinator to a worker.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ToWorker {
    /// Begin to process. Comes once, before all others.
    Start {
        /// The life of the state.
        lineage: Lineage,
        /// Those that it goes on from: their files may lie beside its own.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        formerly: Vec<Lineage>,
        /// From which offset on the sink's topic of progress is to be read; absent: from its beginning.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress_from: Option<u64>,
        /// What to go on from; the first one of a lineage holds positions only.
        checkpoint: Box<Checkpoint>,
        /// The greatest epoch number that the lineage has used.
        last_epoch: Epoch,
        /// Output that an earlier attempt committed and may not have published. It is published before anything else
        /// is, and answered with [`ToCoordinator::Published`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inherited: Option<Publication>,
    },
    /// End an epoch behind everything that was read so far.
    Barrier {
        /// The epoch to end.
        epoch: Epoch,
        /// Nothing is read after it. It may come again with a greater epoch, if this one is abandoned.
        last: bool,
        /// Windows, by their ends, whose whole state is to be written, in place of what changed.
        compact: Vec<i64>,
    },
    /// The epoch is committed: what was frozen for it is durable.
    Committed {
        /// The epoch.
        epoch: Epoch,
        /// Partitions that were behind the watermark of some slot at its barrier.
        behind: Vec<u32>,
    },
    /// Make this output visible.
    Publish(Publication),
    /// The epoch will never be committed. What was frozen for it belongs to the next one, its output too.
    Abandon {
        /// The epoch.
        epoch: Epoch,
    },
    /// Leave.
    Exit,
}

/// The output of a committed epoch.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Publication {
    /// The lineage that committed it: what its files are called.
    pub lineage: Lineage,
    /// The epoch.
    pub epoch: Epoch,
    /// The outbox of the checkpoint.
    pub outbox: Vec<OutboxObject>,
    /// The objects that it is in, with their hashes.
    pub objects: Vec<Object>,
}

impl Publication {
    /// What a checkpoint of a lineage wants published.
    pub fn of(lineage: Lineage, checkpoint: &Checkpoint) -> Self {
        let outbox = checkpoint.outbox.clone();
        let named = |object: &&Object| outbox.iter().any(|outbox| outbox.object == object.name);
        let objects = checkpoint.objects.iter().filter(named).cloned().collect();
        Self { lineage, epoch: checkpoint.epoch, outbox, objects }
    }
}

/// From a worker to the coordinator.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ToCoordinator {
    /// The worker is there. Comes once, before all others.
    Registered {
        /// How many slots it runs.
        slots: u32,
    },
    /// Every object that the checkpoint of [`ToWorker::Start`] names is in the store. Nothing is committed before.
    Checked,
    /// All of the worker's part of an epoch is in the store.
    Acknowledged {
        /// The epoch.
        epoch: Epoch,
        /// Its part.
        report: Box<WorkerReport>,
        /// How long it took.
        times: Times,
    },
    /// The worker's part of an epoch cannot be stored. The worker goes on.
    UploadFailed {
        /// The epoch.
        epoch: Epoch,
        /// Why.
        cause: String,
    },
    /// Much output waits to be committed: the next barrier had better come now.
    OutboxFull,
    /// Output is visible and durable.
    Published {
        /// The lineage that committed it.
        lineage: Lineage,
        /// The epoch.
        epoch: Epoch,
        /// Its files.
        files: Vec<PublishedFile>,
        /// Progress of what this worker publishes next will be in the sink's topic from this offset on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<u64>,
    },
    /// What a worker in a process of its own has counted, for people. Nothing follows from it.
    Counted(Box<Figures>),
    /// The input of all slots has ended, and everything has fired.
    Drained,
    /// The worker cannot go on.
    Failed {
        /// What that means for the job.
        kind: FailureKind,
        /// Why, for people.
        reason: String,
    },
}

/// How long a worker's part of an epoch took.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Times {
    /// From the barrier to the last slot that had it from all its inputs.
    pub align_ms: u64,
    /// From then until all states were encoded.
    pub encode_ms: u64,
    /// From then until all of it was durable.
    pub upload_ms: u64,
}

/// A file under its final name.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishedFile {
    /// The target: `results`, `late` or `deadLetters`.
    pub target: String,
    /// Its name in the target's folder.
    pub name: String,
    /// How many rows it holds.
    pub rows: u64,
    /// How long it is.
    pub bytes: u64,
}

/// What a worker's failure means for the job.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureKind {
    /// Whoever read standard output has gone: the job ends, and that is no error.
    OutputClosed,
    /// Another attempt may fare better.
    MayPass,
    /// Everything else: somebody must do something.
    Error,
}

/// A message with what is needed to refuse it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope<M> {
    /// [`VERSION`].
    pub version: u32,
    /// The attempt that it belongs to.
    pub generation: Generation,
    /// What is said.
    pub message: M,
}

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Of another build.
    #[error(
        "a message has version {found}, this build speaks {VERSION}; run coordinator and workers from one build"
    )]
    Version {
        /// What it says.
        found: u32,
    },
    /// Not what this build writes.
    #[error("a message cannot be read; run coordinator and workers from one build")]
    Damaged(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl<M: Serialize + DeserializeOwned> Envelope<M> {
    /// A message of an attempt.
    pub fn new(generation: Generation, message: M) -> Self {
        Self { version: VERSION, generation, message }
    }

    /// Its bytes: one JSON object.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("messages are numbers, texts, lists and maps with simple keys")
    }

    /// The message that these bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        // First the version: another build's message need not have our fields.
        let Versioned { version } = serde_json::from_slice(bytes)?;
        if version != VERSION {
            return Err(MessageError::Version { found: version });
        }
        Ok(serde_json::from_slice(bytes)?)
    }
}

#[cfg(test)]
mod tests;
