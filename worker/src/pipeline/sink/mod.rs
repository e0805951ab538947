//! Where rows leave the job: an outbox that is published as files, standard output, nowhere.
//!
//! Owns: how rows are encoded for each target, and how an epoch's output becomes visible.
//! Never: decides when an epoch ends, or that it may be published.

mod dead_letter;
mod error;
mod files;
mod folder;
mod outbox;
mod stdout;
mod target;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use serde::{Deserialize, Serialize};
use streamjob_plan::{FormatPlan, SinkKind, SinkPlan};

use crate::pipeline::encode::Encoder;
pub use dead_letter::{DeadLetter, dead_letter_rows, dead_letter_schema};
pub use error::SinkError;
pub use files::{FilePublisher, Folder, Publication};
pub use folder::{NewestOutput, claim_folder, holds_output_of, write_epoch_manifest};
pub use outbox::{Chunk, Outbox, OutboxSink};
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

/// The sink of a job's results, for one slot.
pub fn open_results(
    plan: &SinkPlan,
    schema: &Schema,
    slot: u32,
    outbox: Box<dyn Outbox>,
) -> Result<Box<dyn Sink>, SinkError> {
    Ok(match &plan.kind {
        SinkKind::Files { .. } => {
            Box::new(OutboxSink::new(Target::Results, Encoder::new(schema, &plan.format)?, outbox))
        }
        SinkKind::Kafka { .. } => return Err(SinkError::NotYet),
        SinkKind::Stdout => Box::new(LinesSink::stdout(Encoder::new(schema, &plan.format)?, slot)?),
        SinkKind::Blackhole => Box::new(Blackhole),
    })
}

/// The sink of late rows.
pub fn open_late(
    format: &FormatPlan,
    schema: &Schema,
    outbox: Box<dyn Outbox>,
) -> Result<OutboxSink, SinkError> {
    Ok(OutboxSink::new(Target::Late, Encoder::new(schema, format)?, outbox))
}

/// The sink of dead letters: JSON lines of [`dead_letter_rows`].
pub fn open_dead_letters(outbox: Box<dyn Outbox>) -> OutboxSink {
    let encoder =
        Encoder::new(&dead_letter_schema(), &FormatPlan::Json).expect("dead letters are text and numbers");
    OutboxSink::new(Target::DeadLetters, encoder, outbox)
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
