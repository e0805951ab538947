//! Savepoints: self-contained copies of a checkpoint that someone asked to keep.
//!
//! Owns: `savepoints/<id>/`: `savepoint.json`, written last, and the objects it names, under the names they had.
//! Never: holds an outbox: what a checkpoint wanted published was published before it became a savepoint.

use serde::{Deserialize, Serialize};

use crate::bundle::BundleError;
use crate::checkpoint::Checkpoint;
use crate::ids::{Generation, Lineage, Seq};
use crate::record::{Owner, Record};
use crate::store::{StateStore, StoreError};

/// The version of savepoints that this build writes; it reads no greater one.
pub const FORMAT: u32 = 1;

/// What `savepoint.json` says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Savepoint {
    /// Its name among the savepoints of the state.
    pub id: String,
    /// The taker's wall clock in epoch milliseconds: for people, nothing depends on it.
    pub at_ms: i64,
    /// Whose state it was.
    pub owner: Owner,
    /// The life of the state.
    pub lineage: Lineage,
    /// The record that it is a copy of.
    pub seq: Seq,
    /// Who wrote that.
    pub generation: Generation,
    /// The checkpoint, without an outbox.
    pub checkpoint: Checkpoint,
}

/// One of the savepoints of a state.
#[derive(Debug)]
pub struct Found {
    /// Its name.
    pub id: String,
    /// Its folder, as messages show it.
    pub location: String,
    /// What it says, or why it cannot be read. One without `savepoint.json` was never completed.
    pub savepoint: Result<Savepoint, SavepointError>,
}

/// A savepoint that cannot be taken or read.
#[derive(Debug, thiserror::Error)]
pub enum SavepointError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One of its objects is damaged.
    #[error(transparent)]
    Object(#[from] BundleError),
    /// There is one of this name, of another checkpoint.
    #[error("savepoint {id} exists in {store}: choose another id")]
    Exists {
        /// Its name.
        id: String,
        /// The store.
        store: String,
    },
    /// No such savepoint, or one that was never completed.
    #[error("{location} is not a complete savepoint: `savepoint.json` is not there")]
    Incomplete {
        /// Its folder.
        location: String,
    },
    /// It is not what was written.
    #[error("{location}/savepoint.json is damaged: {what}; use another savepoint")]
    Damaged {
        /// Its folder.
        location: String,
        /// What does not fit.
        what: String,
    },
    /// A later program wrote it.
    #[error("{location} has format {found}; this build reads up to {known}: use the newer program")]
    TooNew {
        /// Its folder.
        location: String,
        /// Its format.
        found: u32,
        /// The greatest that can be read.
        known: u32,
    },
    /// An id that cannot be a folder's name.
    #[error("`{id}` is not an id for a savepoint: use letters, digits, `-`, `_` and `.`, 100 at most")]
    BadId {
        /// The id.
        id: String,
    },
    /// The record has no checkpoint.
    #[error("record {seq} of the log has no checkpoint to copy")]
    NoCheckpoint {
        /// The record.
        seq: Seq,
    },
}

/// Copies the checkpoint of a record whose outbox is published to `savepoints/<id>/` of its state. Doing it again with
/// the same id and record goes on where it broke off. Gives the savepoint's folder as messages show it.
pub async fn take(
    _state: &StateStore,
    _id: &str,
    _at_ms: i64,
    _record: &Record,
) -> Result<String, SavepointError> {
    todo!()
}

/// Opens the savepoint in this folder: [`StateStore::local_to_read`] of it, or [`folder`] of its state.
pub async fn open(_savepoint: &StateStore) -> Result<Savepoint, SavepointError> {
    todo!()
}

/// The folder of a savepoint of a state.
pub fn folder(_state: &StateStore, _id: &str) -> Result<StateStore, SavepointError> {
    todo!()
}

/// Copies its objects into a state, for a generation that begins with it. The checkpoint names the copies.
pub async fn import(
    _savepoint: &StateStore,
    _opened: &Savepoint,
    _into: &StateStore,
    _generation: Generation,
) -> Result<Checkpoint, SavepointError> {
    todo!()
}

/// All savepoints of a state, by id; those that cannot be read hide none of the others.
pub async fn list(_state: &StateStore) -> Result<Vec<Found>, StoreError> {
    todo!()
}
