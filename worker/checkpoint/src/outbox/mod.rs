//! Outbox bundles: the encoded rows that one worker wants published for one epoch, as an Arrow IPC file.
//!
//! Owns: their columns, and that they are whole before the first row is handed out.
//! Never: encodes a row or knows a target's folder.

use bytes::Bytes;

mod read;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use read::check_whole;
pub use read::{OutboxReader, read_outbox};
pub use write::{OutboxWriter, SealedOutbox};

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
