//! The column types of a manifest as Arrow types, and what becomes of Arrow types that are not among them.
//!
//! Owns: the mapping both ways, and the cast to the nearest column type.
//! Never: changes a value: what does not fit is an error.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit, TimestampNanosecondType};
use streamjob_crds::{Column, ColumnType};

use crate::{Cause, sql};

/// The zone of TimestampRfc3339.
const UTC: &str = "+00:00";
/// The most digits of a Decimal.
const DIGITS_MAX: u8 = 38;

/// The Arrow type of a declared column.
pub(crate) fn declared(column: &Column) -> DataType {
    match column.column_type {
        ColumnType::String => DataType::Utf8,
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float32 => DataType::Float32,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Decimal => {
            let (precision, scale) = column.decimal_digits();
            DataType::Decimal128(precision, i8::try_from(scale).expect("validation keeps a scale below 39"))
        }
        ColumnType::Date => DataType::Date32,
        ColumnType::TimestampSeconds => DataType::Timestamp(TimeUnit::Second, None),
        ColumnType::TimestampMillis => DataType::Timestamp(TimeUnit::Millisecond, None),
        ColumnType::TimestampMicros => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::TimestampRfc3339 => rfc3339(),
    }
}

fn rfc3339() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

/// The column type that values of this type are turned into after a step. Types without one, such as lists, stay.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is Arrow's")]
pub(crate) fn nearest_type(found: &DataType) -> DataType {
    match found {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::Int8 | DataType::Int16 => DataType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => nearest_decimal(*p, *s),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => rfc3339(),
        DataType::Dictionary(_, value) => nearest_type(value),
        DataType::RunEndEncoded(_, value) => nearest_type(value.data_type()),
        other => other.clone(),
    }
}

fn nearest_decimal(precision: u8, scale: i8) -> DataType {
    if scale < 0 {
        return DataType::Decimal128(precision.saturating_add(scale.unsigned_abs()).min(DIGITS_MAX), 0);
    }
    DataType::Decimal128(precision.min(DIGITS_MAX), scale.min(38))
}

/// Turns values into the nearest column type; the error names a value that does not fit.
pub(crate) fn to_type(values: ArrayRef, target: &DataType) -> Result<ArrayRef, Cause> {
    if values.data_type() == target {
        return Ok(values);
    }
    if let DataType::Timestamp(TimeUnit::Nanosecond, _) = values.data_type() {
        // Arrow's cast rounds towards zero.
        let nanos = values.as_primitive::<TimestampNanosecondType>();
        let micros: TimestampMicrosecondArray = nanos.unary(|nanos| nanos.div_euclid(1000));
        return to_type(Arc::new(micros.with_data_type(target.clone())), target);
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&values, target, &strict).map_err(|error| sql::arrow_failure(&error))
}

/// Whether a column of this type can be a key or the input of an aggregate.
pub(crate) fn is_column_type(found: &DataType) -> bool {
    matches!(
        found,
        DataType::Utf8
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Boolean
            | DataType::Decimal128(_, _)
            | DataType::Date32
            | DataType::Timestamp(_, _)
    )
}

/// The name of a type with its article: `an Int64`, `a String`.
pub(crate) fn a(found: &DataType) -> String {
    let name = name(found);
    let article = if name.starts_with(['I', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// The name of a type in the words of the manifest.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is Arrow's")]
pub(crate) fn name(found: &DataType) -> String {
    match found {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "String".to_owned(),
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => format!("Decimal({p}, {s})"),
        DataType::Date32 | DataType::Date64 => "Date".to_owned(),
        DataType::Timestamp(_, Some(_)) => "TimestampRfc3339".to_owned(),
        DataType::Timestamp(TimeUnit::Second, None) => "TimestampSeconds".to_owned(),
        DataType::Timestamp(TimeUnit::Millisecond, None) => "TimestampMillis".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "TimestampMicros".to_owned(),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => "TimestampNanos".to_owned(),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("list of {}", name(item.data_type()))
        }
        DataType::Dictionary(_, value) => name(value),
        DataType::Interval(_) => "interval".to_owned(),
        DataType::Duration(_) => "duration".to_owned(),
        DataType::Struct(_) => "struct".to_owned(),
        DataType::Map(_, _) => "map".to_owned(),
        DataType::Null => "null".to_owned(),
        other => other.to_string(),
    }
}
