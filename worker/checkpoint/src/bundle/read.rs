//! Reads blocks of state bundles.
//!
//! Owns: that a block is what was written, before any of it is used.
//! Never: reads an object's other blocks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, UInt16Array};
use arrow::datatypes::{SchemaRef, UInt16Type};
use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::ipc::{Messages, check_hash, damaged, head_bytes};
use super::{BundleError, FIRST_COLUMNS, check_format, named};
use crate::checkpoint::Block;
use crate::ids::Hash;
use crate::store::StateStore;

/// What is fetched to find out how long a head is; most heads are shorter.
const HEAD_GUESS_BYTES: u64 = 4096;

/// Reads blocks, each object's head once. Clones share what they know.
#[derive(Clone, Debug)]
pub struct BundleReader {
    store: StateStore,
    heads: Arc<Mutex<HashMap<String, Bytes>>>,
}

/// The rows of a block, batch by batch. All of its bytes were checked before.
pub struct BlockRows {
    object: String,
    messages: Messages,
    key_columns: usize,
    /// That must still come.
    keys: u64,
}

/// Some rows of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct StateRows {
    /// The key groups, which only grow.
    pub groups: UInt16Array,
    /// The columns of the key.
    pub keys: Vec<ArrayRef>,
    /// The columns of the aggregates' states.
    pub states: Vec<ArrayRef>,
}

impl BundleReader {
    /// Of this store.
    pub fn new(store: StateStore) -> Self {
        Self { store, heads: Arc::default() }
    }

    /// Fetches a block and checks its bytes; the rows are decoded as they are asked for.
    pub async fn open_block(&self, block: &Block) -> Result<BlockRows, BundleError> {
        let object = &block.object;
        let head = self.head(block).await?;
        let end =
            block.offset.checked_add(block.bytes).ok_or_else(|| damaged(object, "a block is too long"))?;
        let bytes = self.store.get_range(object, block.offset..end).await?;
        let mut hash = Xxh3::new();
        hash.update(&head);
        hash.update(&bytes);
        check_hash(object, Hash(hash.digest128()), block.hash)?;
        self.keep(object, &head);
        let undecodable = |error| damaged(object, format!("its head cannot be decoded: {error}"));
        let mut messages = Messages::new(&head).map_err(undecodable)?;
        let key_columns = key_columns(object, messages.schema())?;
        messages.feed(bytes);
        Ok(BlockRows { object: object.clone(), messages, key_columns, keys: block.keys })
    }

    /// All rows of a block, those outside of `block.groups` included.
    pub async fn read_block(&self, block: &Block) -> Result<Vec<StateRows>, BundleError> {
        self.open_block(block).await?.collect()
    }

    /// The columns of an object, of which this is a block.
    pub async fn schema(&self, block: &Block) -> Result<SchemaRef, BundleError> {
        Ok(self.open_block(block).await?.messages.schema().clone())
    }

    async fn head(&self, block: &Block) -> Result<Bytes, BundleError> {
        let object = &block.object;
        if let Some(head) = self.heads.lock().unwrap_or_else(PoisonError::into_inner).get(object) {
            return Ok(head.clone());
        }
        let begin = self.store.get_range(object, 0..block.offset.min(HEAD_GUESS_BYTES)).await?;
        let length = head_bytes(&begin).map_err(|what| damaged(object, what))?;
        if length > block.offset {
            return Err(damaged(object, "its head is longer than what lies before its first block"));
        }
        if length <= begin.len() as u64 {
            return Ok(begin.slice(..length as usize));
        }
        Ok(self.store.get_range(object, 0..length).await?)
    }

    /// Remembers a head that was checked.
    fn keep(&self, object: &str, head: &Bytes) {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if !heads.contains_key(object) {
            heads.insert(object.to_owned(), Bytes::copy_from_slice(head));
        }
    }
}

/// All rows of one block, those outside of `block.groups` included.
pub async fn read_block(store: &StateStore, block: &Block) -> Result<Vec<StateRows>, BundleError> {
    BundleReader::new(store.clone()).read_block(block).await
}

impl Iterator for BlockRows {
    type Item = Result<StateRows, BundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.decode().transpose()
    }
}

impl BlockRows {
    fn decode(&mut self) -> Result<Option<StateRows>, BundleError> {
        let batch = self
            .messages
            .next()
            .map_err(|error| damaged(&self.object, format!("a block cannot be decoded: {error}")))?;
        let Some(batch) = batch else {
            if self.keys != 0 || !self.messages.is_whole() {
                let what = format!("a block ends {} keys too early", self.keys);
                return Err(damaged(&self.object, what));
            }
            return Ok(None);
        };
        let rows = batch.num_rows() as u64;
        self.keys = self
            .keys
            .checked_sub(rows)
            .ok_or_else(|| damaged(&self.object, "a block has more keys than were written"))?;
        Ok(Some(self.split(&batch)))
    }

    fn split(&self, batch: &RecordBatch) -> StateRows {
        let (keys, states) = batch.columns()[FIRST_COLUMNS..].split_at(self.key_columns);
        StateRows {
            groups: batch.column(1).as_primitive::<UInt16Type>().clone(),
            keys: keys.to_vec(),
            states: states.to_vec(),
        }
    }
}

/// How many columns the key has; refuses a schema that is not that of a state bundle.
fn key_columns(object: &str, schema: &SchemaRef) -> Result<usize, BundleError> {
    check_format(object, schema)?;
    let said = schema.metadata().get(named::KEY_COLUMNS).and_then(|text| text.parse::<usize>().ok());
    let first = schema.fields().iter().map(|field| field.name().as_str()).take(FIRST_COLUMNS);
    match said {
        Some(keys)
            if FIRST_COLUMNS + keys <= schema.fields().len() && first.eq(["window_end", "key_group"]) =>
        {
            Ok(keys)
        }
        Some(_) | None => Err(damaged(object, "its columns are not those of a state bundle")),
    }
}
