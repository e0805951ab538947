//! What becomes of records that cannot be used.
//!
//! Owns: the job's policy for them.
//! Never: finds out why a record is bad.

use std::sync::Arc;

use streamjob_plan::Rejected;

use super::super::RunError;
use crate::pipeline::records::{BadRecord, DecodedRows, PartitionReader};
use crate::pipeline::sink::{DeadLetter, Sink, dead_letter_rows};

/// The policy, as one slot carries it out.
pub(super) enum BadRecordHandler {
    /// The job stops at the first one.
    Fail,
    /// They are counted.
    Skip,
    /// They are counted and written.
    DeadLetter(Box<dyn Sink>),
}

impl BadRecordHandler {
    /// Deals with the bad records of a batch, those that could not be decoded and those that were rejected after it.
    /// Returns how many there were.
    pub(super) fn on_batch(
        &mut self,
        batch: &DecodedRows,
        rejected: &[Rejected],
        reader: &dyn PartitionReader,
    ) -> Result<u64, RunError> {
        if batch.bad.is_empty() && rejected.is_empty() {
            return Ok(0);
        }
        let mut all: Vec<BadRecord> = batch.bad.clone();
        all.extend(rejected.iter().map(|rejected| {
            let position = reader.position(rejected.row);
            BadRecord {
                record: position.record,
                cause: rejected.cause.clone(),
                raw: reader.raw(rejected.row).to_vec(),
                file: Arc::clone(&position.file),
                line: position.line,
            }
        }));
        all.sort_by_key(|bad| bad.record);
        match self {
            Self::Fail => {
                let first = all.swap_remove(0);
                let place = if first.line > 0 { first.line } else { first.record };
                return Err(RunError::BadRecord { file: first.file, place, cause: first.cause });
            }
            Self::Skip => {}
            Self::DeadLetter(sink) => sink.write(&dead_letter_rows(&letters(&all)))?,
        }
        Ok(all.len() as u64)
    }

    /// Ends the epoch's dead letters.
    pub(super) fn on_barrier(&mut self) {
        match self {
            Self::Fail | Self::Skip => {}
            Self::DeadLetter(sink) => sink.on_barrier(),
        }
    }
}

fn letters(bad: &[BadRecord]) -> Vec<DeadLetter<'_>> {
    bad.iter().map(letter).collect()
}

fn letter(bad: &BadRecord) -> DeadLetter<'_> {
    DeadLetter {
        raw: &bad.raw,
        cause: bad.cause.full(),
        source: &bad.file,
        position: bad.record,
        line: (bad.line > 0).then_some(bad.line),
    }
}
