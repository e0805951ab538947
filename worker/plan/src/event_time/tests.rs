//! Tests of event times.
//!
//! Owns: units, bounds and rejected rows.
//! Never: goes through a manifest.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Date32Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::datatypes::TimestampMillisecondType;

use super::{EventTimeExpr, EventTimes, FIRST_MS, LAST_MS};
use crate::sql::Planned;
use crate::{Cause, Rejected};

fn evaluated(sql: &str, values: ArrayRef) -> EventTimes {
    let rows = RecordBatch::try_from_iter_with_nullable([("ts", values, true)]).expect("one column");
    let planned = Planned::new(sql, &rows.schema(), &[]).expect("the expression of a test compiles");
    EventTimeExpr::check(&planned.output, false).expect("the expression of a test is an instant");
    EventTimeExpr::new(planned.bind(&rows.schema()).expect("the column is there")).evaluate(&rows)
}

#[test]
fn every_unit_becomes_milliseconds_rounded_down() {
    let micros = TimestampMicrosecondArray::from(vec![1_999, -1, -1_000, -1_001]);
    let with_zone = micros.clone().with_timezone("+00:00");

    assert_eq!(*evaluated("ts", Arc::new(micros)).times, [1, -1, -1, -2]);
    assert_eq!(*evaluated("ts", Arc::new(with_zone)).times, [1, -1, -1, -2]);
    assert_eq!(*evaluated("ts", Arc::new(TimestampSecondArray::from(vec![2, -2]))).times, [2_000, -2_000]);
    assert_eq!(*evaluated("ts", Arc::new(Date32Array::from(vec![1, -1]))).times, [86_400_000, -86_400_000]);
    assert_eq!(*evaluated("ts", Arc::new(Int64Array::from(vec![5, -5]))).times, [5, -5]);
    assert_eq!(*evaluated("ts * 1000", Arc::new(Int64Array::from(vec![5]))).times, [5_000]);
}

#[test]
fn nanoseconds_are_rounded_down_too() {
    let nanos = TimestampNanosecondArray::from(vec![1_999_999, -1, -1_000_001]);

    assert_eq!(*evaluated("ts", Arc::new(nanos)).times, [1, -1, -2]);
}

#[test]
fn milliseconds_are_not_copied() {
    let values: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1, 2, 3]));

    let times = evaluated("ts", Arc::clone(&values)).times;

    assert_eq!(times.as_ptr(), values.as_primitive::<TimestampMillisecondType>().values().as_ptr());
}

#[test]
fn a_time_that_is_null_or_out_of_bounds_rejects_its_row_only() {
    let values =
        vec![Some(FIRST_MS), None, Some(FIRST_MS - 1), Some(LAST_MS), Some(LAST_MS + 1), Some(i64::MIN)];

    let found = evaluated("ts", Arc::new(TimestampMillisecondArray::from(values)));

    let bad = |row, why: &str| Rejected { row, cause: Cause::plain(format!("event time `ts` {why}")) };
    let outside = "is outside the years 0001 to 9999";
    assert_eq!(*found.times, [FIRST_MS, i64::MIN, i64::MIN, LAST_MS, i64::MIN, i64::MIN]);
    assert_eq!(found.rejected, [bad(1, "is null"), bad(2, outside), bad(4, outside), bad(5, outside)]);
}

#[test]
fn seconds_that_do_not_fit_are_out_of_bounds() {
    let found = evaluated("ts", Arc::new(TimestampSecondArray::from(vec![i64::MAX, 1])));

    assert_eq!(*found.times, [i64::MIN, 1_000]);
    assert_eq!(found.rejected.len(), 1);
}

#[test]
fn an_expression_that_fails_rejects_its_row_only() {
    let found =
        evaluated("100 / ts", Arc::new(Int64Array::from(vec![Some(1), Some(0), None, Some(2), Some(0)])));

    let cause = Cause::plain("event time `100 / ts`: division by zero");
    assert_eq!(*found.times, [100, i64::MIN, i64::MIN, 50, i64::MIN]);
    assert_eq!(found.rejected[0], Rejected { row: 1, cause });
    assert_eq!(found.rejected.iter().map(|rejected| rejected.row).collect::<Vec<_>>(), [1, 2, 4]);
}
