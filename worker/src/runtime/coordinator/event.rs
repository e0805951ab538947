//! What the coordinator hears, what it wants done, and what it lets people know.
//!
//! Owns: the words between the state machine and the shell around it.
//! Never: decides.

use std::time::Duration;

use streamjob_checkpoint::checkpoint::Checkpoint;
use streamjob_checkpoint::ids::{Epoch, Generation, Lineage};
use streamjob_checkpoint::protocol::Commit;

use super::Ending;
use crate::runtime::figures::Figures;
use crate::runtime::messages::{Publication, PublishedFile, Times, ToCoordinator, ToWorker};
use crate::runtime::stop::Stop;

/// What a coordinator begins with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setup {
    /// Whose right to write it has.
    pub generation: Generation,
    /// The life of the state.
    pub lineage: Lineage,
    /// Those that it goes on from.
    pub formerly: Vec<Lineage>,
    /// From which offset on the sink's topic of progress is to be read.
    pub progress_from: Option<u64>,
    /// How many workers there are.
    pub workers: u32,
    /// How many slots they have together.
    pub parallelism: u32,
    /// From one barrier to the next.
    pub interval: Duration,
    /// From a barrier to the moment at which its epoch is abandoned.
    pub timeout: Duration,
    /// What the job goes on from; epoch 0 at first.
    pub checkpoint: Box<Checkpoint>,
    /// The greatest epoch number that the lineage has used.
    pub last_epoch: Epoch,
    /// Output that is committed and perhaps not published.
    pub inherited: Option<Publication>,
}

/// What the coordinator hears.
#[derive(Clone, Debug)]
pub enum Input {
    /// A worker says something.
    Worker {
        /// Which one.
        worker: u32,
        /// The attempt that it says it belongs to.
        generation: Generation,
        /// What it says.
        message: ToCoordinator,
    },
    /// A worker will say nothing any more.
    WorkerGone {
        /// Which one.
        worker: u32,
        /// Why.
        cause: String,
    },
    /// The record that was wanted is in the log.
    Appended,
    /// Nobody knows whether it is.
    Unresolved {
        /// Why.
        cause: String,
    },
    /// Its time was over before it was written.
    Late,
    /// The log refuses it: a bug of ours.
    Refused {
        /// Why.
        cause: String,
    },
    /// Something that the coordinator itself needs has failed for good.
    Broken {
        /// What and why.
        reason: String,
    },
    /// Someone with a higher generation leads.
    Fenced {
        /// Who.
        by: Generation,
    },
    /// Whether the lists of an epoch's files are written.
    Concluded(Result<(), String>),
    /// We lead, or nobody can tell: the answer to [`Output::AskWhoLeads`], if it is not [`Input::Fenced`].
    Leads,
    /// Someone wants a savepoint.
    SavepointAsked {
        /// The request.
        id: String,
    },
    /// A savepoint is complete, or is not.
    SavepointTaken {
        /// The request.
        id: String,
        /// Where it is, or why not.
        result: Result<String, String>,
    },
    /// Retention has ended.
    Swept,
    /// Someone wants the job to stop, or not any more.
    Stop(Option<Stop>),
    /// Time has passed.
    Tick,
}

/// What the coordinator wants done. The shell does it in this order; whatever waits is done beside, and what came of
/// it is an [`Input`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// Tell a worker something.
    Tell {
        /// Which one.
        worker: u32,
        /// What.
        message: ToWorker,
    },
    /// Append a record. Answered with `Appended`, `Unresolved`, `Late`, `Refused` or `Fenced`; no other record is wanted before.
    /// After `Unresolved` the same one is wanted again.
    Append {
        /// Which.
        commit: Commit,
        /// It is not to be written from then on.
        until: Option<Duration>,
    },
    /// The output of an epoch is visible: list its files. Answered with `Concluded`.
    Conclude {
        /// The lineage that committed it.
        lineage: Lineage,
        /// The epoch.
        epoch: Epoch,
        /// Its files, over all workers.
        files: Vec<PublishedFile>,
        /// From which offset on the sink's topic of progress is to be read for what follows.
        progress: Option<u64>,
    },
    /// Delete what nobody needs. Answered with `Swept`.
    Sweep,
    /// Copy the newest epoch. Answered with `SavepointTaken`.
    TakeSavepoint {
        /// The request.
        id: String,
        /// The epoch.
        epoch: Epoch,
    },
    /// Find out who leads. Answered with `Leads` or `Fenced`.
    AskWhoLeads,
    /// Tell those who asked for a savepoint.
    Answer {
        /// The request.
        id: String,
        /// How far it is.
        answer: Answer,
    },
    /// Let people know.
    Note(Note),
    /// It is over. Nothing comes after it.
    End(End),
}

/// How far a savepoint is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It will be of this epoch, whose barrier is on its way.
    Barrier {
        /// The epoch.
        epoch: Epoch,
    },
    /// The epoch is committed.
    Committed {
        /// The epoch.
        epoch: Epoch,
    },
    /// Its output is published: it is being copied.
    Copying {
        /// The epoch.
        epoch: Epoch,
    },
    /// The epoch was abandoned; another one follows.
    Again {
        /// Why.
        cause: String,
    },
    /// It is complete.
    Done {
        /// Where it is.
        location: String,
    },
    /// There will be none.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What people may want to know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Note {
    /// A barrier is on its way.
    Started {
        /// The epoch that it ends.
        epoch: Epoch,
        /// The job ends with it.
        last: bool,
    },
    /// All of an epoch is in the store; its record is not.
    Collected {
        /// The epoch.
        epoch: Epoch,
    },
    /// An epoch is in the log.
    Committed(Committed),
    /// Its output is visible.
    Published {
        /// The epoch.
        epoch: Epoch,
    },
    /// It will never be committed; its data is in the next one.
    Abandoned {
        /// The epoch.
        epoch: Epoch,
        /// Who is to blame, and for what.
        cause: String,
        /// How many in a row.
        in_a_row: u32,
    },
    /// Nobody knows whether a record is in the log. Processing goes on.
    Unresolved {
        /// Why.
        cause: String,
        /// When it is tried again.
        pause: Duration,
    },
    /// What a worker in another process has counted.
    Counted(Box<Figures>),
    /// A message of another attempt was ignored.
    Ignored {
        /// Who sent it.
        worker: u32,
        /// As whom.
        generation: Generation,
    },
}

/// A committed epoch in figures.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Committed {
    /// The epoch.
    pub epoch: Epoch,
    /// From the barrier to the answer of the log.
    pub duration: Duration,
    /// Of that, from the last report to the answer.
    pub commit: Duration,
    /// Of that, the slowest worker's parts.
    pub times: Times,
    /// Written for it.
    pub bytes_written: u64,
    /// Keys whose states were written for it.
    pub keys_written: u64,
    /// Bytes of those blocks.
    pub state_written: u64,
    /// Named by it.
    pub bytes_total: u64,
}

/// Why an attempt cannot go on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What happened, for people.
    pub reason: String,
    /// Whether another attempt may fare better.
    pub may_pass: bool,
}

/// How it ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// As it should; the log says Final.
    Done(Ending),
    /// The time of a hand-over or of leaving is over. What had begun may still come true: the log tells.
    OutOfTime,
    /// Whoever read the output has gone.
    OutputClosed {
        /// What was noticed.
        reason: String,
    },
    /// Someone else leads.
    Fenced {
        /// Who.
        by: Generation,
    },
    /// A worker cannot go on.
    Failed(Failure),
    /// A bug: someone said what cannot be said now.
    Protocol {
        /// Who and what.
        what: String,
    },
}
