//! Where a slot's results and late rows go.
//!
//! Owns: the slot's sinks, and the number of each target.
//! Never: knows what kind of sink it is.

use arrow::array::RecordBatch;

use crate::pipeline::sink::{SealedFile, Sink, SinkError};

/// A place that output goes to. Each has a folder of its own when it is files.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Target {
    /// Results of windows.
    Results,
    /// Late rows.
    Late,
    /// Bad records.
    DeadLetters,
}

/// The sinks of one slot, but for bad records.
pub(super) struct Outlets {
    results: Box<dyn Sink>,
    /// `None` when late rows are only counted.
    late: Option<Box<dyn Sink>>,
}

impl Outlets {
    /// Results go here, late rows there.
    pub(super) fn new(results: Box<dyn Sink>, late: Option<Box<dyn Sink>>) -> Self {
        Self { results, late }
    }

    /// Writes results.
    pub(super) fn write_results(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        self.results.write(rows)
    }

    /// Writes late rows.
    pub(super) fn write_late(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        let late = self.late.as_mut().expect("late rows are kept only when there is a sink for them");
        late.write(rows)
    }

    /// Seals the epoch's output; what became a file is returned.
    pub(super) fn on_barrier(&mut self, epoch: u64) -> Result<Vec<(Target, SealedFile)>, SinkError> {
        let mut sealed = Vec::new();
        sealed.extend(self.results.on_barrier(epoch)?.map(|file| (Target::Results, file)));
        if let Some(late) = &mut self.late {
            sealed.extend(late.on_barrier(epoch)?.map(|file| (Target::Late, file)));
        }
        Ok(sealed)
    }
}
