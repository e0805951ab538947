//! JSON lines: one object a line.
//!
//! Owns: how lines become rows, and the careful path that reads any JSON object and says what is wrong with others.
//! Never: opens files.

mod shape;
mod walk;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use hashbrown::HashMap;
use streamjob_plan::Cause;

use self::shape::{Ends, Shape, Value};
use self::walk::{Broken, Token, Walk};
use super::columns::{Column, Columns};
use super::span;
use super::unfit::Unfit;
use crate::pipeline::records::{Begun, Decoded, Decoder, Span};

/// More spellings than this are not expected at a time.
const SHAPES_MAX: usize = 4;

/// Decodes JSON lines into the columns of a schema.
///
/// A record that is spelt like an earlier one (same fields in the same order, same white space) takes a fast path that
/// only compares what is between the values; any other record is read carefully, and its spelling expected from then on.
#[derive(Debug)]
pub(super) struct JsonDecoder {
    columns: Columns,
    names: HashMap<Box<[u8]>, usize>,
    /// Spellings to expect, and which of them came last.
    shapes: Vec<Shape>,
    current: usize,
    /// The record before was not spelt like any of them.
    missed: bool,
    spans: Vec<Span>,
    values: Vec<Value>,
}

impl JsonDecoder {
    /// A decoder that reads the fields named like the schema's columns.
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let columns = Columns::new(schema);
        let names = columns.columns.iter().enumerate();
        let names = names.map(|(index, column)| (column.name.as_bytes().into(), index)).collect();
        Self {
            columns,
            names,
            shapes: Vec::new(),
            current: 0,
            missed: false,
            spans: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Reads the record at `at` if it is spelt as expected.
    #[inline]
    fn read_expected(&mut self, bytes: &[u8], at: usize) -> Option<Ends> {
        for _ in 0..self.shapes.len() {
            let ends = self.shapes[self.current].read(bytes, at, &mut self.columns);
            if ends.is_some() {
                self.missed = false;
                return ends;
            }
            self.columns.cancel_row();
            self.current = (self.current + 1) % self.shapes.len();
        }
        None
    }

    /// Expects the spelling of the line just read.
    fn learn(&mut self, line: &[u8]) {
        if self.shapes.iter().any(|shape| shape.fits(line, &self.values)) {
            return;
        }
        if self.shapes.len() < SHAPES_MAX {
            self.current = self.shapes.len();
            self.shapes.push(Shape::learn(line, &self.values, &self.columns));
        } else if self.missed {
            // One stray record displaces nothing; two in a row do.
            self.shapes[self.current] = Shape::learn(line, &self.values, &self.columns);
        }
        self.missed = true;
    }

    /// Reads one record, of which these are all bytes, into a row.
    pub(super) fn read_whole(&mut self, record: &[u8]) -> Result<(), Cause> {
        if let Some(ends) = self.read_expected(record, 0) {
            if ends.line == record.len() {
                return Ok(());
            }
            self.columns.reopen_row();
            self.columns.cancel_row();
        }
        match self.read_line(record) {
            Ok(unique) => {
                self.columns.end_row();
                if unique {
                    self.learn(record);
                }
                Ok(())
            }
            Err(cause) => {
                self.columns.cancel_row();
                Err(cause)
            }
        }
    }

    /// The rows so far.
    pub(super) fn finish(&mut self) -> RecordBatch {
        self.columns.finish()
    }

    /// Reads a line carefully into the row in the making. False: a column came twice.
    fn read_line(&mut self, line: &[u8]) -> Result<bool, Cause> {
        if let Err(error) = std::str::from_utf8(line) {
            return Err(Cause::plain(format!("not UTF-8 text at byte {}", error.valid_up_to())));
        }
        self.values.clear();
        let mut walk = Walk::new(line, 0);
        walk.space();
        if walk.peek() != Some(b'{') {
            return Err(match walk.value(0) {
                Ok(token) => Cause::plain(format!("expected a JSON object, found {}", token.describe())),
                Err(broken) => not_json(broken),
            });
        }
        walk.at += 1;
        let unique = self.read_fields(&mut walk)?;
        walk.space();
        if walk.peek().is_some() {
            return Err(not_json(Broken { at: walk.at, expected: "the end of the line" }));
        }
        Ok(unique)
    }

    fn read_fields(&mut self, walk: &mut Walk<'_>) -> Result<bool, Cause> {
        let mut unique = true;
        walk.space();
        if walk.peek() == Some(b'}') {
            walk.at += 1;
            return Ok(true);
        }
        loop {
            walk.space();
            let key = walk.string().map_err(not_json)?;
            let column = match text_of(key) {
                Some(name) => self.names.get(name.as_bytes()).copied(),
                None => return Err(Cause::plain("a field's name has an escape that is no character")),
            };
            walk.expect(b':', "`:`").map_err(not_json)?;
            walk.space();
            let start = walk.at;
            let token = walk.value(1).map_err(not_json)?;
            if let Some(index) = column {
                unique &= self.columns.columns[index].len() == self.columns.rows();
                put(self.columns.slot(index), token)?;
            }
            self.values.push(Value { start, end: walk.at, column });
            walk.space();
            match walk.peek() {
                Some(b',') => walk.at += 1,
                Some(b'}') => break,
                _ => return walk.broken("`,` or `}`").map_err(not_json),
            }
        }
        walk.at += 1;
        Ok(unique)
    }
}

impl Decoder for JsonDecoder {
    fn begin(&mut self, _bytes: &[u8], _end: bool) -> Result<Begun, String> {
        Ok(Begun::At(0))
    }

    fn decode(&mut self, bytes: &[u8], end: bool, records_max: usize) -> Decoded {
        self.spans.clear();
        let (mut at, mut lines, mut bad) = (0, 0, Vec::new());
        while self.spans.len() < records_max && at < bytes.len() {
            if let Some(ends) = self.read_expected(bytes, at) {
                self.spans.push(span(at, ends.text));
                at = ends.line;
                lines += 1;
                continue;
            }
            let feed = memchr::memchr(b'\n', &bytes[at..]);
            let Some(line_end) = feed.map(|feed| at + feed).or(end.then_some(bytes.len())) else { break };
            let next = bytes.len().min(line_end + 1);
            lines += u64::from(feed.is_some());
            let line = &bytes[at..line_end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
                at = next;
                continue;
            }
            match self.read_line(line) {
                Ok(unique) => {
                    self.columns.end_row();
                    if unique && feed.is_some() {
                        self.learn(&bytes[at..next]);
                    }
                }
                Err(cause) => {
                    self.columns.cancel_row();
                    bad.push((self.spans.len(), cause));
                }
            }
            self.spans.push(span(at, at + line.len()));
            at = next;
        }
        Decoded { rows: self.columns.finish(), consumed: at, lines, bad }
    }

    fn spans(&self) -> &[Span] {
        &self.spans
    }

    fn skip(&mut self, bytes: &[u8], _fresh: bool) -> Option<usize> {
        memchr::memchr(b'\n', bytes).map(|feed| feed + 1)
    }
}

fn not_json(broken: Broken) -> Cause {
    Cause::plain(format!("not valid JSON at byte {}: expected {}", broken.at, broken.expected))
}

/// The text of a string; `None` if it is not UTF-8 or has escapes that are no characters.
fn text_of(token: Token<'_>) -> Option<std::borrow::Cow<'_, str>> {
    let Token::Text { raw, escaped, .. } = token else { return None };
    if !escaped {
        return std::str::from_utf8(raw).ok().map(Into::into);
    }
    let quoted = [b"\"", raw, b"\""].concat();
    serde_json::from_slice(&quoted).ok().map(String::into)
}

/// Puts a value into a column.
fn put(column: &mut Column, token: Token<'_>) -> Result<(), Cause> {
    let (pushed, text) = match token {
        Token::Null => {
            column.push_null();
            return Ok(());
        }
        Token::Bool(value) => (column.push_bool(value), &b""[..]),
        Token::Number(text) => (column.push_number(text), text),
        Token::Text { raw, .. } => match text_of(token) {
            Some(text) => (column.push_text(&text), raw),
            None => {
                return Err(Cause::plain(format!(
                    "column `{}`: has an escape that is no character",
                    column.name
                )));
            }
        },
        Token::Array | Token::Object => (Err(Unfit::Type), &b""[..]),
    };
    pushed.map_err(|unfit| column.cause(unfit, token.describe(), text))
}
