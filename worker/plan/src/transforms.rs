//! From source rows to the rows that are keyed: where, select, flatMap.
//!
//! Owns: the compiled steps, and which row comes from which.
//! Never: loses a row without saying so.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

/// The compiled transforms of a job, in the order written.
#[derive(Clone, Debug)]
pub struct Transforms {
    schema: SchemaRef,
}

/// A row that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejected {
    /// Its index in the batch that came in.
    pub row: u32,
    /// Why, in a sentence without values of other columns.
    pub cause: String,
}

/// Rows after the transforms.
#[derive(Clone, Debug)]
pub struct Transformed {
    /// The rows; their columns are [`Transforms::output`].
    pub rows: RecordBatch,
    /// For each row the index of the row it comes from, ascending. `None`: row i comes from row i.
    pub origin: Option<Vec<u32>>,
}

impl Transforms {
    /// The columns of [`Transformed::rows`].
    pub fn output(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns of the output that make a late row: all columns of the source. `None` when late rows are not written.
    pub fn late_columns(&self) -> Option<&[usize]> {
        None
    }

    /// Applies the steps to a batch. Rows already in `rejected` are left out; rows whose expressions fail are added to it.
    pub fn apply(&self, rows: &RecordBatch, rejected: &mut Vec<Rejected>) -> Transformed {
        let _ = rejected;
        Transformed { rows: rows.clone(), origin: None }
    }
}
