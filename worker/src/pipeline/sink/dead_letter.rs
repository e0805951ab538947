//! Records that could not be used, as rows.
//!
//! Owns: what a dead letter says.
//! Never: drops a byte of the record; raw bytes are base64, as they need not be text.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A record that could not be used.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// The record as it was read.
    pub raw: &'a [u8],
    /// Why it could not be used.
    pub cause: &'a str,
    /// The file or generator that it comes from.
    pub source: &'a str,
    /// Its number in its partition, from 0.
    pub position: u64,
    /// Its line in the file, from 1; `None` for a generator.
    pub line: Option<u64>,
}

/// `raw` (base64), `cause`, `source`, `position`, `line`.
pub fn dead_letter_schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![
        text("raw"),
        text("cause"),
        text("source"),
        Field::new("position", DataType::Int64, false),
        Field::new("line", DataType::Int64, true),
    ]))
}

/// Dead letters as rows of [`dead_letter_schema`].
pub fn dead_letter_rows(letters: &[DeadLetter<'_>]) -> RecordBatch {
    let text = |text: fn(&DeadLetter<'_>) -> String| {
        Arc::new(StringArray::from_iter_values(letters.iter().map(text)))
    };
    let number = |number: u64| i64::try_from(number).expect("no input has 2^63 records");
    let positions: Int64Array = letters.iter().map(|letter| Some(number(letter.position))).collect();
    let lines: Int64Array = letters.iter().map(|letter| letter.line.map(number)).collect();
    RecordBatch::try_new(
        dead_letter_schema(),
        vec![
            text(|letter| STANDARD.encode(letter.raw)),
            text(|letter| letter.cause.to_owned()),
            text(|letter| letter.source.to_owned()),
            Arc::new(positions),
            Arc::new(lines),
        ],
    )
    .expect("the columns are those of the schema")
}
