//! Runs a plan on this machine: wiring, slots, coordinator, clock, stop.
//!
//! Owns: the threads of a job, from its start to its end.
//! Never: reads a manifest or prints.

mod attempts;
pub mod control;
pub mod coordinator;
mod desk;
mod earlier;
mod figures;
mod job;
pub mod location;
pub mod messages;
mod priority;
mod process;
pub mod stop;
pub mod transport;
pub mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use streamjob_checkpoint::bundle::BundleError;
use streamjob_checkpoint::ids::Generation;
use streamjob_checkpoint::log::{CommitError, LogError};
use streamjob_checkpoint::retry::{Passing, Pauses};
use streamjob_checkpoint::store::StoreError;
use streamjob_plan::Cause;

pub use attempts::{Job, warn_of_late};
pub use coordinator::Ending;
pub use desk::Desk;
pub use job::{Begun, Input, Inputs, SourceInputs, Started, Starting, State, owner, start, start_as};
pub use process::inherited_link;
pub use stop::StopFlag;
pub use worker::{WorkerSetup, run as run_worker};

use crate::pipeline::records::SourceError;
use crate::pipeline::sink::SinkError;

/// How a job is run, beside what its plan says.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most rows that are taken from a partition at once.
    pub batch_rows: usize,
    /// The credit of the channel from one slot to another. More evens out bursts and costs memory.
    pub queue_bytes: usize,
    /// The memory of a slot's pre-aggregation. More catches keys that repeat less often.
    pub preaggregate_bytes: usize,
    /// Output that waits to be published: at this many bytes slots stop reading.
    pub unpublished_bytes_max: u64,
    /// The folder of the socket through which savepoints are asked for; `None`: there is none.
    pub control: Option<PathBuf>,
    /// Another way to ask for them, in this process; `None`: there is none.
    pub desk: Option<Arc<Desk>>,
    /// Between two attempts. They begin anew with an attempt that has committed an epoch.
    pub pauses: Pauses,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_rows: 8_192,
            queue_bytes: 4 << 20,
            preaggregate_bytes: 16 << 20,
            unpublished_bytes_max: 256 << 20,
            control: None,
            desk: None,
            pauses: Pauses { min: Duration::from_millis(200), max: Duration::from_secs(30) },
        }
    }
}

/// Why a job cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A record that cannot be used, under the policy Fail.
    #[error(
        "{file}:{place}: {cause}; mend the record, or set `source.badRecords.action` to Skip or DeadLetter"
    )]
    BadRecord {
        /// The file, `topic/partition`, or the generator's partition.
        file: Arc<str>,
        /// The line, from 1; the offset in a topic.
        place: u64,
        /// Why.
        cause: Cause,
    },
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The output cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A window cannot be computed.
    #[error(transparent)]
    Window(#[from] streamjob_core::window::WindowError),
    /// A key that cannot be encoded.
    #[error(transparent)]
    Key(#[from] streamjob_core::key::KeyError),
    /// The state cannot be claimed or read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// State cannot be kept where the manifest says.
    #[error("spec.state.location: {source}")]
    Location {
        /// Why.
        source: StoreError,
    },
    /// A checkpoint cannot be committed.
    #[error(transparent)]
    Commit(CommitError),
    /// Another run of the job has taken over.
    #[error(
        "another run of this job has taken over (generation {by}); this one has stopped and publishes nothing more: \
         let one of them run"
    )]
    Fenced {
        /// Who leads now.
        by: Generation,
    },
    /// Committed output cannot be read back.
    #[error("cannot read committed output")]
    Outbox {
        /// Why.
        source: Box<BundleError>,
    },
    /// Output cannot be stored.
    #[error(
        "cannot store output: {cause}; nothing is lost: mend the cause and run again, the job goes on from its last \
         checkpoint"
    )]
    OutboxWrite {
        /// Why.
        cause: String,
        /// Whether another attempt may fare better.
        may_pass: bool,
    },
    /// Old state cannot be brought back.
    #[error("cannot bring back old state: {cause}")]
    Restore {
        /// Why, with the remedy.
        cause: String,
    },
    /// A checkpoint that contradicts itself.
    #[error(
        "the checkpoint holds a key that is not hexadecimal digits: it is damaged; go on from another one with \
         `streamjob run --from` (`streamjob checkpoints list` shows them)"
    )]
    Checkpoint,
    /// The worker has failed.
    #[error("{reason}")]
    Worker {
        /// Why.
        reason: String,
        /// Whether another attempt may fare better.
        may_pass: bool,
    },
    /// A bug: coordinator, workers and log do not agree.
    #[error("{what}; the job was stopped, nothing wrong was committed; this is a bug, please report it")]
    Protocol {
        /// About what.
        what: String,
    },
    /// The worker's process cannot be started or waited for.
    #[error("cannot run the worker in a process of its own; raise the limit of processes, or run without it")]
    WorkerProcess {
        /// Why.
        source: std::io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start the thread `{thread}`; lower `parallelism` or raise the limit of threads")]
    Thread {
        /// Which.
        thread: String,
        /// Why.
        source: std::io::Error,
    },
    /// A bug: a thread panicked.
    #[error("thread `{thread}` panicked: {message}; this is a bug, please report it")]
    Panicked {
        /// Which.
        thread: String,
        /// What it said.
        message: String,
    },
}

impl From<CommitError> for RunError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Fenced { by } => Self::Fenced { by },
            other @ (CommitError::Unresolved(_)
            | CommitError::Late
            | CommitError::Refused(_)
            | CommitError::Record(_)) => Self::Commit(other),
        }
    }
}

impl Passing for RunError {
    fn waits_for(&self) -> &'static str {
        if let Self::Sink(error) = self {
            return error.waits_for();
        }
        if matches!(self, Self::Source(SourceError::Topic(_))) { "Kafka" } else { "store" }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Sink(error) => error.may_pass(),
            Self::Store(error)
            | Self::Location { source: error }
            | Self::Log(LogError::Store(error))
            | Self::Commit(CommitError::Unresolved(error)) => error.may_pass(),
            Self::Worker { may_pass, .. } | Self::OutboxWrite { may_pass, .. } => *may_pass,
            Self::Outbox { source } => matches!(&**source, BundleError::Store(error) if error.may_pass()),
            Self::Source(error) => error.may_pass(),
            Self::BadRecord { .. }
            | Self::Window(_)
            | Self::Key(_)
            | Self::Log(LogError::Refused(_) | LogError::Record(_) | LogError::NoRecord { .. })
            | Self::Commit(
                CommitError::Fenced { .. }
                | CommitError::Late
                | CommitError::Refused(_)
                | CommitError::Record(_),
            )
            | Self::Fenced { .. }
            | Self::Restore { .. }
            | Self::Checkpoint
            | Self::Protocol { .. }
            | Self::WorkerProcess { .. }
            | Self::Thread { .. }
            | Self::Panicked { .. } => false,
        }
    }
}

impl RunError {
    /// Whether this is no fault but a reason to stop: the reader of standard output has seen enough.
    pub fn is_clean_stop(&self) -> bool {
        matches!(self, Self::Sink(error) if error.is_clean_stop())
    }
}
