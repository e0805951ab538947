//! State on its way back into the operator.
//!
//! Owns: building the table of a window from the durable form of its states.
//! Never: reads a file.

use std::ops::Range;

use arrow::array::ArrayRef;

use super::{WindowError, WindowSpec};

/// Builds the old state of a window, on any thread.
#[derive(Debug)]
pub struct LayerBuilder {}

impl LayerBuilder {
    /// For an operator of these key groups.
    pub fn new(_spec: &WindowSpec, _key_groups: Range<u32>) -> Result<Self, WindowError> {
        todo!()
    }

    /// Adds the keys that are in both `only` and the operator's key groups; a key that is there already is merged.
    /// Blocks of a window go in from old to new.
    ///
    /// # Panics
    /// If the columns are not those of a [`StateChunk`](super::StateChunk) of these windows.
    pub fn add(&mut self, _keys: &[ArrayRef], _states: &[ArrayRef], _only: Range<u32>) {
        todo!()
    }

    /// The table, which accounts for this many input rows.
    pub fn finish(self, _input_rows: u64) -> RestoredLayer {
        todo!()
    }
}

/// The old state of a window.
#[derive(Debug)]
pub struct RestoredLayer {}

impl RestoredLayer {
    /// How many keys.
    pub fn keys(&self) -> usize {
        todo!()
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        todo!()
    }
}
