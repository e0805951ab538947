//! Gives each source row its event time.
//!
//! Owns: the event-time column or expression, and what makes a row's time unusable.
//! Never: looks at a watermark.

#[cfg(test)]
mod tests;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampSecondType,
};

use crate::expr::Expression;
use crate::{Cause, Rejected, types};

/// 0001-01-01T00:00:00Z.
const FIRST_MS: i64 = -62_135_596_800_000;
/// 9999-12-31T23:59:59.999Z.
const LAST_MS: i64 = 253_402_300_799_999;
const MS_PER_DAY: i64 = 86_400_000;

/// The event-time column or expression of a job.
#[derive(Clone, Debug)]
pub struct EventTimeExpr {
    expr: Expression,
}

/// The event times of a batch.
#[derive(Clone, Debug)]
pub struct EventTimes {
    /// Epoch milliseconds, one for each row; `i64::MIN` where the row is rejected.
    pub times: ScalarBuffer<i64>,
    /// Rows without a usable event time.
    pub rejected: Vec<Rejected>,
}

impl EventTimeExpr {
    /// The error says why values of the expression's type are no event times.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is Arrow's")]
    pub(crate) fn check(output: &DataType, is_column: bool) -> Result<(), String> {
        match output {
            DataType::Timestamp(_, _) | DataType::Date32 | DataType::Int64 => Ok(()),
            DataType::Int32 => Err("Int32 is too small for epoch milliseconds; \
                use Int64, for seconds `expr: CAST(… AS BIGINT) * 1000`"
                .to_owned()),
            DataType::Utf8 if is_column => Err("a String is not an instant; declare the column as \
                TimestampRfc3339, or use `expr: to_timestamp_millis(…)`"
                .to_owned()),
            other => Err(format!(
                "{} is not an instant; it must be a timestamp, a Date or Int64 (epoch milliseconds)",
                types::a(other)
            )),
        }
    }

    pub(crate) fn new(expr: Expression) -> Self {
        Self { expr }
    }

    /// The column or expression as the manifest has it.
    pub(crate) fn sql(&self) -> &str {
        &self.expr.sql
    }

    pub(crate) fn value_type(&self) -> &DataType {
        &self.expr.output
    }

    /// The event time of each row of a batch of the source's schema. Microseconds are rounded down.
    pub fn evaluate(&self, rows: &RecordBatch) -> EventTimes {
        if rows.num_rows() == 0 {
            return EventTimes { times: ScalarBuffer::from(Vec::new()), rejected: Vec::new() };
        }
        match self.expr.evaluate(rows) {
            Ok(values) => self.bounded(&values),
            Err(cause) if rows.num_rows() == 1 => {
                let cause = cause.within(|cause| format!("event time {cause}"));
                EventTimes { times: vec![i64::MIN].into(), rejected: vec![Rejected { row: 0, cause }] }
            }
            Err(_) => self.halves(rows),
        }
    }

    /// A failing row fails its batch: halving finds it.
    fn halves(&self, rows: &RecordBatch) -> EventTimes {
        let half = rows.num_rows() / 2;
        let first = self.evaluate(&rows.slice(0, half));
        let second = self.evaluate(&rows.slice(half, rows.num_rows() - half));
        let mut times = first.times.to_vec();
        times.extend_from_slice(&second.times);
        let mut rejected = first.rejected;
        rejected.extend(
            second.rejected.into_iter().map(|bad| Rejected { row: bad.row + half as u32, cause: bad.cause }),
        );
        EventTimes { times: times.into(), rejected }
    }

    fn bounded(&self, values: &ArrayRef) -> EventTimes {
        let times = millis(values);
        let nulls = values.nulls().filter(|nulls| nulls.null_count() > 0);
        if nulls.is_none() && all_usable(&times) {
            return EventTimes { times, rejected: Vec::new() };
        }
        self.rejecting(&times, nulls)
    }

    #[cold]
    fn rejecting(&self, times: &[i64], nulls: Option<&NullBuffer>) -> EventTimes {
        let mut usable = times.to_vec();
        let mut rejected = Vec::new();
        for (row, time) in usable.iter_mut().enumerate() {
            let cause = if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                "is null"
            } else if !(FIRST_MS..=LAST_MS).contains(time) {
                "is outside the years 0001 to 9999"
            } else {
                continue;
            };
            *time = i64::MIN;
            let cause = Cause::plain(format!("event time `{}` {cause}", self.expr.sql));
            rejected.push(Rejected { row: row as u32, cause });
        }
        EventTimes { times: usable.into(), rejected }
    }
}

/// Without a branch per value, so that the compiler can use wide instructions.
fn all_usable(times: &[i64]) -> bool {
    times.iter().fold(true, |usable, time| usable & (FIRST_MS..=LAST_MS).contains(time))
}

/// Epoch milliseconds; values of milliseconds are shared, not copied.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is Arrow's")]
fn millis(values: &ArrayRef) -> ScalarBuffer<i64> {
    match values.data_type() {
        DataType::Int64 => values.as_primitive::<Int64Type>().values().clone(),
        DataType::Date32 => {
            let days = values.as_primitive::<Date32Type>().values();
            days.iter().map(|days| i64::from(*days) * MS_PER_DAY).collect()
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            values.as_primitive::<TimestampMillisecondType>().values().clone()
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            let seconds = values.as_primitive::<TimestampSecondType>().values();
            seconds.iter().map(|seconds| seconds.saturating_mul(1000)).collect()
        }
        _ => {
            let micros = values.as_primitive::<TimestampMicrosecondType>().values();
            micros.iter().map(|micros| micros.div_euclid(1000)).collect()
        }
    }
}
