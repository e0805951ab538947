//! The index of a table: from the hash of a key to the rows it may be in.
//!
//! Owns: the slots, their order and their growth.
//! Never: reads a row.
//!
//! A slot is 8 bytes: tag (32 bits) and row id (32 bits); 0 is an empty slot. The tag is the hash bits that
//! follow the bits that all keys of this slot share. A slot's home position is proportional to its tag, and slots
//! are kept in the order of their tags (linear probing that inserts in order). So a scan gives rows in the order
//! of their key groups, an absent key is noticed at the first greater tag, and growth needs no row.

use std::ops::Range;

use super::memory::Memory;

/// Slots of a new index.
const SLOTS_MIN: usize = 112;
/// Of 16 slots so many may be full.
const LOAD: usize = 11;

/// The hash bits by which an index orders keys.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Tag(pub(super) u32);

/// Where a row is: its position in the arena in 8-byte words. Never 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct RowId(pub(super) u32);

/// From hashes to tags, for keys of a range of key groups.
#[derive(Clone, Debug)]
pub(super) struct Tags {
    /// The least hash.
    base: u64,
    /// Tag = (hash - base) >> shift.
    shift: u32,
    /// One more than the greatest tag.
    end: u64,
}

impl Tags {
    pub(super) fn new(key_groups: &Range<u32>) -> Self {
        assert!(key_groups.start < key_groups.end && key_groups.end <= 1 << 16, "key groups {key_groups:?}");
        let groups = u64::from(key_groups.end - key_groups.start);
        // The bits that are zero in all of `hash - base`.
        let zeros = 16 - (64 - (groups - 1).leading_zeros());
        let shift = 32 - zeros;
        Self { base: u64::from(key_groups.start) << 48, shift, end: groups << (48 - shift) }
    }

    #[inline]
    pub(super) fn tag(&self, hash: u64) -> Tag {
        let tag = hash.wrapping_sub(self.base) >> self.shift;
        assert!(tag < self.end, "a key of another slot's key groups");
        Tag(tag as u32)
    }

    /// The key group of a tag, counted from the first of the range.
    pub(super) fn group(&self, tag: Tag) -> u32 {
        (u64::from(tag.0) >> (48 - self.shift)) as u32
    }
}

#[derive(Debug)]
pub(super) struct Index {
    memory: Memory,
    /// Positions that are some tag's home. More follow them, for slots pushed over the end.
    homes: usize,
    /// home = tag * multiplier >> 32.
    multiplier: u64,
    keys: usize,
    tags_end: u64,
}

impl Index {
    pub(super) fn new(tags: &Tags) -> Self {
        Self::with_homes(SLOTS_MIN, tags.end)
    }

    fn with_homes(homes: usize, tags_end: u64) -> Self {
        // The rest takes what is pushed over the end; it grows with the index, so any cluster fits some size.
        let slots = homes + 16 + homes / 64;
        Self {
            memory: Memory::zeroed(slots * 8),
            homes,
            multiplier: ((homes as u64) << 32) / tags_end,
            keys: 0,
            tags_end,
        }
    }

    pub(super) fn keys(&self) -> usize {
        self.keys
    }

    pub(super) fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// The position from which a tag is looked for.
    #[inline]
    pub(super) fn home(&self, tag: Tag) -> usize {
        ((u64::from(tag.0) * self.multiplier) >> 32) as usize
    }

    /// Loads the slots that hold a tag into the cache.
    #[inline]
    pub(super) fn prefetch(&self, tag: Tag) {
        super::prefetch(self.slots()[self.home(tag)..].as_ptr().cast());
    }

    /// The first position from `position` on whose slot has this tag, and its row. `position` is the tag's home,
    /// or follows a position that was found.
    #[inline]
    pub(super) fn find(&self, tag: Tag, position: usize) -> Option<(usize, RowId)> {
        // An empty slot is smaller than any other of the tag, or of a smaller one, would be: so it needs a test.
        let least = u64::from(tag.0) << 32;
        for (offset, &slot) in self.slots()[position..].iter().enumerate() {
            if slot == 0 || slot > least | u64::from(u32::MAX) {
                return None;
            }
            if slot >= least {
                return Some((position + offset, RowId(slot as u32)));
            }
        }
        None
    }

    /// Adds a row, after those of the same tag.
    pub(super) fn insert(&mut self, tag: Tag, row: RowId) {
        if self.keys >= self.homes / 16 * LOAD {
            self.grow(self.homes + self.homes / 2);
        }
        while !self.try_insert(tag, row) {
            self.grow(self.homes + self.homes / 2);
        }
        self.keys += 1;
    }

    /// Makes room for `keys` keys, if that is more than there is.
    pub(super) fn reserve(&mut self, keys: usize) {
        let homes = (keys / LOAD + 1) * 16;
        if homes > self.homes {
            self.grow(homes);
        }
    }

    /// The occupied slots from `position` on, in order, as (position after it, tag, row).
    pub(super) fn next(&self, position: usize) -> Option<(usize, Tag, RowId)> {
        let slots = &self.slots()[position..];
        let offset = slots.iter().position(|&slot| slot != 0)?;
        let slot = slots[offset];
        Some((position + offset + 1, Tag((slot >> 32) as u32), RowId(slot as u32)))
    }

    fn try_insert(&mut self, tag: Tag, row: RowId) -> bool {
        let home = self.home(tag);
        let new = (u64::from(tag.0) << 32) | u64::from(row.0);
        let after = (u64::from(tag.0) << 32) | u64::from(u32::MAX);
        let slots = &mut self.slots_mut()[home..];
        let Some(at) = slots.iter().position(|&slot| slot == 0 || slot > after) else { return false };
        let Some(run) = slots[at..].iter().position(|&slot| slot == 0) else { return false };
        slots.copy_within(at..at + run, at + 1);
        slots[at] = new;
        true
    }

    #[cold]
    fn grow(&mut self, homes: usize) {
        let mut homes = homes;
        loop {
            let mut grown = Self::with_homes(homes, self.tags_end);
            if grown.take_all(self) {
                grown.keys = self.keys;
                *self = grown;
                return;
            }
            homes += homes / 2;
        }
    }

    /// Copies all slots of `from`, which is in the order of tags, so that each is written once, at the end.
    fn take_all(&mut self, from: &Self) -> bool {
        let mut free = 0;
        for &slot in from.slots().iter().filter(|&&slot| slot != 0) {
            let at = self.home(Tag((slot >> 32) as u32)).max(free);
            let Some(target) = self.slots_mut().get_mut(at) else { return false };
            *target = slot;
            free = at + 1;
        }
        true
    }

    fn slots(&self) -> &[u64] {
        // SAFETY: the memory is aligned to 8, initialised (zeroed at first) and borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.memory.start().as_ptr().cast(), self.memory.bytes() / 8) }
    }

    fn slots_mut(&mut self) -> &mut [u64] {
        // SAFETY: as in `slots`; the borrow is exclusive.
        unsafe {
            std::slice::from_raw_parts_mut(self.memory.start().as_ptr().cast(), self.memory.bytes() / 8)
        }
    }
}
