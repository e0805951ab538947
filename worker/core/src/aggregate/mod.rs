//! Aggregate functions: what is kept per key, how it grows, how it is merged and read.
//!
//! Owns: the functions, their state and its versioned encoding.
//! Never: knows a window or a key.

mod accumulator;
mod choose;
mod count;
mod distinct;
mod edge;
mod extreme;
mod heap;
mod layout;
mod slot;
mod spec;
mod sum;
#[cfg(test)]
mod tests;
mod total;
mod value;

use std::sync::Arc;

use accumulator::{Accumulator, Batch, state_fields};
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field};
pub use heap::Heap;
use layout::Layout;
pub use spec::{AggregateError, AggregateSpec, Function, Overflow};

use crate::table::{Selection, StateRows};

/// The columns of a batch that aggregates read.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The columns that the aggregates' inputs are indices of.
    pub columns: &'a [ArrayRef],
    /// The event time of each row.
    pub event_time: &'a [i64],
    /// The partition that all rows come from.
    pub partition: u32,
    /// Each row's position in the partition. Read by First and Last only, which do not go without.
    pub positions: Option<&'a [u64]>,
}

/// A result that does not fit its type.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "aggregate `{aggregate}` does not fit {data_type}; give it `overflow: Null`, or a smaller input with `select`"
)]
pub struct OverflowError {
    /// The name of the aggregate.
    pub aggregate: String,
    /// The type of its result.
    pub data_type: DataType,
}

/// All aggregates of a job, over rows of one table.
///
/// A row's state is [`row_width`](Self::row_width) bytes in the row, and what the row's handles refer to in the
/// table's [`Heap`]. In all calls a row may be in the group more than once; entries are taken in order.
#[derive(Clone, Debug)]
pub struct Aggregates {
    placed: Arc<[Placed]>,
    row_width: usize,
}

#[derive(Debug)]
struct Placed {
    name: String,
    input: Option<usize>,
    overflow: Overflow,
    output: DataType,
    state_columns: usize,
    accumulator: Box<dyn Accumulator>,
}

impl Aggregates {
    /// Lays out the states of these aggregates.
    pub fn new(specs: &[AggregateSpec]) -> Result<Self, AggregateError> {
        let mut layout = Layout::default();
        let place = |spec: &AggregateSpec| -> Result<Placed, AggregateError> {
            let output = spec.output_type()?;
            let accumulator = choose::accumulator(&mut layout, spec, &output)?;
            Ok(Placed {
                name: spec.name.clone(),
                input: spec.input.as_ref().map(|(column, _)| *column),
                overflow: spec.overflow,
                output,
                state_columns: accumulator.state_columns().len(),
                accumulator,
            })
        };
        let placed = specs.iter().map(place).collect::<Result<_, _>>()?;
        Ok(Self { placed, row_width: layout.width() })
    }

    /// Bytes of state in a row, a multiple of 4.
    pub fn row_width(&self) -> usize {
        self.row_width
    }

    /// Makes a row's state that of no input: the same bytes for every row.
    pub fn init(&self, row: &mut [u8]) {
        assert_eq!(row.len(), self.row_width, "a row has the width of its state");
        row.fill(0);
    }

    /// A row's state of no input.
    pub(crate) fn template(&self) -> Vec<u8> {
        let mut template = vec![0; self.row_width];
        self.init(&mut template);
        template
    }

    /// Row `i` takes the input row that stands at `i` of the selection.
    pub fn update(
        &self,
        rows: &StateRows<'_>,
        heap: &mut Heap,
        inputs: &Inputs<'_>,
        selection: Selection<'_>,
    ) {
        assert_eq!(rows.len(), selection.len(), "each selected input has a row");
        for placed in self.placed.iter() {
            let batch = Batch {
                column: placed.input.map(|column| -> &dyn Array { &*inputs.columns[column] }),
                event_time: inputs.event_time,
                partition: inputs.partition,
                positions: inputs.positions,
                selection: &selection,
            };
            placed.accumulator.update(rows, heap, &batch);
        }
    }

    /// Row `i` of `into` takes what row `i` of `from`, rows of another table, has.
    pub fn merge_rows(&self, into: &StateRows<'_>, heap: &mut Heap, from: &StateRows<'_>, from_heap: &Heap) {
        assert_eq!(into.len(), from.len(), "rows are merged in pairs");
        for placed in self.placed.iter() {
            placed.accumulator.merge_rows(into, heap, from, from_heap);
        }
    }

    /// The columns of the durable form, all aggregates one after another: [`AggregateSpec::state_fields`].
    pub fn state_fields(&self) -> Vec<Field> {
        self.placed.iter().flat_map(|placed| state_fields(&placed.name, &*placed.accumulator)).collect()
    }

    /// The durable form of the states, one array for each of [`state_fields`](Self::state_fields).
    pub fn states(&self, rows: &StateRows<'_>, heap: &Heap) -> Vec<ArrayRef> {
        let mut states = Vec::new();
        for placed in self.placed.iter() {
            placed.accumulator.states(rows, heap, &mut states);
        }
        states
    }

    /// Row `i` takes entry `offset + i` of the durable form.
    pub fn merge_arrays(&self, rows: &StateRows<'_>, heap: &mut Heap, states: &[ArrayRef], offset: usize) {
        let mut rest = states;
        for placed in self.placed.iter() {
            let (own, others) = rest.split_at(placed.state_columns);
            placed.accumulator.merge_arrays(rows, heap, own, offset);
            rest = others;
        }
        assert!(rest.is_empty(), "{} state columns belong to no aggregate", rest.len());
    }

    /// The results, one array for each aggregate.
    pub fn output(&self, rows: &StateRows<'_>, heap: &Heap) -> Result<Vec<ArrayRef>, OverflowError> {
        let result = |placed: &Placed| {
            let output = placed.accumulator.output(rows, heap);
            if output.overflowed && placed.overflow == Overflow::Fail {
                let (aggregate, data_type) = (placed.name.clone(), placed.output.clone());
                return Err(OverflowError { aggregate, data_type });
            }
            Ok(output.values)
        };
        self.placed.iter().map(result).collect()
    }
}
