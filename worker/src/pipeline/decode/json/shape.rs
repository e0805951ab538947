//! The fast path: reads records that are spelt like an earlier one.
//!
//! Owns: the literals between values (braces, names, separators, white space) that are expected again.
//! Never: decides that a record is bad; whatever surprises it is left to the careful path, and it accepts nothing
//! that the careful path would read in another way.

use super::walk::{Token, Walk, plain_text};
use super::{put, text_of};
use crate::pipeline::decode::columns::{Columns, Values};
use crate::pipeline::decode::kind::Kind;
use crate::pipeline::decode::time;

/// Bytes that must come next.
#[derive(Clone, Debug)]
struct Literal {
    bytes: Box<[u8]>,
    /// The first 16 of them, and which of the 16 count.
    word: u128,
    mask: u128,
}

impl Literal {
    fn new(bytes: &[u8]) -> Self {
        let mut padded = [0; 16];
        let short = bytes.len().min(16);
        padded[..short].copy_from_slice(&bytes[..short]);
        let mask = if short == 16 { u128::MAX } else { (1 << (8 * short)) - 1 };
        Self { bytes: bytes.into(), word: u128::from_le_bytes(padded), mask }
    }

    /// The place behind the literal, if it is at `at`.
    #[inline]
    fn pass(&self, text: &[u8], at: usize) -> Option<usize> {
        let rest = text.get(at..)?;
        let same = match rest.first_chunk() {
            Some(chunk) if self.bytes.len() <= 16 => {
                (u128::from_le_bytes(*chunk) ^ self.word) & self.mask == 0
            }
            _ => rest.starts_with(&self.bytes),
        };
        same.then_some(at + self.bytes.len())
    }
}

/// What to do with a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Action {
    Skip,
    Text(usize),
    Integer(usize),
    Rfc3339(usize),
    Other(usize),
}

#[derive(Clone, Debug)]
struct Field {
    lead: Literal,
    action: Action,
}

/// How a record was spelt.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    fields: Vec<Field>,
    /// From the last value to the line feed.
    tail: Literal,
    /// The length of the tail without line end.
    tail_text: usize,
    /// Columns that the record does not have.
    missing: Vec<usize>,
}

/// Where a record and its line end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) text: usize,
    pub(super) line: usize,
}

impl Shape {
    /// The shape of a record, given in its line (line end included) where each value is and which column it is for.
    pub(super) fn learn(line: &[u8], values: &[Value], columns: &Columns) -> Self {
        let mut from = 0;
        let fields = values.iter().map(|value| {
            let lead = Literal::new(&line[from..value.start]);
            from = value.end;
            let action = match value.column {
                None => Action::Skip,
                Some(index) => match columns.columns[index].kind {
                    Kind::Text => Action::Text(index),
                    Kind::Int64 | Kind::Seconds | Kind::Millis | Kind::Micros => Action::Integer(index),
                    Kind::Rfc3339 => Action::Rfc3339(index),
                    Kind::Int32
                    | Kind::Float32
                    | Kind::Float64
                    | Kind::Boolean
                    | Kind::Decimal { .. }
                    | Kind::Date => Action::Other(index),
                },
            };
            Field { lead, action }
        });
        let fields = fields.collect();
        let tail = &line[from..];
        let text = tail.strip_suffix(b"\n").unwrap_or(tail);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let has = |index: usize| values.iter().any(|value| value.column == Some(index));
        let missing = (0..columns.columns.len()).filter(|index| !has(*index)).collect();
        Self { fields, tail: Literal::new(tail), tail_text: text.len(), missing }
    }

    /// Whether a record is spelt like this; given as for [`Shape::learn`].
    pub(super) fn fits(&self, line: &[u8], values: &[Value]) -> bool {
        let mut from = 0;
        self.fields.len() == values.len()
            && self.fields.iter().zip(values).all(|(field, value)| {
                let lead = &line[from..value.start];
                from = value.end;
                *field.lead.bytes == *lead
            })
            && *self.tail.bytes == line[from..]
    }

    /// Reads the record at `at` into the row in the making and completes it. `None`: it is not of this shape, and the
    /// row must be cancelled.
    pub(super) fn read(&self, text: &[u8], mut at: usize, columns: &mut Columns) -> Option<Ends> {
        for field in &self.fields {
            at = field.lead.pass(text, at)?;
            at = match field.action {
                Action::Text(index) => read_text(text, at, columns, index)?,
                Action::Integer(index) => read_integer(text, at, columns, index)?,
                Action::Rfc3339(index) => read_instant(text, at, columns, index)?,
                Action::Other(index) => read_other(text, at, columns, Some(index))?,
                Action::Skip => read_other(text, at, columns, None)?,
            };
        }
        let line = self.tail.pass(text, at)?;
        for index in &self.missing {
            columns.columns[*index].push_null();
        }
        columns.end_full_row();
        Some(Ends { text: at + self.tail_text, line })
    }
}

/// Where a value is in its line, and for which column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Value {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) column: Option<usize>,
}

#[inline]
fn read_text(text: &[u8], at: usize, columns: &mut Columns, index: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return read_other(text, at, columns, Some(index));
    }
    let stop = plain_text(text, at + 1);
    if text.get(stop.at) != Some(&b'"') {
        return read_other(text, at, columns, Some(index));
    }
    if !stop.ascii {
        std::str::from_utf8(&text[at + 1..stop.at]).ok()?;
    }
    let Values::Text(texts) = &mut columns.columns[index].values else { return None };
    texts.push_checked(text, at + 1, stop.at);
    Some(stop.at + 1)
}

#[inline]
fn read_integer(text: &[u8], at: usize, columns: &mut Columns, index: usize) -> Option<usize> {
    let Some((value, end)) = integer(text, at) else { return read_other(text, at, columns, Some(index)) };
    let Values::Int64(values) = &mut columns.columns[index].values else { return None };
    // What follows a number is checked by the next literal: `1.0` and `1e3` fail there.
    values.push(value);
    Some(end)
}

#[inline]
fn read_instant(text: &[u8], at: usize, columns: &mut Columns, index: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return read_other(text, at, columns, Some(index));
    }
    let stop = plain_text(text, at + 1);
    if text.get(stop.at) != Some(&b'"') {
        return None;
    }
    let instant = time::rfc3339(&text[at + 1..stop.at])?;
    let Values::Int64(values) = &mut columns.columns[index].values else { return None };
    values.push(instant);
    Some(stop.at + 1)
}

/// Any value, into a column or passed over.
fn read_other(text: &[u8], at: usize, columns: &mut Columns, index: Option<usize>) -> Option<usize> {
    let mut walk = Walk::new(text, at);
    // A value that goes over the line's end is refused: the line would not be JSON.
    let token = walk.value(1).ok()?;
    match (token, index) {
        (Token::Array | Token::Object, _) => {
            let passed = &text[at..walk.at];
            if passed.contains(&b'\n') || std::str::from_utf8(passed).is_err() {
                return None;
            }
            if index.is_some() {
                return None;
            }
        }
        (token, Some(index)) => put(&mut columns.columns[index], token).ok()?,
        (Token::Text { ascii: false, .. }, None) => {
            text_of(token)?;
        }
        (Token::Null | Token::Bool(_) | Token::Number(_) | Token::Text { .. }, None) => {}
    }
    Some(walk.at)
}

/// Up to 18 digits with an optional minus, eight digits at a time, and where they end.
#[inline]
fn integer(text: &[u8], at: usize) -> Option<(i64, usize)> {
    let minus = text.get(at) == Some(&b'-');
    let mut at = at + usize::from(minus);
    let (mut value, mut length) = (0u64, 0);
    loop {
        let rest = text.get(at..)?;
        let word = rest.first_chunk().copied().unwrap_or_else(|| {
            // Near the end of a record that is by itself: what follows is no digit.
            let mut padded = [0; 8];
            padded[..rest.len()].copy_from_slice(rest);
            padded
        });
        let word = u64::from_le_bytes(word);
        let digits = word ^ 0x3030_3030_3030_3030;
        let other = (digits | digits.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080;
        let count = other.trailing_zeros() / 8;
        if length == 0 && (count == 0 || (count > 1 && digits & 0xFF == 0)) {
            return None;
        }
        length += count;
        at += count as usize;
        if length > 18 {
            return None;
        }
        if count == 8 {
            value = value * 100_000_000 + eight_digits(digits);
            continue;
        }
        if count > 0 {
            const POWERS: [u64; 8] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000];
            value = value * POWERS[count as usize] + eight_digits(digits << (64 - 8 * count));
        }
        let value = value as i64;
        return Some((if minus { -value } else { value }, at));
    }
}

/// The number that eight digits make; the first is the lowest byte.
#[inline]
fn eight_digits(digits: u64) -> u64 {
    const EVEN: u64 = 0x0000_00FF_0000_00FF;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & EVEN).wrapping_mul(100 + (1_000_000 << 32));
    let low = ((pairs >> 16) & EVEN).wrapping_mul(1 + (10_000 << 32));
    high.wrapping_add(low) >> 32
}
