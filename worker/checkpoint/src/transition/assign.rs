//! What slots start with.
//!
//! Owns: who takes which key groups, and with them which blocks, watermarks and firings.
//! Never: gives a key group to two slots, or to none.

use std::collections::BTreeSet;

use super::cut;
use crate::checkpoint::{Block, Checkpoint, Emitted, OperatorState, SliceState};
use crate::ids::Groups;
use crate::planted::{self, Bug};

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
    /// How far it has fired, in the key groups of each old slot. Groups that are not there had nothing of the window.
    pub emitted: Vec<(Groups, Emitted)>,
    /// Input rows in it: the sum of its blocks'.
    pub input_rows: u64,
    /// The chain of its states, each cut to the slot's key groups. Input rows of a block that several slots take count
    /// where its first group goes.
    pub blocks: Vec<Block>,
}

/// What each of `parallelism` slots starts with.
pub fn assign(checkpoint: &Checkpoint, parallelism: u32) -> Vec<SlotStart> {
    (0..parallelism).map(|slot| start(checkpoint, slot, parallelism)).collect()
}

fn start(checkpoint: &Checkpoint, slot: u32, parallelism: u32) -> SlotStart {
    let groups = Groups::of_slot(slot, parallelism);
    let old: Vec<_> = taken_from(&checkpoint.operators, groups).collect();
    let behind: BTreeSet<u32> = old.iter().flat_map(|operator| &operator.behind).copied().collect();
    SlotStart {
        slot,
        groups,
        watermark_ms: old.iter().filter_map(|operator| operator.watermark_ms).max(),
        behind: behind.into_iter().collect(),
        slices: checkpoint.slices.iter().filter_map(|slice| share_of(slice, groups)).collect(),
    }
}

/// The old slots whose groups these are.
pub(super) fn taken_from(
    operators: &[OperatorState],
    groups: Groups,
) -> impl Iterator<Item = &OperatorState> {
    operators.iter().filter(move |operator| !operator.groups.intersect(groups).is_empty())
}

fn share_of(slice: &SliceState, groups: Groups) -> Option<SliceStart> {
    let emitted: Vec<_> = slice
        .shares
        .iter()
        .map(|share| (share.groups.intersect(groups), share.emitted.clone()))
        .filter(|(inside, _)| !inside.is_empty())
        .collect();
    let mut blocks: Vec<_> = cut(&slice.blocks, groups).collect();
    if planted::is(Bug::GroupOffByOne) {
        let first = groups.first + (groups.end - groups.first) / 4;
        blocks.iter_mut().for_each(|block| block.groups.first = block.groups.first.max(first));
    }
    if emitted.is_empty() && blocks.is_empty() {
        return None;
    }
    let input_rows = blocks.iter().map(|block| block.input_rows).sum();
    Some(SliceStart { end_ms: slice.end_ms, emitted, input_rows, blocks })
}
