//! From what slots report to the next checkpoint, and from a checkpoint to what slots start with.
//!
//! Owns: which blocks and objects a checkpoint names, and who takes which key group.
//! Never: reads, writes or looks at a clock.

use crate::checkpoint::{Block, Checkpoint, Emitted, PartitionState, SliceState, WorkerReport};
use crate::ids::{Epoch, Groups, Hash};

/// What a slot starts with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SlotStart {
    /// Its number.
    pub slot: u32,
    /// The key groups that it owns.
    pub groups: Groups,
    /// The greatest watermark of the old slots whose groups it takes.
    pub watermark_ms: Option<i64>,
    /// Active partitions that had not caught up with it.
    pub behind: Vec<u32>,
    /// Windows that hold state.
    pub slices: Vec<SliceStart>,
}

/// A window that a slot starts with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SliceStart {
    /// Its end, in epoch milliseconds.
    pub end_ms: i64,
    /// How far it has fired, in the key groups of each old slot.
    pub emitted: Vec<(Groups, Emitted)>,
    /// Input rows in it: the sum of its blocks'.
    pub input_rows: u64,
    /// The chain of its states, each cut to the slot's key groups. Input rows of a block that several slots take count
    /// where its first group goes.
    pub blocks: Vec<Block>,
}

/// Reports or a checkpoint that contradict themselves.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what}")]
pub struct TransitionError {
    what: String,
}

/// The checkpoint that follows from what all workers report. Fingerprint and spec hash are those of `previous`.
pub fn next_checkpoint(
    _previous: &Checkpoint,
    _epoch: Epoch,
    _parallelism: u32,
    _reports: &[WorkerReport],
) -> Result<Checkpoint, TransitionError> {
    todo!()
}

/// Ends of windows whose chain of blocks has become long enough to be written as one.
pub fn due_for_compaction(_slices: &[SliceState]) -> Vec<i64> {
    todo!()
}

/// What each of `parallelism` slots starts with.
pub fn assign(_checkpoint: &Checkpoint, _parallelism: u32) -> Vec<SlotStart> {
    todo!()
}

impl Checkpoint {
    /// Epoch 0: where the source begins, and nothing else.
    pub fn at_start(
        _parallelism: u32,
        _fingerprint: std::collections::BTreeMap<String, String>,
        _spec_hash: Hash,
        _partitions: Vec<PartitionState>,
    ) -> Self {
        todo!()
    }

    /// Refuses what no program of ours can have written.
    pub fn validate(&self) -> Result<(), TransitionError> {
        todo!()
    }
}
