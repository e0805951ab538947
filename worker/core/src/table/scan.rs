//! The rows of the tables of a slice in the order (key group, key).
//!
//! Owns: how far the scan is; sorting within a key group; which rows belong to the same key.
//! Never: merges states.

use std::cmp::Ordering;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use super::row;
use super::rows::StateRows;
use super::slice_table::{GROUP_ROWS, RowGroup, SliceTable};

/// A table of which the rows at positions of the index before `from` do not count.
#[derive(Debug)]
pub struct TableFrom<S> {
    /// The table.
    pub table: Arc<SliceTable<S>>,
    /// The first position that counts.
    pub from: usize,
}

impl<S> Clone for TableFrom<S> {
    fn clone(&self) -> Self {
        Self { table: Arc::clone(&self.table), from: self.from }
    }
}

/// A scan of one or more tables of the same key groups. The tables cannot change while it exists.
#[derive(Debug)]
pub struct OrderedScan<S> {
    tables: Vec<Arc<SliceTable<S>>>,
    positions: Vec<usize>,
    /// The key group where it ends, counted from the first of the tables.
    end: u32,
    /// Until the first key group is loaded: that group, counted likewise, and the key that it begins after.
    after: Option<(u32, Box<[u8]>)>,
    /// Rows of whole key groups, sorted, of which `taken` have been given out or are not wanted.
    entries: Vec<Entry>,
    taken: usize,
    /// Where key groups end, while entries are loaded.
    ends: Vec<usize>,
    chunk: Vec<ChunkPart>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The first 16 bytes of the key, so that most comparisons need not look at the row.
    prefix: [u64; 2],
    row: NonNull<u8>,
    table: u32,
    /// Counts distinct keys within the chunk.
    place: u32,
}

/// Rows of one table in a chunk, and which of the chunk's keys they belong to.
#[derive(Debug, Default)]
struct ChunkPart {
    places: Vec<u32>,
    group: RowGroup,
}

// SAFETY: the pointers are into tables that the scan holds and nobody can change; those may be sent.
unsafe impl<S: Send + Sync> Send for OrderedScan<S> {}

impl<S> OrderedScan<S> {
    /// A scan of those of these key groups that the tables have; of the first one only keys after `after`.
    ///
    /// # Panics
    /// If the tables are not of the same key groups.
    pub fn new(tables: Vec<TableFrom<S>>, groups: Range<u32>, after: Option<&[u8]>) -> Self {
        let first_group = tables.first().map_or(groups.start, |first| first.table.tags.first_group());
        let start = groups.start.saturating_sub(first_group);
        let position = |of: &TableFrom<S>| {
            assert_eq!(of.table.tags, tables[0].table.tags, "tables of one scan are of the same key groups");
            // Keys that do not count come first, and so do those of the key groups before.
            of.from.max(of.table.index.first(of.table.tags.least(start)))
        };
        Self {
            positions: tables.iter().map(position).collect(),
            end: groups.end.saturating_sub(first_group),
            after: after.map(|key| (start, key.into())),
            entries: Vec::new(),
            taken: 0,
            ends: Vec::new(),
            chunk: tables.iter().map(|_| ChunkPart::default()).collect(),
            tables: tables.into_iter().map(|of| of.table).collect(),
        }
    }

    /// Whether all keys were given out. If not, the next chunk of this size is made ready.
    pub fn is_done(&mut self, keys_max: usize) -> bool {
        if self.taken == self.entries.len() {
            self.load(keys_max);
        }
        self.taken == self.entries.len()
    }

    /// The next keys, at most `keys_max`. None: all were given out.
    pub fn next_chunk(&mut self, keys_max: usize) -> Option<Chunk<'_, S>> {
        assert!(keys_max > 0, "a chunk holds at least one key");
        if self.is_done(keys_max) {
            return None;
        }
        let len = self.take(keys_max);
        (len > 0).then_some(Chunk {
            tables: &self.tables,
            parts: &self.chunk,
            entries: &self.entries,
            end: self.taken,
            len,
        })
    }

    /// Fills `entries` with whole key groups until there are at least `rows_min`, or no more.
    fn load(&mut self, rows_min: usize) {
        self.entries.clear();
        self.taken = 0;
        // Not all at once: rows should still be in the nearest cache when their keys are read.
        while self.entries.len() - self.taken < rows_min && self.load_some() {}
    }

    /// Adds about as many rows as are looked up together. Whether there were any.
    fn load_some(&mut self) -> bool {
        let first = self.entries.len();
        let first_group = self.next_group();
        self.ends.clear();
        while self.entries.len() < first + GROUP_ROWS {
            let Some(group) = self.next_group() else { break };
            for table in 0..self.tables.len() {
                self.load_group(table, group);
            }
            self.ends.push(self.entries.len());
        }
        for entry in &mut self.entries[first..] {
            let table = &self.tables[entry.table as usize];
            // SAFETY: a row of this table, which is shared and so not written.
            entry.prefix = prefix(unsafe { row::key(entry.row, table.width()) });
        }
        let mut start = first;
        for &end in &self.ends {
            if end - start > 1 {
                let tables = &self.tables;
                self.entries[start..end].sort_unstable_by(|a, b| order(tables, a, b));
            }
            start = end;
        }
        if let Some((group, key)) = self.after.take()
            && first_group == Some(group)
        {
            self.pass_over(self.ends[0], &key);
        }
        start > first
    }

    /// Of the first key group, which ends at `end`, keys up to this one are not wanted.
    fn pass_over(&mut self, end: usize, after: &[u8]) {
        let tables = &self.tables;
        // SAFETY: rows of these tables, which are shared and so not written.
        let key = |entry: &Entry| unsafe { row::key(entry.row, tables[entry.table as usize].width()) };
        self.taken = self.entries[..end].partition_point(|entry| key(entry) <= after);
    }

    fn next_group(&self) -> Option<u32> {
        let tables = self.tables.iter().zip(&self.positions);
        let group = |(table, &position): (&Arc<SliceTable<S>>, &usize)| {
            table.index.next(position).map(|(_, tag, _)| table.tags.group(tag))
        };
        tables.filter_map(group).min().filter(|&group| group < self.end)
    }

    fn load_group(&mut self, at: usize, group: u32) {
        let table = &self.tables[at];
        while let Some((after, tag, id)) = table.index.next(self.positions[at]) {
            if table.tags.group(tag) != group {
                break;
            }
            let row = table.row(id);
            super::prefetch(row.as_ptr());
            super::prefetch(row.as_ptr().wrapping_add(table.width() + 16));
            self.entries.push(Entry { prefix: [0; 2], row, table: at as u32, place: 0 });
            self.positions[at] = after;
        }
    }

    /// Puts the rows of the next keys, at most `keys_max`, into `chunk`. How many keys.
    fn take(&mut self, keys_max: usize) -> usize {
        for part in &mut self.chunk {
            part.places.clear();
            part.group.begin();
        }
        let mut keys = 0;
        let mut at = self.taken;
        while at < self.entries.len() {
            let same = keys > 0
                && self.tables.len() > 1
                && order(&self.tables, &self.entries[at - 1], &self.entries[at]).is_eq();
            if !same && keys == keys_max {
                break;
            }
            keys += usize::from(!same);
            let entry = &mut self.entries[at];
            entry.place = keys as u32 - 1;
            let part = &mut self.chunk[entry.table as usize];
            part.places.push(entry.place);
            part.group.push(entry.row);
            at += 1;
        }
        self.taken = at;
        keys
    }
}

/// Keys in order, and their rows.
#[derive(Debug)]
pub struct Chunk<'s, S> {
    tables: &'s [Arc<SliceTable<S>>],
    parts: &'s [ChunkPart],
    entries: &'s [Entry],
    end: usize,
    len: usize,
}

/// The rows of one table in a chunk.
#[derive(Debug)]
pub struct Part<'s, S> {
    /// Which of the chunk's keys each row belongs to, ascending.
    pub places: &'s [u32],
    /// The rows.
    pub rows: StateRows<'s>,
    /// What they refer to.
    pub side: &'s S,
}

impl<'s, S> Chunk<'s, S> {
    /// How many keys; never 0.
    pub fn keys_len(&self) -> usize {
        self.len
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &'s [u8]> {
        let rows: usize = self.parts.iter().map(|part| part.places.len()).sum();
        let (tables, entries) = (self.tables, &self.entries[self.end - rows..self.end]);
        let first = |at: usize| at == 0 || entries[at - 1].place != entries[at].place;
        (0..rows).filter(move |&at| first(at)).map(move |at| {
            let entry = &entries[at];
            // SAFETY: a row of this table, which is borrowed and so not written during `'s`.
            unsafe { row::key(entry.row, tables[entry.table as usize].width()) }
        })
    }

    /// The last of the keys.
    pub fn last_key(&self) -> &'s [u8] {
        let entry = &self.entries[self.end - 1];
        // SAFETY: a row of this table, which is borrowed and so not written during `'s`.
        unsafe { row::key(entry.row, self.tables[entry.table as usize].width()) }
    }

    /// The rows, table by table.
    pub fn parts(&self) -> impl Iterator<Item = Part<'s, S>> {
        self.tables.iter().zip(self.parts).map(|(table, part)| Part {
            places: &part.places,
            // SAFETY: rows of this table, which is borrowed and so not written during `'s`.
            rows: unsafe { StateRows::shared(part.group.states(), table.width()) },
            side: table.side(),
        })
    }
}

fn order<S>(tables: &[Arc<SliceTable<S>>], a: &Entry, b: &Entry) -> Ordering {
    // SAFETY: rows of these tables, which are shared and so not written.
    let key = |entry: &Entry| unsafe { row::key(entry.row, tables[entry.table as usize].width()) };
    a.prefix.cmp(&b.prefix).then_with(|| key(a).cmp(key(b)))
}

fn prefix(key: &[u8]) -> [u64; 2] {
    let mut bytes = [0; 16];
    if let Some(first) = key.first_chunk::<16>() {
        bytes = *first;
    } else {
        bytes[..key.len()].copy_from_slice(key);
    }
    let word = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    [word(0), word(8)]
}
