//! State bundles: the states of windows that one worker wrote in one epoch, as an Arrow IPC file.
//!
//! Owns: names of objects, the schema and its metadata, blocks. `FORMAT.md` describes them.
//! Never: knows how a window computes, or which blocks belong together.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt16Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use streamjob_core::aggregate::AggregateSpec;
use streamjob_core::key::KEY_ENCODING_VERSION;
use uuid::Uuid;

use crate::ids::{Epoch, Generation, Lineage};
use crate::store::StoreError;

pub(crate) mod ipc;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::{BlockRows, BundleReader, StateRows, read_block};
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
        source: ArrowError,
    },
}

/// What the metadata of a schema says beside what [`About`] has.
mod named {
    pub(super) const FORMAT: &str = "streamjob.format";
    pub(super) const LINEAGE: &str = "streamjob.lineage";
    pub(super) const JOB: &str = "streamjob.job";
    pub(super) const GENERATION: &str = "streamjob.generation";
    pub(super) const EPOCH: &str = "streamjob.epoch";
    pub(super) const KEY_COLUMNS: &str = "streamjob.keyColumns";
    pub(super) const STATE_VERSION: &str = "streamjob.stateVersion";
    pub(super) const KEY_ENCODING_VERSION: &str = "streamjob.keyEncodingVersion";
}

/// The columns in front of those of the key.
const FIRST_COLUMNS: usize = 2;

/// `data/3-1/7-0-<uuid>.state.arrow`.
pub fn state_name(generation: Generation, epoch: Epoch, worker: u32, unique: Uuid) -> String {
    format!("data/{generation}/{epoch}-{worker}-{}.state.arrow", unique.simple())
}

/// `data/3-1/7-0-<uuid>.outbox.arrow`.
pub fn outbox_name(generation: Generation, epoch: Epoch, worker: u32, unique: Uuid) -> String {
    format!("data/{generation}/{epoch}-{worker}-{}.outbox.arrow", unique.simple())
}

/// The columns of a state bundle: `window_end`, `key_group`, the key's, the aggregates'.
pub fn state_schema(keys: &[Field], states: &[Field], about: &About) -> SchemaRef {
    let first =
        [Field::new("window_end", DataType::Int64, false), Field::new("key_group", DataType::UInt16, false)];
    let fields: Vec<Field> = first.iter().chain(keys).chain(states).cloned().collect();
    let mut metadata = about.metadata();
    metadata.extend([
        (named::KEY_COLUMNS.to_owned(), keys.len().to_string()),
        (named::STATE_VERSION.to_owned(), AggregateSpec::STATE_VERSION.to_string()),
        (named::KEY_ENCODING_VERSION.to_owned(), KEY_ENCODING_VERSION.to_string()),
    ]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

/// A batch of a state bundle.
pub fn state_batch(
    schema: &SchemaRef,
    end_ms: i64,
    groups: Vec<u16>,
    keys: Vec<ArrayRef>,
    states: Vec<ArrayRef>,
) -> Result<RecordBatch, ArrowError> {
    let ends = Int64Array::from_value(end_ms, groups.len());
    let mut columns: Vec<ArrayRef> = vec![Arc::new(ends), Arc::new(UInt16Array::from(groups))];
    columns.extend(keys);
    columns.extend(states);
    RecordBatch::try_new(schema.clone(), columns)
}

impl About {
    /// For the schema of a bundle.
    pub(crate) fn metadata(&self) -> HashMap<String, String> {
        let entries = [
            (named::FORMAT, FORMAT.to_string()),
            (named::LINEAGE, self.lineage.to_string()),
            (named::JOB, self.job.clone()),
            (named::GENERATION, self.generation.to_string()),
            (named::EPOCH, self.epoch.to_string()),
        ];
        entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Refuses what a later program wrote.
pub(crate) fn check_format(object: &str, schema: &Schema) -> Result<(), BundleError> {
    let known = [
        (named::FORMAT, FORMAT, true),
        (named::STATE_VERSION, AggregateSpec::STATE_VERSION, false),
        (named::KEY_ENCODING_VERSION, KEY_ENCODING_VERSION, false),
    ];
    for (name, known, is_needed) in known {
        let Some(text) = schema.metadata().get(name) else {
            if is_needed {
                return Err(ipc::damaged(object, format!("its schema does not say `{name}`")));
            }
            continue;
        };
        let found =
            text.parse().map_err(|_| ipc::damaged(object, format!("its schema says {name} {text}")))?;
        if found > known {
            return Err(BundleError::TooNew { object: object.to_owned(), found, known });
        }
    }
    Ok(())
}
