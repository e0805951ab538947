//! Reads blocks of state bundles.
//!
//! Owns: that a block is what was written, before any of it is used.
//! Never: reads an object's other blocks.

use std::sync::Arc;

use super::{BundleError, StateRows};
use crate::checkpoint::Block;
use crate::store::StateStore;

/// Reads blocks, each object's head once. Clones share what they know.
#[derive(Clone)]
pub struct BundleReader {
    _store: Arc<StateStore>,
}

impl BundleReader {
    /// Of this store.
    pub fn new(_store: StateStore) -> Self {
        todo!()
    }

    /// All rows of a block, those outside of `block.groups` included.
    pub async fn read_block(&self, _block: &Block) -> Result<Vec<StateRows>, BundleError> {
        todo!()
    }
}

/// The same for one block.
pub async fn read_block(store: &StateStore, block: &Block) -> Result<Vec<StateRows>, BundleError> {
    BundleReader::new(store.clone()).read_block(block).await
}
