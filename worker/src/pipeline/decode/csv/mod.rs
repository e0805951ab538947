//! CSV (RFC 4180): fields between delimiters, quoted where they hold delimiters, quotes or line feeds.
//!
//! Owns: how records become rows, and which field is which column.
//! Never: opens files.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use csv_core::{ReadFieldResult, Reader, ReaderBuilder, Terminator};
use streamjob_plan::Cause;

use super::columns::{Column, Columns};
use super::span;
use crate::pipeline::records::{Begun, Decoded, Decoder, Span};

/// How the records are written.
#[derive(Clone, Debug)]
pub(super) struct CsvOptions {
    /// The first record of each file names the columns.
    pub(super) header: bool,
    /// Between fields.
    pub(super) delimiter: u8,
    /// Unquoted fields that mean null.
    pub(super) nulls: Vec<String>,
    /// The fields of a file without header.
    pub(super) declared: Vec<String>,
}

/// Decodes CSV into the columns of a schema.
///
/// Empty lines are passed over. A record has as many fields as the header, or as there are declared columns.
/// Quoting mistakes inside a field are read as csv-core does: leniently.
#[derive(Debug)]
pub(super) struct CsvDecoder {
    options: CsvOptions,
    columns: Columns,
    /// For each field the column that it goes to.
    fields: Vec<Option<usize>>,
    reader: Reader,
    field: Vec<u8>,
    spans: Vec<Span>,
}

/// A field of a record with quotes, and where it ends.
#[derive(Clone, Copy, Debug)]
struct Field {
    quoted: bool,
    last: bool,
    /// The input ends inside the quotes.
    open: bool,
    next: usize,
}

/// A record: where the next begins, the line feeds in it, and what is wrong with it.
struct Record {
    next: usize,
    lines: u64,
    result: Result<(), Cause>,
}

impl CsvDecoder {
    /// A decoder that reads the fields named like the schema's columns.
    pub(super) fn new(schema: &SchemaRef, options: CsvOptions) -> Self {
        let mut reader = ReaderBuilder::new();
        reader.delimiter(options.delimiter).terminator(Terminator::Any(b'\n'));
        let mut decoder = Self {
            columns: Columns::new(schema),
            fields: Vec::new(),
            reader: reader.build(),
            field: vec![0; 1024],
            spans: Vec::new(),
            options,
        };
        if !decoder.options.header {
            let declared = std::mem::take(&mut decoder.options.declared);
            decoder.fields = decoder.assign(&declared).expect("the plan's columns are all declared");
        }
        decoder
    }

    fn assign(&self, names: &[String]) -> Result<Vec<Option<usize>>, String> {
        let mut fields = vec![None; names.len()];
        for (index, column) in self.columns.columns.iter().enumerate() {
            let mut places = names.iter().enumerate().filter(|(_, name)| **name == column.name);
            let Some((place, _)) = places.next() else {
                let found: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                let found = found.join(", ");
                return Err(format!("the header has no column `{}`; its columns are {found}", column.name));
            };
            if places.next().is_some() {
                return Err(format!("the header has column `{}` more than once", column.name));
            }
            fields[place] = Some(index);
        }
        Ok(fields)
    }

    /// The next field of a record with quotes, into `self.field`. `None`: the input ends before the field.
    fn read_field(&mut self, bytes: &[u8], start: usize, end: bool) -> Option<(Field, usize)> {
        let (mut at, mut length) = (start, 0);
        let mut flushed = false;
        let last = loop {
            // To csv-core, no input means the end of it.
            if at == bytes.len() && !end {
                return None;
            }
            let (result, taken, given) = self.reader.read_field(&bytes[at..], &mut self.field[length..]);
            at += taken;
            length += given;
            match result {
                ReadFieldResult::InputEmpty => flushed = at == bytes.len(),
                ReadFieldResult::OutputFull => self.field.resize(self.field.len() * 2, 0),
                ReadFieldResult::Field { record_end } => break record_end,
                ReadFieldResult::End => break true,
            }
        };
        let raw = &bytes[start..at];
        let quoted = raw.first() == Some(&b'"');
        let open = flushed && quoted && raw.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
        // The reader ends records at line feeds only; a carriage return before one is part of the line end.
        let text = raw.strip_suffix(b"\n").unwrap_or(raw);
        if last && text.ends_with(b"\r") && self.field[..length].ends_with(b"\r") && !open {
            length -= 1;
        }
        Some((Field { quoted, last, open, next: at }, length))
    }

    /// A record that may have quotes. `None`: it is not complete.
    fn read_quoted(&mut self, bytes: &[u8], start: usize, end: bool) -> Option<Record> {
        self.reader.reset();
        let (mut at, mut count, mut result) = (start, 0, Ok(()));
        loop {
            let (field, length) = self.read_field(bytes, at, end)?;
            let text = &self.field[..length];
            if result.is_ok() {
                result = if field.open {
                    Err(Cause::plain("a quoted field is not closed before the end of the file"))
                } else if text.contains(&0) {
                    Err(Cause::plain(format!("field {} has a NUL byte, so it is not text", count + 1)))
                } else if let Some(Some(index)) = self.fields.get(count) {
                    let nulls = if field.quoted { &[][..] } else { &self.options.nulls };
                    put(self.columns.slot(*index), text, nulls)
                } else {
                    Ok(())
                };
            }
            count += 1;
            at = field.next;
            if field.last {
                let lines = line_feeds(&bytes[start..at]);
                return Some(Record { next: at, lines, result: self.counted(count, result) });
            }
        }
    }

    /// A record without quotes.
    fn read_plain(&mut self, line: &[u8]) -> Result<(), Cause> {
        let (mut from, mut count, mut result) = (0, 0, Ok(()));
        for to in memchr::memchr_iter(self.options.delimiter, line).chain([line.len()]) {
            if let Some(Some(index)) = self.fields.get(count)
                && result.is_ok()
            {
                result = put(self.columns.slot(*index), &line[from..to], &self.options.nulls);
            }
            count += 1;
            from = to + 1;
        }
        self.counted(count, result)
    }

    fn counted(&self, count: usize, result: Result<(), Cause>) -> Result<(), Cause> {
        if count == self.fields.len() {
            return result;
        }
        Err(Cause::plain(format!("expected {} fields, found {count}", self.fields.len())))
    }

    /// Reads one record, of which these are all bytes, into a row.
    pub(super) fn read_whole(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        let read = self.read_record(bytes, 0, true).expect("with the end of its input a record is complete");
        let result = match read.result {
            Ok(()) if read.next < bytes.len() => Err(Cause::plain("more than one line")),
            result => result,
        };
        match &result {
            Ok(()) => self.columns.end_row(),
            Err(_) => self.columns.cancel_row(),
        }
        result
    }

    /// The rows so far.
    pub(super) fn finish(&mut self) -> RecordBatch {
        self.columns.finish()
    }

    /// The record at `start`. `None`: it is not complete.
    fn read_record(&mut self, bytes: &[u8], start: usize, end: bool) -> Option<Record> {
        // Quotes and NUL bytes are for the careful path.
        let stop = memchr::memchr3(b'"', b'\n', 0, &bytes[start..]).map(|stop| start + stop);
        match stop {
            Some(stop) if bytes[stop] != b'\n' => self.read_quoted(bytes, start, end),
            None if !end => None,
            stop => {
                let line_end = stop.unwrap_or(bytes.len());
                let line = &bytes[start..line_end];
                let result = self.read_plain(line.strip_suffix(b"\r").unwrap_or(line));
                let next = bytes.len().min(line_end + 1);
                Some(Record { next, lines: u64::from(stop.is_some()), result })
            }
        }
    }
}

impl Decoder for CsvDecoder {
    fn begin(&mut self, bytes: &[u8], end: bool) -> Result<Begun, String> {
        if !self.options.header {
            return Ok(Begun::At(0));
        }
        let start = empty_lines(bytes, 0, end);
        if start == bytes.len() {
            return Ok(if end { Begun::At(start) } else { Begun::NeedsMore });
        }
        self.reader.reset();
        let (mut at, mut names) = (start, Vec::new());
        loop {
            let Some((field, length)) = self.read_field(bytes, at, end) else { return Ok(Begun::NeedsMore) };
            match std::str::from_utf8(&self.field[..length]) {
                Ok(name) => names.push(name.to_owned()),
                Err(_) => return Err("the header is not UTF-8 text".to_owned()),
            }
            at = field.next;
            if field.last {
                break;
            }
        }
        self.fields = self.assign(&names)?;
        Ok(Begun::At(at))
    }

    fn decode(&mut self, bytes: &[u8], end: bool, records_max: usize) -> Decoded {
        self.spans.clear();
        let (mut at, mut lines, mut bad) = (0, 0, Vec::new());
        while self.spans.len() < records_max {
            let start = empty_lines(bytes, at, end);
            lines += line_feeds(&bytes[at..start]);
            at = start;
            if start == bytes.len() {
                break;
            }
            let Some(record) = self.read_record(bytes, start, end) else {
                self.columns.cancel_row();
                break;
            };
            let raw = &bytes[start..record.next];
            lines += record.lines;
            let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
            let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
            match record.result {
                Ok(()) => self.columns.end_row(),
                Err(cause) => {
                    self.columns.cancel_row();
                    bad.push((self.spans.len(), cause));
                }
            }
            self.spans.push(span(start, start + raw.len()));
            at = record.next;
        }
        Decoded { rows: self.columns.finish(), consumed: at, lines, bad }
    }

    fn spans(&self) -> &[Span] {
        &self.spans
    }

    fn skip(&mut self, bytes: &[u8], fresh: bool) -> Option<usize> {
        if fresh {
            self.reader.reset();
        }
        let mut at = 0;
        while at < bytes.len() {
            let (result, taken, _) = self.reader.read_field(&bytes[at..], &mut self.field);
            at += taken;
            if matches!(result, ReadFieldResult::Field { record_end: true } | ReadFieldResult::End) {
                return Some(at);
            }
        }
        None
    }
}

fn line_feeds(bytes: &[u8]) -> u64 {
    if bytes.is_empty() { 0 } else { memchr::memchr_iter(b'\n', bytes).count() as u64 }
}

/// The first place from `at` on that is not in an empty line.
fn empty_lines(bytes: &[u8], mut at: usize, end: bool) -> usize {
    loop {
        match bytes[at..] {
            [b'\n', ..] => at += 1,
            [b'\r', b'\n', ..] => at += 2,
            [b'\r'] if end => at += 1,
            _ => return at,
        }
    }
}

fn put(column: &mut Column, field: &[u8], nulls: &[String]) -> Result<(), Cause> {
    if nulls.iter().any(|null| null.as_bytes() == field) {
        column.push_null();
        return Ok(());
    }
    let Ok(text) = std::str::from_utf8(field) else {
        return Err(Cause::plain(format!("column `{}`: not UTF-8 text", column.name)));
    };
    let found = if text.is_empty() { "an empty field" } else { "text" };
    column.push_untyped(text).map_err(|unfit| column.cause(unfit, found, field))
}
