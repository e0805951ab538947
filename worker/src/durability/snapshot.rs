//! What a slot gives out at a barrier.
//!
//! Owns: the frozen states of a slot's windows, with what stands about them in the checkpoint.
//! Never: encodes them.

use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, SchemaRef};
use streamjob_checkpoint::bundle::{About, state_batch, state_schema};
use streamjob_checkpoint::checkpoint::{Emitted, SlotReport};
use streamjob_checkpoint::ids::Epoch;
use streamjob_core::window::{self, Frozen, StateChunk, StateCodec, WindowError, WindowSpec};

/// A slot's part of an epoch, in memory.
pub struct SlotSnapshot {
    /// The epoch that the barrier ended.
    pub epoch: Epoch,
    /// All but the blocks, which are not written yet.
    pub report: SlotReport,
    /// What the blocks will hold.
    pub frozen: Frozen,
    /// From the barrier's start to its coming through all channels.
    pub aligned: Duration,
}

/// How keys and states become the columns of a bundle.
#[derive(Clone, Debug)]
pub struct StateLayout {
    /// Keys and states to arrays.
    pub codec: StateCodec,
    keys: Vec<Field>,
    states: Vec<Field>,
}

impl StateLayout {
    /// The layout of these windows, whose keys have columns of these names.
    pub fn new(spec: &WindowSpec, key_names: &[String]) -> Result<Self, WindowError> {
        let codec = StateCodec::new(spec)?;
        let keys = key_names.iter().zip(codec.key_types());
        let keys = keys.map(|(name, data_type)| Field::new(name, data_type.clone(), true)).collect();
        Ok(Self { keys, states: codec.state_fields(), codec })
    }

    /// The schema of a bundle.
    pub fn schema(&self, about: &About) -> SchemaRef {
        state_schema(&self.keys, &self.states, about)
    }

    /// Whether these are the columns of this layout, key and states.
    pub fn fits(&self, keys: &[ArrayRef], states: &[ArrayRef]) -> bool {
        let same = |fields: &[Field], columns: &[ArrayRef]| {
            fields.iter().map(Field::data_type).eq(columns.iter().map(|column| column.data_type()))
        };
        same(&self.keys, keys) && same(&self.states, states)
    }
}

/// States of one window as a batch of a bundle.
pub fn state_rows(schema: &SchemaRef, end_ms: i64, chunk: StateChunk) -> RecordBatch {
    let StateChunk { groups, keys, states } = chunk;
    state_batch(schema, end_ms, groups, keys, states).expect("the codec gives the schema's columns")
}

/// How far a window has fired, as it stands in a checkpoint.
pub fn emitted(emitted: &window::Emitted) -> Emitted {
    match emitted {
        window::Emitted::Nothing => Emitted::Nothing,
        window::Emitted::UpTo { group, key } => {
            Emitted::UpTo { group: *group, key: key.iter().map(|byte| format!("{byte:02x}")).collect() }
        }
        window::Emitted::All => Emitted::All,
    }
}

/// How far a window has fired, as the operator takes it; `None` if the key is not hexadecimal digits.
pub fn emitted_from(emitted: &Emitted) -> Option<window::Emitted> {
    Some(match emitted {
        Emitted::Nothing => window::Emitted::Nothing,
        Emitted::UpTo { group, key } => {
            if !key.is_ascii() || key.len() % 2 != 0 {
                return None;
            }
            let bytes = (0..key.len()).step_by(2).map(|at| u8::from_str_radix(&key[at..at + 2], 16).ok());
            window::Emitted::UpTo { group: *group, key: bytes.collect::<Option<Vec<u8>>>()?.into() }
        }
        Emitted::All => window::Emitted::All,
    })
}
