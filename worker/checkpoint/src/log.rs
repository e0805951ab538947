//! The log in a store: runs the protocol's machines against it.
//!
//! Owns: retries with back-off; what an answer of the store means to the protocol.
//! Never: decides what is appended.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::ids::{Generation, Seq};
use crate::protocol::{Commit, CommitPermit, Refusal, Refused, Start, StartRequest};
use crate::record::{RecordError, Stored};
use crate::store::{StateStore, StoreError};

/// Time, as the log needs it.
#[async_trait]
pub trait Pacer: std::fmt::Debug + Send + Sync {
    /// Waits about this long.
    async fn pause(&self, about: Duration);

    /// The wall clock in epoch milliseconds.
    fn now_ms(&self) -> i64;
}

/// Why the log could not be read, or a start not begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It may not begin.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A record cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
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
    /// A mistake of the caller.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is a record in its place that cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The log of one state.
#[derive(Clone, Debug)]
pub struct Log {
    store: StateStore,
    pacer: Arc<dyn Pacer>,
}

impl Log {
    /// The log in this store.
    pub fn new(store: StateStore, pacer: Arc<dyn Pacer>) -> Self {
        Self { store, pacer }
    }

    /// Where it is.
    pub fn store(&self) -> &StateStore {
        &self.store
    }

    /// The newest record, if there is a log.
    pub async fn head(&self) -> Result<Option<Stored>, LogError> {
        todo!()
    }

    /// A record.
    pub async fn read(&self, _seq: Seq) -> Result<Stored, LogError> {
        todo!()
    }

    /// The records that lead to the head without a gap, oldest first.
    pub async fn records(&self) -> Result<Vec<Stored>, LogError> {
        todo!()
    }

    /// Claims the log.
    pub async fn begin(&self, _start: &StartRequest) -> Result<Start, LogError> {
        todo!()
    }

    /// Appends a record. After [`CommitError::Unresolved`] the same must be committed again.
    pub async fn commit(&self, _permit: &mut CommitPermit, _commit: Commit) -> Result<Stored, CommitError> {
        todo!()
    }

    /// Whether nobody has claimed the log since.
    pub async fn still_leads(&self, _permit: &CommitPermit) -> Result<bool, LogError> {
        todo!()
    }
}

/// The clock and timer of the machine. Waits between half and one and a half of what it is asked to.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioPacer;

#[async_trait]
impl Pacer for TokioPacer {
    async fn pause(&self, about: Duration) {
        let [byte, ..] = uuid::Uuid::new_v4().into_bytes();
        tokio::time::sleep(about.mul_f64(0.5 + f64::from(byte) / 255.0)).await;
    }

    fn now_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }
}
