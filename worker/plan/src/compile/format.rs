//! How records are written.
//!
//! Owns: formats and their defaults.
//! Never: reads a record.

use streamjob_crds::{CsvFormat, Format};

use crate::FormatPlan;
use crate::error::Problems;

pub(super) fn compile(spec: &Format, field: &str, problems: &mut Problems) -> Option<FormatPlan> {
    match (&spec.json, &spec.csv) {
        (Some(_), None) => Some(FormatPlan::Json),
        (None, Some(csv)) => {
            let delimiter = delimiter(csv);
            let delimiter = problems.keep(&format!("{field}.csv.delimiter"), delimiter)?;
            Some(FormatPlan::Csv {
                header: csv.header.unwrap_or(true),
                delimiter,
                nulls: csv.nulls.clone().unwrap_or_else(|| vec![String::new()]),
            })
        }
        (Some(_), Some(_)) | (None, None) => {
            problems.add(field, "set exactly one of `json` and `csv`");
            None
        }
    }
}

fn delimiter(csv: &CsvFormat) -> Result<u8, String> {
    let text = csv.delimiter.as_deref().unwrap_or(",");
    match text.as_bytes() {
        [b'"' | b'\n' | b'\r'] => Err("a quote or a line break cannot stand between fields".to_owned()),
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err(format!("`{text}` is not one ASCII character, such as `,` or `;` or a tab (\"\\t\")")),
    }
}
