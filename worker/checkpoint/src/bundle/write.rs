//! Writes a state bundle block by block.
//!
//! Owns: where a block begins and ends, and its hash.
//! Never: holds a block, sorts, or looks into a state.

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{SchemaRef, UInt16Type};
use arrow_ipc::CompressionType;
use xxhash_rust::xxh3::Xxh3;

use super::BundleError;
use super::ipc::IpcEncoder;
use crate::checkpoint::{Block, BlockKind, Object};
use crate::ids::{Groups, Hash};
use crate::store::ObjectWriter;

/// Writes one state bundle. Nothing is in the store before `finish`; dropped, it leaves nothing.
pub struct StateWriter {
    file: IpcEncoder,
    object: ObjectWriter,
    /// Has seen the head.
    hash: Xxh3,
}

/// What a block is of.
#[derive(Clone, Copy, Debug)]
pub struct NewBlock {
    /// Changes or everything.
    pub kind: BlockKind,
    /// The key groups of its slot.
    pub groups: Groups,
    /// Input rows that its states account for.
    pub input_rows: u64,
}

impl StateWriter {
    /// Begins a bundle with the columns that [`state_schema`](super::state_schema) gives.
    pub fn new(object: ObjectWriter, schema: SchemaRef) -> Result<Self, BundleError> {
        let file = IpcEncoder::new(object.name().to_owned(), schema, Some(CompressionType::LZ4_FRAME))?;
        let mut hash = Xxh3::new();
        hash.update(file.head());
        Ok(Self { file, object, hash })
    }

    /// Writes a block: batches of some thousand rows, in the order of key groups. `None` if there is no row.
    pub async fn write_block(
        &mut self,
        block: NewBlock,
        batches: impl Iterator<Item = RecordBatch>,
    ) -> Result<Option<Block>, BundleError> {
        let offset = self.object.bytes().max(self.file.head().len() as u64);
        let mut hash = self.hash.clone();
        let (mut keys, mut bytes, mut last) = (0, 0, 0);
        for batch in batches.filter(|batch| batch.num_rows() > 0) {
            last = check_groups(&batch, block.groups, last);
            let message = self.file.encode(&batch)?;
            hash.update(&message);
            keys += batch.num_rows() as u64;
            bytes += message.len() as u64;
            if self.object.bytes() == 0 {
                self.object.write(self.file.head().clone()).await?;
            }
            self.object.write(message).await?;
        }
        if keys == 0 {
            assert!(block.input_rows == 0, "rows belong to keys: {block:?}");
            return Ok(None);
        }
        Ok(Some(Block {
            object: self.file.name().to_owned(),
            offset,
            bytes,
            hash: Hash(hash.digest128()),
            keys,
            input_rows: block.input_rows,
            kind: block.kind,
            groups: block.groups,
        }))
    }

    /// Makes the object durable. `None` if nothing was written: then there is no object.
    pub async fn finish(mut self) -> Result<Option<Object>, BundleError> {
        if self.object.bytes() == 0 {
            return Ok(None);
        }
        self.object.write(self.file.finish()?).await?;
        Ok(Some(self.object.finish().await?))
    }

    /// Gives up; what was written is removed.
    pub async fn abort(self) {
        self.object.abort().await;
    }
}

/// Groups only grow within a block, and all of them are the slot's. Gives the last.
fn check_groups(batch: &RecordBatch, allowed: Groups, before: u16) -> u16 {
    let groups = batch.column(1).as_primitive::<UInt16Type>().values();
    let (first, last) = (groups[0], groups[groups.len() - 1]);
    assert!(
        before <= first && groups.is_sorted() && allowed.contains(first) && allowed.contains(last),
        "a block is in the order of key groups, all within {allowed:?}: {before}, {first}..={last}"
    );
    last
}
