//! Turns result rows, late rows and dead letters into bytes: JSON lines or CSV, for files or record by record.
//!
//! Owns: how each type is written; the writers are resolved once for a schema.
//! Never: does I/O, or allocates for a row.

mod columns;
mod csv;
mod json;
mod records;
mod text;
mod value;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use streamjob_plan::FormatPlan;
use thiserror::Error;

use columns::{Kind, cells};
use csv::CsvWriter;
use json::JsonWriter;
pub use records::{RecordBuffers, RecordEncoder};
pub use text::TextBuffer;

/// Rows that are encoded before the output may be drained: keeps the text in the processor's cache.
const BLOCK_ROWS: usize = 256;

/// Writes batches of one schema in one format.
#[derive(Debug)]
pub struct Encoder {
    kinds: Vec<Kind>,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Json(JsonWriter),
    Csv(CsvWriter),
}

/// Why a schema cannot be written.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// The column's type has no text form.
    #[error("column `{column}` has type {data_type}, which cannot be written; leave it out with a `select`")]
    UnsupportedType {
        /// Which column.
        column: String,
        /// Its type.
        data_type: DataType,
    },
}

impl Encoder {
    /// Resolves the writers of a schema's columns.
    pub fn new(schema: &Schema, format: &FormatPlan) -> Result<Self, EncodeError> {
        let kinds = schema.fields().iter().map(|field| Kind::of(field)).collect::<Result<_, _>>()?;
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let format = match format {
            FormatPlan::Json => Format::Json(JsonWriter::new(names)),
            FormatPlan::Csv { header, delimiter, nulls } => {
                Format::Csv(CsvWriter::new(names, *header, *delimiter, nulls))
            }
        };
        Ok(Self { kinds, format })
    }

    /// What comes before the first row of a file.
    pub fn begin(&self, out: &mut TextBuffer) {
        match &self.format {
            Format::Json(_) => {}
            Format::Csv(writer) => writer.header(out),
        }
    }

    /// Appends all rows of a batch. `drain` is called every few rows and may empty the buffer.
    ///
    /// # Panics
    /// If the batch does not have the encoder's schema.
    pub fn encode<E>(
        &self,
        rows: &RecordBatch,
        out: &mut TextBuffer,
        mut drain: impl FnMut(&mut TextBuffer) -> Result<(), E>,
    ) -> Result<(), E> {
        assert_eq!(rows.num_columns(), self.kinds.len(), "a batch has the schema of its encoder");
        let mut columns: Vec<_> =
            self.kinds.iter().zip(rows.columns()).map(|(kind, array)| cells(kind, array)).collect();
        self.prepare(&mut columns);
        let mut start = 0;
        while start < rows.num_rows() {
            let end = (start + BLOCK_ROWS).min(rows.num_rows());
            match &self.format {
                Format::Json(writer) => writer.rows(&columns, start..end, out),
                Format::Csv(writer) => writer.rows(&columns, start..end, out),
            }
            drain(out)?;
            start = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
