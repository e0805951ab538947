//! How records are written.
//!
//! Owns: formats and their defaults.
//! Never: reads a record.

use streamjob_crds::Format;

use crate::FormatPlan;

/// The format of files.
pub(super) fn compile(spec: &Format) -> FormatPlan {
    with_header(spec, true)
}

/// The format of records that are each by themselves.
pub(super) fn of_records(spec: &Format) -> FormatPlan {
    with_header(spec, false)
}

fn with_header(spec: &Format, header: bool) -> FormatPlan {
    let Some(csv) = &spec.csv else {
        return FormatPlan::Json;
    };
    let delimiter = csv.delimiter.as_ref().map(|text| text.as_bytes());
    FormatPlan::Csv {
        header: csv.header.unwrap_or(header),
        delimiter: delimiter.map_or(b',', |bytes| *bytes.first().expect("validation leaves one character")),
        nulls: csv.nulls.clone().unwrap_or_else(|| vec![String::new()]),
    }
}
