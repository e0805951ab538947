//! The states that several tables have of one key, merged.
//!
//! Owns: memory for the merged states.
//! Never: changes a table.

use super::slice::{LayerFrom, Side};
use crate::aggregate::{Aggregates, Heap};
use crate::key::Keys;
use crate::table::{Chunk, RowGroup, Selection, StateBuffer, StateRows};

/// Merges states, over and over in the same memory.
#[derive(Debug)]
pub(crate) struct Merger {
    states: StateBuffer,
    group: RowGroup,
    from: RowGroup,
}

impl Merger {
    /// For states that begin as `template`.
    pub(crate) fn new(template: &[u8]) -> Self {
        Self { states: StateBuffer::new(template), group: RowGroup::default(), from: RowGroup::default() }
    }

    /// Reads the states of a chunk's keys, merged if there are several tables.
    pub(crate) fn of_chunk<T>(
        &mut self,
        aggregates: &Aggregates,
        chunk: &Chunk<'_, Side>,
        read: impl FnOnce(&StateRows<'_>, &Heap) -> T,
    ) -> T {
        let mut parts = chunk.parts();
        if let (Some(only), None) = (parts.next(), parts.next()) {
            return read(&only.rows, &only.side.heap);
        }
        let mut heap = Heap::default();
        self.states.reset(chunk.keys_len());
        for part in chunk.parts() {
            let places = part.places.iter().map(|&place| place as usize);
            let into = self.states.rows(places, &mut self.group);
            aggregates.merge_rows(&into, &mut heap, &part.rows, &part.side.heap);
        }
        read(&self.states.rows(0..chunk.keys_len(), &mut self.group), &heap)
    }

    /// Reads the states of these keys of a slice. All are in it.
    pub(crate) fn of_keys<T>(
        &mut self,
        aggregates: &Aggregates,
        layers: &[LayerFrom],
        (keys, selected): (&Keys, &[u32]),
        read: impl FnOnce(&StateRows<'_>, &Heap) -> T,
    ) -> T {
        let selection = Selection::Indices(selected);
        if let [only] = layers {
            let (places, rows) = only.table.find(only.from, keys, &selection, &mut self.group);
            assert_eq!(places.len(), selected.len(), "the keys of a slice's only table are in it");
            return read(&rows, &only.table.side().heap);
        }
        let mut heap = Heap::default();
        self.states.reset(selected.len());
        for layer in layers {
            let (places, rows) = layer.table.find(layer.from, keys, &selection, &mut self.from);
            let into = self.states.rows(places.into_iter(), &mut self.group);
            aggregates.merge_rows(&into, &mut heap, &rows, &layer.table.side().heap);
        }
        read(&self.states.rows(0..selected.len(), &mut self.group), &heap)
    }
}
