//! Reads an outbox bundle.
//!
//! Owns: that all of it is what was written, before any of it is handed out; at most some parts of it in memory.
//! Never: reads an object as a whole unless it is short.

use std::collections::VecDeque;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, UInt32Type, UInt64Type};
use bytes::Bytes;

use super::OutboxChunk;
use crate::bundle::ipc::{Messages, TAIL_BYTES, check_hash, damaged, head_bytes, messages_end};
use crate::bundle::{BundleError, check_format};
use crate::checkpoint::Object;
use crate::ids::Hash;
use crate::store::{PIECE_BYTES, StateStore};

/// Reads one outbox bundle.
pub struct OutboxReader {
    store: StateStore,
    object: Object,
    messages: Messages,
    /// The bytes that come next.
    at: u64,
    /// Where the messages end.
    end: u64,
    /// The whole object, if it is short.
    held: Option<Bytes>,
    chunks: VecDeque<OutboxChunk>,
}

/// Checks the whole object, then hands it out chunk by chunk.
pub async fn read_outbox(store: &StateStore, object: &Object) -> Result<OutboxReader, BundleError> {
    let held = check_whole(store, object).await?;
    let name = &object.name;
    let reader = Source { store, object, held: &held };
    let begin = reader.read(0, object.bytes.min(PIECE_BYTES)).await?;
    let head = head_bytes(&begin).map_err(|what| damaged(name, what))?;
    let tail = reader.read(object.bytes.saturating_sub(TAIL_BYTES), object.bytes).await?;
    let end = messages_end(&tail, object.bytes).map_err(|what| damaged(name, what))?;
    if head > begin.len() as u64 || head > end {
        return Err(damaged(name, "its head is longer than itself"));
    }
    let messages = Messages::new(&begin.slice(..head as usize))
        .map_err(|error| damaged(name, format!("its head cannot be decoded: {error}")))?;
    check_format(name, messages.schema())?;
    let types = messages.schema().fields().iter().map(|field| field.data_type());
    let expected = [
        &DataType::UInt32,
        &DataType::Utf8,
        &DataType::Binary,
        &DataType::Binary,
        &DataType::Utf8,
        &DataType::UInt64,
        &DataType::LargeBinary,
    ];
    if !types.eq(expected) {
        return Err(damaged(name, "its columns are not those of an outbox"));
    }
    let (store, object) = (store.clone(), object.clone());
    Ok(OutboxReader { store, object, messages, at: head, end, held, chunks: VecDeque::new() })
}

impl OutboxReader {
    /// The next chunk; `None` behind the last.
    pub async fn next(&mut self) -> Result<Option<OutboxChunk>, BundleError> {
        loop {
            if let Some(chunk) = self.chunks.pop_front() {
                return Ok(Some(chunk));
            }
            let undecodable =
                |error| damaged(&self.object.name, format!("a message cannot be decoded: {error}"));
            if let Some(batch) = self.messages.next().map_err(undecodable)? {
                self.chunks = chunks(&batch);
                continue;
            }
            if self.at == self.end {
                let whole = self.messages.is_whole();
                return if whole {
                    Ok(None)
                } else {
                    Err(damaged(&self.object.name, "its last message is cut off"))
                };
            }
            let to = self.end.min(self.at + PIECE_BYTES);
            let source = Source { store: &self.store, object: &self.object, held: &self.held };
            self.messages.feed(source.read(self.at, to).await?);
            self.at = to;
        }
    }
}

/// Reads all of an object and compares length and hash. Gives its bytes if they are few.
pub(crate) async fn check_whole(store: &StateStore, object: &Object) -> Result<Option<Bytes>, BundleError> {
    let name = &object.name;
    let found = store.size(name).await?;
    if found.is_some_and(|found| found != object.bytes) {
        let what = format!("it has {} bytes, and {} were written", found.unwrap_or(0), object.bytes);
        return Err(damaged(name, what));
    }
    if object.bytes <= PIECE_BYTES {
        let bytes = store.get(name).await?;
        check_hash(name, Hash::of(&bytes), object.hash)?;
        return Ok(Some(bytes));
    }
    check_hash(name, store.hash(name, object.bytes).await?, object.hash)?;
    Ok(None)
}

/// Keeps the memory of a batch while one of its chunks is in use.
struct Values(Buffer);

impl AsRef<[u8]> for Values {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Where bytes come from.
struct Source<'a> {
    store: &'a StateStore,
    object: &'a Object,
    held: &'a Option<Bytes>,
}

impl Source<'_> {
    async fn read(&self, from: u64, to: u64) -> Result<Bytes, BundleError> {
        match self.held {
            Some(bytes) => Ok(bytes.slice(from as usize..to as usize)),
            None => Ok(self.store.get_range(&self.object.name, from..to).await?),
        }
    }
}

fn chunks(batch: &RecordBatch) -> VecDeque<OutboxChunk> {
    let slots = batch.column(0).as_primitive::<UInt32Type>();
    let targets = batch.column(1).as_string::<i32>();
    let keys = batch.column(2).as_binary::<i32>();
    let rows = batch.column(5).as_primitive::<UInt64Type>();
    let values = batch.column(6).as_binary::<i64>();
    let bytes = Bytes::from_owner(Values(values.values().clone()));
    let bytes_of_keys = Bytes::from_owner(Values(keys.values().clone()));
    let chunk = |row: usize| {
        let (from, to) = (values.value_offsets()[row] as usize, values.value_offsets()[row + 1] as usize);
        let key = || {
            let (from, to) = (keys.value_offsets()[row] as usize, keys.value_offsets()[row + 1] as usize);
            bytes_of_keys.slice(from..to)
        };
        OutboxChunk {
            slot: slots.value(row),
            target: targets.value(row).to_owned(),
            rows: rows.value(row),
            key: keys.is_valid(row).then(key),
            value: bytes.slice(from..to),
        }
    };
    (0..slots.len()).map(chunk).collect()
}
