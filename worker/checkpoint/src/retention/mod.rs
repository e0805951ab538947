//! Deletes what nobody needs any more.
//!
//! Owns: which records and objects those are, and since when.
//! Never: deletes what a retained record names, what may still be uploaded, or anything at all for who does not lead.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ids::{Generation, Seq};
use crate::log::{Log, LogError};
use crate::protocol::CommitPermit;
use crate::store::StoreError;

/// What one leader has found to delete.
#[derive(Debug)]
pub struct Retention {
    _retain: usize,
    _grace: Duration,
}

/// One look at the log.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a> {
    /// Since some fixed instant, by a clock that never goes back.
    pub now: Duration,
    /// Records that someone is reading.
    pub pins: &'a BTreeSet<Seq>,
}

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Swept {
    /// Records.
    pub records: u64,
    /// Objects.
    pub objects: u64,
}

/// Why a sweep ended early. What was not deleted is deleted by a later one.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// Someone else has taken over.
    #[error("fenced: generation {by} has taken over")]
    Fenced {
        /// Who leads.
        by: Generation,
    },
    /// The log could not be read.
    #[error("old checkpoints are not deleted")]
    Log(#[source] LogError),
    /// An object could not be listed or deleted.
    #[error("old checkpoints are not deleted")]
    Store(#[source] StoreError),
}

impl Retention {
    /// Keeps the newest `retain` epochs; objects for `grace` after nothing names them any more.
    pub fn new(retain: u32, grace: Duration) -> Self {
        Self { _retain: retain as usize, _grace: grace }
    }

    /// Deletes what can be deleted now; a bounded number of things.
    pub async fn run(
        &mut self,
        _log: &Log,
        _permit: &CommitPermit,
        _sweep: Sweep<'_>,
    ) -> Result<Swept, RetentionError> {
        todo!()
    }
}
