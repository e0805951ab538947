//! Rows as CSV, as RFC 4180 has it but with a plain line feed after each record.
//!
//! Owns: the header line, quotes, and what stands for null.
//! Never: writes a value unquoted that would be read as null.

use std::ops::Range;

use super::columns::{Cells, Column, all_text};
use super::text::TextBuffer;
use super::value::{put_bool, put_date, put_decimal, put_float, put_instant, put_int};

/// Every byte that a number, date, instant or boolean may be written with.
const VALUE_BYTES: &[u8] = b"0123456789+-.:TZeaflrstu";

/// Writes the rows of one schema.
#[derive(Debug)]
pub(super) struct CsvWriter {
    header: Option<Vec<String>>,
    delimiter: u8,
    nulls: Vec<Vec<u8>>,
    /// A value that is not text could look like null or hold the delimiter: each is looked at.
    values_may_clash: bool,
}

impl CsvWriter {
    /// Settles what has to be looked at.
    pub(super) fn new<'a>(
        names: impl Iterator<Item = &'a str>,
        header: bool,
        delimiter: u8,
        nulls: &[String],
    ) -> Self {
        let like_value =
            |text: &String| !text.is_empty() && text.bytes().all(|byte| VALUE_BYTES.contains(&byte));
        Self {
            header: header.then(|| names.map(str::to_owned).collect()),
            delimiter,
            nulls: nulls.iter().map(|null| null.clone().into_bytes()).collect(),
            values_may_clash: VALUE_BYTES.contains(&delimiter) || nulls.iter().any(like_value),
        }
    }

    /// The line that names the columns.
    pub(super) fn header(&self, out: &mut TextBuffer) {
        let Some(names) = &self.header else { return };
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                out.put_byte(self.delimiter);
            }
            self.put_text(name.as_bytes(), out);
        }
        out.put_byte(b'\n');
    }

    /// Looks once at all text of each column: where nothing needs quotes, only nulls are looked for.
    pub(super) fn prepare(&self, columns: &mut [Column<'_>]) {
        for column in columns {
            if let Cells::Text { values, plain } = &mut column.cells {
                *plain = !self.needs_quotes(all_text(values));
            }
        }
    }

    /// Appends rows.
    pub(super) fn rows(&self, columns: &[Column<'_>], rows: Range<usize>, out: &mut TextBuffer) {
        for row in rows {
            let line = out.len();
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    out.put_byte(self.delimiter);
                }
                self.put_cell(column, row, out);
            }
            // A line without any byte would be skipped by most readers.
            if out.len() == line && columns.len() == 1 && !self.nulls.iter().any(Vec::is_empty) {
                out.put(b"\"\"");
            }
            out.put_byte(b'\n');
        }
    }

    fn put_cell(&self, column: &Column<'_>, row: usize, out: &mut TextBuffer) {
        if column.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return self.put_null(out);
        }
        let start = out.len();
        match &column.cells {
            Cells::Text { values, plain } => {
                let text = values.value(row).as_bytes();
                return if *plain && !self.is_null(text) { out.put(text) } else { self.put_text(text, out) };
            }
            Cells::Int32(values) => put_int(values[row], out),
            Cells::Int64(values) => put_int(values[row], out),
            Cells::Float32(values) if values[row].is_finite() => put_float(values[row], out),
            Cells::Float64(values) if values[row].is_finite() => put_float(values[row], out),
            Cells::Float32(_) | Cells::Float64(_) => return self.put_null(out),
            Cells::Boolean(values) => put_bool(values.value(row), out),
            Cells::Decimal { values, scale } => put_decimal(values[row], *scale, out),
            Cells::Date(values) => put_date(i64::from(values[row]), out),
            Cells::Instant { values, per_second } => put_instant(values[row], *per_second, out),
        }
        if self.values_may_clash {
            let text = out.split_off(start);
            self.put_text(&text, out);
        }
    }

    fn put_null(&self, out: &mut TextBuffer) {
        if let Some(null) = self.nulls.first() {
            out.put(null);
        }
    }

    fn put_text(&self, text: &[u8], out: &mut TextBuffer) {
        if !self.needs_quotes(text) && !self.is_null(text) {
            return out.put(text);
        }
        out.put_byte(b'"');
        let mut start = 0;
        for at in memchr::memchr_iter(b'"', text) {
            out.put(&text[start..=at]);
            start = at;
        }
        out.put(&text[start..]);
        out.put_byte(b'"');
    }

    fn is_null(&self, text: &[u8]) -> bool {
        self.nulls.iter().any(|null| null == text)
    }

    /// Without a branch, so that it is vectorised.
    fn needs_quotes(&self, text: &[u8]) -> bool {
        let delimiter = self.delimiter;
        text.iter().fold(false, |found, byte| {
            found | (*byte == delimiter) | (*byte == b'"') | (*byte == b'\n') | (*byte == b'\r')
        })
    }
}
