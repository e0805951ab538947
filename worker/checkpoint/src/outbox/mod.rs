//! Outbox bundles: the encoded rows that one worker wants published for one epoch, as an Arrow IPC file.
//!
//! Owns: their columns, and that they are whole before the first row is handed out.
//! Never: encodes a row or knows a target's folder.

use arrow::array::{Array as _, BinaryArray, LargeBinaryArray};
use bytes::Bytes;

mod read;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use read::check_whole;
pub use read::{OutboxReader, read_outbox};
pub use write::{OutboxWriter, SealedOutbox};

/// What a slot wants published at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Encoded rows for files, back to back.
    Text {
        /// How many.
        rows: u64,
        /// The rows.
        bytes: Bytes,
    },
    /// Records for a topic.
    Records(Records),
}

/// Records for a topic: as many keys, of which some may be null, as values.
#[derive(Clone, Debug, PartialEq)]
pub struct Records {
    /// Their keys.
    pub keys: BinaryArray,
    /// What is in them. None is null.
    pub values: LargeBinaryArray,
}

impl Output {
    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Text { rows, .. } => *rows,
            Self::Records(records) => records.values.len() as u64,
        }
    }

    /// How many bytes they have, keys included.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Text { bytes, .. } => bytes.len() as u64,
            Self::Records(Records { keys, values }) => {
                let of_keys = keys.value_offsets()[keys.len()] - keys.value_offsets()[0];
                let of_values = values.value_offsets()[values.len()] - values.value_offsets()[0];
                of_keys as u64 + of_values as u64
            }
        }
    }
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
    /// Of a record for a topic: its key.
    pub key: Option<Bytes>,
    /// The encoded rows; of a topic one.
    pub value: Bytes,
}

impl OutboxChunk {
    /// How many bytes it has, the key included.
    pub fn bytes(&self) -> u64 {
        (self.key.as_ref().map_or(0, Bytes::len) + self.value.len()) as u64
    }
}
