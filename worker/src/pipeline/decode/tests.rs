//! What becomes of values and records in JSON and CSV.
//!
//! Owns: tables of good and bad values of every type, and properties over random input.
//! Never: opens a file.

#![allow(clippy::unwrap_used)]

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int32Type, Int64Type, Schema,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType,
};
use proptest::prelude::*;
use streamjob_plan::{BadRecordsPlan, Cause, FilesPlan};

use super::*;
use crate::pipeline::records::Begun;

mod csv;
mod json;
mod random;

const RFC3339: &str = "+00:00";

fn rfc3339() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(RFC3339.into()))
}

fn millis() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, None)
}

fn source(columns: &[(&str, DataType)], format: FormatPlan) -> SourcePlan {
    let fields: Vec<Field> =
        columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
    let declared = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let files = FilesPlan { patterns: Vec::new(), one_partition: false, format, declared };
    SourcePlan {
        kind: SourceKind::Files(files),
        schema: Arc::new(Schema::new(fields)),
        bad_records: BadRecordsPlan::Skip,
    }
}

fn headed() -> FormatPlan {
    FormatPlan::Csv { header: true, delimiter: b',', nulls: vec![String::new(), "NA".to_owned()] }
}

/// Rows as text, and bad records by number.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Outcome {
    rows: Vec<Vec<String>>,
    bad: Vec<(usize, String)>,
    records: usize,
}

impl Outcome {
    fn add(&mut self, rows: &RecordBatch, bad: Vec<(usize, Cause)>, records: usize) {
        assert_eq!(rows.num_rows() + bad.len(), records);
        self.rows.extend(
            (0..rows.num_rows())
                .map(|row| rows.columns().iter().map(|column| cell(column, row)).collect::<Vec<_>>()),
        );
        self.bad.extend(bad.into_iter().map(|(index, cause)| (index + self.records, cause.to_string())));
        self.records += records;
    }
}

/// Decodes a whole input in batches of at most `records_max`.
fn decode(source: &SourcePlan, text: &[u8], records_max: usize) -> Result<Outcome, String> {
    let mut decoder = maker(source)();
    let Begun::At(mut at) = decoder.begin(text, true)? else { panic!("the whole file is there") };
    let mut outcome = Outcome::default();
    while at < text.len() {
        let decoded = decoder.decode(&text[at..], true, records_max);
        assert!(decoded.consumed > 0);
        let feeds = text[at..at + decoded.consumed].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(decoded.lines, feeds as u64);
        at += decoded.consumed;
        outcome.add(&decoded.rows, decoded.bad, decoder.spans().len());
    }
    Ok(outcome)
}

#[test]
fn what_is_told_of_a_value_without_quoting_it_names_column_type_and_kind() {
    let columns = [("n", DataType::Int64), ("d", DataType::Decimal128(6, 2)), ("at", rfc3339())];
    let table = [
        (r#"{"n":"7777"}"#, "column `n`: expected Int64, found a string"),
        (r#"{"n":7777.5}"#, "column `n`: expected Int64, found a number, which is not whole"),
        (
            r#"{"n":77777777777777777777}"#,
            "column `n`: expected Int64, found a number, which is out of range",
        ),
        (
            r#"{"d":7777.777}"#,
            "column `d`: expected Decimal(6, 2), found a number, which has more than 2 digits after the point",
        ),
        (
            r#"{"at":"7777"}"#,
            "column `at`: expected TimestampRfc3339 (such as 2026-01-31T08:00:00.123Z), found a string that cannot be \
             read as one",
        ),
    ];
    let decoder = maker(&source(&columns, FormatPlan::Json));
    for (line, told) in table {
        let decoded = decoder().decode(line.as_bytes(), true, 10);

        assert_eq!(decoded.bad[0].1.without_values(), told, "{line}");
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "Arrow's enum; the manifest has these types only")]
fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "null".to_owned();
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Decimal128(_, _) => column.as_primitive::<Decimal128Type>().value(row).to_string(),
        DataType::Date32 => column.as_primitive::<Date32Type>().value(row).to_string(),
        DataType::Timestamp(TimeUnit::Second, _) => {
            column.as_primitive::<TimestampSecondType>().value(row).to_string()
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            column.as_primitive::<TimestampMillisecondType>().value(row).to_string()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            column.as_primitive::<TimestampMicrosecondType>().value(row).to_string()
        }
        other => panic!("no column has type {other}"),
    }
}
