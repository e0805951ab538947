//! State on its way out of the operator.
//!
//! Owns: what a freeze gives, and its durable form in chunks.
//! Never: changes a state, or holds up the operator.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field};

use super::{WindowError, WindowSpec};

/// What a freeze gives. It is still part of the operator's state: whoever drops it loses nothing.
#[derive(Debug, Default)]
pub struct Frozen {
    /// The windows with something to make durable, by their ends.
    pub slices: Vec<FrozenSlice>,
}

/// What is in a frozen window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FrozenKind {
    /// What came in since the last freeze that was committed.
    Delta,
    /// Everything.
    Base,
}

/// The frozen states of one window.
#[derive(Debug)]
pub struct FrozenSlice {
    /// Its end.
    pub end: i64,
    /// What is in it.
    pub kind: FrozenKind,
    /// Input rows that the states account for.
    pub input_rows: u64,
}

impl FrozenSlice {
    /// The states, one after another.
    pub fn scan(self) -> StateScan {
        todo!()
    }
}

/// Frozen states in the order of key groups. A key comes once.
#[derive(Debug)]
pub struct StateScan {}

impl StateScan {
    /// The next keys, at most `keys_max`. None: all were given out.
    pub fn next_chunk(&mut self, _codec: &StateCodec, _keys_max: usize) -> Option<StateChunk> {
        todo!()
    }
}

/// The durable form of the states of some keys.
#[derive(Clone, Debug)]
pub struct StateChunk {
    /// The key group of each key, ascending.
    pub groups: Vec<u16>,
    /// The key columns.
    pub keys: Vec<ArrayRef>,
    /// The states: one column for each of [`StateCodec::state_fields`].
    pub states: Vec<ArrayRef>,
}

/// Makes the durable form of states.
#[derive(Clone, Debug)]
pub struct StateCodec {}

impl StateCodec {
    /// For the states of these windows.
    pub fn new(_spec: &WindowSpec) -> Result<Self, WindowError> {
        todo!()
    }

    /// The types of the key columns.
    pub fn key_types(&self) -> &[DataType] {
        todo!()
    }

    /// The state columns. All may be null.
    pub fn state_fields(&self) -> Vec<Field> {
        todo!()
    }
}
