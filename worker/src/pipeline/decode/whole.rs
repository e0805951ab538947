//! Records that come one by one, such as those of a topic: each is JSON, CSV or text by itself.
//!
//! Owns: that a record is whole: nothing is missing at its end and nothing follows it.
//! Never: knows where records come from.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use streamjob_plan::{Cause, FormatPlan, PayloadPlan};

use super::columns::Columns;
use super::csv::{CsvDecoder, CsvOptions};
use super::json::JsonDecoder;
use crate::pipeline::records::RecordDecoder;

/// Makes a decoder of payloads. `schema`: the columns that are read of them; `declared`: all that a CSV record has.
pub fn of_records(payload: &PayloadPlan, schema: &SchemaRef, declared: &[String]) -> Box<dyn RecordDecoder> {
    match payload {
        PayloadPlan::Format(FormatPlan::Json) => Box::new(Json(JsonDecoder::new(schema))),
        PayloadPlan::Format(FormatPlan::Csv { delimiter, nulls, .. }) => {
            let options = CsvOptions {
                header: false,
                delimiter: *delimiter,
                nulls: nulls.clone(),
                declared: declared.to_vec(),
            };
            Box::new(Csv(CsvDecoder::new(schema, options)))
        }
        PayloadPlan::Raw => Box::new(Raw(Columns::new(schema))),
    }
}

const TOMBSTONE: &str = "the payload is null (a tombstone)";

struct Json(JsonDecoder);

impl RecordDecoder for Json {
    fn decode(&mut self, payload: Option<&[u8]>) -> Result<(), Cause> {
        self.0.read_whole(payload.ok_or_else(|| Cause::plain(TOMBSTONE))?)
    }

    fn finish(&mut self) -> RecordBatch {
        self.0.finish()
    }
}

struct Csv(CsvDecoder);

impl RecordDecoder for Csv {
    fn decode(&mut self, payload: Option<&[u8]>) -> Result<(), Cause> {
        self.0.read_whole(payload.ok_or_else(|| Cause::plain(TOMBSTONE))?)
    }

    fn finish(&mut self) -> RecordBatch {
        self.0.finish()
    }
}

/// The payload is the value of the one column, if that is read.
struct Raw(Columns);

impl RecordDecoder for Raw {
    fn decode(&mut self, payload: Option<&[u8]>) -> Result<(), Cause> {
        if !self.0.columns.is_empty() {
            let column = self.0.slot(0);
            match payload.map(std::str::from_utf8) {
                None => column.push_null(),
                Some(Ok(text)) => column.push_text(text).expect("validation asks for a String column"),
                Some(Err(error)) => {
                    return Err(Cause::plain(format!("not UTF-8 text at byte {}", error.valid_up_to())));
                }
            }
        }
        self.0.end_row();
        Ok(())
    }

    fn finish(&mut self) -> RecordBatch {
        self.0.finish()
    }
}
