//! Where a slot's results and late rows go.
//!
//! Owns: the slot's sinks, and its way to the outbox.
//! Never: knows what kind of sink it is.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use streamjob_checkpoint::ids::Epoch;
use streamjob_checkpoint::outbox::Output;
use streamjob_checkpoint::retry::{Passing as _, with_causes};

use crate::durability::Calls;
use crate::durability::outbox::{Broken, Direct, OutboxSender};
use crate::pipeline::sink::{Chunk, DirectSink, KafkaSinkError, Outbox, Sink, SinkError, Target};

/// The sinks of one slot, but for bad records.
pub(super) struct Outlets {
    results: Box<dyn Sink>,
    /// `None` when late rows are only counted.
    late: Option<Box<dyn Sink>>,
    outbox: OutboxSender,
}

/// A slot's outbox, as its sinks see it.
pub(super) struct SlotOutbox(pub(super) OutboxSender);

impl Outbox for SlotOutbox {
    fn push(&mut self, chunk: Chunk) {
        self.0.push(chunk.target.name(), chunk.output);
    }
}

/// Records that are sent when they are made, as the outbox sees them.
pub(super) struct DirectOut {
    pub(super) sink: DirectSink,
    pub(super) targets: BTreeSet<&'static str>,
    pub(super) calls: Calls,
}

impl Direct for DirectOut {
    fn takes(&self, target: &str) -> bool {
        self.targets.contains(target)
    }

    fn prepare(&mut self) -> Result<(), Broken> {
        let Self { sink, calls, .. } = self;
        answered(calls.wait(sink.prepare()))
    }

    fn send(&mut self, target: &str, output: &Output) -> Result<(), Broken> {
        let Self { sink, calls, .. } = self;
        let target = Target::named(target).expect("slots name their targets");
        let Output::Records(records) = output else { unreachable!("a topic takes records") };
        answered(calls.wait(sink.send(target, records)))
    }

    fn flush(&mut self) -> Result<(), Broken> {
        let Self { sink, calls, .. } = self;
        answered(calls.wait(sink.flush()))
    }
}

fn answered(answer: Option<Result<(), KafkaSinkError>>) -> Result<(), Broken> {
    match answer {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(Broken { cause: with_causes(&error), may_pass: error.may_pass() }),
        None => Err(Broken { cause: "the worker ends".to_owned(), may_pass: true }),
    }
}

impl Outlets {
    /// Results go here, late rows there; what becomes files goes through the outbox.
    pub(super) fn new(results: Box<dyn Sink>, late: Option<Box<dyn Sink>>, outbox: OutboxSender) -> Self {
        Self { results, late, outbox }
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

    /// Ends the epoch's output, once bad records have ended theirs.
    pub(super) fn on_barrier(&mut self, epoch: Epoch) {
        self.results.on_barrier();
        if let Some(late) = &mut self.late {
            late.on_barrier();
        }
        self.outbox.on_barrier(epoch);
    }
}
