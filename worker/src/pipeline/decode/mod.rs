//! From bytes to rows: JSON, CSV and text.
//!
//! Owns: the formats, and the rules by which text becomes typed values.
//! Never: opens files, or knows where bytes come from.

mod columns;
mod csv;
mod json;
mod kind;
mod number;
#[cfg(test)]
mod tests;
mod time;
mod unfit;
mod whole;

use std::sync::Arc;

use streamjob_plan::{FormatPlan, SourceKind, SourcePlan};

use self::csv::{CsvDecoder, CsvOptions};
use self::json::JsonDecoder;
pub use self::whole::of_records;
use crate::pipeline::records::{Decoder, MakeDecoder, Span};

/// Makes decoders for the source's format and columns.
pub fn maker(source: &SourcePlan) -> MakeDecoder {
    let schema = Arc::clone(&source.schema);
    let SourceKind::Files(files) = &source.kind else {
        // Generated rows are typed already, and records of topics are decoded one by one: nobody asks for a decoder.
        return Arc::new(move || Box::new(JsonDecoder::new(&schema)));
    };
    match &files.format {
        FormatPlan::Json => Arc::new(move || Box::new(JsonDecoder::new(&schema))),
        FormatPlan::Csv { header, delimiter, nulls } => {
            let options = CsvOptions {
                header: *header,
                delimiter: *delimiter,
                nulls: nulls.clone(),
                declared: files.declared.clone(),
            };
            Arc::new(move || -> Box<dyn Decoder> { Box::new(CsvDecoder::new(&schema, options.clone())) })
        }
    }
}

fn span(start: usize, end: usize) -> Span {
    let fits = "input comes in pieces of less than 4 GB";
    Span { start: u32::try_from(start).expect(fits), end: u32::try_from(end).expect(fits) }
}
