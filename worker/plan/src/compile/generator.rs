//! The generator of a job.
//!
//! Owns: what each column is made of, its type and its bounds.
//! Never: makes a row.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use streamjob_crds::{
    ChoiceColumn, GeneratedColumn, GeneratorSource, SequenceColumn, TimestampColumn, UniformColumn,
    ZipfColumn,
};

use super::source::KindDraft;
use crate::error::Problems;
use crate::{ColumnGenerator, GeneratedValue, GeneratorPlan, NumberText};

const PATH: &str = "spec.pipeline.source.generator";
const PARTITIONS: u32 = 8;
/// Rows per second of event time when nothing else is said.
const ROWS_PER_SECOND: u64 = 1_000_000;

pub(super) fn compile(spec: &GeneratorSource, problems: &mut Problems) -> (KindDraft, Schema) {
    let mut columns = Vec::new();
    let mut fields = Vec::new();
    for (i, column) in spec.columns.iter().enumerate() {
        let value = value(column, spec.rows_per_second);
        let Some(value) = problems.keep(&format!("{PATH}.columns[{i}]"), value) else {
            continue;
        };
        fields.push(Field::new(&column.name, type_of(&value), true));
        columns
            .push(ColumnGenerator { index: u32::try_from(i).expect("a manifest has fewer columns"), value });
    }
    let names: Vec<String> = spec.columns.iter().map(|column| column.name.clone()).collect();
    let plan = GeneratorPlan {
        seed: spec.seed.unwrap_or(0),
        partitions: spec.partitions.unwrap_or(PARTITIONS),
        rows: spec.rows,
        rows_per_second: spec.rows_per_second,
        declared: Vec::new(),
        columns,
    };
    (KindDraft::Generator { plan, names }, Schema::new(fields))
}

fn value(column: &GeneratedColumn, rate: Option<u64>) -> Result<GeneratedValue, String> {
    if let Some(spec) = &column.sequence {
        return Ok(sequence(spec));
    }
    if let Some(spec) = &column.uniform {
        return uniform(spec);
    }
    if let Some(spec) = &column.zipf {
        return zipf(spec);
    }
    if let Some(spec) = &column.choice {
        return Ok(choice(spec));
    }
    let timestamp = column.timestamp.as_ref().expect("validation leaves one way to make a column");
    self::timestamp(timestamp, rate)
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

fn text(prefix: Option<&String>, digits: Option<u8>) -> Option<NumberText> {
    prefix.map(|prefix| NumberText { prefix: prefix.clone(), digits: digits.unwrap_or(0) })
}

fn sequence(spec: &SequenceColumn) -> GeneratedValue {
    GeneratedValue::Sequence {
        start: spec.start.unwrap_or(0),
        step: spec.step.unwrap_or(1),
        modulo: spec.modulo,
        text: text(spec.prefix.as_ref(), spec.digits),
    }
}

fn uniform(spec: &UniformColumn) -> Result<GeneratedValue, String> {
    if let (Some(min), Some(max)) = (spec.min.as_i64(), spec.max.as_i64()) {
        return Ok(GeneratedValue::UniformInt { min, max, text: text(spec.prefix.as_ref(), spec.digits) });
    }
    if spec.min.is_u64() && spec.max.is_u64() || spec.min.is_i64() && spec.max.is_u64() {
        return Err(format!("{} does not fit Int64: write at most {}", spec.max, i64::MAX));
    }
    match (spec.min.as_f64(), spec.max.as_f64()) {
        (Some(min), Some(max)) if (max - min).is_finite() => Ok(GeneratedValue::UniformFloat { min, max }),
        _ => Err(format!("{} to {} is too wide for Float64: write smaller bounds", spec.min, spec.max)),
    }
}

fn zipf(spec: &ZipfColumn) -> Result<GeneratedValue, String> {
    let exponent = spec.exponent.unwrap_or(1.0);
    if !exponent.is_finite() {
        return Err(format!("exponent {exponent} is not a finite number: write one such as 1.1"));
    }
    let text = text(spec.prefix.as_ref(), spec.digits);
    Ok(GeneratedValue::Zipf { values: spec.values, exponent, text })
}

fn choice(spec: &ChoiceColumn) -> GeneratedValue {
    let weights = spec.weights.clone().unwrap_or_else(|| vec![1; spec.values.len()]);
    GeneratedValue::Choice { values: spec.values.clone(), weights }
}

fn timestamp(spec: &TimestampColumn, rate: Option<u64>) -> Result<GeneratedValue, String> {
    let start = spec.start.as_ref().map(|start| start.parse::<jiff::Timestamp>());
    let start = start.transpose().map_err(|_| "`start` is not an RFC 3339 instant".to_owned())?;
    Ok(GeneratedValue::Timestamp {
        start_ms: start.map(|start| start.as_millisecond()),
        rows_per_second: spec.rows_per_second.or(rate).unwrap_or(ROWS_PER_SECOND),
        disorder_ms: spec.disorder.as_ref().map_or(0, |disorder| disorder.millis()),
    })
}
