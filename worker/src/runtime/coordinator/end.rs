//! How it ends.
//!
//! Owns: the record that ends an incarnation, the time that an end has, and what a failure is taken for.
//! Never: ends as done without that record.

use streamjob_checkpoint::protocol::Commit;
use streamjob_checkpoint::record::Operation;

use super::Ending;
use super::commit::without_outbox;
use super::event::{End, Failure, Output};
use super::state::Coordinator;
use super::step::{Appending, Step};
use crate::runtime::messages::ToWorker;
use crate::runtime::stop::{HandOver, Stop};

impl Coordinator {
    /// What the job ends with now, if it does.
    pub(super) fn ending(&self) -> Option<Ending> {
        if self.workers.iter().all(|worker| worker.drained) {
            return Some(Ending::Finished);
        }
        match &self.stopping {
            Some(Stop::End | Stop::HandOver(_)) => Some(Ending::Stopped),
            Some(Stop::Leave { .. }) => Some(Ending::Left),
            None => None,
        }
    }

    /// Whether a hand-over, or leaving, has taken too long.
    pub(super) fn is_out_of_time(&self) -> bool {
        let until = self.stopping.as_ref().and_then(Stop::until);
        let going = !matches!(self.step, Step::Failing(_) | Step::Over);
        going && until.is_some_and(|until| self.now >= until)
    }

    pub(super) fn close(&mut self, ending: Ending) {
        self.outputs.extend(self.savepoints.on_last());
        let finished = match ending {
            Ending::Finished => true,
            Ending::Stopped => false,
            // The incarnation goes on: its log is not ended.
            Ending::Left | Ending::OutOfTime => return self.end(End::Done(ending)),
        };
        let checkpoint = Box::new(without_outbox(&self.checkpoint));
        let operation = self.operation(finished);
        let until = self.stopping.as_ref().and_then(Stop::until);
        self.append(Appending::of_end(Commit::Final { checkpoint, finished, operation }, until));
    }

    /// Who asked for this end, and what came of it.
    fn operation(&self, finished: bool) -> Option<Operation> {
        let Some(Stop::HandOver(HandOver { operation, .. })) = &self.stopping else { return None };
        let result = if finished { "finished" } else { "stopped" };
        Some(Operation { id: operation.clone(), result: result.to_owned() })
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
