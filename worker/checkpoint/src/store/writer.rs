//! An object that is written piece by piece and appears whole or not at all.
//!
//! Owns: parts of 8 MiB and more; length and hash of all that passed.
//! Never: copies what it is given, or leaves a visible piece behind.

use bytes::Bytes;

use super::{StateStore, StoreError};
use crate::checkpoint::Object;

/// Writes one object.
#[derive(Debug)]
pub struct ObjectWriter {
    _store: StateStore,
    name: String,
}

impl ObjectWriter {
    /// The object's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Appends.
    pub async fn write(&mut self, _bytes: Bytes) -> Result<(), StoreError> {
        todo!()
    }

    /// Makes it durable and visible.
    pub async fn finish(self) -> Result<Object, StoreError> {
        todo!()
    }

    /// Gives up; what was written is removed.
    pub async fn abort(self) {
        todo!()
    }
}
