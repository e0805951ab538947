//! State bundles: the states of windows that one worker wrote in one epoch, as an Arrow IPC file.
//!
//! Owns: names of objects, the schema and its metadata, blocks. `FORMAT.md` describes them.
//! Never: knows how a window computes, or which blocks belong together.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, SchemaRef};
use uuid::Uuid;

use crate::ids::{Epoch, Generation, Lineage};
use crate::store::StoreError;

mod read;
mod write;

pub use read::{BundleReader, read_block};
pub use write::{NewBlock, StateWriter};

/// The version of bundles that this build writes; it reads no greater one.
pub const FORMAT: u32 = 1;

/// Which epoch of which job an object was written in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct About {
    /// The life of the state.
    pub lineage: Lineage,
    /// The job's name.
    pub job: String,
    /// Who wrote it.
    pub generation: Generation,
    /// In which epoch.
    pub epoch: Epoch,
}

/// A bundle that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object is not what was written: it is damaged, cut off or another one.
    #[error("{object} is damaged: {what}; restore an earlier checkpoint or a savepoint")]
    Damaged {
        /// The object.
        object: String,
        /// What does not fit.
        what: String,
    },
    /// A later program wrote it.
    #[error("{object} has format {found}; this build reads up to {known}: use the newer program")]
    TooNew {
        /// The object.
        object: String,
        /// Its format.
        found: u32,
        /// The greatest that can be read.
        known: u32,
    },
    /// It cannot be written in Arrow's format.
    #[error("{object} cannot be encoded")]
    Encode {
        /// The object.
        object: String,
        /// Why.
        source: arrow::error::ArrowError,
    },
}

/// `data/3-1/7-0-<uuid>.state.arrow`.
pub fn state_name(_generation: Generation, _epoch: Epoch, _worker: u32, _unique: Uuid) -> String {
    todo!()
}

/// `data/3-1/7-0-<uuid>.outbox.arrow`.
pub fn outbox_name(_generation: Generation, _epoch: Epoch, _worker: u32, _unique: Uuid) -> String {
    todo!()
}

/// The columns of a state bundle: `window_end`, `key_group`, the key's, the aggregates'.
pub fn state_schema(_keys: &[Field], _states: &[Field], _about: &About) -> SchemaRef {
    todo!()
}

/// A batch of a state bundle.
pub fn state_batch(
    _schema: &SchemaRef,
    _end_ms: i64,
    _groups: Vec<u16>,
    _keys: Vec<ArrayRef>,
    _states: Vec<ArrayRef>,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    todo!()
}

/// The rows of a batch that a block read: groups, key columns, state columns.
pub struct StateRows {
    /// The key groups.
    pub groups: Arc<[u16]>,
    /// The columns of the key.
    pub keys: Vec<ArrayRef>,
    /// The columns of the aggregates' states.
    pub states: Vec<ArrayRef>,
}
