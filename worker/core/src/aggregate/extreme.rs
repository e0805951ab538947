//! Min and Max.
//!
//! Owns: which of two values is kept.
//! Never: orders values; that is theirs.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

use super::Heap;
use super::accumulator::{Accumulator, Batch, Output};
use super::layout::Layout;
use super::slot::Slot;
use crate::table::StateRows;

/// The value that precedes (Min) or follows (Max) all others.
#[derive(Clone, Debug)]
pub(super) struct Extreme<S, const MAX: bool> {
    slot: S,
}

impl<S: Slot, const MAX: bool> Extreme<S, MAX> {
    pub(super) fn place(layout: &mut Layout, data_type: &DataType) -> Self {
        Self { slot: S::place(layout, data_type) }
    }

    #[inline]
    fn offer(slots: &S::Of<'_>, heap: &mut Heap, i: usize, item: S::Item<'_>) {
        let wins = match S::get(slots, heap, i) {
            None => true,
            Some(kept) if MAX => S::precedes(kept, item),
            Some(kept) => S::precedes(item, kept),
        };
        if wins {
            S::put(slots, heap, i, item);
        }
    }
}

impl<S: Slot, const MAX: bool> Accumulator for Extreme<S, MAX> {
    fn update(&self, rows: &StateRows<'_>, heap: &mut Heap, batch: &Batch<'_>) {
        let slots = self.slot.of(rows);
        let values = S::column(batch.column());
        batch.for_each_value(|i, row| Self::offer(&slots, heap, i, S::at(values, row)));
    }

    fn merge_rows(&self, into: &StateRows<'_>, heap: &mut Heap, from: &StateRows<'_>, from_heap: &Heap) {
        let (slots, more) = (self.slot.of(into), self.slot.of(from));
        for i in 0..into.len() {
            if let Some(item) = S::get(&more, from_heap, i) {
                Self::offer(&slots, heap, i, item);
            }
        }
    }

    fn state_columns(&self) -> Vec<(&'static str, DataType)> {
        vec![(if MAX { "max" } else { "min" }, self.slot.data_type())]
    }

    fn states(&self, rows: &StateRows<'_>, heap: &Heap, out: &mut Vec<ArrayRef>) {
        out.push(self.slot.array(rows, heap));
    }

    fn merge_arrays(&self, rows: &StateRows<'_>, heap: &mut Heap, states: &[ArrayRef], offset: usize) {
        let slots = self.slot.of(rows);
        let values = S::column(&states[0]);
        for i in (0..rows.len()).filter(|i| states[0].is_valid(offset + i)) {
            Self::offer(&slots, heap, i, S::at(values, offset + i));
        }
    }

    fn output(&self, rows: &StateRows<'_>, heap: &Heap) -> Output {
        Output::fits(self.slot.array(rows, heap))
    }
}
