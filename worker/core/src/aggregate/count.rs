//! Count: of rows, or of values that are not null.
//!
//! Owns: its state, a 64-bit number.
//! Never: looks at values.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::Heap;
use super::accumulator::{Accumulator, Batch, Output};
use super::layout::Layout;
use super::value::{Native, primitive_array};
use crate::table::{StateField, StateRows};

/// How many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    offset: usize,
}

impl Count {
    pub(super) fn place(layout: &mut Layout) -> Self {
        Self { offset: layout.field::<i64>() }
    }

    #[inline]
    pub(super) fn of<'a>(&self, rows: &StateRows<'a>) -> StateField<'a, i64> {
        rows.field(self.offset)
    }

    pub(super) fn array(&self, rows: &StateRows<'_>) -> ArrayRef {
        let counts = self.of(rows);
        primitive_array(&DataType::Int64, (0..rows.len()).map(|i| counts.get(i)).collect(), None)
    }
}

impl Accumulator for Count {
    fn update(&self, rows: &StateRows<'_>, _: &mut Heap, batch: &Batch<'_>) {
        let counts = self.of(rows);
        batch.for_each_value(|i, _| counts.update(i, |count| count + 1));
    }

    fn merge_rows(&self, into: &StateRows<'_>, _: &mut Heap, from: &StateRows<'_>, _: &Heap) {
        let (counts, more) = (self.of(into), self.of(from));
        for i in 0..into.len() {
            counts.update(i, |count| count + more.get(i));
        }
    }

    fn state_columns(&self) -> Vec<(&'static str, DataType)> {
        vec![("count", DataType::Int64)]
    }

    fn states(&self, rows: &StateRows<'_>, _: &Heap, out: &mut Vec<ArrayRef>) {
        out.push(self.array(rows));
    }

    fn merge_arrays(&self, rows: &StateRows<'_>, _: &mut Heap, states: &[ArrayRef], offset: usize) {
        let counts = self.of(rows);
        for (i, more) in i64::slice(&states[0])[offset..][..rows.len()].iter().enumerate() {
            counts.update(i, |count| count + more);
        }
    }

    fn output(&self, rows: &StateRows<'_>, _: &Heap) -> Output {
        Output::fits(self.array(rows))
    }
}
