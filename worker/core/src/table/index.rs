//! The index of a table: from the hash of a key to the rows it may be in.
//!
//! Owns: the slots, their order and their growth, which may take its time.
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

/// From tags to rows.
///
/// While it grows bit by bit, tags below a bound are in the new slots and the others still in the old ones. A position
/// says which.
#[derive(Debug)]
pub(super) struct Index {
    slots: Slots,
    growing: Option<Growing>,
    keys: usize,
    tags_end: u64,
}

/// Slots on their way into new ones.
#[derive(Debug)]
struct Growing {
    /// The old slots.
    from: Slots,
    /// Those before this position have moved.
    at: usize,
    /// One more than the greatest tag that has moved.
    bound: u64,
}

/// Marks positions in slots that have not moved yet.
const OLD: usize = 1 << 63;

impl Index {
    pub(super) fn new(tags: &Tags) -> Self {
        Self { slots: Slots::zeroed(HOMES_MIN, tags.end), growing: None, keys: 0, tags_end: tags.end }
    }

    pub(super) fn keys(&self) -> usize {
        self.keys
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.memory.bytes() + self.growing.as_ref().map_or(0, |growing| growing.from.memory.bytes())
    }

    /// Gives the memory to other tables.
    pub(super) fn retire(self) -> Memory {
        self.slots.memory
    }

    /// Loads the slots that hold a tag into the cache.
    #[inline]
    pub(super) fn prefetch(&self, tag: Tag) {
        super::prefetch(self.slots.all()[self.slots.home(tag)..].as_ptr().cast());
    }

    /// A row of this tag if one is near its home, or else none. Without a branch that depends on where it is: the
    /// processor goes on to the next tag while this one's slots are on their way.
    #[inline]
    pub(super) fn near(&self, tag: Tag) -> RowId {
        let near = self.slots.all()[self.slots.home(tag)..].first_chunk::<NEAR>();
        let mut found = 0;
        for &slot in near.expect("more slots than homes").iter().rev() {
            found = if (slot >> 32) as u32 == tag.0 { slot as u32 } else { found };
        }
        RowId(found)
    }

    /// Where the rows of a tag begin, if there are any, or else would.
    #[inline]
    pub(super) fn first(&self, tag: Tag) -> usize {
        match &self.growing {
            Some(growing) if growing.bound <= u64::from(tag.0) => {
                OLD | growing.from.first(tag).max(growing.at)
            }
            _ => self.slots.first(tag),
        }
    }

    /// The row at a position, if it has this tag.
    #[inline]
    pub(super) fn at(&self, position: usize, tag: Tag) -> Option<RowId> {
        let slots = match &self.growing {
            Some(growing) if position & OLD != 0 => &growing.from,
            _ => &self.slots,
        };
        let slot = *slots.all().get(position & !OLD)?;
        (slot != 0 && tag_of(slot) == tag).then_some(RowId(slot as u32))
    }

    /// The next occupied slot from `position` on, as (position after it, tag, row).
    #[inline]
    pub(super) fn next(&self, position: usize) -> Option<(usize, Tag, RowId)> {
        let found = |(after, slot)| (after, tag_of(slot), RowId(slot as u32));
        if position & OLD == 0
            && let Some(next) = self.slots.next(position)
        {
            return Some(found(next));
        }
        let growing = self.growing.as_ref()?;
        let position = if position & OLD == 0 { growing.at } else { position & !OLD };
        let (after, slot) = growing.from.next(position)?;
        Some(found((OLD | after, slot)))
    }

    /// Adds a row of a tag at the position that follows the rows of this tag.
    pub(super) fn insert(&mut self, position: usize, tag: Tag, row: RowId, pool: &mut Pool) {
        let mut position = position;
        if self.growing.is_some() || self.keys >= self.slots.keys_max() {
            self.grow(larger(self.slots.homes), pool);
            position = self.after(tag);
        }
        while !self.slots.try_insert(position, (u64::from(tag.0) << 32) | u64::from(row.0)) {
            self.grow(larger(self.slots.homes), pool);
            position = self.after(tag);
        }
        self.keys += 1;
    }

    /// Makes room for `keys` keys, if that is more than there is.
    pub(super) fn reserve(&mut self, keys: usize, pool: &mut Pool) {
        let homes = self.slots.homes_for(keys);
        if homes > self.slots.homes {
            self.grow(homes, pool);
        }
    }

    /// Makes room for `keys` keys, but moves only about `slots_max` slots. Whether there is room now; otherwise it is to
    /// be called again.
    pub(super) fn reserve_some(&mut self, keys: usize, slots_max: usize) -> bool {
        let homes = self.slots.homes_for(keys);
        if self.growing.is_none() && homes > self.slots.homes {
            let from = std::mem::replace(&mut self.slots, Slots::zeroed(homes, self.tags_end));
            self.growing = Some(Growing { from, at: 0, bound: 0 });
        }
        let Some(growing) = &mut self.growing else { return true };
        let old = &growing.from.all()[growing.at..];
        let mut end = slots_max.min(old.len());
        // Rows of one tag stay together.
        while (1..old.len()).contains(&end) && old[end - 1] != 0 && tag_of(old[end]) == tag_of(old[end - 1]) {
            end += 1;
        }
        let taken = self.slots.append(&old[..end]);
        if let Some(&last) = old[..taken].iter().rfind(|&&slot| slot != 0) {
            growing.bound = u64::from(tag_of(last).0) + 1;
        }
        growing.at += taken;
        if taken < end {
            self.grow(larger(self.slots.homes), &mut Pool::default());
        } else if growing.at == growing.from.all().len() {
            self.growing = None;
        }
        self.growing.is_none()
    }

    fn after(&self, tag: Tag) -> usize {
        let mut position = self.first(tag);
        while self.at(position, tag).is_some() {
            position += 1;
        }
        position
    }

    /// Moves everything into that many homes, or more if that is not enough.
    #[cold]
    fn grow(&mut self, homes: usize, pool: &mut Pool) {
        let mut homes = homes;
        loop {
            let mut grown = Slots::from_pool(homes, self.tags_end, pool);
            let waiting = self.growing.as_ref().map_or(&[][..], |growing| &growing.from.all()[growing.at..]);
            if [self.slots.all(), waiting].into_iter().all(|slots| grown.append(slots) == slots.len()) {
                self.slots = grown;
                self.growing = None;
                return;
            }
            homes = larger(homes);
        }
    }
}

/// Slots in the order of their tags.
#[derive(Debug)]
struct Slots {
    memory: Memory,
    /// Positions that are some tag's home. More follow them, for slots pushed over the end.
    homes: usize,
    /// home = tag * multiplier >> 32.
    multiplier: u64,
    /// Where appending goes on.
    free: usize,
}

impl Slots {
    fn zeroed(homes: usize, tags_end: u64) -> Self {
        Self::in_memory(Memory::zeroed(slots_bytes(homes)), homes, tags_end)
    }

    fn from_pool(homes: usize, tags_end: u64, pool: &mut Pool) -> Self {
        let Some(memory) = pool.take(slots_bytes(homes)) else { return Self::zeroed(homes, tags_end) };
        let mut slots = Self::in_memory(memory, homes, tags_end);
        slots.all_mut().fill(0);
        slots
    }

    fn in_memory(memory: Memory, homes: usize, tags_end: u64) -> Self {
        Self { memory, homes, multiplier: ((homes as u64) << 32) / tags_end, free: 0 }
    }

    #[inline]
    fn home(&self, tag: Tag) -> usize {
        ((u64::from(tag.0) * self.multiplier) >> 32) as usize
    }

    /// How many keys may be in it.
    fn keys_max(&self) -> usize {
        self.homes / 16 * LOAD
    }

    /// Homes for this many keys, no fewer than there are.
    fn homes_for(&self, keys: usize) -> usize {
        let mut homes = self.homes;
        while keys > homes / 16 * LOAD {
            homes = larger(homes);
        }
        homes
    }

    #[inline]
    fn first(&self, tag: Tag) -> usize {
        let least = u64::from(tag.0) << 32;
        let home = self.home(tag);
        let slots = &self.all()[home..];
        home + slots.iter().position(|&slot| slot == 0 || slot >= least).unwrap_or(slots.len())
    }

    #[inline]
    fn next(&self, position: usize) -> Option<(usize, u64)> {
        let slots = &self.all()[position..];
        let offset = slots.iter().position(|&slot| slot != 0)?;
        Some((position + offset + 1, slots[offset]))
    }

    /// False if there is no free slot to push others to.
    fn try_insert(&mut self, position: usize, slot: u64) -> bool {
        let slots = &mut self.all_mut()[position..];
        let Some(run) = slots.iter().position(|&slot| slot == 0) else { return false };
        slots.copy_within(..run, 1);
        slots[0] = slot;
        true
    }

    /// Copies slots, which are in the order of tags and come after all those here, so that each is written once. How
    /// many there was room for.
    fn append(&mut self, slots: &[u64]) -> usize {
        for (taken, &slot) in slots.iter().enumerate().filter(|&(_, &slot)| slot != 0) {
            let at = self.home(tag_of(slot)).max(self.free);
            let Some(target) = self.all_mut().get_mut(at) else { return taken };
            *target = slot;
            self.free = at + 1;
        }
        slots.len()
    }

    #[inline]
    fn all(&self) -> &[u64] {
        // SAFETY: the memory is aligned to 8, initialised (zeroed at first) and borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.memory.start().as_ptr().cast(), self.memory.bytes() / 8) }
    }

    #[inline]
    fn all_mut(&mut self) -> &mut [u64] {
        // SAFETY: as in `all`; the borrow is exclusive.
        unsafe {
            std::slice::from_raw_parts_mut(self.memory.start().as_ptr().cast(), self.memory.bytes() / 8)
        }
    }
}

#[inline]
fn tag_of(slot: u64) -> Tag {
    Tag((slot >> 32) as u32)
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
