//! Writes a state bundle block by block.
//!
//! Owns: where a block begins and ends, and its hash.
//! Never: holds a block, sorts, or looks into a state.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::BundleError;
use crate::checkpoint::{Block, BlockKind, Object};
use crate::ids::Groups;
use crate::store::ObjectWriter;

/// Writes one state bundle. Nothing is in the store before `finish`; dropped, it leaves nothing.
pub struct StateWriter {
    _object: ObjectWriter,
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
    pub fn new(_object: ObjectWriter, _schema: SchemaRef) -> Result<Self, BundleError> {
        todo!()
    }

    /// Writes a block: batches of some thousand rows, in the order of key groups. `None` if there is no row.
    pub async fn write_block(
        &mut self,
        _block: NewBlock,
        _batches: impl Iterator<Item = RecordBatch>,
    ) -> Result<Option<Block>, BundleError> {
        todo!()
    }

    /// Makes the object durable. `None` if nothing was written: then there is no object.
    pub async fn finish(self) -> Result<Option<Object>, BundleError> {
        todo!()
    }
}
