//! Why a log could not be read or written.
//!
//! Owns: the words.
//! Never: decides whether to try again.

use crate::ids::Generation;
use crate::protocol::{Refusal, Refused};
use crate::record::RecordError;
use crate::store::StoreError;

/// Why the log could not be read, or a start not begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It may not begin.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A record cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There is no such record.
    #[error("{record} is not in {store}: it was never written, or is deleted by now; list what is there")]
    NoRecord {
        /// Its object.
        record: String,
        /// The store.
        store: String,
    },
    /// The store did not do what was asked, again and again.
    #[error("the log cannot be read or written; nothing was started")]
    Store(#[source] StoreError),
}

/// Why a commit is not known to be in the log.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Someone else has taken over. Nothing may be committed or published any more.
    #[error("fenced: generation {by} has taken over")]
    Fenced {
        /// Who leads.
        by: Generation,
    },
    /// It may be in the log or not: commit the same again, and nothing else.
    #[error("the commit is not resolved yet; it is tried again")]
    Unresolved(#[source] StoreError),
    /// Its time was over when it was to be written: it is not in the log, unless it came there by a try before.
    #[error("the time of the commit was over before it could be written")]
    Late,
    /// A mistake of the caller.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is a record in its place that cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why a machine could not be run to its end.
#[derive(Debug)]
pub(super) enum Stuck {
    Store(StoreError),
    Record(RecordError),
    Late,
}

impl From<RecordError> for Stuck {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl From<Stuck> for LogError {
    fn from(stuck: Stuck) -> Self {
        match stuck {
            Stuck::Store(error) => Self::Store(error),
            Stuck::Record(error) => Self::Record(error),
            Stuck::Late => unreachable!("only a commit has a time"),
        }
    }
}
