//! From records to rows: the payload's columns and those that come from the rest of the record.
//!
//! Owns: key, headers, timestamp, topic, partition and offset as columns.
//! Never: decodes a payload; a decoder does.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, Int64Builder, RecordBatch, RecordBatchOptions, StringArray,
    StringBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMillisecondType};
use streamjob_crds::ColumnFrom;
use streamjob_fetch::Record;
use streamjob_plan::{Cause, KafkaSourcePlan};

use crate::pipeline::decode;
use crate::pipeline::records::RecordDecoder;

/// The rows of a batch in the making.
pub(super) struct Rows {
    schema: SchemaRef,
    payload: Box<dyn RecordDecoder>,
    /// For each column of the schema, where it comes from.
    columns: Vec<From>,
    topic: String,
    partition: u32,
}

enum From {
    /// The next column of the payload.
    Payload,
    Key(StringBuilder),
    Header(String, StringBuilder),
    Timestamp(Int64Builder),
    Offset(Int64Builder),
    Topic,
    Partition,
}

impl Rows {
    /// Rows of the schema, of one partition.
    pub(super) fn new(plan: &KafkaSourcePlan, schema: &SchemaRef, topic: &str, partition: u32) -> Self {
        let from = |field: &Arc<Field>| {
            let metadata = plan.metadata.iter().find(|column| column.name == *field.name());
            metadata.map_or(From::Payload, |column| match column.from {
                ColumnFrom::Key => From::Key(StringBuilder::new()),
                ColumnFrom::Header => From::Header(column.header.clone(), StringBuilder::new()),
                ColumnFrom::Timestamp => From::Timestamp(Int64Builder::new()),
                ColumnFrom::Offset => From::Offset(Int64Builder::new()),
                ColumnFrom::Topic => From::Topic,
                ColumnFrom::Partition => From::Partition,
            })
        };
        let columns: Vec<From> = schema.fields().iter().map(from).collect();
        let of_payload = schema.fields().iter().zip(&columns);
        let of_payload = of_payload.filter(|(_, from)| matches!(from, From::Payload));
        let payload_schema =
            Arc::new(Schema::new(of_payload.map(|(field, _)| field.clone()).collect::<Vec<_>>()));
        let payload = decode::of_records(&plan.payload, &payload_schema, &plan.declared);
        Self { schema: Arc::clone(schema), payload, columns, topic: topic.to_owned(), partition }
    }

    /// Adds a record. The error says why it is bad; then there is no row.
    pub(super) fn add(&mut self, record: Record<'_>) -> Result<(), Cause> {
        for column in &self.columns {
            match column {
                From::Key(_) => text(record.key(), "key").map(drop)?,
                From::Header(name, _) => header(record, name).map(drop)?,
                From::Payload | From::Timestamp(_) | From::Offset(_) | From::Topic | From::Partition => {}
            }
        }
        self.payload.decode(record.value())?;
        for column in &mut self.columns {
            match column {
                From::Key(values) => values.append_option(text(record.key(), "key")?),
                From::Header(name, values) => values.append_option(header(record, name)?),
                From::Timestamp(values) => values.append_option(record.timestamp_ms()),
                From::Offset(values) => values.append_value(record.offset().cast_signed()),
                From::Payload | From::Topic | From::Partition => {}
            }
        }
        Ok(())
    }

    /// The rows since the last call.
    pub(super) fn finish(&mut self) -> RecordBatch {
        let payload = self.payload.finish();
        let rows = payload.num_rows();
        let mut decoded = payload.columns().iter();
        let (topic, partition) = (self.topic.as_str(), self.partition);
        let columns = self.columns.iter_mut().zip(self.schema.fields());
        let arrays = columns.map(|(column, field)| -> ArrayRef {
            match column {
                From::Payload => Arc::clone(decoded.next().expect("the payload has these columns")),
                From::Key(values) | From::Header(_, values) => Arc::new(values.finish()),
                From::Timestamp(values) => milliseconds(values.finish(), field.data_type()),
                From::Offset(values) => Arc::new(values.finish()),
                From::Topic => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(topic, rows))),
                From::Partition => whole(partition, rows, field.data_type()),
            }
        });
        let arrays = arrays.collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .expect("all columns have the schema's types and as many values")
    }
}

fn header<'a>(record: Record<'a>, name: &str) -> Result<Option<&'a str>, Cause> {
    text(record.header(name).map_err(|damaged| Cause::plain(damaged.to_string()))?, "header")
}

fn text<'a>(bytes: Option<&'a [u8]>, what: &str) -> Result<Option<&'a str>, Cause> {
    let Some(bytes) = bytes else { return Ok(None) };
    let text = std::str::from_utf8(bytes);
    text.map(Some).map_err(|error| {
        Cause::plain(format!("the {what} is not UTF-8 text at byte {}", error.valid_up_to()))
    })
}

fn milliseconds(values: Int64Array, wanted: &DataType) -> ArrayRef {
    if *wanted == DataType::Int64 {
        return Arc::new(values);
    }
    Arc::new(values.reinterpret_cast::<TimestampMillisecondType>())
}

fn whole(value: u32, rows: usize, wanted: &DataType) -> ArrayRef {
    if *wanted == DataType::Int32 {
        return Arc::new(Int32Array::from_value(i32::try_from(value).unwrap_or(i32::MAX), rows));
    }
    Arc::new(Int64Array::from_value(i64::from(value), rows))
}
