//! How it ends.
//!
//! Owns: the record that ends an incarnation, and what a failure is taken for.
//! Never: ends as done without that record.

use streamjob_checkpoint::protocol::Commit;

use super::Ending;
use super::commit::without_outbox;
use super::event::{End, Failure, Output};
use super::state::Coordinator;
use super::step::{Appending, Step};
use crate::runtime::messages::ToWorker;

impl Coordinator {
    pub(super) fn close(&mut self, ending: Ending) {
        self.outputs.extend(self.savepoints.on_last());
        let checkpoint = Box::new(without_outbox(&self.checkpoint));
        let commit = Commit::Final { checkpoint, finished: ending == Ending::Finished };
        self.step = Step::Appending(Appending::new(commit.clone(), None));
        self.outputs.push(Output::Append(commit));
    }

    /// A failure may come from a successor that has taken over: who leads decides what it was.
    pub(super) fn fail(&mut self, failure: Failure) {
        match &self.step {
            // What fails after a failure follows from it.
            Step::Failing(_) | Step::Over => {}
            Step::Registering { .. }
            | Step::Idle
            | Step::Collecting(_)
            | Step::Appending(_)
            | Step::Publishing(_)
            | Step::Concluding { .. }
            | Step::Closing { .. } => {
                self.step = Step::Failing(failure);
                self.outputs.push(Output::AskWhoLeads);
            }
        }
    }

    pub(super) fn on_leads(&mut self) {
        let Step::Failing(failure) = &self.step else {
            return self.protocol("an answer came to a question that nobody asked".to_owned());
        };
        let failure = failure.clone();
        self.end(End::Failed(failure));
    }

    pub(super) fn protocol(&mut self, what: String) {
        self.end(End::Protocol { what });
    }

    pub(super) fn end(&mut self, end: End) {
        if self.is_over() {
            return;
        }
        self.step = Step::Over;
        self.tell_all(&ToWorker::Exit);
        self.outputs.push(Output::End(end));
    }
}
