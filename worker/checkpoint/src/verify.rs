//! Looks whether everything that a checkpoint names is there and as it was written.
//!
//! Owns: what is looked at, and the words for what is wrong.
//! Never: stops at the first damage, or repairs one.

use crate::checkpoint::Checkpoint;
use crate::store::{StateStore, StoreError};

/// Something that is wrong with an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    /// The object.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
}

/// Whether every object is there and as long as it was. One short question for each.
pub async fn check(_store: &StateStore, _checkpoint: &Checkpoint) -> Result<Vec<Damage>, StoreError> {
    todo!()
}

/// The same, and reads all of them: hashes, every block, every row of the outbox.
pub async fn verify(_store: &StateStore, _checkpoint: &Checkpoint) -> Result<Vec<Damage>, StoreError> {
    todo!()
}
