//! An epoch from its barrier to the last report, or to its end before that.
//!
//! Owns: who has reported; who is to blame when someone has not.
//! Never: commits.

use streamjob_checkpoint::ids::Epoch;
use streamjob_checkpoint::retry::Pauses;
use streamjob_checkpoint::transition::due_for_compaction;

use super::event::Note;
use super::state::Coordinator;
use super::step::{Collecting, Report, Step};
use crate::runtime::messages::ToWorker;

impl Coordinator {
    pub(super) fn begin_epoch(&mut self) {
        let ending = self.ending();
        let epoch = self.last_epoch.next();
        self.last_epoch = epoch;
        self.early = false;
        self.next_barrier = self.now + self.setup.interval;
        // What is written at the end is read at most once more: merging it first would only make the end later.
        let compact = if ending.is_some() { Vec::new() } else { due_for_compaction(&self.checkpoint.slices) };
        self.step = Step::Collecting(Collecting::new(epoch, ending, self.now, self.workers.len()));
        self.note(Note::Started { epoch, last: ending.is_some() });
        self.outputs.extend(self.savepoints.on_started(epoch));
        self.tell_all(&ToWorker::Barrier { epoch, last: ending.is_some(), compact });
    }

    pub(super) fn abandon(&mut self, cause: String) {
        let epoch = self.last_epoch;
        self.abandoned_in_a_row += 1;
        self.not_before =
            self.now + Pauses::OF_A_CALL.after(self.abandoned_in_a_row).min(self.setup.interval);
        self.step = Step::Idle;
        self.outputs.extend(self.savepoints.on_abandoned(&cause));
        self.note(Note::Abandoned { epoch, cause, in_a_row: self.abandoned_in_a_row });
        self.tell_all(&ToWorker::Abandon { epoch });
    }

    /// Whether an answer is about the epoch that is being collected. One about an abandoned epoch is of no use any
    /// more; one about an epoch that never began is a bug.
    pub(super) fn is_current(&mut self, worker: u32, epoch: Epoch) -> bool {
        if epoch > self.last_epoch {
            self.protocol(format!("worker {worker} answers epoch {epoch}, which has not begun"));
            return false;
        }
        matches!(&self.step, Step::Collecting(collecting) if collecting.epoch == epoch)
    }

    pub(super) fn on_acknowledged(&mut self, worker: u32, epoch: Epoch, report: Report) {
        if !self.is_current(worker, epoch) {
            return;
        }
        let Step::Collecting(collecting) = &mut self.step else { return };
        let twice = collecting.reports[worker as usize].replace(report).is_some();
        if twice {
            self.protocol(format!("worker {worker} acknowledged epoch {epoch} twice"));
        }
    }

    /// Who has not done what.
    pub(super) fn guilty(&self, collecting: &Collecting) -> String {
        let seconds = self.setup.timeout.as_secs_f64();
        let silent: Vec<String> = (0..self.workers.len())
            .filter_map(|worker| {
                let lacks = match (&collecting.reports[worker], self.workers[worker].checked) {
                    (None, _) => "its part is not stored",
                    (Some(_), false) => "it has not checked the objects that it started from",
                    (Some(_), true) => return None,
                };
                Some(format!("worker {worker}: {lacks}"))
            })
            .collect();
        format!("not complete after {seconds} s ({})", silent.join("; "))
    }
}
