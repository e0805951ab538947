//! A table of keys and their states.
//!
//! Owns: finding the rows of a group of keys, and adding those that are missing.
//! Never: looks into a state.

use std::ops::Range;
use std::ptr::NonNull;

use super::arena::{self, Arena};
use super::index::{Index, RowId};
use super::pool::Pool;
use super::row;
use super::rows::{Selection, StateRows};
use super::tag::{Tag, Tags};
use crate::key::Keys;

/// How many keys are best looked up together: their rows and slots fit the nearest cache.
pub const GROUP_ROWS: usize = 512;

/// Memory for looking up a group of keys, to be used again for the next.
#[derive(Debug, Default)]
pub struct RowGroup {
    states: Vec<NonNull<u8>>,
    tags: Vec<Tag>,
    /// Where a key's row probably is.
    near: Vec<*mut u8>,
}

// SAFETY: between uses the pointers are never followed; in use they are borrowed together with their table.
unsafe impl Send for RowGroup {}

impl RowGroup {
    pub(super) fn begin(&mut self) -> &mut Vec<NonNull<u8>> {
        self.states.clear();
        &mut self.states
    }

    pub(super) fn push(&mut self, row: NonNull<u8>) {
        self.states.push(row);
    }

    pub(super) fn states(&self) -> &[NonNull<u8>] {
        &self.states
    }
}

/// The rows of one slice. `S` is what states refer to outside of their rows; it moves with the table.
#[derive(Debug)]
pub struct SliceTable<S> {
    pub(super) tags: Tags,
    pub(super) index: Index,
    arena: Arena,
    template: Box<[u8]>,
    side: S,
}

impl<S> SliceTable<S> {
    /// An empty table for keys of these key groups; new states are copies of `template`.
    pub fn new(key_groups: &Range<u32>, template: &[u8], side: S) -> Self {
        let tags = Tags::new(key_groups);
        Self { index: Index::new(&tags), tags, arena: Arena::new(), template: template.into(), side }
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.index.keys()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory held by rows and index, without `S`.
    pub fn bytes(&self) -> usize {
        self.index.bytes() + self.arena.bytes() + size_of::<Self>()
    }

    /// Makes room in the index for as many keys as are expected, or for more if it is nearly full, but looks at about
    /// `slots_max` slots of it only. Keys may be added meanwhile.
    pub fn grow_some(&mut self, expected: usize, slots_max: usize, pool: &mut Pool) {
        self.index.grow_some(expected, slots_max, pool);
    }

    /// Memory that goes to other tables in the end, whether rows are in it or not.
    pub fn reserved_bytes(&self) -> usize {
        self.index.bytes() + self.arena.reserved_bytes()
    }

    /// What states refer to.
    pub fn side(&self) -> &S {
        &self.side
    }

    /// What states refer to.
    pub fn side_mut(&mut self) -> &mut S {
        &mut self.side
    }

    /// Makes room in the index for this many keys.
    pub fn reserve(&mut self, keys: usize, pool: &mut Pool) {
        self.index.reserve(keys, pool);
    }

    /// Makes room in the index for this many keys, but looks at about `slots_max` slots of it only. Whether there is room now;
    /// otherwise it is to be called again.
    pub fn reserve_some(&mut self, keys: usize, slots_max: usize, pool: &mut Pool) -> bool {
        self.index.reserve_some(keys, slots_max, pool)
    }

    /// Gives the memory of the rows to other tables.
    pub fn retire(self, pool: &mut Pool) {
        pool.put(self.arena.retire().chain(self.index.retire()));
    }

    /// The rows of the selected keys, in their order; missing ones are added.
    pub fn find_or_insert<'t>(
        &'t mut self,
        keys: &Keys,
        selection: &Selection<'_>,
        pool: &mut Pool,
        group: &'t mut RowGroup,
    ) -> (StateRows<'t>, &'t mut S) {
        group.tags.clear();
        match selection {
            Selection::Range(range) => {
                let hashes = &keys.hashes[range.clone()];
                group.tags.extend(hashes.iter().map(|&hash| self.tags.tag(hash)));
                let first = range.start;
                self.rows_of(|at| keys.get(first + at), pool, group);
            }
            Selection::Indices(indices) => {
                group.tags.extend(indices.iter().map(|&at| self.tags.tag(keys.hashes[at as usize])));
                self.rows_of(|at| keys.get(indices[at] as usize), pool, group);
            }
        }
        // SAFETY: `rows_of` found or wrote these rows in this table's arena, which is borrowed exclusively during
        // `'t`, as is the group that holds the pointers.
        (unsafe { StateRows::new(&group.states, self.template.len()) }, &mut self.side)
    }

    /// Rows from position `from` of the index on, up to `rows_max` or [`GROUP_ROWS`]; the rows of the same keys in `into`, where
    /// missing ones are added; and the position that follows. None: there are no more.
    pub fn match_rows<'t>(
        &'t self,
        from: usize,
        rows_max: usize,
        into: &'t mut Self,
        pool: &mut Pool,
        groups: &'t mut [RowGroup; 2],
    ) -> Option<Matched<'t, S>> {
        let [own, other] = groups;
        let after = self.collect(from, rows_max.min(GROUP_ROWS), own)?;
        other.tags.clear();
        other.tags.extend_from_slice(&own.tags);
        // SAFETY: `collect` gave rows of this table, which is borrowed.
        into.rows_of(|at| unsafe { row::key(own.states[at], self.template.len()) }, pool, other);
        // SAFETY: as in `find_or_insert`.
        let into_rows = unsafe { StateRows::new(&other.states, into.template.len()) };
        // SAFETY: rows of this table, which is borrowed and so not written during `'t`.
        let from_rows = unsafe { StateRows::shared(&own.states, self.template.len()) };
        Some(Matched {
            into: into_rows,
            into_side: &mut into.side,
            from: from_rows,
            from_side: &self.side,
            after,
        })
    }

    /// The rows of those of the selected keys that are there, with the places of these keys in the selection. Rows
    /// before position `from` of the index do not count.
    pub fn find<'t>(
        &'t self,
        from: usize,
        keys: &Keys,
        selection: &Selection<'_>,
        group: &'t mut RowGroup,
    ) -> (Vec<usize>, StateRows<'t>) {
        let mut places = Vec::new();
        group.states.clear();
        for place in 0..selection.len() {
            let at = selection.get(place);
            let found = self.find_key(self.tags.tag(keys.hashes[at]), keys.get(at));
            if let Ok((row, position)) = found
                && position >= from
            {
                places.push(place);
                group.states.push(row);
            }
        }
        // SAFETY: rows of this table, which is borrowed and so not written during `'t`.
        (places, unsafe { StateRows::shared(&group.states, self.template.len()) })
    }

    /// Up to `rows_max` rows from position `from` of the index on, in its order, which is that of key groups. None:
    /// there are no more.
    pub fn list<'t>(&'t self, from: usize, rows_max: usize, group: &'t mut RowGroup) -> Option<Listed<'t>> {
        let after = self.collect(from, rows_max, group)?;
        // SAFETY: rows of this table, which is borrowed and so not written during `'t`.
        let rows = unsafe { StateRows::shared(&group.states, self.template.len()) };
        Some(Listed { rows, states: &group.states, tags: (&self.tags, &group.tags), after })
    }

    fn collect(&self, from: usize, rows_max: usize, group: &mut RowGroup) -> Option<usize> {
        group.tags.clear();
        group.states.clear();
        let mut after = from;
        while group.states.len() < rows_max {
            let Some((next, tag, id)) = self.index.next(after) else { break };
            let row = self.row(id);
            super::prefetch(row.as_ptr());
            group.tags.push(tag);
            group.states.push(row);
            after = next;
        }
        (after > from).then_some(after)
    }

    /// Fills `group.states` with the row of each tag in `group.tags` and its key.
    ///
    /// Three passes, so that memory is waited for once a group and not once a key: slots are on their way before
    /// the first is looked at, and rows before the first key is compared.
    #[inline]
    fn rows_of<'k>(&mut self, key: impl Fn(usize) -> &'k [u8], pool: &mut Pool, group: &mut RowGroup) {
        for &tag in &group.tags {
            self.index.prefetch(tag);
        }
        let width = self.template.len();
        group.near.clear();
        group.near.extend(group.tags.iter().map(|&tag| {
            let row = self.arena.address(self.index.near(tag));
            super::prefetch(row);
            super::prefetch(row.wrapping_add(width + 16));
            row
        }));
        group.states.clear();
        let none = self.arena.address(RowId::NONE);
        let near = group.tags.iter().zip(&group.near).enumerate();
        group.states.extend(near.map(|(at, (&tag, &row))| {
            let key = key(at);
            if row != none {
                let row = arena::row(row);
                // SAFETY: the index gave the id, so it is a row of this arena, written when it was added.
                if row::same(unsafe { row::key(row, width) }, key) {
                    return row;
                }
            }
            self.find_or_insert_key(tag, key, pool)
        }));
    }

    #[inline(never)]
    fn find_or_insert_key(&mut self, tag: Tag, key: &[u8], pool: &mut Pool) -> NonNull<u8> {
        let position = match self.find_key(tag, key) {
            Ok((row, _)) => return row,
            Err(position) => position,
        };
        let id = self.arena.allocate(row::row_bytes(self.template.len(), key), pool);
        let row = self.row(id);
        // SAFETY: the arena just gave this room to the row alone.
        unsafe { row::write(row, &self.template, key) };
        self.index.insert(position, tag, id, pool);
        row
    }

    /// The row of a key and its position in the index, or the position where it would be.
    fn find_key(&self, tag: Tag, key: &[u8]) -> Result<(NonNull<u8>, usize), usize> {
        let mut position = self.index.first(tag);
        while let Some(id) = self.index.at(position, tag) {
            let row = self.row(id);
            // SAFETY: the index gave the id, so it is a row of this arena, written when it was added.
            if row::same(unsafe { row::key(row, self.template.len()) }, key) {
                return Ok((row, position));
            }
            position += 1;
        }
        Err(position)
    }

    #[inline]
    pub(super) fn row(&self, id: RowId) -> NonNull<u8> {
        arena::row(self.arena.address(id))
    }

    pub(super) fn width(&self) -> usize {
        self.template.len()
    }
}

/// Rows of one table and the rows of the same keys in another.
#[derive(Debug)]
pub struct Matched<'t, S> {
    /// The rows that may change.
    pub into: StateRows<'t>,
    /// What they refer to.
    pub into_side: &'t mut S,
    /// The rows to read.
    pub from: StateRows<'t>,
    /// What they refer to.
    pub from_side: &'t S,
    /// Where to go on.
    pub after: usize,
}

/// Rows in the order of key groups.
#[derive(Debug)]
pub struct Listed<'t> {
    /// The states.
    pub rows: StateRows<'t>,
    states: &'t [NonNull<u8>],
    tags: (&'t Tags, &'t [Tag]),
    /// Where to go on.
    pub after: usize,
}

impl<'t> Listed<'t> {
    /// The key groups of the rows.
    pub fn groups(&self) -> impl Iterator<Item = u16> {
        let (tags, of_rows) = self.tags;
        // Both are below 65536, and so is their sum: the group is one of the table's.
        of_rows.iter().map(|&tag| (tags.first_group() + tags.group(tag)) as u16)
    }

    /// The keys of the rows.
    pub fn keys(&self) -> impl Iterator<Item = &'t [u8]> {
        let width = self.rows.width();
        // SAFETY: `SliceTable::list` took these rows from the table that is borrowed during `'t`.
        self.states.iter().map(move |&row| unsafe { row::key(row, width) })
    }
}
