//! The rows of a batch while they are being decoded, column by column.
//!
//! Owns: the buffers that become Arrow arrays without a copy, and the type rules of values in text.
//! Never: looks for fields or records.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, PrimitiveArray, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, SchemaRef,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType,
};
use arrow::util::bit_util;

use super::kind::Kind;
use super::number;
use super::time;
use super::unfit::Unfit;

#[derive(Debug)]
pub(super) enum Values {
    Text(Texts),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Boolean(Vec<bool>),
    Decimal(Vec<i128>),
}

/// Strings one behind the other. All bytes in here are whole UTF-8 strings.
#[derive(Debug)]
pub(super) struct Texts {
    ends: Vec<i32>,
    bytes: Vec<u8>,
}

impl Texts {
    fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self { ends, bytes: Vec::with_capacity(bytes) }
    }

    pub(super) fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.end_value();
    }

    /// Appends `source[start..end]`, which the caller knows to be UTF-8.
    #[inline]
    pub(super) fn push_checked(&mut self, source: &[u8], start: usize, end: usize) {
        // Most strings are short: a copy of fixed length needs no call.
        let length = end - start;
        match source[start..].first_chunk::<16>() {
            Some(chunk) if length <= 16 => {
                let whole = self.bytes.len() + length;
                self.bytes.extend_from_slice(chunk);
                self.bytes.truncate(whole);
            }
            _ => self.bytes.extend_from_slice(&source[start..end]),
        }
        self.end_value();
    }

    fn end_value(&mut self) {
        self.ends.push(i32::try_from(self.bytes.len()).expect("a batch has at most a few records' bytes"));
    }

    fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows + 1);
        self.bytes.truncate(self.ends[rows] as usize);
    }
}

/// One column of a batch in the making.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) values: Values,
    /// Rows that are null, ascending; their places in `values` hold zeros.
    nulls: Vec<u32>,
}

impl Column {
    fn new(name: &str, kind: Kind) -> Self {
        let values = Values::new(kind, 0, 0);
        Self { name: name.to_owned(), kind, values, nulls: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        match &self.values {
            Values::Text(texts) => texts.ends.len() - 1,
            Values::Int32(values) => values.len(),
            Values::Int64(values) => values.len(),
            Values::Float32(values) => values.len(),
            Values::Float64(values) => values.len(),
            Values::Boolean(values) => values.len(),
            Values::Decimal(values) => values.len(),
        }
    }

    fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Text(texts) => texts.truncate(rows),
            Values::Int32(values) => values.truncate(rows),
            Values::Int64(values) => values.truncate(rows),
            Values::Float32(values) => values.truncate(rows),
            Values::Float64(values) => values.truncate(rows),
            Values::Boolean(values) => values.truncate(rows),
            Values::Decimal(values) => values.truncate(rows),
        }
        while self.nulls.last().is_some_and(|row| *row as usize >= rows) {
            self.nulls.pop();
        }
    }

    pub(super) fn push_null(&mut self) {
        self.nulls.push(u32::try_from(self.len()).expect("a batch has at most 2^32 rows"));
        match &mut self.values {
            Values::Text(texts) => texts.end_value(),
            Values::Int32(values) => values.push(0),
            Values::Int64(values) => values.push(0),
            Values::Float32(values) => values.push(0.0),
            Values::Float64(values) => values.push(0.0),
            Values::Boolean(values) => values.push(false),
            Values::Decimal(values) => values.push(0),
        }
    }

    /// A number in text, where the format says that it is one.
    pub(super) fn push_number(&mut self, text: &[u8]) -> Result<(), Unfit> {
        match (&mut self.values, self.kind) {
            (Values::Int32(values), Kind::Int32) => {
                values.push(i32::try_from(number::int64(text)?).map_err(|_| Unfit::OutOfRange)?);
            }
            (Values::Int64(values), Kind::Int64 | Kind::Seconds | Kind::Millis | Kind::Micros) => {
                values.push(number::int64(text)?);
            }
            (Values::Float32(values), _) => values.push(number::float32(text)?),
            (Values::Float64(values), _) => values.push(number::float64(text)?),
            (Values::Decimal(values), Kind::Decimal { precision, scale }) => {
                values.push(number::decimal(text, precision, scale)?);
            }
            _ => return Err(Unfit::Type),
        }
        Ok(())
    }

    /// Text, where the format says that it is text: strings, dates, instants, decimals.
    pub(super) fn push_text(&mut self, text: &str) -> Result<(), Unfit> {
        match (&mut self.values, self.kind) {
            (Values::Text(texts), _) => texts.push(text),
            (Values::Int32(values), Kind::Date) => {
                values.push(time::date(text.as_bytes()).ok_or(Unfit::Form)?);
            }
            (Values::Int64(values), Kind::Rfc3339) => {
                values.push(time::rfc3339(text.as_bytes()).ok_or(Unfit::Form)?);
            }
            (Values::Decimal(values), Kind::Decimal { precision, scale }) => {
                values.push(number::decimal(text.as_bytes(), precision, scale)?);
            }
            _ => return Err(Unfit::Type),
        }
        Ok(())
    }

    /// True or false.
    pub(super) fn push_bool(&mut self, value: bool) -> Result<(), Unfit> {
        let Values::Boolean(values) = &mut self.values else { return Err(Unfit::Type) };
        values.push(value);
        Ok(())
    }

    /// A value of a format in which everything is text.
    pub(super) fn push_untyped(&mut self, text: &str) -> Result<(), Unfit> {
        match self.kind {
            Kind::Text | Kind::Date | Kind::Rfc3339 => self.push_text(text),
            Kind::Boolean if text.eq_ignore_ascii_case("true") => self.push_bool(true),
            Kind::Boolean if text.eq_ignore_ascii_case("false") => self.push_bool(false),
            Kind::Boolean => Err(Unfit::Form),
            Kind::Int32
            | Kind::Int64
            | Kind::Float32
            | Kind::Float64
            | Kind::Decimal { .. }
            | Kind::Seconds
            | Kind::Millis
            | Kind::Micros => self.push_number(text.as_bytes()),
        }
    }

    fn finish(&mut self, data_type: &DataType) -> ArrayRef {
        let rows = self.len();
        let nulls = null_buffer(rows, &self.nulls);
        self.nulls.clear();
        // Neighbouring batches are alike: the next one gets room for as much, and a little more.
        let bytes = if let Values::Text(texts) = &self.values { texts.bytes.len() } else { 0 };
        let fresh = Values::new(self.kind, rows + rows / 8, bytes + bytes / 8);
        match std::mem::replace(&mut self.values, fresh) {
            Values::Text(texts) => {
                let ends = OffsetBuffer::new(ScalarBuffer::from(texts.ends));
                let array = StringArray::try_new(ends, Buffer::from_vec(texts.bytes), nulls);
                Arc::new(array.expect("strings are checked before they are appended"))
            }
            Values::Int32(values) if self.kind == Kind::Date => {
                primitive::<Date32Type>(values, nulls, data_type)
            }
            Values::Int32(values) => primitive::<Int32Type>(values, nulls, data_type),
            Values::Int64(values) => match self.kind {
                Kind::Seconds => primitive::<TimestampSecondType>(values, nulls, data_type),
                Kind::Millis => primitive::<TimestampMillisecondType>(values, nulls, data_type),
                Kind::Micros | Kind::Rfc3339 => {
                    primitive::<TimestampMicrosecondType>(values, nulls, data_type)
                }
                Kind::Text
                | Kind::Int32
                | Kind::Int64
                | Kind::Float32
                | Kind::Float64
                | Kind::Boolean
                | Kind::Decimal { .. }
                | Kind::Date => primitive::<Int64Type>(values, nulls, data_type),
            },
            Values::Float32(values) => primitive::<Float32Type>(values, nulls, data_type),
            Values::Float64(values) => primitive::<Float64Type>(values, nulls, data_type),
            Values::Boolean(values) => Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls)),
            Values::Decimal(values) => {
                Arc::new(Decimal128Array::new(values.into(), nulls).with_data_type(data_type.clone()))
            }
        }
    }
}

impl Values {
    fn new(kind: Kind, rows: usize, bytes: usize) -> Self {
        match kind {
            Kind::Text => Self::Text(Texts::with_capacity(rows, bytes)),
            Kind::Int32 | Kind::Date => Self::Int32(Vec::with_capacity(rows)),
            Kind::Int64 | Kind::Seconds | Kind::Millis | Kind::Micros | Kind::Rfc3339 => {
                Self::Int64(Vec::with_capacity(rows))
            }
            Kind::Float32 => Self::Float32(Vec::with_capacity(rows)),
            Kind::Float64 => Self::Float64(Vec::with_capacity(rows)),
            Kind::Boolean => Self::Boolean(Vec::with_capacity(rows)),
            Kind::Decimal { .. } => Self::Decimal(Vec::with_capacity(rows)),
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    nulls: Option<NullBuffer>,
    data_type: &DataType,
) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type.clone()))
}

fn null_buffer(rows: usize, nulls: &[u32]) -> Option<NullBuffer> {
    if nulls.is_empty() {
        return None;
    }
    let mut bits = MutableBuffer::from_len_zeroed(rows.div_ceil(8));
    bits.as_slice_mut().fill(0xFF);
    for row in nulls {
        bit_util::unset_bit(bits.as_slice_mut(), *row as usize);
    }
    Some(NullBuffer::new(BooleanBuffer::new(bits.into(), 0, rows)))
}

/// The columns of a batch in the making. Rows before [`Columns::rows`] are complete.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) columns: Vec<Column>,
    schema: SchemaRef,
    rows: usize,
}

impl Columns {
    /// Empty columns of the schema.
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let columns = schema.fields().iter().map(|field| {
            let kind =
                Kind::of(field.data_type()).expect("the plan has only the column types of the manifest");
            Column::new(field.name(), kind)
        });
        Self { columns: columns.collect(), schema: Arc::clone(schema), rows: 0 }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The column, ready to get a value for the row in the making. A value that it got before for this row is taken
    /// back: of a repeated field the last wins.
    pub(super) fn slot(&mut self, index: usize) -> &mut Column {
        let column = &mut self.columns[index];
        if column.len() > self.rows {
            column.truncate(self.rows);
        }
        column
    }

    /// Completes the row; columns without a value get null.
    pub(super) fn end_row(&mut self) {
        for column in &mut self.columns {
            if column.len() == self.rows {
                column.push_null();
            }
        }
        self.rows += 1;
    }

    /// Completes a row for which every column has a value.
    pub(super) fn end_full_row(&mut self) {
        debug_assert!(self.columns.iter().all(|column| column.len() == self.rows + 1));
        self.rows += 1;
    }

    /// The last complete row is in the making again.
    pub(super) fn reopen_row(&mut self) {
        self.rows -= 1;
    }

    /// Takes back what the row in the making has.
    pub(super) fn cancel_row(&mut self) {
        for column in &mut self.columns {
            column.truncate(self.rows);
        }
    }

    /// The complete rows as a batch; the columns are empty again.
    pub(super) fn finish(&mut self) -> RecordBatch {
        let fields = self.schema.fields();
        let columns = &mut self.columns;
        let arrays = columns.iter_mut().zip(fields).map(|(column, field)| column.finish(field.data_type()));
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let arrays = arrays.collect();
        self.rows = 0;
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .expect("all columns have the schema's types and as many values")
    }
}
