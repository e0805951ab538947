//! Rows of state without keys.
//!
//! Owns: a reused run of states, each a copy of the template when it begins.
//! Never: belongs to a table.

use std::ptr::NonNull;

use super::rows::StateRows;
use super::slice_table::RowGroup;

/// Rows of state that are counted, not looked up: to merge those of several tables.
#[derive(Debug)]
pub struct StateBuffer {
    template: Box<[u8]>,
    bytes: Vec<u8>,
}

impl StateBuffer {
    /// A buffer of states that begin as `template`.
    pub fn new(template: &[u8]) -> Self {
        Self { template: template.into(), bytes: Vec::new() }
    }

    /// Begins anew with this many rows.
    pub fn reset(&mut self, rows: usize) {
        self.bytes.clear();
        for _ in 0..rows {
            self.bytes.extend_from_slice(&self.template);
        }
    }

    /// The rows at these positions.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn rows<'a>(
        &'a mut self,
        positions: impl Iterator<Item = usize>,
        group: &'a mut RowGroup,
    ) -> StateRows<'a> {
        let width = self.template.len();
        let start = self.bytes.as_mut_ptr();
        let states = group.begin();
        for position in positions {
            let range = position * width..(position + 1) * width;
            assert!(range.end <= self.bytes.len(), "no row {position}");
            states.push(NonNull::new(start.wrapping_add(range.start)).expect("a vector's memory"));
        }
        // SAFETY: each state is a run of `width` bytes within the vector (just checked), which is borrowed
        // exclusively during `'a`, as is the group that holds the pointers.
        unsafe { StateRows::new(states, width) }
    }
}
