//! Which aggregate over which column, and the type it gives.
//!
//! Owns: the functions' names and type rules.
//! Never: computes.

use std::fmt;

use arrow::datatypes::{DataType, Field, TimeUnit};

use super::Aggregates;
use super::total::scale_of;

/// The aggregate functions. All skip nulls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Function {
    /// Rows, or values that are not null when it has an input.
    Count,
    /// Of numbers.
    Sum,
    /// The smallest; NaN is the greatest.
    Min,
    /// The greatest; NaN is the greatest.
    Max,
    /// The mean of numbers.
    Avg,
    /// The value of the earliest row by (event time, partition, position).
    First,
    /// The value of the latest row by (event time, partition, position).
    Last,
    /// How many different values, exactly.
    CountDistinct,
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "Count",
            Self::Sum => "Sum",
            Self::Min => "Min",
            Self::Max => "Max",
            Self::Avg => "Avg",
            Self::First => "First",
            Self::Last => "Last",
            Self::CountDistinct => "CountDistinct",
        })
    }
}

/// What happens when a sum does not fit its type.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Overflow {
    /// An error that names window and aggregate.
    #[default]
    Fail,
    /// The result is null.
    Null,
}

/// One aggregate of a job.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AggregateSpec {
    /// The result column.
    pub name: String,
    /// What is computed.
    pub function: Function,
    /// The input column's index, and its type. Only Count may have none: it counts rows.
    pub input: Option<(usize, DataType)>,
    /// For Sum.
    pub overflow: Overflow,
}

/// An aggregate that cannot be computed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AggregateError {
    /// The function is not defined for the type of its input.
    #[error("{function} is not defined for a column of type {input}; {remedy}")]
    Undefined {
        /// The function.
        function: Function,
        /// The type of the input column.
        input: DataType,
        /// What to do.
        remedy: &'static str,
    },
    /// The function needs an input.
    #[error("{0} needs a `field`; only Count may go without")]
    NoInput(Function),
}

impl AggregateSpec {
    /// The version of the durable form of states. Another one cannot be read.
    pub const STATE_VERSION: u32 = 1;

    /// The type of the result column.
    pub fn output_type(&self) -> Result<DataType, AggregateError> {
        let Some((_, input)) = &self.input else {
            return match self.function {
                Function::Count => Ok(DataType::Int64),
                Function::Sum
                | Function::Min
                | Function::Max
                | Function::Avg
                | Function::First
                | Function::Last
                | Function::CountDistinct => Err(AggregateError::NoInput(self.function)),
            };
        };
        if self.function == Function::Count {
            return Ok(DataType::Int64);
        }
        let kind = kind_of(input).ok_or_else(|| self.undefined(input))?;
        match self.function {
            Function::Count | Function::CountDistinct => Ok(DataType::Int64),
            Function::Min | Function::Max | Function::First | Function::Last => Ok(input.clone()),
            Function::Sum => self.sum_type(kind, input),
            Function::Avg => self.avg_type(kind, input),
        }
    }

    /// The columns of the durable form of a state, version [`STATE_VERSION`](Self::STATE_VERSION). All may be null.
    ///
    /// | function | columns |
    /// | --- | --- |
    /// | Count | `count` Int64 |
    /// | Sum | `sum`: Decimal128(38,0) of integers, Float64 of floats, Decimal256(76,s) of Decimal(p,s); null: no value |
    /// | Avg | `sum` as for Sum, `count` Int64 |
    /// | Min, Max | `min` or `max` of the input's type; null: no value |
    /// | First, Last | `first` or `last` of the input's type, `event_time` Int64 in ms, `partition` UInt32, `position` UInt64; null: no value |
    /// | CountDistinct | `values` List of the input's type: each value once, ascending, NaN last, 0 for -0 |
    pub fn state_fields(&self) -> Result<Vec<Field>, AggregateError> {
        Ok(Aggregates::new(std::slice::from_ref(self))?.state_fields())
    }

    fn sum_type(&self, kind: Kind, input: &DataType) -> Result<DataType, AggregateError> {
        match kind {
            Kind::Int32 | Kind::Int64 if input.is_integer() => Ok(DataType::Int64),
            Kind::Float32 | Kind::Float64 => Ok(DataType::Float64),
            Kind::Decimal => Ok(DataType::Decimal128(38, scale_of(input))),
            Kind::Int32 | Kind::Int64 | Kind::Boolean | Kind::String => Err(self.undefined(input)),
        }
    }

    fn avg_type(&self, kind: Kind, input: &DataType) -> Result<DataType, AggregateError> {
        match kind {
            Kind::Int32 | Kind::Int64 if input.is_integer() => Ok(DataType::Float64),
            Kind::Float32 | Kind::Float64 => Ok(DataType::Float64),
            Kind::Decimal => Ok(DataType::Decimal128(38, scale_of(input).saturating_add(4).min(38))),
            Kind::Int32 | Kind::Int64 | Kind::Boolean | Kind::String => Err(self.undefined(input)),
        }
    }

    pub(super) fn undefined(&self, input: &DataType) -> AggregateError {
        let remedy = match self.function {
            Function::Sum | Function::Avg => {
                "use an Int32, Int64, float or Decimal column, or convert it with `select`"
            }
            Function::Count
            | Function::Min
            | Function::Max
            | Function::First
            | Function::Last
            | Function::CountDistinct => "convert it to one of the column types with `select`",
        };
        AggregateError::Undefined { function: self.function, input: input.clone(), remedy }
    }
}

/// What the values of a column are to an aggregate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Int32 and dates.
    Int32,
    /// Int64 and timestamps.
    Int64,
    Float32,
    Float64,
    Decimal,
    Boolean,
    String,
}

/// `None` for a type that no column of a job has.
pub(super) fn kind_of(data_type: &DataType) -> Option<Kind> {
    const KINDS: [(DataType, Kind); 7] = [
        (DataType::Int32, Kind::Int32),
        (DataType::Date32, Kind::Int32),
        (DataType::Int64, Kind::Int64),
        (DataType::Float32, Kind::Float32),
        (DataType::Float64, Kind::Float64),
        (DataType::Boolean, Kind::Boolean),
        (DataType::Utf8, Kind::String),
    ];
    let is_decimal = matches!(data_type, DataType::Decimal128(..)).then_some(Kind::Decimal);
    let is_timestamp = is_timestamp(data_type).then_some(Kind::Int64);
    let listed = || KINDS.iter().find(|(listed, _)| listed == data_type).map(|(_, kind)| *kind);
    is_decimal.or(is_timestamp).or_else(listed)
}

fn is_timestamp(data_type: &DataType) -> bool {
    const UNITS: [TimeUnit; 3] = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond];
    matches!(data_type, DataType::Timestamp(unit, _) if UNITS.contains(unit))
}
