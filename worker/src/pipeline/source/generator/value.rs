//! The values of one generated column.
//!
//! Owns: what each kind of column holds in row n. Part of what a seed promises: it never changes.
//! Never: keeps state between rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringBuilder, TimestampMillisecondArray};
use streamjob_plan::{ColumnGenerator, GeneratedValue, NumberText};

use super::random::{Draws, Stream};
use super::zipf::Zipf;

/// One column, ready to make rows.
#[derive(Clone, Debug)]
pub(super) struct Maker {
    stream: Stream,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Number { number: Number, text: Option<NumberText> },
    Float { min: f64, max: f64 },
    Choice { values: Vec<Option<String>>, ends: Vec<u64> },
    Timestamp { start_ms: i64, rows_per_second: u64, disorder_ms: u64 },
}

#[derive(Clone, Debug)]
enum Number {
    Sequence { start: i64, step: i64, modulo: Option<u64> },
    Uniform { min: i64, values: u64 },
    Zipf(Zipf),
}

impl Number {
    fn at(&self, row: u64, draws: &mut Draws) -> i64 {
        match self {
            Self::Sequence { start, step, modulo } => {
                let place = modulo.map_or(row, |modulo| row % modulo);
                start.wrapping_add(step.wrapping_mul(place as i64))
            }
            Self::Uniform { min, values } => min.wrapping_add(draws.below(*values) as i64),
            Self::Zipf(zipf) => zipf.draw(draws) as i64,
        }
    }
}

impl Maker {
    /// `now_ms`: when the job starts, for timestamps that begin then.
    pub(super) fn new(seed: u64, column: &ColumnGenerator, now_ms: i64) -> Self {
        let number = |number, text: &Option<NumberText>| Kind::Number { number, text: text.clone() };
        let kind = match &column.value {
            GeneratedValue::Sequence { start, step, modulo, text } => {
                number(Number::Sequence { start: *start, step: *step, modulo: *modulo }, text)
            }
            GeneratedValue::UniformInt { min, max, text } => {
                let values = (max.wrapping_sub(*min) as u64).wrapping_add(1);
                number(Number::Uniform { min: *min, values }, text)
            }
            GeneratedValue::UniformFloat { min, max } => Kind::Float { min: *min, max: *max },
            GeneratedValue::Zipf { values, exponent, text } => {
                number(Number::Zipf(Zipf::new(*values, *exponent)), text)
            }
            GeneratedValue::Choice { values, weights } => {
                let ends = weights.iter().scan(0, |end, weight| {
                    *end += u64::from(*weight);
                    Some(*end)
                });
                Kind::Choice { values: values.clone(), ends: ends.collect() }
            }
            GeneratedValue::Timestamp { start_ms, rows_per_second, disorder_ms } => Kind::Timestamp {
                start_ms: start_ms.unwrap_or(now_ms),
                rows_per_second: *rows_per_second,
                disorder_ms: u64::try_from(*disorder_ms).expect("the plan allows no negative disorder"),
            },
        };
        Self { stream: Stream::new(seed, column.index), kind }
    }

    /// The values of these rows.
    pub(super) fn make(&self, rows: impl ExactSizeIterator<Item = u64>) -> ArrayRef {
        let drawn = rows.map(|row| (row, self.stream.row(row)));
        match &self.kind {
            Kind::Number { number, text: None } => Arc::new(Int64Array::from_iter_values(
                drawn.map(|(row, mut draws)| number.at(row, &mut draws)),
            )),
            Kind::Number { number, text: Some(text) } => {
                let mut strings = StringBuilder::with_capacity(drawn.len(), drawn.len() * 16);
                let mut buffer = String::new();
                for (row, mut draws) in drawn {
                    write(&mut buffer, text, number.at(row, &mut draws));
                    strings.append_value(&buffer);
                }
                Arc::new(strings.finish())
            }
            Kind::Float { min, max } => Arc::new(Float64Array::from_iter_values(
                drawn.map(|(_, mut draws)| between(*min, *max, draws.unit())),
            )),
            Kind::Choice { values, ends } => {
                let total = *ends.last().expect("the plan has at least one choice");
                let mut strings = StringBuilder::with_capacity(drawn.len(), drawn.len() * 16);
                for (_, mut draws) in drawn {
                    let draw = draws.below(total);
                    let choice = ends.partition_point(|end| *end <= draw);
                    strings.append_option(values[choice].as_deref());
                }
                Arc::new(strings.finish())
            }
            Kind::Timestamp { start_ms, rows_per_second, disorder_ms } => {
                let times = drawn.map(|(row, mut draws)| {
                    let since = u128::from(row) * 1000 / u128::from(*rows_per_second);
                    let early = draws.below(disorder_ms + 1);
                    start_ms
                        .saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
                        .saturating_sub(early as i64)
                });
                Arc::new(TimestampMillisecondArray::from_iter_values(times))
            }
        }
    }
}

fn between(min: f64, max: f64, unit: f64) -> f64 {
    let value = min * (1.0 - unit) + max * unit;
    if value < max { value.max(min) } else { max.next_down().max(min) }
}

fn write(buffer: &mut String, text: &NumberText, number: i64) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number.unsigned_abs());
    buffer.clear();
    buffer.push_str(&text.prefix);
    if number < 0 {
        buffer.push('-');
    }
    buffer.extend(std::iter::repeat_n('0', usize::from(text.digits).saturating_sub(digits.len())));
    buffer.push_str(digits);
}
