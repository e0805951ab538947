//! Aggregates over rows that lie in a plain list.
//!
//! Owns: the table of the tests.
//! Never: tests a key or a window.

mod cases;
mod golden;
mod model;
mod properties;

use std::ptr::NonNull;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, TimeUnit};

use super::{AggregateSpec, Aggregates, Function, Heap, Inputs, Overflow, OverflowError};
use crate::table::{Selection, StateRows};

const FUNCTIONS: [Function; 8] = [
    Function::Count,
    Function::Sum,
    Function::Min,
    Function::Max,
    Function::Avg,
    Function::First,
    Function::Last,
    Function::CountDistinct,
];

/// The types that columns of a job have.
fn column_types() -> Vec<DataType> {
    vec![
        DataType::Utf8,
        DataType::Int32,
        DataType::Int64,
        DataType::Float32,
        DataType::Float64,
        DataType::Boolean,
        DataType::Decimal128(10, 2),
        DataType::Decimal128(38, 10),
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Second, None),
        DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("+00:00"))),
    ]
}

/// The aggregates that are defined over the column with this index and type.
fn specs(column: usize, data_type: &DataType) -> Vec<AggregateSpec> {
    let all = FUNCTIONS.map(|function| spec(function, column, data_type));
    all.into_iter().filter(|spec| spec.output_type().is_ok()).collect()
}

fn spec(function: Function, column: usize, data_type: &DataType) -> AggregateSpec {
    AggregateSpec {
        name: format!("{function}"),
        function,
        input: Some((column, data_type.clone())),
        overflow: Overflow::Null,
    }
}

/// Rows of state, one per key, where a key is the row's number.
struct Rows {
    aggregates: Aggregates,
    bytes: Vec<u8>,
    heap: Heap,
}

impl Rows {
    fn new(aggregates: &Aggregates, keys: usize) -> Self {
        let mut bytes = vec![0xAA; keys * aggregates.row_width()];
        bytes.chunks_mut(aggregates.row_width()).for_each(|row| aggregates.init(row));
        Self { aggregates: aggregates.clone(), bytes, heap: Heap::default() }
    }

    fn with<R>(
        &mut self,
        keys: &[usize],
        act: impl FnOnce(&Aggregates, &StateRows<'_>, &mut Heap) -> R,
    ) -> R {
        let width = self.aggregates.row_width();
        assert!(keys.iter().all(|key| (key + 1) * width <= self.bytes.len()));
        let base = NonNull::new(self.bytes.as_mut_ptr()).expect("a list is somewhere");
        // SAFETY: each key's row lies within the list (checked above).
        let states: Vec<_> = keys.iter().map(|key| unsafe { base.add(key * width) }).collect();
        // SAFETY: the rows are initialised, and `self.bytes` is not touched otherwise while the group is there.
        let rows = unsafe { StateRows::new(&states, width) };
        act(&self.aggregates, &rows, &mut self.heap)
    }

    fn keys(&self) -> Vec<usize> {
        (0..self.bytes.len() / self.aggregates.row_width()).collect()
    }

    fn update(&mut self, keys: &[usize], inputs: &Inputs<'_>, selection: Selection<'_>) {
        self.with(keys, |aggregates, rows, heap| aggregates.update(rows, heap, inputs, selection));
    }

    fn merge(&mut self, from: &mut Rows) {
        let keys = self.keys();
        let (from_aggregates, from_keys) = (from.aggregates.clone(), from.keys());
        assert_eq!(from_keys, keys);
        self.with(&keys, |aggregates, rows, heap| {
            assert_eq!(aggregates.row_width(), from_aggregates.row_width());
            from.with(&from_keys, |_, from_rows, from_heap| {
                aggregates.merge_rows(rows, heap, from_rows, from_heap);
            });
        });
    }

    fn states(&mut self) -> Vec<ArrayRef> {
        let keys = self.keys();
        self.with(&keys, |aggregates, rows, heap| aggregates.states(rows, heap))
    }

    fn merge_states(&mut self, keys: &[usize], states: &[ArrayRef], offset: usize) {
        self.with(keys, |aggregates, rows, heap| aggregates.merge_arrays(rows, heap, states, offset));
    }

    fn output(&mut self) -> Result<Vec<ArrayRef>, OverflowError> {
        let keys = self.keys();
        self.with(&keys, |aggregates, rows, heap| aggregates.output(rows, heap))
    }
}

/// One row that has taken a whole column, in partition 3, in order.
fn fed(spec: AggregateSpec, column: ArrayRef) -> Rows {
    let aggregates = Aggregates::new(&[spec]).expect("defined for the column");
    let mut rows = Rows::new(&aggregates, 1);
    let count = column.len();
    let event_time: Vec<i64> = (0..count as i64).map(|row| 1_000 + row / 2).collect();
    let positions: Vec<u64> = (0..count as u64).collect();
    let columns = [column];
    let inputs =
        Inputs { columns: &columns, event_time: &event_time, partition: 3, positions: Some(&positions) };
    rows.update(&vec![0; count], &inputs, Selection::Range(0..count));
    rows
}
