//! The state of one slice: a base, what has been frozen, and the delta that grows.
//!
//! Owns: the slice's tables and the count of rows that went into them.
//! Never: knows when the slice fires.

use std::sync::Arc;

use super::{KeyedRows, Partials};
use crate::aggregate::{Aggregates, Heap, Inputs};
use crate::table::{GROUP_ROWS, Pool, RowGroup, Selection, SliceTable};

/// What goes along with the rows of a table.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// What states refer to.
    pub(crate) heap: Heap,
    /// How many input rows the states account for.
    pub(crate) rows: u64,
}

/// A table of a slice, which a freeze or a firing may share.
pub(crate) type Layer = Arc<SliceTable<Side>>;

/// One slice.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    /// Input rows, counted where they come in.
    pub(crate) rows: u64,
    /// The base first, then frozen tables, then the delta.
    layers: Vec<Layer>,
    /// Whether the last layer is a delta that may grow.
    has_delta: bool,
}

impl Slice {
    /// The delta, which `make` makes if there is none.
    pub(crate) fn delta(&mut self, make: impl FnOnce() -> SliceTable<Side>) -> &mut SliceTable<Side> {
        if !self.has_delta {
            self.layers.push(Arc::new(make()));
            self.has_delta = true;
        }
        let delta = self.layers.last_mut().and_then(Arc::get_mut);
        delta.expect("a slice grows only while nobody shares its delta")
    }

    /// All tables: a key may be in each.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    pub(crate) fn keys(&self) -> usize {
        self.layers.iter().map(|layer| layer.len()).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.bytes() + layer.side().heap.bytes()).sum()
    }

    /// Ends the delta.
    fn freeze(&mut self) -> Option<Layer> {
        let delta = self.layers.last().filter(|_| self.has_delta)?;
        self.has_delta = false;
        Some(Arc::clone(delta))
    }

    /// Merges frozen tables that nobody shares any more into the base, if nobody shares that.
    pub(crate) fn fold(&mut self, aggregates: &Aggregates, pool: &mut Pool, groups: &mut [RowGroup; 2]) {
        let closed = self.layers.len() - usize::from(self.has_delta);
        for at in (1..closed).rev() {
            let (base, rest) = self.layers.split_at_mut(1);
            let Some(base) = Arc::get_mut(&mut base[0]) else { return };
            if Arc::get_mut(&mut rest[at - 1]).is_none() {
                continue;
            }
            merge(aggregates, base, &rest[at - 1], pool, groups);
            retire(self.layers.remove(at), pool);
        }
    }

    /// Checks that no row was lost or counted twice.
    pub(crate) fn check_rows(&self, slice_end: i64) {
        let accounted: u64 = self.layers.iter().map(|layer| layer.side().rows).sum();
        assert_eq!(
            accounted, self.rows,
            "the window that ends at {slice_end} took {} rows and has states of {accounted}",
            self.rows
        );
    }

    pub(crate) fn retire(self, pool: &mut Pool) {
        self.layers.into_iter().for_each(|layer| retire(layer, pool));
    }
}

/// What adding to a table needs besides.
#[derive(Debug)]
pub(crate) struct Adding<'a> {
    pub(crate) aggregates: &'a Aggregates,
    pub(crate) pool: &'a mut Pool,
    pub(crate) group: &'a mut RowGroup,
}

/// Adds rows to a table.
pub(crate) fn add_rows(
    table: &mut SliceTable<Side>,
    rows: &KeyedRows,
    selection: &Selection<'_>,
    with: Adding<'_>,
) {
    let inputs = Inputs {
        columns: rows.rows.columns(),
        event_time: &rows.event_time,
        partition: rows.partition,
        positions: rows.positions.as_deref(),
    };
    table.side_mut().rows += selection.len() as u64;
    let mut at = 0;
    while at < selection.len() {
        let part = selection.slice(at, GROUP_ROWS.min(selection.len() - at));
        at += part.len();
        let (states, side) = table.find_or_insert(&rows.keys, &part, with.pool, with.group);
        with.aggregates.update(&states, &mut side.heap, &inputs, part);
    }
}

/// Adds partial states to a table.
pub(crate) fn add_partials(table: &mut SliceTable<Side>, partials: &Partials, with: Adding<'_>) {
    table.side_mut().rows += partials.rows;
    let mut at = 0;
    while at < partials.keys.len() {
        let part = Selection::Range(at..partials.keys.len().min(at + GROUP_ROWS));
        let (states, side) = table.find_or_insert(&partials.keys, &part, with.pool, with.group);
        with.aggregates.merge_arrays(&states, &mut side.heap, &partials.states, at);
        at += part.len();
    }
}

/// Gives the memory back at once if nobody shares it; otherwise the last one who does frees it.
fn retire(layer: Layer, pool: &mut Pool) {
    if let Ok(table) = Arc::try_unwrap(layer) {
        table.retire(pool);
    }
}

fn merge(
    aggregates: &Aggregates,
    into: &mut SliceTable<Side>,
    from: &SliceTable<Side>,
    pool: &mut Pool,
    groups: &mut [RowGroup; 2],
) {
    let mut at = 0;
    while let Some(matched) = from.match_rows(at, into, pool, groups) {
        let from_heap = &matched.from_side.heap;
        aggregates.merge_rows(&matched.into, &mut matched.into_side.heap, &matched.from, from_heap);
        at = matched.after;
    }
    into.side_mut().rows += from.side().rows;
}
