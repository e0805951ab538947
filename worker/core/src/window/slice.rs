//! The state of one slice: durable tables, frozen ones, and the delta that grows.
//!
//! Owns: the slice's tables and the count of rows that went into them.
//! Never: knows when the slice fires.

use std::sync::Arc;

use super::emitted::Progress;
use super::{FrozenKind, FrozenSlice, KeyedRows, Partials};
use crate::aggregate::{Aggregates, Heap, Inputs};
use crate::table::{GROUP_ROWS, Pool, RowGroup, Selection, SliceTable, TableFrom};

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

/// A table of which some rows may not count, as they have been folded into another one.
pub(crate) type LayerFrom = TableFrom<Side>;

/// So many slots of an index are moved in the time of folding one key.
const SLOTS_PER_KEY: usize = 16;

/// One slice.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    /// Input rows, counted where they come in.
    pub(crate) rows: u64,
    /// Whether old state is still to come: the first layer.
    pub(crate) awaiting: bool,
    /// Whether its results are due and not all were handed out.
    pub(crate) is_due: bool,
    /// Rows that wait for old state, as it has fired.
    pub(crate) held_rows: usize,
    /// What had been handed out when the job began; `None`: nothing.
    pub(crate) emitted: Option<Progress>,
    /// Those that are durable, then those of the last freeze, then those that came later.
    layers: Vec<Layer>,
    durable: usize,
    frozen: usize,
    /// Whether the last layer is a delta that may grow.
    has_delta: bool,
    folding: Option<Folding>,
    /// Keys of the largest delta that has ended.
    pub(crate) delta_keys: usize,
}

/// A layer that is being merged into the one before it.
#[derive(Clone, Copy, Debug)]
struct Folding {
    /// The layer that takes the rows of the next one.
    into: usize,
    /// The rows of the next one that are before this position of its index have been taken.
    at: usize,
}

/// What came of folding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Folded {
    /// There is nothing left to fold.
    Done,
    /// So many keys, as was asked; there may be more.
    Some,
    /// Somebody reads the tables.
    Shared,
}

impl Slice {
    /// A slice of a checkpoint.
    pub(crate) fn restored(rows: u64, awaiting: bool, emitted: Progress) -> Self {
        Self { rows, awaiting, emitted: Some(emitted), ..Self::default() }
    }

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
    pub(crate) fn layers(&self) -> Vec<LayerFrom> {
        self.layers_from(0)
    }

    fn layers_from(&self, first: usize) -> Vec<LayerFrom> {
        let half = self.folding.map_or((0, 0), |folding| (folding.into + 1, folding.at));
        let from = |at: usize| if at == half.0 { half.1 } else { 0 };
        let layers = self.layers.iter().enumerate().skip(first);
        layers.map(|(at, layer)| LayerFrom { table: Arc::clone(layer), from: from(at) }).collect()
    }

    pub(crate) fn keys(&self) -> usize {
        self.layers.iter().map(|layer| layer.len()).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.bytes() + layer.side().heap.bytes()).sum()
    }

    /// Memory that goes to other tables in the end.
    pub(crate) fn reserved_bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.reserved_bytes()).sum()
    }

    /// Keys of the largest delta, the one that grows included.
    pub(crate) fn delta_keys_max(&self) -> usize {
        let delta = self.layers.last().filter(|_| self.has_delta);
        self.delta_keys.max(delta.map_or(0, |delta| delta.len()))
    }

    /// Ends the delta. Gives all layers that are not durable, or simply all if that is asked for and possible.
    pub(crate) fn freeze(&mut self, end: i64, compact: bool) -> Option<FrozenSlice> {
        self.delta_keys = self.delta_keys_max();
        self.has_delta = false;
        self.frozen = self.layers.len() - self.durable;
        let kind = if compact && !self.awaiting { FrozenKind::Base } else { FrozenKind::Delta };
        let (first, input_rows) = match kind {
            FrozenKind::Base => (0, self.rows),
            FrozenKind::Delta => (self.durable, rows_of(&self.layers[self.durable..])),
        };
        let layers = self.layers_from(first);
        (!layers.is_empty()).then_some(FrozenSlice { end, kind, input_rows, layers })
    }

    /// What the last freeze gave is durable.
    pub(crate) fn on_committed(&mut self) {
        self.durable += std::mem::take(&mut self.frozen);
    }

    /// Adds the old state.
    pub(crate) fn add_restored(&mut self, layer: SliceTable<Side>) {
        self.awaiting = false;
        self.layers.insert(0, Arc::new(layer));
        self.durable += 1;
        if let Some(folding) = &mut self.folding {
            folding.into += 1;
        }
    }

    /// Whether there are layers that can be one.
    pub(crate) fn can_fold(&self) -> bool {
        self.next_fold().is_some()
    }

    fn next_fold(&self) -> Option<Folding> {
        let into = match (self.durable, self.frozen) {
            (2.., _) => 0,
            (durable, 2..) => durable,
            (_, _) => return self.folding,
        };
        self.folding.or(Some(Folding { into, at: 0 }))
    }

    /// Merges about `keys_max` keys of durable layers into the first one, or of frozen ones if that is all there is.
    /// `keys_max` becomes what is left of it.
    pub(crate) fn fold(&mut self, keys_max: &mut usize, with: &mut Merging<'_>) -> Folded {
        while let Some(mut fold) = self.next_fold() {
            if *keys_max == 0 {
                return Folded::Some;
            }
            let (before, rest) = self.layers.split_at_mut(fold.into + 1);
            let (Some(into), Some(from)) = (Arc::get_mut(&mut before[fold.into]), Arc::get_mut(&mut rest[0]))
            else {
                return Folded::Shared;
            };
            // Rows come in the order of the index: without room for all of them they would crowd at its beginning and
            // shift one another, again and again.
            if fold.at == 0
                && !into.reserve_some(
                    into.len() + from.len(),
                    keys_max.saturating_mul(SLOTS_PER_KEY),
                    with.pool,
                )
            {
                *keys_max = 0;
                self.folding = Some(fold);
                return Folded::Some;
            }
            let Some(matched) = from.match_rows(fold.at, *keys_max, into, with.pool, with.groups) else {
                into.side_mut().rows += from.side().rows;
                self.end_fold(fold, with.pool);
                continue;
            };
            let from_heap = &matched.from_side.heap;
            with.aggregates.merge_rows(&matched.into, &mut matched.into_side.heap, &matched.from, from_heap);
            *keys_max = keys_max.saturating_sub(matched.from.len());
            fold.at = matched.after;
            self.folding = Some(fold);
        }
        Folded::Done
    }

    /// All rows of a layer have been taken by the one before it.
    fn end_fold(&mut self, fold: Folding, pool: &mut Pool) {
        let from = fold.into + 1;
        retire(self.layers.remove(from), pool);
        self.folding = None;
        let count = if from < self.durable { &mut self.durable } else { &mut self.frozen };
        *count -= 1;
    }

    /// Checks that no row was lost or counted twice.
    pub(crate) fn check_rows(&self, slice_end: i64) {
        let accounted = rows_of(&self.layers);
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

fn rows_of(layers: &[Layer]) -> u64 {
    layers.iter().map(|layer| layer.side().rows).sum()
}

/// What merging tables needs besides.
#[derive(Debug)]
pub(crate) struct Merging<'a> {
    pub(crate) aggregates: &'a Aggregates,
    pub(crate) pool: &'a mut Pool,
    pub(crate) groups: &'a mut [RowGroup; 2],
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
