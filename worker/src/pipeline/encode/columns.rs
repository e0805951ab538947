//! The columns of a batch as plain slices.
//!
//! Owns: which types can be written, and the one look at each array that a batch needs.
//! Never: looks at a single value.

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};

use super::EncodeError;

/// What a column holds, as far as writing it goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    Decimal {
        scale: i8,
    },
    Date,
    /// Written as a number in its own unit, or with a zone as RFC 3339 text.
    Timestamp {
        unit: TimeUnit,
        zoned: bool,
    },
}

/// A column of a batch.
pub(super) struct Column<'a> {
    pub(super) cells: Cells<'a>,
    pub(super) nulls: Option<&'a NullBuffer>,
}

/// The values of a column.
pub(super) enum Cells<'a> {
    /// `plain`: no value needs escaping or quoting.
    Text {
        values: &'a StringArray,
        plain: bool,
    },
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Boolean(&'a BooleanBuffer),
    Decimal {
        values: &'a [i128],
        scale: i8,
    },
    Date(&'a [i32]),
    Instant {
        values: &'a [i64],
        per_second: i64,
    },
}

impl Kind {
    /// The kind of a field, or the error that names it.
    pub(super) fn of(field: &Field) -> Result<Self, EncodeError> {
        // A wildcard on purpose: Arrow has many more types, and none of the others is written.
        #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is Arrow's")]
        match field.data_type() {
            DataType::Utf8 => Ok(Self::Text),
            DataType::Int32 => Ok(Self::Int32),
            DataType::Int64 => Ok(Self::Int64),
            DataType::Float32 => Ok(Self::Float32),
            DataType::Float64 => Ok(Self::Float64),
            DataType::Boolean => Ok(Self::Boolean),
            DataType::Decimal128(_, scale) => Ok(Self::Decimal { scale: *scale }),
            DataType::Date32 => Ok(Self::Date),
            DataType::Timestamp(unit, zone) => Ok(Self::Timestamp { unit: *unit, zoned: zone.is_some() }),
            other => {
                Err(EncodeError::UnsupportedType { column: field.name().clone(), data_type: other.clone() })
            }
        }
    }
}

/// The values of an array of a kind.
pub(super) fn cells<'a>(kind: &Kind, array: &'a ArrayRef) -> Column<'a> {
    let cells = match *kind {
        Kind::Text => {
            let values = array.as_string::<i32>();
            Cells::Text { values, plain: false }
        }
        Kind::Int32 => Cells::Int32(array.as_primitive::<Int32Type>().values()),
        Kind::Int64 => Cells::Int64(array.as_primitive::<Int64Type>().values()),
        Kind::Float32 => Cells::Float32(array.as_primitive::<Float32Type>().values()),
        Kind::Float64 => Cells::Float64(array.as_primitive::<Float64Type>().values()),
        Kind::Boolean => Cells::Boolean(array.as_boolean().values()),
        Kind::Decimal { scale } => {
            Cells::Decimal { values: array.as_primitive::<Decimal128Type>().values(), scale }
        }
        Kind::Date => Cells::Date(array.as_primitive::<Date32Type>().values()),
        Kind::Timestamp { unit, zoned } => {
            let (values, per_second): (&[i64], i64) = match unit {
                TimeUnit::Second => (array.as_primitive::<TimestampSecondType>().values(), 1),
                TimeUnit::Millisecond => (array.as_primitive::<TimestampMillisecondType>().values(), 1_000),
                TimeUnit::Microsecond => {
                    (array.as_primitive::<TimestampMicrosecondType>().values(), 1_000_000)
                }
                TimeUnit::Nanosecond => {
                    (array.as_primitive::<TimestampNanosecondType>().values(), 1_000_000_000)
                }
            };
            if zoned { Cells::Instant { values, per_second } } else { Cells::Int64(values) }
        }
    };
    Column { cells, nulls: array.nulls().filter(|nulls| nulls.null_count() > 0) }
}

/// The text of all values of an array, one after another.
pub(super) fn all_text(values: &StringArray) -> &[u8] {
    let offsets = values.value_offsets();
    let bounds = offsets.first().zip(offsets.last());
    bounds.map_or(&[], |(start, end)| &values.value_data()[*start as usize..*end as usize])
}
