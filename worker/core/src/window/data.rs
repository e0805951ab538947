//! What goes into windows.
//!
//! Owns: keyed rows and partial states on their way to a window.
//! Never: sends them.

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::take;

use crate::key::Keys;

/// Rows of one partition, with their keys.
#[derive(Clone, Debug)]
pub struct KeyedRows {
    /// The partition that they come from.
    pub partition: u32,
    /// Their keys.
    pub keys: Keys,
    /// Their event times.
    pub event_time: ScalarBuffer<i64>,
    /// Where they stand in their partition, if an aggregate needs it.
    pub positions: Option<ScalarBuffer<u64>>,
    /// The columns that aggregates read; there may be none.
    pub rows: RecordBatch,
}

impl KeyedRows {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Memory that the rows take, about.
    pub fn bytes(&self) -> usize {
        let columns: usize = self.rows.columns().iter().map(column_bytes).sum();
        self.keys.memory_bytes() + self.len() * if self.positions.is_some() { 16 } else { 8 } + columns
    }

    /// Consecutive rows.
    pub fn slice(&self, offset: usize, len: usize) -> Self {
        Self {
            partition: self.partition,
            keys: self.keys.slice(offset, len),
            event_time: self.event_time.slice(offset, len),
            positions: self.positions.as_ref().map(|positions| positions.slice(offset, len)),
            rows: self.rows.slice(offset, len),
        }
    }

    /// The rows at these indices.
    pub fn select(&self, indices: &[u32]) -> Self {
        let positions = self.positions.as_ref();
        let positions = positions.map(|all| indices.iter().map(|&index| all[index as usize]).collect());
        let wanted = UInt32Array::from(indices.to_vec());
        let select = |column: &ArrayRef| take(column, &wanted, None).expect("indices are within the batch");
        let columns = self.rows.columns().iter().map(select).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(indices.len()));
        let rows = RecordBatch::try_new_with_options(self.rows.schema(), columns, &options);
        Self {
            partition: self.partition,
            keys: self.keys.select(indices),
            event_time: indices.iter().map(|&index| self.event_time[index as usize]).collect(),
            positions,
            rows: rows.expect("a selection of rows has their columns"),
        }
    }
}

/// States of some keys of one slice, all for one slot, in the order of key groups.
#[derive(Clone, Debug)]
pub struct Partials {
    /// The end of the slice.
    pub slice_end: i64,
    /// The keys.
    pub keys: Keys,
    /// The states, in the form that [`Aggregates::states`](crate::aggregate::Aggregates::states) gives.
    pub states: Vec<ArrayRef>,
    /// How many rows went into them.
    pub rows: u64,
}

impl Partials {
    /// Whether there is no state.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Memory that the states take, about.
    pub fn bytes(&self) -> usize {
        let states: usize = self.states.iter().map(column_bytes).sum();
        self.keys.memory_bytes() + states
    }
}

/// Of the values that the column shows; it may share a much larger buffer with others.
fn column_bytes(column: &ArrayRef) -> usize {
    column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
}
