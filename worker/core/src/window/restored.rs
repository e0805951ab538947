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

    /// Makes room for this many keys.
    pub fn reserve(&mut self, keys: usize) {
        self.table.reserve(keys, &mut self.pool);
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
