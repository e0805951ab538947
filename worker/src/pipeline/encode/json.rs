//! Rows as JSON lines.
//!
//! Owns: the text between values, made once for a schema; escapes.
//! Never: writes a number that is not JSON: NaN and infinities are null.

use std::ops::Range;

use super::columns::{Cells, Column, all_text};
use super::text::{Padded, TextBuffer};
use super::value::{put_bool, put_date, put_decimal, put_float, put_instant, put_int};

/// Writes the rows of one schema.
#[derive(Debug)]
pub(super) struct JsonWriter {
    /// `{"name":` for the first column, `,"name":` for the others.
    names: Vec<Padded>,
    empty: bool,
}

/// Where a column's last value stands in the output: windows repeat theirs row after row.
#[derive(Clone, Copy, Default)]
struct Last {
    value: i64,
    start: usize,
    len: usize,
}

impl JsonWriter {
    /// Renders what stands between the values.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<_> = names
            .enumerate()
            .map(|(index, name)| {
                let mut text = TextBuffer::default();
                text.put(if index == 0 { b"{\"" } else { b",\"" });
                put_escaped(name.as_bytes(), &mut text);
                text.put(b"\":");
                Padded::new(text.as_bytes())
            })
            .collect();
        Self { empty: names.is_empty(), names }
    }

    /// Looks once at all text of each column: where nothing needs escaping, no row is looked at.
    pub(super) fn prepare(&self, columns: &mut [Column<'_>]) {
        for column in columns {
            if let Cells::Text { values, plain } = &mut column.cells {
                *plain = !needs_escape(all_text(values));
            }
        }
    }

    /// Appends rows.
    pub(super) fn rows(&self, columns: &[Column<'_>], rows: Range<usize>, out: &mut TextBuffer) {
        const FEW: usize = 32;
        let mut last = [Last::default(); FEW];
        for row in rows {
            for (index, (name, column)) in self.names.iter().zip(columns).enumerate() {
                if let (Cells::Int64(values), None, Some(last)) =
                    (&column.cells, column.nulls, last.get_mut(index))
                {
                    put_named_int(name, values[row], last, out);
                } else {
                    out.put_padded(name);
                    put_cell(column, row, out);
                }
            }
            out.put(if self.empty { b"{}\n" } else { b"}\n" });
        }
    }
}

#[inline]
fn put_named_int(name: &Padded, value: i64, last: &mut Last, out: &mut TextBuffer) {
    if last.len > 0 && last.value == value {
        out.repeat(last.start, last.len);
        return;
    }
    let start = out.len();
    out.put_padded(name);
    put_int(value, out);
    *last = Last { value, start, len: out.len() - start };
}

#[inline]
pub(super) fn put_cell(column: &Column<'_>, row: usize, out: &mut TextBuffer) {
    if column.nulls.is_some_and(|nulls| nulls.is_null(row)) {
        return out.put(b"null");
    }
    match &column.cells {
        Cells::Text { values, plain } => {
            out.put_byte(b'"');
            let text = values.value(row).as_bytes();
            if *plain {
                out.put(text)
            } else {
                put_escaped(text, out)
            }
            out.put_byte(b'"');
        }
        Cells::Int32(values) => put_int(values[row], out),
        Cells::Int64(values) => put_int(values[row], out),
        Cells::Float32(values) if values[row].is_finite() => put_float(values[row], out),
        Cells::Float64(values) if values[row].is_finite() => put_float(values[row], out),
        Cells::Float32(_) | Cells::Float64(_) => out.put(b"null"),
        Cells::Boolean(values) => put_bool(values.value(row), out),
        Cells::Decimal { values, scale } => put_decimal(values[row], *scale, out),
        Cells::Date(values) => {
            out.put_byte(b'"');
            put_date(i64::from(values[row]), out);
            out.put_byte(b'"');
        }
        Cells::Instant { values, per_second } => {
            out.put_byte(b'"');
            put_instant(values[row], *per_second, out);
            out.put_byte(b'"');
        }
    }
}

/// Whether a byte cannot stand in a JSON string as it is.
#[inline]
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Whether any byte cannot stand in a JSON string as it is. Without a branch, so that it is vectorised.
fn needs_escape(text: &[u8]) -> bool {
    text.iter().fold(false, |found, byte| found | is_special(*byte))
}

fn put_escaped(text: &[u8], out: &mut TextBuffer) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut start = 0;
    for (at, byte) in text.iter().enumerate().filter(|(_, byte)| is_special(**byte)) {
        out.put(&text[start..at]);
        start = at + 1;
        match byte {
            b'"' => out.put(b"\\\""),
            b'\\' => out.put(b"\\\\"),
            b'\n' => out.put(b"\\n"),
            b'\r' => out.put(b"\\r"),
            b'\t' => out.put(b"\\t"),
            control => {
                out.put(b"\\u00");
                out.put_byte(HEX[usize::from(control >> 4)]);
                out.put_byte(HEX[usize::from(control & 0xf)]);
            }
        }
    }
    out.put(&text[start..]);
}
