//! Where the coordinator stands, and what it knows there.
//!
//! Owns: the facts of each step.
//! Never: decides what follows.

use std::time::Duration;

use streamjob_checkpoint::checkpoint::WorkerReport;
use streamjob_checkpoint::ids::{Epoch, Lineage};
use streamjob_checkpoint::protocol::Commit;

use super::Ending;
use super::event::{Committed, Failure};
use crate::runtime::messages::{Publication, PublishedFile, Times};

/// Where the coordinator stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Workers are starting.
    Registering {
        /// When they must have.
        until: Duration,
    },
    /// No epoch is under way.
    Idle,
    /// A barrier is on its way, or parts of the epoch are being stored.
    Collecting(Collecting),
    /// A record is being appended; nobody knows yet whether it is in the log.
    Appending(Appending),
    /// An epoch is committed, its output is being made visible.
    Publishing(Publishing),
    /// Its output is visible, its files are being listed.
    Concluding {
        /// The epoch.
        epoch: Epoch,
        /// How the job ends with it.
        ending: Option<Ending>,
    },
    /// The last epoch is done; before Final savepoints of it are completed.
    Closing {
        /// How the job ends.
        ending: Ending,
    },
    /// Something failed; who leads is being asked.
    Failing(Failure),
    /// It is over.
    Over,
}

/// An epoch whose parts come in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Collecting {
    pub(super) epoch: Epoch,
    pub(super) ending: Option<Ending>,
    pub(super) since: Duration,
    pub(super) reports: Vec<Option<Report>>,
}

/// What a worker reported of an epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Report {
    pub(super) report: Box<WorkerReport>,
    pub(super) times: Times,
    pub(super) at: Duration,
}

/// A record on its way into the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Appending {
    pub(super) commit: Commit,
    /// For an epoch.
    pub(super) epoch: Option<Box<EpochFacts>>,
    /// It is not to be written from then on.
    pub(super) until: Option<Duration>,
    pub(super) tries: u32,
    /// When it is tried again, if it is unresolved.
    pub(super) again_at: Option<Duration>,
}

/// What is known of an epoch beside its checkpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct EpochFacts {
    pub(super) ending: Option<Ending>,
    pub(super) behind: Vec<u32>,
    pub(super) since: Duration,
    pub(super) collected_at: Duration,
    /// Without what the commit adds.
    pub(super) figures: Committed,
    /// Its output, if a planted bug has it published before it is committed.
    pub(super) early: Option<Box<Publishing>>,
}

/// Output that is being made visible.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Publishing {
    pub(super) lineage: Lineage,
    pub(super) epoch: Epoch,
    pub(super) ending: Option<Ending>,
    pub(super) published: Vec<Option<Out>>,
}

/// What a worker has published: files, and from which offset on progress is to be read for what follows.
pub(super) type Out = (Vec<PublishedFile>, Option<u64>);

impl Collecting {
    pub(super) fn new(epoch: Epoch, ending: Option<Ending>, since: Duration, workers: usize) -> Self {
        Self { epoch, ending, since, reports: vec![None; workers] }
    }

    /// All reports, if all have come.
    pub(super) fn complete(&self) -> Option<Vec<Report>> {
        self.reports.iter().cloned().collect()
    }
}

impl Appending {
    /// Of an epoch.
    pub(super) fn of_epoch(commit: Commit, facts: EpochFacts) -> Self {
        Self { commit, epoch: Some(Box::new(facts)), until: None, tries: 0, again_at: None }
    }

    /// Of the record that ends an incarnation.
    pub(super) fn of_end(commit: Commit, until: Option<Duration>) -> Self {
        Self { commit, epoch: None, until, tries: 0, again_at: None }
    }
}

impl Publishing {
    /// A worker's answer. False: it was not waited for.
    pub(super) fn answer(&mut self, worker: u32, what: (Lineage, Epoch), out: Out) -> bool {
        (self.lineage, self.epoch) == what && self.published[worker as usize].replace(out).is_none()
    }

    /// Every worker is asked. Where there is no output none has anything to answer.
    pub(super) fn of(publication: &Publication, workers: usize, ending: Option<Ending>) -> Self {
        let answer = publication.outbox.is_empty().then(Out::default);
        let Publication { lineage, epoch, .. } = *publication;
        Self { lineage, epoch, ending, published: vec![answer; workers] }
    }

    /// Of all workers, if all have published: the files, by name; and what follows comes after the progress of all.
    pub(super) fn files(&self) -> Option<Out> {
        let all: Option<Vec<Out>> = self.published.iter().cloned().collect();
        let (files, progress): (Vec<_>, Vec<_>) = all?.into_iter().unzip();
        let mut files = files.concat();
        files.sort();
        Some((files, progress.into_iter().flatten().max()))
    }
}
