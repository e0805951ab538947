//! Random jobs: windows come, grow, are compacted and close, while the number of slots changes.
//!
//! Owns: a model that knows of every key group which blocks hold its states.
//! Never: knows what is in a block.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{block, object, partition, start};
use crate::checkpoint::{
    Block, BlockKind, Counters, Emitted, OperatorState, Share, SlotReport, WorkerReport,
};
use crate::ids::{Epoch, Groups};
use crate::transition::{SlotStart, assign, next_checkpoint};

/// What slots do between two barriers.
#[derive(Clone, Debug)]
struct Step {
    parallelism: u32,
    /// By window: what each slot does with it, taken in turns.
    windows: [Vec<Act>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Nothing,
    Rows(u64),
    Compact(u64),
    Close,
}

/// What the model knows of a window: by key group, the chain of blocks; and all rows by the group that they count at.
#[derive(Clone, Debug, Default)]
struct Model {
    chains: BTreeMap<u32, Vec<(String, u64)>>,
    rows: BTreeMap<u32, u64>,
}

/// Groups whose chains are looked at: edges of slots and some between.
fn samples() -> BTreeSet<u32> {
    let edges = (1..=8).flat_map(|slots| (0..slots).map(move |slot| Groups::of_slot(slot, slots)));
    edges.flat_map(|groups| [groups.first, groups.end - 1, groups.first + 17]).collect()
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::Nothing),
        4 => (1..100_u64).prop_map(Act::Rows),
        1 => (0..100_u64).prop_map(Act::Compact),
        1 => Just(Act::Close),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let acts = || proptest::collection::vec(act(), 8);
    (1..=8_u32, acts(), acts())
        .prop_map(|(parallelism, one, other)| Step { parallelism, windows: [one, other] })
}

/// What a slot reports after a step, told to the model too.
fn report(started: &SlotStart, step: &Step, epoch: Epoch, models: &mut [Model; 2]) -> SlotReport {
    let mut report = SlotReport {
        slot: started.slot,
        partitions: BTreeMap::new(),
        operator: OperatorState {
            groups: started.groups,
            watermark_ms: Some(epoch.0 as i64),
            behind: vec![1],
        },
        shares: Vec::new(),
        blocks: Vec::new(),
        counters: Counters { rows_in: if started.slot == 0 { epoch.0 } else { 0 }, ..Counters::default() },
    };
    for ((end_ms, acts), model) in (100..).zip(&step.windows).zip(models) {
        let old = started.slices.iter().find(|slice| slice.end_ms == end_ms);
        let before = old.map_or(0, |slice| slice.input_rows);
        let (rows, kind) = match acts[started.slot as usize] {
            Act::Close => {
                model.chains.retain(|group, _| !started.groups.range().contains(group));
                model.rows.retain(|group, _| !started.groups.range().contains(group));
                continue;
            }
            Act::Nothing => (0, None),
            Act::Rows(rows) => (rows, Some(BlockKind::Delta)),
            Act::Compact(rows) => (rows, Some(BlockKind::Base)),
        };
        if old.is_none() && rows == 0 {
            continue;
        }
        let share = Share { groups: started.groups, input_rows: before + rows, emitted: Emitted::Nothing };
        report.shares.push((end_ms, share));
        let Some(kind) = kind else { continue };
        let input_rows = if kind == BlockKind::Base { before + rows } else { rows };
        let block = Block { kind, input_rows, ..block(epoch, started.slot, end_ms, started.groups) };
        model.wrote(&block);
        report.blocks.push((end_ms, block));
    }
    report
}

impl Model {
    fn wrote(&mut self, block: &Block) {
        if block.kind == BlockKind::Base {
            self.rows.retain(|group, _| !block.groups.range().contains(group));
        }
        *self.rows.entry(block.groups.first).or_default() += block.input_rows;
        for group in samples().into_iter().filter(|group| block.groups.range().contains(group)) {
            let chain = self.chains.entry(group).or_default();
            if block.kind == BlockKind::Base {
                chain.clear();
            }
            chain.push((block.object.clone(), block.offset));
        }
    }
}

/// The chain of every sampled group, as the slots see it that take it.
fn chains(slots: &[SlotStart], end_ms: i64) -> BTreeMap<u32, Vec<(String, u64)>> {
    let mut chains = BTreeMap::new();
    for group in samples() {
        let owners: Vec<_> = slots.iter().filter(|slot| slot.groups.range().contains(&group)).collect();
        assert_eq!(owners.len(), 1, "group {group}");
        let blocks = slots.iter().flat_map(|slot| &slot.slices).filter(|slice| slice.end_ms == end_ms);
        let chain: Vec<_> = blocks
            .flat_map(|slice| &slice.blocks)
            .filter(|block| block.groups.range().contains(&group))
            .map(|block| (block.object.clone(), block.offset))
            .collect();
        if !chain.is_empty() {
            chains.insert(group, chain);
        }
    }
    chains
}

proptest! {
    #[test]
    fn key_groups_move_exactly_once_and_rows_are_conserved(
        steps in proptest::collection::vec(step(), 1..12),
        then in 1..=8_u32,
    ) {
        let mut models = <[Model; 2]>::default();
        let mut checkpoint = start(3);
        for (step, epoch) in steps.iter().zip((1..).map(Epoch)) {
            let slots = assign(&checkpoint, step.parallelism);
            let mut slots: Vec<_> =
                slots.iter().map(|started| report(started, step, epoch, &mut models)).collect();
            slots[0].partitions = (0..3).map(|id| (id, partition(id))).collect();
            let reports: Vec<_> = slots
                .chunks(2)
                .map(|slots| WorkerReport { slots: slots.to_vec(), outbox: Vec::new(), objects: vec![object(epoch)] })
                .collect();

            checkpoint = next_checkpoint(&checkpoint, epoch, step.parallelism, &reports).expect("it is consistent");
        }
        let slots = assign(&checkpoint, then);
        for (end_ms, model) in (100..).zip(&models) {
            prop_assert_eq!(chains(&slots, end_ms), model.chains.clone());
            let slices = slots.iter().flat_map(|slot| &slot.slices).filter(|slice| slice.end_ms == end_ms);
            prop_assert_eq!(slices.map(|slice| slice.input_rows).sum::<u64>(), model.rows.values().sum::<u64>());
        }
        let last = steps.len() as i64;
        prop_assert!(slots.iter().all(|slot| slot.watermark_ms == Some(last) && slot.behind == [1]));
    }
}
