//! The savepoints that were asked for.
//!
//! Owns: which request is how far; each is served once, however often it is made.
//! Never: copies anything.

use std::collections::{BTreeMap, BTreeSet};

use streamjob_checkpoint::ids::Epoch;

use super::event::{Answer, Output};

/// How many results are remembered, for requests that come again. Older ones are found in the store.
const DONE_MAX: usize = 64;

/// Requests by id.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Savepoints {
    /// For the next barrier.
    waiting: BTreeSet<String>,
    /// For the epoch under way, whose barrier came after them.
    covered: BTreeSet<String>,
    /// Being copied.
    copying: BTreeSet<String>,
    /// Complete: where.
    done: BTreeMap<String, String>,
}

impl Savepoints {
    /// A request. One that is known joins the first.
    pub(super) fn ask(&mut self, id: String) -> Option<Output> {
        if let Some(location) = self.done.get(&id) {
            let answer = Answer::Done { location: location.clone() };
            return Some(Output::Answer { id, answer });
        }
        if !self.covered.contains(&id) && !self.copying.contains(&id) {
            self.waiting.insert(id);
        }
        None
    }

    /// Whether a barrier is wanted.
    pub(super) fn wait(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether something is being copied.
    pub(super) fn copy(&self) -> bool {
        !self.copying.is_empty()
    }

    /// A barrier is on its way.
    pub(super) fn on_started(&mut self, epoch: Epoch) -> Vec<Output> {
        self.covered.append(&mut self.waiting);
        answers(&self.covered, &Answer::Barrier { epoch })
    }

    /// The epoch under way is committed.
    pub(super) fn on_committed(&mut self, epoch: Epoch) -> Vec<Output> {
        answers(&self.covered, &Answer::Committed { epoch })
    }

    /// The epoch under way is abandoned.
    pub(super) fn on_abandoned(&mut self, cause: &str) -> Vec<Output> {
        let told = answers(&self.covered, &Answer::Again { cause: cause.to_owned() });
        self.waiting.append(&mut self.covered);
        told
    }

    /// The output of the epoch under way is published: a copy of it is complete.
    pub(super) fn on_published(&mut self, epoch: Epoch) -> Vec<Output> {
        let mut wanted = answers(&self.covered, &Answer::Copying { epoch });
        wanted.extend(self.covered.iter().map(|id| Output::TakeSavepoint { id: id.clone(), epoch }));
        self.copying.append(&mut self.covered);
        wanted
    }

    /// A copy is complete, or is not. One that failed may be asked for again.
    pub(super) fn on_taken(&mut self, id: String, result: Result<String, String>) -> Output {
        self.copying.remove(&id);
        let answer = match result {
            Ok(location) => {
                if self.done.len() >= DONE_MAX {
                    self.done.pop_first();
                }
                self.done.insert(id.clone(), location.clone());
                Answer::Done { location }
            }
            Err(reason) => Answer::Failed { reason },
        };
        Output::Answer { id, answer }
    }

    /// No further epoch comes: whoever waits for one is told.
    pub(super) fn on_last(&mut self) -> Vec<Output> {
        let waiting = std::mem::take(&mut self.waiting);
        let reason = "the job has ended; run it again, or use its last checkpoint".to_owned();
        answers(&waiting, &Answer::Failed { reason })
    }
}

fn answers(ids: &BTreeSet<String>, answer: &Answer) -> Vec<Output> {
    ids.iter().map(|id| Output::Answer { id: id.clone(), answer: answer.clone() }).collect()
}
