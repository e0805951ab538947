//! Reads an outbox bundle.
//!
//! Owns: that all of it is what was written, before any of it is handed out; at most some parts of it in memory.
//! Never: reads an object as a whole unless it is short.

use arrow::array::{
    Array as _, AsArray as _, BinaryArray, LargeBinaryArray, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use arrow::datatypes::DataType;
use bytes::Bytes;

use super::headers::are_headers;
use super::{OutboxChunk, OutboxRecord};
use crate::bundle::ipc::{Messages, TAIL_BYTES, check_hash, damaged, head_bytes, messages_end};
use crate::bundle::{BundleError, check_format};
use crate::checkpoint::Object;
use crate::ids::Hash;
use crate::store::{PIECE_BYTES, StateStore};

/// Some rows of an outbox.
#[derive(Debug)]
pub struct OutboxRows {
    slots: UInt32Array,
    targets: StringArray,
    keys: BinaryArray,
    headers: BinaryArray,
    topics: StringArray,
    rows: UInt64Array,
    values: LargeBinaryArray,
}

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
}

/// Checks the whole object, then hands it out piece by piece.
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
    Ok(OutboxReader { store, object, messages, at: head, end, held })
}

impl OutboxReader {
    /// The next rows; `None` behind the last.
    pub async fn next(&mut self) -> Result<Option<OutboxRows>, BundleError> {
        loop {
            let undecodable =
                |error| damaged(&self.object.name, format!("a message cannot be decoded: {error}"));
            if let Some(batch) = self.messages.next().map_err(undecodable)? {
                let rows = OutboxRows::new(&batch);
                return match rows.has_whole_headers() {
                    true => Ok(Some(rows)),
                    false => Err(damaged(&self.object.name, "headers in it cannot be read")),
                };
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

impl OutboxRows {
    /// The batch has the columns of an outbox.
    fn new(batch: &RecordBatch) -> Self {
        Self {
            slots: batch.column(0).as_primitive().clone(),
            targets: batch.column(1).as_string().clone(),
            keys: batch.column(2).as_binary().clone(),
            headers: batch.column(3).as_binary().clone(),
            topics: batch.column(4).as_string().clone(),
            rows: batch.column(5).as_primitive().clone(),
            values: batch.column(6).as_binary().clone(),
        }
    }

    fn has_whole_headers(&self) -> bool {
        self.headers.null_count() == self.headers.len() || self.headers.iter().flatten().all(are_headers)
    }

    /// The rows, in their order.
    pub fn chunks(&self) -> impl Iterator<Item = OutboxChunk<'_>> {
        (0..self.slots.len()).map(|row| OutboxChunk {
            slot: self.slots.value(row),
            target: self.targets.value(row),
            rows: self.rows.value(row),
            record: OutboxRecord {
                topic: self.topics.is_valid(row).then(|| self.topics.value(row)),
                key: self.keys.is_valid(row).then(|| self.keys.value(row)),
                headers: if self.headers.is_valid(row) { self.headers.value(row) } else { &[] },
                value: self.values.value(row),
            },
        })
    }
}
