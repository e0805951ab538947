//! The generator of a job.
//!
//! Owns: what each column is made of, its type and its bounds.
//! Never: makes a row.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use streamjob_crds::{
    ChoiceColumn, GeneratedColumn, GeneratorSource, SequenceColumn, TimestampColumn, UniformColumn,
    ZipfColumn,
};

use super::source::{KindDraft, schema};
use crate::error::Problems;
use crate::{ColumnGenerator, GeneratedValue, GeneratorPlan, NumberText};

const FIELD: &str = "spec.pipeline.source.generator";
const PARTITIONS: u32 = 8;
const PARTITIONS_MAX: u32 = 65_536;
/// Rows per second of event time when nothing else is said.
const ROWS_PER_SECOND: u64 = 1_000_000;
/// A u64 has at most this many digits.
const DIGITS_MAX: u8 = 20;

pub(super) fn compile(
    spec: &GeneratorSource,
    problems: &mut Problems,
) -> (Option<KindDraft>, Option<Schema>) {
    let partitions = spec.partitions.unwrap_or(PARTITIONS);
    if !(1..=PARTITIONS_MAX).contains(&partitions) {
        problems.add(format!("{FIELD}.partitions"), format!("{partitions} is not between 1 and 65536"));
    }
    if spec.rows_per_second == Some(0) {
        problems.add(
            format!("{FIELD}.rowsPerSecond"),
            "0 makes no rows; remove it to go as fast as rows are taken",
        );
    }
    let mut columns = Vec::new();
    let mut typed = Vec::new();
    for (index, column) in spec.columns.iter().enumerate() {
        let value = value(column, spec.rows_per_second);
        typed.push((column.name.as_str(), value.as_ref().map(type_of).map_err(Clone::clone)));
        let index = u32::try_from(index).expect("a manifest has fewer columns");
        columns.extend(value.ok().map(|value| ColumnGenerator { index, value }));
    }
    let columns_of = schema(typed, &format!("{FIELD}.columns"), problems);
    let plan = GeneratorPlan {
        seed: spec.seed.unwrap_or(0),
        partitions,
        rows: spec.rows,
        rows_per_second: spec.rows_per_second,
        columns,
    };
    let names = spec.columns.iter().map(|column| column.name.clone()).collect();
    (Some(KindDraft::Generator { plan, names }), columns_of)
}

fn value(column: &GeneratedColumn, rate: Option<u64>) -> Result<GeneratedValue, String> {
    let made = [
        column.sequence.as_ref().map(sequence),
        column.uniform.as_ref().map(uniform),
        column.zipf.as_ref().map(zipf),
        column.choice.as_ref().map(choice),
        column.timestamp.as_ref().map(|spec| timestamp(spec, rate)),
    ];
    let mut made = made.into_iter().flatten();
    match (made.next(), made.next()) {
        (Some(value), None) => value.map_err(|why| format!("`{}`: {why}", column.name)),
        _ => Err(format!(
            "`{}`: set exactly one of `sequence`, `uniform`, `zipf`, `choice` and `timestamp`",
            column.name
        )),
    }
}

fn type_of(value: &GeneratedValue) -> DataType {
    match value {
        GeneratedValue::Sequence { text, .. }
        | GeneratedValue::UniformInt { text, .. }
        | GeneratedValue::Zipf { text, .. } => match text {
            Some(_) => DataType::Utf8,
            None => DataType::Int64,
        },
        GeneratedValue::UniformFloat { .. } => DataType::Float64,
        GeneratedValue::Choice { .. } => DataType::Utf8,
        GeneratedValue::Timestamp { .. } => DataType::Timestamp(TimeUnit::Millisecond, None),
    }
}

fn text(prefix: Option<&String>, digits: Option<u8>) -> Result<Option<NumberText>, String> {
    match (prefix, digits) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err("`digits` needs a `prefix`; an empty one will do".to_owned()),
        (Some(_), Some(digits)) if !(1..=DIGITS_MAX).contains(&digits) => {
            Err(format!("digits {digits} is not between 1 and 20"))
        }
        (Some(prefix), digits) => {
            Ok(Some(NumberText { prefix: prefix.clone(), digits: digits.unwrap_or(0) }))
        }
    }
}

fn sequence(spec: &SequenceColumn) -> Result<GeneratedValue, String> {
    if spec.modulo == Some(0) {
        return Err("modulo 0 is not possible; remove it to never start again".to_owned());
    }
    Ok(GeneratedValue::Sequence {
        start: spec.start.unwrap_or(0),
        step: spec.step.unwrap_or(1),
        modulo: spec.modulo,
        text: text(spec.prefix.as_ref(), spec.digits)?,
    })
}

fn uniform(spec: &UniformColumn) -> Result<GeneratedValue, String> {
    let text = text(spec.prefix.as_ref(), spec.digits)?;
    let order = || format!("min {} is greater than max {}; swap them", spec.min, spec.max);
    if let (Some(min), Some(max)) = (spec.min.as_i64(), spec.max.as_i64()) {
        return if min <= max { Ok(GeneratedValue::UniformInt { min, max, text }) } else { Err(order()) };
    }
    if spec.min.is_u64() || spec.max.is_u64() {
        return Err("whole numbers are at most 9223372036854775807".to_owned());
    }
    if text.is_some() {
        return Err("`prefix` needs whole numbers; write min and max without a point".to_owned());
    }
    match (spec.min.as_f64(), spec.max.as_f64()) {
        (Some(min), Some(max)) if min <= max => Ok(GeneratedValue::UniformFloat { min, max }),
        _ => Err(order()),
    }
}

fn zipf(spec: &ZipfColumn) -> Result<GeneratedValue, String> {
    let exponent = spec.exponent.unwrap_or(1.0);
    if spec.values == 0 {
        return Err("values 0 leaves nothing to choose; it must be at least 1".to_owned());
    }
    if !(exponent.is_finite() && exponent > 0.0) {
        return Err(format!("exponent {exponent} must be a number greater than zero"));
    }
    let text = text(spec.prefix.as_ref(), spec.digits)?;
    Ok(GeneratedValue::Zipf { values: spec.values, exponent, text })
}

fn choice(spec: &ChoiceColumn) -> Result<GeneratedValue, String> {
    let count = spec.values.len();
    if count == 0 {
        return Err("values is empty; name at least one".to_owned());
    }
    let weights = spec.weights.clone().unwrap_or_else(|| vec![1; count]);
    if weights.len() != count {
        return Err(format!(
            "there are {count} values but {} weights; one is needed for each",
            weights.len()
        ));
    }
    if weights.iter().all(|weight| *weight == 0) {
        return Err("all weights are zero; at least one must be more".to_owned());
    }
    Ok(GeneratedValue::Choice { values: spec.values.clone(), weights })
}

fn timestamp(spec: &TimestampColumn, rate: Option<u64>) -> Result<GeneratedValue, String> {
    let rows_per_second = spec.rows_per_second.or(rate).unwrap_or(ROWS_PER_SECOND);
    if rows_per_second == 0 {
        return Err("rowsPerSecond 0 is not possible; time must advance".to_owned());
    }
    let start = spec.start.as_ref().map(|start| start.parse::<jiff::Timestamp>().map_err(|_| start));
    let start_ms = start.transpose().map_err(|start| {
        format!("start `{start}` is not an RFC 3339 time; write for example `2026-01-31T08:00:00Z`")
    })?;
    Ok(GeneratedValue::Timestamp {
        start_ms: start_ms.map(|start| start.as_millisecond()),
        rows_per_second,
        disorder_ms: spec.disorder.as_ref().map_or(0, |disorder| disorder.millis()),
    })
}
