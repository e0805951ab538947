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
use super::pool::Pool;

/// Homes of a new index.
const HOMES_MIN: usize = 112;
/// Of 16 homes so many may be in use.
const LOAD: usize = 11;
/// Where nearly all tags are, counted from their home.
const NEAR: usize = 4;

/// The hash bits by which an index orders keys.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Tag(pub(super) u32);

/// Where a row is: its position in the arena in 8-byte words. Never 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct RowId(pub(super) u32);

impl RowId {
    /// The id of no row.
    pub(super) const NONE: Self = Self(0);
}

/// From hashes to tags, for keys of a range of key groups.
#[derive(Clone, Debug, Eq, PartialEq)]
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

    /// The first key group of the range.
    pub(super) fn first_group(&self) -> u32 {
        (self.base >> 48) as u32
    }

    /// The least tag of a key group, counted from the first of the range.
    pub(super) fn least(&self, group: u32) -> Tag {
        let tag = u64::from(group) << (48 - self.shift);
        assert!(tag < self.end, "key group {group} is not in the range");
        Tag(tag as u32)
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
        Self::in_memory(Memory::zeroed(slots_bytes(HOMES_MIN)), HOMES_MIN, tags.end)
    }

    fn with_homes(homes: usize, tags_end: u64, pool: &mut Pool) -> Self {
        let bytes = slots_bytes(homes);
        let Some(memory) = pool.take(bytes) else {
            return Self::in_memory(Memory::zeroed(bytes), homes, tags_end);
        };
        let mut index = Self::in_memory(memory, homes, tags_end);
        index.slots_mut().fill(0);
        index
    }

    fn in_memory(memory: Memory, homes: usize, tags_end: u64) -> Self {
        Self { memory, homes, multiplier: ((homes as u64) << 32) / tags_end, keys: 0, tags_end }
    }

    pub(super) fn keys(&self) -> usize {
        self.keys
    }

    pub(super) fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Gives the memory to other tables.
    pub(super) fn retire(self) -> Memory {
        self.memory
    }

    #[inline]
    fn home(&self, tag: Tag) -> usize {
        ((u64::from(tag.0) * self.multiplier) >> 32) as usize
    }

    /// Loads the slots that hold a tag into the cache.
    #[inline]
    pub(super) fn prefetch(&self, tag: Tag) {
        super::prefetch(self.slots()[self.home(tag)..].as_ptr().cast());
    }

    /// A row of this tag if one is near its home, or else none. Without a branch that depends on where it is: the
    /// processor goes on to the next tag while this one's slots are on their way.
    #[inline]
    pub(super) fn near(&self, tag: Tag) -> RowId {
        let near = self.slots()[self.home(tag)..].first_chunk::<NEAR>();
        let mut found = 0;
        for &slot in near.expect("more slots than homes").iter().rev() {
            found = if (slot >> 32) as u32 == tag.0 { slot as u32 } else { found };
        }
        RowId(found)
    }

    /// Where the rows of a tag begin, if there are any, or else would.
    #[inline]
    pub(super) fn first(&self, tag: Tag) -> usize {
        let least = u64::from(tag.0) << 32;
        let home = self.home(tag);
        let slots = &self.slots()[home..];
        home + slots.iter().position(|&slot| slot == 0 || slot >= least).unwrap_or(slots.len())
    }

    /// The row at a position, if it has this tag.
    #[inline]
    pub(super) fn at(&self, position: usize, tag: Tag) -> Option<RowId> {
        let slot = *self.slots().get(position)?;
        (slot != 0 && (slot >> 32) as u32 == tag.0).then_some(RowId(slot as u32))
    }

    /// Adds a row of a tag at the position that follows the rows of this tag.
    pub(super) fn insert(&mut self, position: usize, tag: Tag, row: RowId, pool: &mut Pool) {
        let mut position = position;
        if self.keys >= self.homes / 16 * LOAD {
            self.grow(larger(self.homes), pool);
            position = self.after(tag);
        }
        while !self.try_insert(position, tag, row) {
            self.grow(larger(self.homes), pool);
            position = self.after(tag);
        }
        self.keys += 1;
    }

    /// Makes room for `keys` keys, if that is more than there is.
    pub(super) fn reserve(&mut self, keys: usize, pool: &mut Pool) {
        let mut homes = self.homes;
        while keys > homes / 16 * LOAD {
            homes = larger(homes);
        }
        if homes > self.homes {
            self.grow(homes, pool);
        }
    }

    /// The next occupied slot from `position` on, as (position after it, tag, row).
    #[inline]
    pub(super) fn next(&self, position: usize) -> Option<(usize, Tag, RowId)> {
        let slots = &self.slots()[position..];
        let offset = slots.iter().position(|&slot| slot != 0)?;
        let slot = slots[offset];
        Some((position + offset + 1, Tag((slot >> 32) as u32), RowId(slot as u32)))
    }

    fn after(&self, tag: Tag) -> usize {
        let mut position = self.first(tag);
        while self.at(position, tag).is_some() {
            position += 1;
        }
        position
    }

    /// False if there is no free slot to push others to.
    fn try_insert(&mut self, position: usize, tag: Tag, row: RowId) -> bool {
        let slots = &mut self.slots_mut()[position..];
        let Some(run) = slots.iter().position(|&slot| slot == 0) else { return false };
        slots.copy_within(..run, 1);
        slots[0] = (u64::from(tag.0) << 32) | u64::from(row.0);
        true
    }

    #[cold]
    fn grow(&mut self, homes: usize, pool: &mut Pool) {
        let mut homes = homes;
        loop {
            let mut grown = Self::with_homes(homes, self.tags_end, pool);
            if grown.take_all(self) {
                grown.keys = self.keys;
                *self = grown;
                return;
            }
            homes = larger(homes);
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

    #[inline]
    fn slots(&self) -> &[u64] {
        // SAFETY: the memory is aligned to 8, initialised (zeroed at first) and borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.memory.start().as_ptr().cast(), self.memory.bytes() / 8) }
    }

    #[inline]
    fn slots_mut(&mut self) -> &mut [u64] {
        // SAFETY: as in `slots`; the borrow is exclusive.
        unsafe {
            std::slice::from_raw_parts_mut(self.memory.start().as_ptr().cast(), self.memory.bytes() / 8)
        }
    }
}

/// Besides the homes there are slots that take what is pushed over the end; more in a larger index, so that any
/// cluster fits some size.
fn slots_bytes(homes: usize) -> usize {
    (homes + 16 + homes / 64) * 8
}

/// The sizes of indexes are a series, so that memory of one fits another.
fn larger(homes: usize) -> usize {
    (homes + homes / 2).next_multiple_of(16)
}
