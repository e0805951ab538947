//! Outbox bundles: the encoded rows that one worker wants published for one epoch, as an Arrow IPC file.
//!
//! Owns: their columns, and that they are whole before the first row is handed out.
//! Never: encodes a row or knows a target's folder.

use bytes::Bytes;

use crate::bundle::{About, BundleError};
use crate::checkpoint::{Object, OutboxObject};
use crate::store::{ObjectWriter, StateStore};

/// Writes one outbox bundle. Nothing is in the store before `finish`; dropped, it leaves nothing.
pub struct OutboxWriter {
    _object: ObjectWriter,
}

/// Some encoded rows of one slot for one target, in the order in which they were written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutboxChunk {
    /// The slot.
    pub slot: u32,
    /// The target.
    pub target: String,
    /// Rows in it.
    pub rows: u64,
    /// The encoded rows.
    pub value: Bytes,
}

impl OutboxWriter {
    /// Begins a bundle.
    pub fn new(_object: ObjectWriter, _about: &About) -> Result<Self, BundleError> {
        todo!()
    }

    /// Appends encoded rows.
    pub async fn write(
        &mut self,
        _slot: u32,
        _target: &str,
        _rows: u64,
        _value: Bytes,
    ) -> Result<(), BundleError> {
        todo!()
    }

    /// Makes the object durable. `None` if nothing was written: then there is no object.
    pub async fn finish(self) -> Result<Option<(Object, OutboxObject)>, BundleError> {
        todo!()
    }
}

/// Reads one outbox bundle.
pub struct OutboxReader {
    _store: StateStore,
}

/// Checks the whole object, then hands it out chunk by chunk.
pub async fn read_outbox(_store: &StateStore, _object: &Object) -> Result<OutboxReader, BundleError> {
    todo!()
}

impl OutboxReader {
    /// The next chunk; `None` behind the last.
    pub async fn next(&mut self) -> Result<Option<OutboxChunk>, BundleError> {
        todo!()
    }
}
