//! Which aggregate over which column, and the type it gives.
//!
//! Owns: the functions' names and type rules.
//! Never: computes.

use std::fmt;

use arrow::datatypes::DataType;

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
        match self.function {
            Function::Count | Function::CountDistinct => Ok(DataType::Int64),
            Function::Min | Function::Max | Function::First | Function::Last => Ok(input.clone()),
            Function::Sum => self.sum_type(input),
            Function::Avg => self.avg_type(input),
        }
    }

    fn sum_type(&self, input: &DataType) -> Result<DataType, AggregateError> {
        if input.is_integer() {
            return Ok(DataType::Int64);
        }
        if input.is_floating() {
            return Ok(DataType::Float64);
        }
        if let DataType::Decimal128(_, scale) = input {
            return Ok(DataType::Decimal128(38, *scale));
        }
        Err(self.undefined(input))
    }

    fn avg_type(&self, input: &DataType) -> Result<DataType, AggregateError> {
        if input.is_integer() || input.is_floating() {
            return Ok(DataType::Float64);
        }
        if let DataType::Decimal128(_, scale) = input {
            return Ok(DataType::Decimal128(38, scale.saturating_add(4).min(38)));
        }
        Err(self.undefined(input))
    }

    fn undefined(&self, input: &DataType) -> AggregateError {
        AggregateError::Undefined {
            function: self.function,
            input: input.clone(),
            remedy: "use an integer, float or Decimal column, or convert it with `select`",
        }
    }
}
