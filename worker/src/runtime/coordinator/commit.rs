//! From the reports of an epoch to its record, and what follows once that is in the log.
//!
//! Owns: the order collected, committed, published.
//! Never: publishes what is not committed.

use streamjob_checkpoint::checkpoint::{Checkpoint, WorkerReport};
use streamjob_checkpoint::ids::{Epoch, Lineage};
use streamjob_checkpoint::planted::{self, Bug};
use streamjob_checkpoint::protocol::Commit;
use streamjob_checkpoint::transition::next_checkpoint;

use super::Ending;
use super::event::{Committed, Note};
use super::state::Coordinator;
use super::step::{Appending, EpochFacts, Out, Publishing, Report, Step};
use crate::runtime::messages::{Publication, Times, ToWorker};

impl Coordinator {
    /// All parts of an epoch are in the store: its record may be written.
    pub(super) fn commit(&mut self, reports: Vec<Report>) {
        let Step::Collecting(collecting) = &self.step else { return };
        let (epoch, ending, since) = (collecting.epoch, collecting.ending, collecting.since);
        assert!(self.checkpoint.epoch < epoch, "epochs only grow: {} then {epoch}", self.checkpoint.epoch);
        let times = slowest(&reports);
        let reports: Vec<WorkerReport> = reports.into_iter().map(|report| *report.report).collect();
        let next = match next_checkpoint(&self.checkpoint, epoch, self.setup.parallelism, &reports) {
            Ok(next) => Box::new(next),
            Err(error) => return self.protocol(format!("the reports of epoch {epoch} do not fit: {error}")),
        };
        let figures = figures(&next, &reports, times);
        let behind = behind(&reports);
        let mut facts = EpochFacts { ending, behind, since, collected_at: self.now, figures, early: None };
        if planted::is(Bug::PublishBeforeCommit) {
            facts.early = Some(Box::new(self.publish(&next, ending)));
        }
        self.note(Note::Collected { epoch });
        self.append(Appending::of_epoch(Commit::Epoch(next), facts));
    }

    /// An epoch is in the log. Only now may it be folded and published.
    pub(super) fn on_committed(&mut self, checkpoint: Box<Checkpoint>, facts: EpochFacts) {
        let epoch = checkpoint.epoch;
        let duration = self.now.saturating_sub(facts.since);
        let commit = self.now.saturating_sub(facts.collected_at);
        self.note(Note::Committed(Committed { duration, commit, ..facts.figures }));
        self.outputs.extend(self.savepoints.on_committed(epoch));
        self.tell_all(&ToWorker::Committed { epoch, behind: facts.behind });
        let early = facts.early.map(|early| *early);
        let publishing = early.unwrap_or_else(|| self.publish(&checkpoint, facts.ending));
        self.step = Step::Publishing(publishing);
        self.checkpoint = checkpoint;
    }

    pub(super) fn on_published(&mut self, worker: u32, what: (Lineage, Epoch), out: Out) {
        let awaited = match &mut self.step {
            Step::Publishing(publishing) => publishing.answer(worker, what, out),
            Step::Appending(Appending { epoch: Some(facts), .. }) => {
                facts.early.as_mut().is_some_and(|early| early.answer(worker, what, out))
            }
            Step::Registering { .. }
            | Step::Idle
            | Step::Collecting(_)
            | Step::Appending(_)
            | Step::Concluding { .. }
            | Step::Closing { .. }
            | Step::Failing(_)
            | Step::Over => false,
        };
        if !awaited {
            self.protocol(format!("worker {worker} published epoch {}, which nobody asked for", what.1));
        }
    }

    /// Has the output of a checkpoint published, if there is any.
    fn publish(&mut self, checkpoint: &Checkpoint, ending: Option<Ending>) -> Publishing {
        let publication = Publication::of(self.setup.lineage, checkpoint);
        let publishing = Publishing::of(&publication, self.workers.len(), ending);
        if !publication.outbox.is_empty() {
            self.tell_all(&ToWorker::Publish(publication));
        }
        publishing
    }
}

/// Partitions that are behind in some slot.
fn behind(reports: &[WorkerReport]) -> Vec<u32> {
    let slots = reports.iter().flat_map(|report| &report.slots);
    let mut behind: Vec<u32> = slots.flat_map(|slot| slot.operator.behind.iter().copied()).collect();
    behind.sort_unstable();
    behind.dedup();
    behind
}

fn figures(checkpoint: &Checkpoint, reports: &[WorkerReport], times: Times) -> Committed {
    let written = reports.iter().flat_map(|report| &report.objects);
    let blocks = reports.iter().flat_map(|report| &report.slots).flat_map(|slot| &slot.blocks);
    Committed {
        epoch: checkpoint.epoch,
        duration: std::time::Duration::ZERO,
        commit: std::time::Duration::ZERO,
        times,
        bytes_written: written.map(|object| object.bytes).sum(),
        keys_written: blocks.clone().map(|(_, block)| block.keys).sum(),
        state_written: blocks.map(|(_, block)| block.bytes).sum(),
        bytes_total: checkpoint.objects.iter().map(|object| object.bytes).sum(),
    }
}

/// The times of the worker that came last.
fn slowest(reports: &[Report]) -> Times {
    reports.iter().max_by_key(|report| report.at).map(|report| report.times).unwrap_or_default()
}

/// What the last epoch leaves behind once its output is published.
pub(super) fn without_outbox(checkpoint: &Checkpoint) -> Checkpoint {
    let mut rest = checkpoint.clone();
    let published = std::mem::take(&mut rest.outbox);
    rest.objects.retain(|object| published.iter().all(|outbox| outbox.object != object.name));
    rest
}
