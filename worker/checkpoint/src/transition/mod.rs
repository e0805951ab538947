//! From what slots report to the next checkpoint, and from a checkpoint to what slots start with.
//!
//! Owns: which blocks and objects a checkpoint names, and who takes which key group.
//! Never: reads, writes or looks at a clock.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::{
    Block, BlockKind, Checkpoint, Counters, Object, OperatorState, OutboxObject, PartitionState, SliceState,
};
use crate::ids::{Epoch, Groups, Hash};

mod assign;
mod next;
mod validate;

#[cfg(test)]
mod tests;

pub use assign::{SliceStart, SlotStart, assign};
pub use next::next_checkpoint;

/// Chains shorter than this are never compacted.
const CHAIN_BLOCKS_MIN: usize = 8;
/// Longer ones always are.
const CHAIN_BLOCKS_MAX: usize = 64;

/// Reports or a checkpoint that contradict themselves.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what}")]
pub struct TransitionError {
    what: String,
}

impl TransitionError {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// Ends of windows whose chain of blocks has become long enough to be written as one: 8 blocks, if what changed is as
/// much as what did not, and 64 in any case.
pub fn due_for_compaction(slices: &[SliceState]) -> Vec<i64> {
    let due = |slice: &&SliceState| slice.shares.iter().any(|share| is_long(&slice.blocks, share.groups));
    slices.iter().filter(due).map(|slice| slice.end_ms).collect()
}

fn is_long(blocks: &[Block], groups: Groups) -> bool {
    let chain = blocks.iter().filter(|block| !block.groups.intersect(groups).is_empty());
    let (mut count, mut delta_keys, mut base_keys) = (0, 0, 0);
    for block in chain {
        count += 1;
        match block.kind {
            BlockKind::Delta => delta_keys += block.keys,
            BlockKind::Base => base_keys += block.keys,
        }
    }
    count >= CHAIN_BLOCKS_MAX || (count >= CHAIN_BLOCKS_MIN && delta_keys >= base_keys)
}

impl Checkpoint {
    /// Epoch 0: where the source begins, and nothing else.
    pub fn at_start(
        parallelism: u32,
        fingerprint: BTreeMap<String, String>,
        spec_hash: Hash,
        partitions: Vec<PartitionState>,
    ) -> Self {
        let operator = |slot| OperatorState {
            groups: Groups::of_slot(slot, parallelism),
            watermark_ms: None,
            behind: Vec::new(),
        };
        Self {
            epoch: Epoch(0),
            parallelism,
            fingerprint,
            spec_hash,
            partitions,
            operators: (0..parallelism).map(operator).collect(),
            slices: Vec::new(),
            outbox: Vec::new(),
            objects: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// The same once its outbox is published.
    pub fn without_outbox(&self) -> Self {
        let objects = named_objects(&self.slices, &[]);
        let is_named = |object: &&Object| objects.contains(object.name.as_str());
        Self {
            objects: self.objects.iter().filter(is_named).cloned().collect(),
            outbox: Vec::new(),
            ..self.clone()
        }
    }
}

/// The objects that these name.
fn named_objects<'a>(slices: &'a [SliceState], outbox: &'a [OutboxObject]) -> BTreeSet<&'a str> {
    let blocks = slices.iter().flat_map(|slice| &slice.blocks).map(|block| block.object.as_str());
    blocks.chain(outbox.iter().map(|outbox| outbox.object.as_str())).collect()
}

/// A chain of blocks as someone sees it who takes these groups. Input rows of a block that several take count where
/// its first group goes.
fn cut(blocks: &[Block], groups: Groups) -> impl Iterator<Item = Block> {
    blocks.iter().filter_map(move |block| {
        let inside = block.groups.intersect(groups);
        let takes_first = inside.first == block.groups.first;
        let input_rows = if takes_first { block.input_rows } else { 0 };
        (!inside.is_empty()).then(|| Block { groups: inside, input_rows, ..block.clone() })
    })
}
