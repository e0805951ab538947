//! The checkpoint that follows from what all slots report.
//!
//! Owns: that nothing is missing in it, twice in it, or goes back.
//! Never: takes a report at its word where another part of the checkpoint tells.

use std::collections::{BTreeMap, BTreeSet};

use super::assign::taken_from;
use super::{TransitionError, cut, named_objects};
use crate::checkpoint::{
    Block, BlockKind, Checkpoint, Counters, Object, OperatorState, OutboxObject, PartitionState,
    PartitionStatus, Share, SliceState, SlotReport, SourcePosition, WorkerReport,
};
use crate::ids::{Epoch, Groups};

/// The checkpoint that follows from what all workers report. Fingerprint and spec hash are those of `previous`.
pub fn next_checkpoint(
    previous: &Checkpoint,
    epoch: Epoch,
    parallelism: u32,
    reports: &[WorkerReport],
) -> Result<Checkpoint, TransitionError> {
    let slots = by_slot(parallelism, reports)?;
    let slices = slices(previous, &slots)?;
    let outbox: Vec<OutboxObject> = reports.iter().flat_map(|report| report.outbox.clone()).collect();
    let next = Checkpoint {
        epoch,
        parallelism,
        fingerprint: previous.fingerprint.clone(),
        spec_hash: previous.spec_hash,
        partitions: partitions(previous, &slots)?,
        operators: operators(previous, parallelism, &slots)?,
        objects: objects(previous, reports, &slices, &outbox)?,
        slices,
        outbox,
        counters: counters(previous, &slots)?,
    };
    next.validate()?;
    Ok(next)
}

/// Every slot once, in order.
fn by_slot(parallelism: u32, reports: &[WorkerReport]) -> Result<Vec<&SlotReport>, TransitionError> {
    let mut slots = BTreeMap::new();
    for slot in reports.iter().flat_map(|report| &report.slots) {
        if slots.insert(slot.slot, slot).is_some() {
            return Err(TransitionError::new(format!("slot {} reported twice", slot.slot)));
        }
    }
    if let Some(missing) = (0..parallelism).find(|slot| !slots.contains_key(slot)) {
        return Err(TransitionError::new(format!("slot {missing} did not report")));
    }
    if let Some(slot) = slots.keys().find(|slot| **slot >= parallelism) {
        return Err(TransitionError::new(format!("slot {slot} reported, and there are {parallelism}")));
    }
    Ok(slots.into_values().collect())
}

fn partitions(previous: &Checkpoint, slots: &[&SlotReport]) -> Result<Vec<PartitionState>, TransitionError> {
    let mut found: BTreeMap<u32, &PartitionState> = BTreeMap::new();
    for (id, state) in slots.iter().flat_map(|slot| &slot.partitions) {
        if found.insert(*id, state).is_some() {
            return Err(TransitionError::new(format!("partition {id} was read by two slots")));
        }
    }
    let mut next = Vec::with_capacity(previous.partitions.len());
    for (id, old) in (0..).zip(&previous.partitions) {
        let Some(new) = found.remove(&id) else {
            return Err(TransitionError::new(format!("partition {id} ({}) was read by no slot", old.name)));
        };
        if let Some(what) = contradiction(old, new) {
            return Err(TransitionError::new(format!("partition {id} ({}) {what}", old.name)));
        }
        next.push(new.clone());
    }
    match found.first_key_value() {
        None => Ok(next),
        Some((id, state)) => Err(TransitionError::new(format!("partition {id} ({}) is new", state.name))),
    }
}

fn contradiction(old: &PartitionState, new: &PartitionState) -> Option<&'static str> {
    if (&old.name, &old.files, &old.topic) != (&new.name, &new.files, &new.topic) {
        return Some("has become another");
    }
    if new.max_timestamp_ms < old.max_timestamp_ms {
        return Some("went back in event time");
    }
    if old.status == PartitionStatus::Finished && new.status != PartitionStatus::Finished {
        return Some("had ended and goes on");
    }
    let goes_on = match (old.position, new.position) {
        (
            SourcePosition::File { file, record, .. },
            SourcePosition::File { file: new_file, record: new_record, .. },
        ) => (file, record) <= (new_file, new_record) && record <= new_record,
        (
            SourcePosition::Row { row, started_ms },
            SourcePosition::Row { row: new_row, started_ms: new_started_ms },
        ) => row <= new_row && started_ms == new_started_ms,
        (SourcePosition::Topic { offset }, SourcePosition::Topic { offset: new_offset }) => {
            offset <= new_offset
        }
        (SourcePosition::File { .. }, SourcePosition::Row { .. } | SourcePosition::Topic { .. })
        | (SourcePosition::Row { .. }, SourcePosition::File { .. } | SourcePosition::Topic { .. })
        | (SourcePosition::Topic { .. }, SourcePosition::File { .. } | SourcePosition::Row { .. }) => false,
    };
    (!goes_on).then_some("went back in its input")
}

fn operators(
    previous: &Checkpoint,
    parallelism: u32,
    slots: &[&SlotReport],
) -> Result<Vec<OperatorState>, TransitionError> {
    for slot in slots {
        let operator = &slot.operator;
        let groups = Groups::of_slot(slot.slot, parallelism);
        if operator.groups != groups {
            let what = format!("slot {} owns {:?}, and reported {:?}", slot.slot, groups, operator.groups);
            return Err(TransitionError::new(what));
        }
        let before = taken_from(&previous.operators, groups).filter_map(|old| old.watermark_ms).max();
        if operator.watermark_ms < before {
            let what = format!(
                "slot {}: the watermark went back from {before:?} to {:?}",
                slot.slot, operator.watermark_ms
            );
            return Err(TransitionError::new(what));
        }
    }
    Ok(slots.iter().map(|slot| slot.operator.clone()).collect())
}

/// The windows that any slot still has a share of. What nobody has a share of has been emitted and is forgotten.
fn slices(previous: &Checkpoint, slots: &[&SlotReport]) -> Result<Vec<SliceState>, TransitionError> {
    let old: BTreeMap<i64, &[Block]> =
        previous.slices.iter().map(|slice| (slice.end_ms, slice.blocks.as_slice())).collect();
    let mut next: BTreeMap<i64, SliceState> = BTreeMap::new();
    for slot in slots {
        let ends: BTreeSet<i64> = slot.shares.iter().map(|(end_ms, _)| *end_ms).collect();
        if let Some((end_ms, _)) = slot.blocks.iter().find(|(end_ms, _)| !ends.contains(end_ms)) {
            let what = format!(
                "slot {} wrote states of the window that ends at {end_ms}, and has no share of it",
                slot.slot
            );
            return Err(TransitionError::new(what));
        }
        for end_ms in ends {
            let before = old.get(&end_ms).copied().unwrap_or(&[]);
            let (shares, blocks) = slot_slice(slot, end_ms, before)?;
            let slice =
                next.entry(end_ms).or_insert(SliceState { end_ms, shares: Vec::new(), blocks: Vec::new() });
            slice.shares.extend(shares);
            slice.blocks.extend(blocks);
        }
    }
    Ok(next.into_values().collect())
}

/// A slot's shares of a window, and its chain: what it had, cut to its groups, and what it wrote. A base is in place of
/// all before it.
fn slot_slice(
    slot: &SlotReport,
    end_ms: i64,
    before: &[Block],
) -> Result<(Vec<Share>, Vec<Block>), TransitionError> {
    let shares: Vec<Share> =
        slot.shares.iter().filter(|(end, _)| *end == end_ms).map(|(_, share)| share.clone()).collect();
    let mut chain: Vec<Block> = cut(before, slot.operator.groups).collect();
    for (_, block) in slot.blocks.iter().filter(|(end, _)| *end == end_ms) {
        match block.kind {
            BlockKind::Base => chain.clear(),
            BlockKind::Delta => {}
        }
        chain.push(block.clone());
    }
    let said: u64 = shares.iter().map(|share| share.input_rows).sum();
    let held: u64 = chain.iter().map(|block| block.input_rows).sum();
    if said != held {
        let what = format!(
            "slot {}: {said} rows went into the window that ends at {end_ms}, and its states account for {held}",
            slot.slot
        );
        return Err(TransitionError::new(what));
    }
    Ok((shares, chain))
}

/// Those that are named, by name, each once.
fn objects(
    previous: &Checkpoint,
    reports: &[WorkerReport],
    slices: &[SliceState],
    outbox: &[OutboxObject],
) -> Result<Vec<Object>, TransitionError> {
    let mut known: BTreeMap<&str, &Object> = BTreeMap::new();
    for object in previous.objects.iter().chain(reports.iter().flat_map(|report| &report.objects)) {
        if known.insert(&object.name, object).is_some_and(|other| other != object) {
            return Err(TransitionError::new(format!("there are two objects {}", object.name)));
        }
    }
    let find = |name: &str| match known.get(name) {
        Some(object) => Ok((*object).clone()),
        None => Err(TransitionError::new(format!("object {name} was not reported as written"))),
    };
    named_objects(slices, outbox).into_iter().map(find).collect()
}

fn counters(previous: &Checkpoint, slots: &[&SlotReport]) -> Result<Counters, TransitionError> {
    let mut sum = Counters::default();
    for Counters { rows_in, rows_out, late, bad } in slots.iter().map(|slot| slot.counters) {
        sum.rows_in += rows_in;
        sum.rows_out += rows_out;
        sum.late += late;
        sum.bad += bad;
    }
    let old = previous.counters;
    let grew =
        [(old.rows_in, sum.rows_in), (old.rows_out, sum.rows_out), (old.late, sum.late), (old.bad, sum.bad)];
    if grew.into_iter().any(|(before, after)| after < before) {
        return Err(TransitionError::new(format!("a count went back: {old:?}, then {sum:?}")));
    }
    Ok(sum)
}
