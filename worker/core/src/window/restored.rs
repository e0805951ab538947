//! State on its way back into the operator.
//!
//! Owns: building the table of a window from the durable form of its states.
//! Never: reads a file.

use std::ops::Range;

use arrow::array::ArrayRef;

use super::slice::Side;
use super::{WindowError, WindowSpec};
use crate::aggregate::Aggregates;
use crate::key::KeyEncoder;
use crate::key_group::key_group;
use crate::table::{GROUP_ROWS, Pool, RowGroup, Selection, SliceTable};

/// So many keys may crowd in an index.
const CROWD: usize = 4_096;

/// Builds the old state of a window, on any thread.
#[derive(Debug)]
pub struct LayerBuilder {
    encoder: KeyEncoder,
    aggregates: Aggregates,
    key_groups: Range<u32>,
    table: SliceTable<Side>,
    pool: Pool,
    group: RowGroup,
}

impl LayerBuilder {
    /// For an operator of these key groups.
    pub fn new(spec: &WindowSpec, key_groups: Range<u32>) -> Result<Self, WindowError> {
        let aggregates = Aggregates::new(&spec.aggregates)?;
        let table = SliceTable::new(&key_groups, &aggregates.template(), Side::default());
        let encoder = KeyEncoder::new(&spec.key_types)?;
        let (pool, group) = (Pool::default(), RowGroup::default());
        Ok(Self { encoder, aggregates, key_groups, table, pool, group })
    }

    /// Adds the keys that are in both `only` and the operator's key groups; a key that is there already is merged.
    /// Blocks of a window go in from old to new.
    ///
    /// # Panics
    /// If the columns are not those of a [`StateChunk`](super::StateChunk) of these windows.
    pub fn add(&mut self, keys: &[ArrayRef], states: &[ArrayRef], only: Range<u32>) {
        let wanted = only.start.max(self.key_groups.start)..only.end.min(self.key_groups.end);
        let keys = self.encoder.encode(keys);
        let is_wanted = |&hash: &u64| wanted.contains(&u32::from(key_group(hash).0));
        self.make_room(keys.hashes.iter().copied().filter(is_wanted), wanted.end);
        let mut at = 0;
        while at < keys.len() {
            // A block is in the order of key groups, so there are few runs.
            let rest = &keys.hashes[at..keys.len().min(at + GROUP_ROWS)];
            let run = rest.iter().take_while(|hash| is_wanted(hash)).count();
            if run == 0 {
                at += rest.iter().take_while(|hash| !is_wanted(hash)).count();
                continue;
            }
            let selection = Selection::Range(at..at + run);
            let (rows, side) = self.table.find_or_insert(&keys, &selection, &mut self.pool, &mut self.group);
            self.aggregates.merge_arrays(&rows, &mut side.heap, states, at);
            at += run;
        }
    }

    /// Makes room for these keys and those of the block that follow them, up to a key group. Without room the keys, which
    /// come in the order of the index, would crowd at its beginning, and each would be looked for among all before it.
    /// How many follow can be told from how far over the key groups these lie; a few keys tell nothing, nor do they crowd.
    fn make_room(&mut self, hashes: impl Iterator<Item = u64> + Clone, end: u32) {
        let group = |hash| u32::from(key_group(hash).0);
        let (Some(first), Some(last)) = (hashes.clone().next().map(group), hashes.clone().last().map(group))
        else {
            return;
        };
        assert!(first <= last, "a block is in the order of key groups: {first}, then {last}");
        let keys = hashes.count();
        if keys >= CROWD {
            let all = keys * (end - first) as usize / (last + 1 - first) as usize;
            self.table.reserve(self.table.len() + all, &mut self.pool);
        }
    }

    /// The table, which accounts for this many input rows.
    pub fn finish(mut self, input_rows: u64) -> RestoredLayer {
        self.table.side_mut().rows = input_rows;
        RestoredLayer { table: self.table }
    }
}

/// The old state of a window.
#[derive(Debug)]
pub struct RestoredLayer {
    pub(super) table: SliceTable<Side>,
}

impl RestoredLayer {
    /// How many keys.
    pub fn keys(&self) -> usize {
        self.table.len()
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.table.side().heap.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::DataType;

    use super::*;
    use crate::key_group::{KEY_GROUPS, range_of, slot_of};
    use crate::window::Tumbling;

    #[test]
    fn room_for_a_whole_block_is_made_with_its_first_keys() {
        let spec = WindowSpec {
            tumbling: Tumbling::new(10, 0),
            allowed_lateness_ms: 0,
            aggregates: Vec::new(),
            key_types: vec![DataType::Int64],
        };
        let column = |numbers: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(numbers.to_vec())) };
        let mut numbers: Vec<i64> = (0..60_000).collect();
        let encoder = KeyEncoder::new(&spec.key_types).expect("these can be keys");
        let hashes = encoder.encode(&[column(&numbers)]).hashes;
        numbers.sort_unstable_by_key(|&number| hashes[number as usize]);
        for parallelism in [1, 3] {
            let groups = range_of(parallelism - 1, parallelism);
            let mut builder = LayerBuilder::new(&spec, groups).expect("the spec is sound");
            let is_its =
                |&number: &i64| slot_of(key_group(hashes[number as usize]), parallelism) + 1 == parallelism;
            let keys = numbers.iter().copied().filter(is_its).count();

            let mut chunks = numbers.chunks(5_000);
            while builder.table.is_empty() {
                let chunk = chunks.next().expect("there are keys of these groups");
                builder.add(&[column(chunk)], &[], 0..KEY_GROUPS);
            }

            assert!(builder.table.bytes() > 8 * keys, "{} bytes for {keys} keys", builder.table.bytes());
            chunks.for_each(|chunk| builder.add(&[column(chunk)], &[], 0..KEY_GROUPS));
            let layer = builder.finish(0);
            assert!(layer.keys() == keys && layer.bytes() < 64 * keys, "{} bytes", layer.bytes());
        }
    }
}
