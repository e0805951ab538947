//! What every checkpoint must be like, whoever made it.
//!
//! Owns: the rules that can be seen in one checkpoint alone. They hold before it is written and after it is read.
//! Never: repairs one.

use std::collections::{BTreeMap, BTreeSet};

use super::{TransitionError, named_objects};
use crate::checkpoint::{
    Block, BlockKind, Checkpoint, Object, OutboxObject, PartitionState, SliceState, SourcePosition,
};
use crate::ids::Groups;

type Checked = Result<(), TransitionError>;

impl Checkpoint {
    /// Refuses what no program of ours can have written.
    pub fn validate(&self) -> Checked {
        self.validate_operators()?;
        self.partitions.iter().try_for_each(validate_partition)?;
        let objects = self.validate_objects()?;
        for slice in &self.slices {
            validate_slice(slice, &objects)?;
            self.validate_shares(slice)?;
        }
        let ends = self.slices.iter().map(|slice| slice.end_ms);
        ensure(ends.is_sorted_by(|one, other| one < other), || {
            "windows are not in the order of their ends".into()
        })?;
        self.outbox.iter().try_for_each(|outbox| self.validate_outbox(outbox, &objects))
    }

    fn validate_operators(&self) -> Checked {
        let slots = self.parallelism;
        let fits = (1..=Groups::ALL.end).contains(&slots) && self.operators.len() == slots as usize;
        ensure(fits, || format!("{slots} slots and the windows of {}", self.operators.len()))?;
        let partitions = self.partitions.len();
        for (slot, operator) in (0..).zip(&self.operators) {
            let groups = Groups::of_slot(slot, slots);
            ensure(operator.groups == groups, || {
                format!("slot {slot} of {slots} owns {groups:?}, not {:?}", operator.groups)
            })?;
            let behind = &operator.behind;
            let fits = behind.is_sorted_by(|one, other| one < other)
                && behind.last().is_none_or(|last| (*last as usize) < partitions);
            ensure(fits, || format!("slot {slot}: {behind:?} are not partitions"))?;
        }
        Ok(())
    }

    /// By name.
    fn validate_objects(&self) -> Result<BTreeMap<&str, &Object>, TransitionError> {
        let names = self.objects.iter().map(|object| object.name.as_str());
        ensure(names.clone().is_sorted_by(|one, other| one < other), || {
            "objects are not in the order of their names".into()
        })?;
        for object in &self.objects {
            let name = &object.name;
            let fits = name.starts_with("data/")
                && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
            ensure(fits, || format!("`{name}` is not a name of an object of a checkpoint"))?;
        }
        let named = named_objects(&self.slices, &self.outbox);
        let known: BTreeSet<&str> = names.collect();
        if let Some(name) = named.symmetric_difference(&known).next() {
            return Err(TransitionError::new(format!(
                "object {name} is named and not listed, or listed and not named"
            )));
        }
        Ok(self.objects.iter().map(|object| (object.name.as_str(), object)).collect())
    }

    /// What a slot had of a window is what its chain accounts for.
    fn validate_shares(&self, slice: &SliceState) -> Checked {
        let end_ms = slice.end_ms;
        ensure(!slice.shares.is_empty(), || {
            format!("no slot has a share of the window that ends at {end_ms}")
        })?;
        let in_order = slice.shares.is_sorted_by(|one, other| one.groups.end <= other.groups.first);
        ensure(in_order, || format!("shares of the window that ends at {end_ms} overlap"))?;
        let (mut shares, mut blocks) = (0, 0);
        for (slot, operator) in self.operators.iter().enumerate() {
            let mine = |groups: Groups| groups.intersect(operator.groups) == groups && !groups.is_empty();
            let own_shares = slice.shares.iter().filter(|share| mine(share.groups));
            let chain: Vec<_> = slice.blocks.iter().filter(|block| mine(block.groups)).collect();
            let said: u64 = own_shares.clone().map(|share| share.input_rows).sum();
            let held: u64 = chain.iter().map(|block| block.input_rows).sum();
            ensure(said == held, || {
                format!(
                    "slot {slot}: {said} rows went into the window that ends at {end_ms}, and its states account for {held}"
                )
            })?;
            let own_shares = own_shares.count();
            ensure(chain.is_empty() || own_shares > 0, || {
                format!("slot {slot} has states of the window that ends at {end_ms}, and no share of it")
            })?;
            shares += own_shares;
            blocks += chain.len();
        }
        let fits = (shares, blocks) == (slice.shares.len(), slice.blocks.len());
        ensure(fits, || {
            format!("a share or block of the window that ends at {end_ms} is not within one slot")
        })
    }

    fn validate_outbox(&self, outbox: &OutboxObject, objects: &BTreeMap<&str, &Object>) -> Checked {
        let name = &outbox.object;
        ensure(objects.contains_key(name.as_str()), || format!("object {name} is not listed"))?;
        let twice = self.outbox.iter().filter(|other| other.object == *name).count() > 1;
        let states = self.slices.iter().flat_map(|slice| &slice.blocks).any(|block| block.object == *name);
        ensure(!twice && !states, || format!("{name} is two things at once"))?;
        let parts: BTreeSet<_> = outbox.parts.iter().map(|part| (part.slot, &part.target)).collect();
        let fits = !parts.is_empty()
            && parts.len() == outbox.parts.len()
            && outbox.parts.iter().all(|part| part.slot < self.parallelism && !part.target.is_empty());
        ensure(fits, || format!("{name}: its parts are not those of {} slots", self.parallelism))
    }
}

fn validate_slice(slice: &SliceState, objects: &BTreeMap<&str, &Object>) -> Checked {
    for (at, block) in slice.blocks.iter().enumerate() {
        let fits_object = objects.get(block.object.as_str()).is_some_and(|object| {
            block.offset.checked_add(block.bytes).is_some_and(|end| end <= object.bytes)
        });
        let fits = fits_object && block.bytes > 0 && block.offset > 0 && block.keys > 0;
        ensure(fits, || format!("{}: it has no block at {}", block.object, block.offset))?;
        let replaced = slice.blocks[..at].iter().find(|before| is_replaced(before, block));
        if let Some(before) = replaced {
            let what =
                format!("{}: the block at {} was replaced and is still named", before.object, before.offset);
            return Err(TransitionError::new(what));
        }
    }
    Ok(())
}

/// A base comes first among the blocks of its groups, and no part of an object counts twice for a group.
fn is_replaced(before: &Block, block: &Block) -> bool {
    let both = !before.groups.intersect(block.groups).is_empty();
    let same = (&before.object, before.offset) == (&block.object, block.offset);
    both && (same || block.kind == BlockKind::Base)
}

fn validate_partition(partition: &PartitionState) -> Checked {
    let fits = match partition.position {
        SourcePosition::File { file, .. } => {
            !partition.files.is_empty() && file as usize <= partition.files.len()
        }
        SourcePosition::Row { .. } => partition.files.is_empty(),
        SourcePosition::Topic { .. } => partition.files.is_empty(),
    };
    let fits =
        fits && partition.topic.is_some() == matches!(partition.position, SourcePosition::Topic { .. });
    ensure(fits, || format!("{}: {:?} is not a position in it", partition.name, partition.position))
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(TransitionError::new(what())) }
}
