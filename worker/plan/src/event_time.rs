//! Gives each source row its event time.
//!
//! Owns: the event-time column or expression, and what makes a row's time unusable.
//! Never: looks at a watermark.

use arrow::array::RecordBatch;
use arrow::buffer::ScalarBuffer;

use crate::Rejected;

/// The event-time column or expression of a job.
#[derive(Clone, Debug)]
pub struct EventTimeExpr {}

/// The event times of a batch.
#[derive(Clone, Debug)]
pub struct EventTimes {
    /// Epoch milliseconds, one for each row; `i64::MIN` where the row is rejected.
    pub times: ScalarBuffer<i64>,
    /// Rows without a usable event time.
    pub rejected: Vec<Rejected>,
}

impl EventTimeExpr {
    /// The event time of each row of a batch of the source's schema.
    pub fn evaluate(&self, rows: &RecordBatch) -> EventTimes {
        EventTimes { times: vec![i64::MIN; rows.num_rows()].into(), rejected: Vec::new() }
    }
}
