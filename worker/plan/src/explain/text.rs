//! Lines and aligned columns.
//!
//! Owns: the layout of the text, and how durations and generated values are written.
//! Never: knows a plan.

use crate::{GeneratedValue, NumberText};

/// The width of the titles.
const TITLE: usize = 13;

/// Text of titled entries.
#[derive(Default)]
pub(super) struct Text {
    text: String,
}

impl Text {
    /// Begins an entry.
    pub(super) fn entry(&mut self, title: &str, first: &str) {
        self.push(&format!("{title:<TITLE$}{first}"));
    }

    /// A further line of the entry.
    pub(super) fn line(&mut self, line: &str) {
        self.push(&format!("{:<TITLE$}{line}", ""));
    }

    /// Rows of the entry, their columns aligned.
    pub(super) fn table(&mut self, rows: Vec<Vec<String>>) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            self.line(&format!("  {}", cells.collect::<Vec<_>>().join("  ")));
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// `1 column`, `2 columns`.
pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// As the manifest writes durations: `1m30s`.
pub(crate) fn duration(millis: i64) -> String {
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut rest = millis.unsigned_abs();
    let mut text = if millis < 0 { "-".to_owned() } else { String::new() };
    for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    text
}

/// What a generated column is made of.
pub(super) fn generated(value: &GeneratedValue) -> String {
    match value {
        GeneratedValue::Sequence { start, step, modulo, text } => {
            let modulo = modulo.map_or(String::new(), |modulo| format!(", again after {modulo} rows"));
            format!("= sequence from {start} by {step}{modulo}{}", number_text(text))
        }
        GeneratedValue::UniformInt { min, max, text } => {
            format!("= uniform, {min} to {max}{}", number_text(text))
        }
        GeneratedValue::UniformFloat { min, max } => format!("= uniform, {min} to {max}"),
        GeneratedValue::Zipf { values, exponent, text } => {
            format!("= Zipf, {values} values, exponent {exponent}{}", number_text(text))
        }
        GeneratedValue::Choice { values, .. } => format!("= choice of {}", count(values.len(), "value")),
        GeneratedValue::Timestamp { start_ms, rows_per_second, disorder_ms } => {
            let start = match start_ms.map(jiff::Timestamp::from_millisecond) {
                Some(Ok(start)) => start.to_string(),
                Some(Err(_)) | None => "the start of the job".to_owned(),
            };
            let disorder = match disorder_ms {
                0 => String::new(),
                disorder => format!(", up to {} early", duration(*disorder)),
            };
            format!("= timestamp from {start}, {rows_per_second} rows a second{disorder}")
        }
    }
}

fn number_text(text: &Option<NumberText>) -> String {
    match text {
        None => String::new(),
        Some(NumberText { prefix, digits: 0 }) => format!(", as {prefix}1"),
        Some(NumberText { prefix, digits }) => {
            format!(", as {prefix}{:0>width$}", 1, width = usize::from(*digits))
        }
    }
}
