//! Rows as records of a topic, each with a key and a value.
//!
//! Owns: what a key is: a single key column's text, or a JSON array of several; null if the only one is null.
//! Never: decides how large a record may be.

use arrow::array::{BinaryBuilder, LargeBinaryBuilder, RecordBatch};
use arrow::datatypes::Schema;
use streamjob_plan::FormatPlan;

use super::columns::{Cells, Column, Kind, cells};
use super::json::put_cell;
use super::text::TextBuffer;
use super::{BLOCK_ROWS, EncodeError, Encoder, Format};

/// Writes batches of one schema as records.
#[derive(Debug)]
pub struct RecordEncoder {
    values: Encoder,
    /// Of the key columns, which come first.
    keys: Vec<Kind>,
    key: TextBuffer,
    text: TextBuffer,
    ends: Vec<usize>,
}

/// The record that was just written: how long its key and its value are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordSize {
    /// 0 if it is null.
    pub key: usize,
    /// Without a line end.
    pub value: usize,
}

impl RecordEncoder {
    /// Resolves the writers of a schema whose first `keys` columns are the key; 0: keys are null.
    pub fn new(schema: &Schema, format: &FormatPlan, keys: usize) -> Result<Self, EncodeError> {
        let kinds = schema.fields()[..keys].iter().map(|field| Kind::of(field)).collect::<Result<_, _>>()?;
        let values = Encoder::new(schema, format)?;
        Ok(Self {
            values,
            keys: kinds,
            key: TextBuffer::default(),
            text: TextBuffer::default(),
            ends: Vec::new(),
        })
    }

    /// Appends a key and a value for each row; `check` sees how long they are and what the key is.
    ///
    /// # Panics
    /// If the batch does not have the encoder's schema.
    pub fn encode<E>(
        &mut self,
        rows: &RecordBatch,
        (keys, values): (&mut BinaryBuilder, &mut LargeBinaryBuilder),
        check: impl Fn(RecordSize, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { values: encoder, keys: kinds, key, text, ends } = self;
        assert_eq!(rows.num_columns(), encoder.kinds.len(), "a batch has the schema of its encoder");
        let mut columns: Vec<_> =
            encoder.kinds.iter().zip(rows.columns()).map(|(kind, array)| cells(kind, array)).collect();
        encoder.prepare(&mut columns);
        let key_columns: Vec<_> =
            kinds.iter().zip(rows.columns()).map(|(kind, array)| cells(kind, array)).collect();
        let mut first = 0;
        while first < rows.num_rows() {
            let behind = (first + BLOCK_ROWS).min(rows.num_rows());
            text.clear();
            ends.clear();
            encoder.lines(&columns, first..behind, text, ends);
            let mut start = 0;
            for (row, &end) in (first..behind).zip(&*ends) {
                let value = &text.as_bytes()[start..end - 1];
                let key = put_key(&key_columns, row, key);
                let size = RecordSize { key: key.map_or(0, <[u8]>::len), value: value.len() };
                check(size, key.unwrap_or_default())?;
                keys.append_option(key);
                values.append_value(value);
                start = end;
            }
            first = behind;
        }
        Ok(())
    }
}

impl Encoder {
    pub(super) fn prepare(&self, columns: &mut [Column<'_>]) {
        match &self.format {
            Format::Json(writer) => writer.prepare(columns),
            Format::Csv(writer) => writer.prepare(columns),
        }
    }

    /// Appends rows, each with a line end of one byte; `ends` gets the place behind it.
    fn lines(
        &self,
        columns: &[Column<'_>],
        rows: std::ops::Range<usize>,
        out: &mut TextBuffer,
        ends: &mut Vec<usize>,
    ) {
        match &self.format {
            Format::Json(writer) => {
                writer.rows(columns, rows, out);
                // Within JSON a line feed is escaped.
                ends.extend(memchr::memchr_iter(b'\n', out.as_bytes()).map(|at| at + 1));
            }
            Format::Csv(writer) => {
                for row in rows {
                    writer.rows(columns, row..row + 1, out);
                    ends.push(out.len());
                }
            }
        }
    }
}

fn put_key<'a>(columns: &[Column<'_>], row: usize, out: &'a mut TextBuffer) -> Option<&'a [u8]> {
    out.clear();
    match columns {
        [] => return None,
        [only] if only.nulls.is_some_and(|nulls| nulls.is_null(row)) => return None,
        [only] => put_text(only, row, out),
        several => {
            for (index, column) in several.iter().enumerate() {
                out.put_byte(if index == 0 { b'[' } else { b',' });
                put_cell(column, row, out);
            }
            out.put_byte(b']');
        }
    }
    Some(out.as_bytes())
}

/// A value's text, without the quotes that it has in JSON.
fn put_text(column: &Column<'_>, row: usize, out: &mut TextBuffer) {
    match &column.cells {
        Cells::Text { values, .. } => out.put(values.value(row).as_bytes()),
        Cells::Date(_) | Cells::Instant { .. } => {
            let mut quoted = TextBuffer::default();
            put_cell(column, row, &mut quoted);
            out.put(&quoted.as_bytes()[1..quoted.len() - 1]);
        }
        Cells::Int32(_)
        | Cells::Int64(_)
        | Cells::Float32(_)
        | Cells::Float64(_)
        | Cells::Boolean(_)
        | Cells::Decimal { .. } => put_cell(column, row, out),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array as _, ArrayRef, Int64Array, StringArray, TimestampMillisecondArray};

    use super::*;

    fn encoded(rows: &RecordBatch, format: &FormatPlan, keys: usize) -> Vec<(Option<String>, String)> {
        let mut encoder = RecordEncoder::new(&rows.schema(), format, keys).expect("the types can be written");
        let (mut keys, mut values) = (BinaryBuilder::new(), LargeBinaryBuilder::new());
        let fits = |_, _: &[u8]| Ok::<_, ()>(());
        encoder.encode(rows, (&mut keys, &mut values), fits).expect("all fit");
        let (keys, values) = (keys.finish(), values.finish());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is text");
        (0..keys.len())
            .map(|row| (keys.is_valid(row).then(|| text(keys.value(row))), text(values.value(row))))
            .collect()
    }

    fn batch() -> RecordBatch {
        let page = StringArray::from(vec![Some("a\nb"), None, Some("")]);
        let at = TimestampMillisecondArray::from(vec![0, 1, 2]).with_timezone("UTC");
        let count = Int64Array::from(vec![1, 2, 3]);
        let columns: [(&str, ArrayRef); 3] =
            [("page", Arc::new(page)), ("at", Arc::new(at)), ("count", Arc::new(count))];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
            .expect("columns are equally long")
    }

    #[test]
    fn a_single_key_is_its_text_and_null_if_it_is_null() {
        let records = encoded(&batch().project(&[0, 2]).expect("two columns"), &FormatPlan::Json, 1);

        let expected = [
            (Some("a\nb"), r#"{"page":"a\nb","count":1}"#),
            (None, r#"{"page":null,"count":2}"#),
            (Some(""), r#"{"page":"","count":3}"#),
        ];
        let expected = expected.map(|(key, value)| (key.map(str::to_owned), value.to_owned()));
        assert_eq!(records, expected);
    }

    #[test]
    fn several_keys_are_a_json_array_and_an_instant_alone_has_no_quotes() {
        let several = encoded(&batch(), &FormatPlan::Json, 3);
        let instant = encoded(&batch().project(&[1]).expect("a column"), &FormatPlan::Json, 1);

        assert_eq!(several[0].0.as_deref(), Some(r#"["a\nb","1970-01-01T00:00:00Z",1]"#));
        assert_eq!(several[1].0.as_deref(), Some(r#"[null,"1970-01-01T00:00:00.001Z",2]"#));
        assert_eq!(instant[1].0.as_deref(), Some("1970-01-01T00:00:00.001Z"));
    }

    #[test]
    fn a_line_feed_within_a_csv_field_ends_no_record() {
        let csv = FormatPlan::Csv { header: false, delimiter: b',', nulls: vec!["".to_owned()] };

        let records = encoded(&batch().project(&[0, 2]).expect("two columns"), &csv, 0);

        assert_eq!(records[0], (None, "\"a\nb\",1".to_owned()));
        assert_eq!(records[1], (None, ",2".to_owned()));
    }

    #[test]
    fn more_rows_than_a_block_are_as_many_records() {
        let count: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
        let rows = RecordBatch::try_from_iter([("count", count)]).expect("one column");

        let records = encoded(&rows, &FormatPlan::Json, 1);

        assert_eq!(records.len(), 1_000);
        assert_eq!(records[999], (Some("999".to_owned()), r#"{"count":999}"#.to_owned()));
    }
}
