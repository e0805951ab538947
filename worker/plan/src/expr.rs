//! A compiled SQL expression.
//!
//! Owns: evaluating it on a batch, and saying in a sentence why it failed.
//! Never: plans anything.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use datafusion_physical_expr::PhysicalExpr;

use crate::{Cause, sql, types};

/// A compiled SQL expression over the columns of one batch layout.
#[derive(Clone)]
pub(crate) struct Expression {
    /// As the manifest has it.
    pub(crate) sql: String,
    /// The type of the values it gives.
    pub(crate) output: DataType,
    pub(crate) physical: Arc<dyn PhysicalExpr>,
}

impl Expression {
    /// One value for each row. The error is a sentence that begins with the expression.
    pub(crate) fn evaluate(&self, rows: &RecordBatch) -> Result<ArrayRef, Cause> {
        self.physical
            .evaluate(rows)
            .and_then(|values| values.into_array(rows.num_rows()))
            .map_err(|error| sql::failure(&error))
            .and_then(|values| types::to_type(values, &self.output))
            .map_err(|why| why.within(|why| format!("`{}`: {why}", self.sql)))
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.sql, types::name(&self.output))
    }
}
