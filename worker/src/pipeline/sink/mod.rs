//! Where rows leave the job: an outbox that is published as files or records, standard output, nowhere.
//!
//! Owns: how rows are encoded for each target, and how an epoch's output becomes visible.
//! Never: decides when an epoch ends, or that it may be published.

mod dead_letter;
mod error;
mod files;
mod folder;
mod kafka;
mod outbox;
mod records;
mod stdout;
mod target;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use serde::{Deserialize, Serialize};
use streamjob_plan::{FormatPlan, SinkKind, SinkPlan};

use crate::pipeline::encode::{Encoder, RecordEncoder};
pub use dead_letter::{DeadLetter, dead_letter_rows, dead_letter_schema};
pub use error::SinkError;
pub use files::{FilePublisher, Folder, Publication};
pub use folder::{NewestOutput, claim_folder, holds_output_of, write_epoch_manifest};
pub use kafka::{DirectSink, KafkaPublication, KafkaPublisher, KafkaSinkError, Life, cluster_id};
pub use outbox::{Chunk, Outbox, OutboxSink};
pub use records::{RecordsSink, Topic, record_bytes_max};
use stdout::LinesSink;
pub use target::Target;

/// Takes the rows of one slot for one target.
///
/// Rows written between two barriers belong to the epoch of the second.
pub trait Sink: Send {
    /// Takes rows of the current epoch.
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError>;

    /// Ends the epoch: all that was written since the last barrier has left the sink.
    fn on_barrier(&mut self);
}

/// A file under its final name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PublishedFile {
    /// Its name in the folder.
    pub name: String,
    /// How many rows it holds.
    pub rows: u64,
    /// How long it is.
    pub bytes: u64,
}

/// What a target gets, and how.
pub struct Rows<'a> {
    /// Which one.
    pub target: Target,
    /// The topic, if it is one; else it is a folder.
    pub topic: Option<Topic>,
    /// The columns.
    pub schema: &'a Schema,
    /// How many of them, from the first, are the key of a record.
    pub keys: usize,
    /// How they are written.
    pub format: &'a FormatPlan,
}

/// A sink whose rows become files or records through the outbox.
pub fn open(rows: Rows<'_>, outbox: Box<dyn Outbox>) -> Result<Box<dyn Sink>, SinkError> {
    let Rows { target, topic, schema, keys, format } = rows;
    Ok(match topic {
        Some(topic) => {
            let encoder = RecordEncoder::new(schema, format, keys, &topic.route)?;
            Box::new(RecordsSink::new(target, topic, encoder, outbox))
        }
        None => Box::new(OutboxSink::new(target, Encoder::new(schema, format)?, outbox)),
    })
}

/// The sink of a job's results, for one slot.
pub fn open_results(
    plan: &SinkPlan,
    rows: Rows<'_>,
    slot: u32,
    outbox: Box<dyn Outbox>,
) -> Result<Box<dyn Sink>, SinkError> {
    Ok(match &plan.kind {
        SinkKind::Files { .. } | SinkKind::Kafka { .. } => open(rows, outbox)?,
        SinkKind::Stdout => Box::new(LinesSink::stdout(Encoder::new(rows.schema, &plan.format)?, slot)?),
        SinkKind::Blackhole => Box::new(Blackhole),
    })
}

/// The sink of dead letters: [`dead_letter_rows`] as JSON.
pub fn open_dead_letters(topic: Option<Topic>, outbox: Box<dyn Outbox>) -> Box<dyn Sink> {
    let (target, schema) = (Target::DeadLetters, dead_letter_schema());
    let rows = Rows { target, topic, schema: &schema, keys: 0, format: &FormatPlan::Json };
    open(rows, outbox).expect("dead letters are text and numbers")
}

/// How files in a format end.
pub fn extension(format: &FormatPlan) -> &'static str {
    match format {
        FormatPlan::Json => "jsonl",
        FormatPlan::Csv { .. } => "csv",
    }
}

/// Takes rows and forgets them.
#[derive(Debug)]
pub struct Blackhole;

impl Sink for Blackhole {
    fn write(&mut self, _rows: &RecordBatch) -> Result<(), SinkError> {
        Ok(())
    }

    fn on_barrier(&mut self) {}
}

#[cfg(test)]
mod tests;
