//! Rows as records of topics, each with a key and a value.
//!
//! Owns: what a key is: a single key column's text, or a JSON array of several; null if the only one is null. And headers
//! and topic, if they come from columns.
//! Never: decides how large a record may be.

use arrow::array::{BinaryBuilder, LargeBinaryBuilder, RecordBatch, StringBuilder};
use arrow::datatypes::Schema;
use streamjob_checkpoint::outbox::{OutboxRecord, Records, put_header};
use streamjob_plan::{FormatPlan, KafkaRoute};

use super::columns::{Cells, Column, cells};
use super::json::put_cell;
use super::text::TextBuffer;
use super::{BLOCK_ROWS, EncodeError, Encoder, Format};

/// Writes batches of one schema as records.
#[derive(Debug)]
pub struct RecordEncoder {
    values: Encoder,
    /// Of the key columns, which come first.
    keys: usize,
    route: KafkaRoute,
    key: TextBuffer,
    header: TextBuffer,
    headers: Vec<u8>,
    text: TextBuffer,
    ends: Vec<usize>,
}

/// Records in the making.
#[derive(Debug, Default)]
pub struct RecordBuffers {
    keys: BinaryBuilder,
    topics: Option<StringBuilder>,
    headers: Option<BinaryBuilder>,
    values: LargeBinaryBuilder,
}

impl RecordBuffers {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.offsets_slice().len() <= 1
    }

    /// How long their keys and values are together.
    pub fn bytes(&self) -> usize {
        self.keys.values_slice().len() + self.values.values_slice().len()
    }

    /// The records since the last call.
    pub fn finish(&mut self) -> Records {
        let Self { keys, topics, headers, values } = self;
        Records {
            keys: keys.finish(),
            topics: topics.as_mut().map(StringBuilder::finish),
            headers: headers.as_mut().map(BinaryBuilder::finish),
            values: values.finish(),
        }
    }

    fn add(&mut self, record: &OutboxRecord<'_>) {
        self.keys.append_option(record.key);
        self.values.append_value(record.value);
        if let Some(topics) = &mut self.topics {
            topics.append_option(record.topic);
        }
        if let Some(headers) = &mut self.headers {
            headers.append_value(record.headers);
        }
    }
}

impl RecordEncoder {
    /// Resolves the writers of a schema whose first `keys` columns are the key; 0: keys are null. `route` says what else
    /// is part of a record.
    pub fn new(
        schema: &Schema,
        format: &FormatPlan,
        keys: usize,
        route: &KafkaRoute,
    ) -> Result<Self, EncodeError> {
        Ok(Self {
            values: Encoder::new(schema, format)?,
            keys,
            route: route.clone(),
            key: TextBuffer::default(),
            header: TextBuffer::default(),
            headers: Vec::new(),
            text: TextBuffer::default(),
            ends: Vec::new(),
        })
    }

    /// Buffers for its records.
    pub fn buffers(&self) -> RecordBuffers {
        RecordBuffers {
            topics: self.route.topic.map(|_| StringBuilder::new()),
            headers: (!self.route.headers.is_empty()).then(BinaryBuilder::new),
            ..RecordBuffers::default()
        }
    }

    /// Appends a record for each row to buffers that it gave; `check` sees each before.
    ///
    /// # Panics
    /// If the batch does not have the encoder's schema.
    pub fn encode<E>(
        &mut self,
        rows: &RecordBatch,
        buffers: &mut RecordBuffers,
        mut check: impl FnMut(&OutboxRecord<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { values: encoder, keys, route, key, header, headers, text, ends } = self;
        assert_eq!(rows.num_columns(), encoder.kinds.len(), "a batch has the schema of its encoder");
        let mut columns: Vec<_> =
            encoder.kinds.iter().zip(rows.columns()).map(|(kind, array)| cells(kind, array)).collect();
        encoder.prepare(&mut columns);
        let mut first = 0;
        while first < rows.num_rows() {
            let behind = (first + BLOCK_ROWS).min(rows.num_rows());
            text.clear();
            ends.clear();
            encoder.lines(&columns, first..behind, text, ends);
            let mut start = 0;
            for (row, &end) in (first..behind).zip(&*ends) {
                put_headers(&route.headers, &columns, row, (&mut *header, &mut *headers));
                let record = OutboxRecord {
                    topic: route.topic.and_then(|topic| text_of(&columns[topic], row)),
                    key: put_key(&columns[..*keys], row, key),
                    headers: headers.as_slice(),
                    value: &text.as_bytes()[start..end - 1],
                };
                check(&record)?;
                buffers.add(&record);
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

fn put_headers(
    route: &[(String, usize)],
    columns: &[Column<'_>],
    row: usize,
    (text, out): (&mut TextBuffer, &mut Vec<u8>),
) {
    out.clear();
    for (name, column) in route {
        // A header's value is what a key of its column would be.
        put_header(out, name, put_key(std::slice::from_ref(&columns[*column]), row, text));
    }
}

/// The value of a column of text; `None`: it is null.
fn text_of<'a>(column: &Column<'a>, row: usize) -> Option<&'a str> {
    let is_null = column.nulls.is_some_and(|nulls| nulls.is_null(row));
    match &column.cells {
        Cells::Text { values, .. } => (!is_null).then(|| values.value(row)),
        Cells::Date(_)
        | Cells::Instant { .. }
        | Cells::Int32(_)
        | Cells::Int64(_)
        | Cells::Float32(_)
        | Cells::Float64(_)
        | Cells::Boolean(_)
        | Cells::Decimal { .. } => unreachable!("the plan takes only text for the name of a topic"),
    }
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
    use streamjob_checkpoint::outbox::headers;

    use super::*;

    fn records(rows: &RecordBatch, format: &FormatPlan, keys: usize, route: &KafkaRoute) -> Records {
        let schema = rows.schema();
        let mut encoder = RecordEncoder::new(&schema, format, keys, route).expect("the types can be written");
        let mut buffers = encoder.buffers();
        encoder.encode(rows, &mut buffers, |_| Ok::<_, ()>(())).expect("all are taken");
        buffers.finish()
    }

    fn encoded(rows: &RecordBatch, format: &FormatPlan, keys: usize) -> Vec<(Option<String>, String)> {
        let records = records(rows, format, keys, &KafkaRoute::default());
        assert_eq!((&records.topics, &records.headers), (&None, &None));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is text");
        let record = |row| {
            let OutboxRecord { key, value, .. } = records.get(row);
            (key.map(text), text(value))
        };
        (0..records.values.len()).map(record).collect()
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
    fn topic_and_headers_are_the_columns_that_the_route_names() {
        let route = KafkaRoute {
            topic: Some(0),
            headers: vec![("n".to_owned(), 2), ("at".to_owned(), 1), ("page".to_owned(), 0)],
            ..KafkaRoute::default()
        };

        let records = records(&batch(), &FormatPlan::Json, 0, &route);

        let found = |row| {
            let OutboxRecord { topic, key, headers: bytes, .. } = records.get(row);
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is text");
            let header = |(name, value): (&str, Option<&[u8]>)| format!("{name}={:?}", value.map(text));
            let headers: Vec<String> = headers(bytes).map(header).collect();
            (topic.map(str::to_owned), key.is_some(), headers.join(" "))
        };
        let expected = |topic: Option<&str>, n: u8, at: &str| {
            let headers = format!("n=Some(\"{n}\") at=Some(\"{at}\") page={topic:?}");
            (topic.map(str::to_owned), false, headers)
        };
        assert_eq!(found(0), expected(Some("a\nb"), 1, "1970-01-01T00:00:00Z"));
        assert_eq!(found(1), expected(None, 2, "1970-01-01T00:00:00.001Z"));
        assert_eq!(found(2), expected(Some(""), 3, "1970-01-01T00:00:00.002Z"));
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
