//! The types of columns, as text has them.
//!
//! Owns: from Arrow's types to how their values are written, and the names that users know.
//! Never: holds values.

use std::fmt;

use arrow::datatypes::{DataType, TimeUnit};

/// How the values of a column are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Text,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    Decimal { precision: u8, scale: i8 },
    Date,
    Seconds,
    Millis,
    Micros,
    Rfc3339,
}

impl Kind {
    /// `None`: the manifest has no such type.
    #[expect(clippy::wildcard_enum_match_arm, reason = "Arrow's enum; the manifest has these types only")]
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Utf8 => Self::Text,
            DataType::Int32 => Self::Int32,
            DataType::Int64 => Self::Int64,
            DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            DataType::Boolean => Self::Boolean,
            DataType::Decimal128(precision, scale) => Self::Decimal { precision: *precision, scale: *scale },
            DataType::Date32 => Self::Date,
            DataType::Timestamp(TimeUnit::Second, None) => Self::Seconds,
            DataType::Timestamp(TimeUnit::Millisecond, None) => Self::Millis,
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::Micros,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Self::Rfc3339,
            _ => return None,
        })
    }
}

/// The manifest's spelling of the type.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "String",
            Self::Int32 => "Int32",
            Self::Int64 => "Int64",
            Self::Float32 => "Float32",
            Self::Float64 => "Float64",
            Self::Boolean => "Boolean",
            Self::Decimal { precision, scale } => return write!(f, "Decimal({precision}, {scale})"),
            Self::Date => "Date (YYYY-MM-DD)",
            Self::Seconds => "TimestampSeconds",
            Self::Millis => "TimestampMillis",
            Self::Micros => "TimestampMicros",
            Self::Rfc3339 => "TimestampRfc3339 (such as 2026-01-31T08:00:00.123Z)",
        })
    }
}
