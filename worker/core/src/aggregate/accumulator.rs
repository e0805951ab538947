//! What every aggregate function does, whatever its type.
//!
//! Owns: the steps in the life of a state, and the loop over the rows of a batch.
//! Never: knows a function.

use std::fmt::Debug;

use arrow::array::{Array, ArrayRef};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field};

use super::Heap;
use crate::table::{Selection, StateRows};

/// One aggregate over one part of a row. A state of zeros is the state of no input.
///
/// In all steps a row may be in the group more than once; entries are taken in order.
pub(super) trait Accumulator: Debug + Send + Sync {
    /// Row `i` takes the input that stands at `i` of the batch's selection.
    fn update(&self, rows: &StateRows<'_>, heap: &mut Heap, batch: &Batch<'_>);

    /// Row `i` of `into` takes what row `i` of `from` has.
    fn merge_rows(&self, into: &StateRows<'_>, heap: &mut Heap, from: &StateRows<'_>, from_heap: &Heap);

    /// The columns of the durable form: suffix of the name, and type.
    fn state_columns(&self) -> Vec<(&'static str, DataType)>;

    /// The durable form, one array for each of [`state_columns`](Self::state_columns).
    fn states(&self, rows: &StateRows<'_>, heap: &Heap, out: &mut Vec<ArrayRef>);

    /// Row `i` takes entry `offset + i` of the durable form.
    fn merge_arrays(&self, rows: &StateRows<'_>, heap: &mut Heap, states: &[ArrayRef], offset: usize);

    /// The results. `None` where a result does not fit its type.
    fn output(&self, rows: &StateRows<'_>, heap: &Heap) -> Output;
}

/// Results of one aggregate.
pub(super) struct Output {
    pub(super) values: ArrayRef,
    /// Whether some result did not fit its type; it is null in `values`.
    pub(super) overflowed: bool,
}

impl Output {
    pub(super) fn fits(values: ArrayRef) -> Self {
        Self { values, overflowed: false }
    }
}

/// What one aggregate reads of a batch.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    /// The input column. Only a count of rows has none.
    pub(super) column: Option<&'a dyn Array>,
    pub(super) event_time: &'a [i64],
    pub(super) partition: u32,
    pub(super) positions: Option<&'a [u64]>,
    pub(super) selection: &'a Selection<'a>,
}

impl<'a> Batch<'a> {
    pub(super) fn column(&self) -> &'a dyn Array {
        self.column.expect("only a count of rows has no input")
    }

    /// Calls `take(i, row)` for each selected row that is not null in the input column; `i` counts selected rows.
    #[inline(always)]
    pub(super) fn for_each_value(&self, take: impl FnMut(usize, usize)) {
        let nulls = self.column.and_then(Array::nulls).filter(|nulls| nulls.null_count() > 0);
        for_each_valid(self.selection, nulls, take);
    }
}

#[inline(always)]
fn for_each_valid(selection: &Selection<'_>, nulls: Option<&NullBuffer>, mut take: impl FnMut(usize, usize)) {
    match (selection, nulls) {
        (Selection::Range(range), None) => {
            for (i, row) in range.clone().enumerate() {
                take(i, row);
            }
        }
        (Selection::Indices(indices), None) => {
            for (i, row) in indices.iter().enumerate() {
                take(i, *row as usize);
            }
        }
        (Selection::Range(range), Some(nulls)) => {
            for (i, row) in range.clone().enumerate().filter(|(_, row)| nulls.is_valid(*row)) {
                take(i, row);
            }
        }
        (Selection::Indices(indices), Some(nulls)) => {
            for (i, row) in indices.iter().enumerate().filter(|(_, row)| nulls.is_valid(**row as usize)) {
                take(i, *row as usize);
            }
        }
    }
}

/// The named columns of an aggregate's durable form. All may be null.
pub(super) fn state_fields(name: &str, accumulator: &dyn Accumulator) -> Vec<Field> {
    let columns = accumulator.state_columns().into_iter();
    columns.map(|(suffix, data_type)| Field::new(format!("{name}.{suffix}"), data_type, true)).collect()
}
