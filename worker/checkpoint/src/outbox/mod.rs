//! Outbox bundles: the encoded rows that one worker wants published for one epoch, as an Arrow IPC file.
//!
//! Owns: their columns, and that they are whole before the first row is handed out.
//! Never: encodes a row or knows a target's folder.

use arrow::array::{Array as _, BinaryArray, LargeBinaryArray, StringArray};
use bytes::Bytes;

mod headers;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use headers::{headers, put_header};
pub(crate) use read::check_whole;
pub use read::{OutboxReader, OutboxRows, read_outbox};
pub use write::{OutboxWriter, SealedOutbox};

/// What a slot wants published at once.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "some hundred kilobytes of rows hang on it")]
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

/// Records for a topic: of each array as many values.
#[derive(Clone, Debug, PartialEq)]
pub struct Records {
    /// Their keys, of which some may be null.
    pub keys: BinaryArray,
    /// The topics that they go to in place of the target's own, which is null; `None`: all go there.
    pub topics: Option<StringArray>,
    /// Their headers, as [`put_header`] writes them; `None`: none has any.
    pub headers: Option<BinaryArray>,
    /// What is in them. None is null.
    pub values: LargeBinaryArray,
}

/// A record for a topic; or encoded rows for files, which have nothing but a value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OutboxRecord<'a> {
    /// The topic that it goes to; `None`: the target's own.
    pub topic: Option<&'a str>,
    /// Its key; `None`: it is null.
    pub key: Option<&'a [u8]>,
    /// Its headers, as [`headers()`] reads them.
    pub headers: &'a [u8],
    /// What is in it.
    pub value: &'a [u8],
}

/// Some encoded rows of one slot for one target, in the order in which they were written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OutboxChunk<'a> {
    /// The slot.
    pub slot: u32,
    /// The target.
    pub target: &'a str,
    /// Rows in it; of a topic one.
    pub rows: u64,
    /// The rows.
    pub record: OutboxRecord<'a>,
}

impl Output {
    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Text { rows, .. } => *rows,
            Self::Records(records) => records.values.len() as u64,
        }
    }

    /// How many bytes they have, with all that comes with a value.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Text { bytes, .. } => bytes.len() as u64,
            Self::Records(Records { keys, topics, headers, values }) => {
                let of_topics = topics.as_ref().map_or(0, |topics| span(topics.value_offsets()));
                let of_headers = headers.as_ref().map_or(0, |headers| span(headers.value_offsets()));
                let of_values = values.value_offsets()[values.len()] - values.value_offsets()[0];
                span(keys.value_offsets()) + of_topics + of_headers + of_values as u64
            }
        }
    }
}

/// How many bytes lie between the first offset and the last.
fn span(offsets: &[i32]) -> u64 {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    (last - first).unsigned_abs().into()
}

impl Records {
    /// The record of a row.
    pub fn get(&self, row: usize) -> OutboxRecord<'_> {
        let Self { keys, topics, headers, values } = self;
        OutboxRecord {
            topic: topics.as_ref().filter(|topics| topics.is_valid(row)).map(|topics| topics.value(row)),
            key: keys.is_valid(row).then(|| keys.value(row)),
            headers: headers.as_ref().map_or(&[], |headers| headers.value(row)),
            value: values.value(row),
        }
    }
}

impl OutboxRecord<'_> {
    /// How many bytes it has, with all that comes with its value.
    pub fn bytes(&self) -> usize {
        let (topic, key) = (self.topic.map_or(0, str::len), self.key.map_or(0, <[u8]>::len));
        topic + key + self.headers.len() + self.value.len()
    }
}
