//! Where rows leave the process: files that appear whole, standard output, nowhere.
//!
//! Owns: what a slot writes between two barriers, and how it becomes visible.
//! Never: decides when an epoch ends, or that one is complete.

mod dead_letter;
mod error;
mod files;
mod folder;
mod stdout;

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use serde::Serialize;
use streamjob_plan::{FormatPlan, SinkKind, SinkPlan};

use crate::pipeline::encode::Encoder;
pub use dead_letter::{DeadLetter, dead_letter_rows, dead_letter_schema};
pub use error::SinkError;
pub use files::{FilesSink, SealedFile};
pub use folder::{claim_folder, write_epoch_manifest};
use stdout::LinesSink;

/// Takes the rows of one slot for one target.
///
/// Rows written between two barriers belong to the epoch of the second. A sink that is dropped leaves nothing
/// behind of what no barrier has ended.
pub trait Sink: Send {
    /// Takes rows of the current epoch.
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError>;

    /// Ends the epoch: what was written since the last barrier is handed over, to be published once all slots
    /// have passed this barrier. `None` if there is nothing to publish. Does not wait for the disk.
    fn on_barrier(&mut self, epoch: u64) -> Result<Option<SealedFile>, SinkError>;
}

/// A file under its final name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PublishedFile {
    /// Its name in the folder.
    pub name: String,
    /// How many rows it holds.
    pub rows: u64,
    /// How long it is.
    pub bytes: u64,
}

/// The run and slot that a sink writes for: what its files are called.
#[derive(Clone, Debug)]
pub struct Writer {
    /// The run's id: 32 lower-case hexadecimal digits.
    pub run: String,
    /// The slot's number.
    pub slot: u32,
}

/// The sink of a job's results, for one slot. A folder must have been claimed before.
pub fn open_results(plan: &SinkPlan, schema: &Schema, writer: &Writer) -> Result<Box<dyn Sink>, SinkError> {
    Ok(match &plan.kind {
        SinkKind::Files { folder } => Box::new(open_files(folder, &plan.format, schema, writer)?),
        SinkKind::Stdout => Box::new(LinesSink::stdout(Encoder::new(schema, &plan.format)?, writer.slot)?),
        SinkKind::Blackhole => Box::new(Blackhole),
    })
}

/// Files of rows in a claimed folder, for one slot: results and late rows.
pub fn open_files(
    folder: &Path,
    format: &FormatPlan,
    schema: &Schema,
    writer: &Writer,
) -> Result<FilesSink, SinkError> {
    Ok(FilesSink::new(folder, Encoder::new(schema, format)?, writer))
}

/// Files of dead letters in a claimed folder, for one slot: JSON lines of [`dead_letter_rows`].
pub fn open_dead_letters(folder: &Path, writer: &Writer) -> FilesSink {
    let encoder =
        Encoder::new(&dead_letter_schema(), &FormatPlan::Json).expect("dead letters are text and numbers");
    FilesSink::new(folder, encoder, writer)
}

/// Takes rows and forgets them.
#[derive(Debug)]
pub struct Blackhole;

impl Sink for Blackhole {
    fn write(&mut self, _rows: &RecordBatch) -> Result<(), SinkError> {
        Ok(())
    }

    fn on_barrier(&mut self, _epoch: u64) -> Result<Option<SealedFile>, SinkError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
