//! The index of a table: from the hash of a key to the rows it may be in.
//!
//! Owns: the slots, their order and their growth, which may take its time.
//! Never: reads a row.
//!
//! A slot is 8 bytes: tag (32 bits) and row id (32 bits); 0 is an empty slot. The tag is the hash bits that
//! follow the bits that all keys of this slot share. A slot's home position is proportional to its tag, and slots
//! are kept in the order of their tags (linear probing that inserts in order). So a scan gives rows in the order
//! of their key groups, an absent key is noticed at the first greater tag, and growth needs no row.

use super::memory::Memory;
use super::pool::Pool;
use super::slots::{Slots, larger, tag_of};
use super::tag::{Tag, Tags};

/// Homes of a new index.
const HOMES_MIN: usize = 112;
/// So many slots are cleared in the time of moving one.
const CLEARED_PER_MOVED: usize = 4;
/// Where nearly all tags are, counted from their home.
const NEAR: usize = 4;

/// Where a row is: its position in the arena in 8-byte words. Never 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct RowId(pub(super) u32);

impl RowId {
    /// The id of no row.
    pub(super) const NONE: Self = Self(0);
}

/// From tags to rows.
///
/// While it grows bit by bit, tags below a bound are in the new slots and the others still in the old ones. A position
/// says which.
#[derive(Debug)]
pub(super) struct Index {
    slots: Slots,
    growth: Option<Box<Growth>>,
    keys: usize,
    tags_end: u64,
}

/// Growth that is under way.
#[derive(Debug)]
struct Growth {
    /// Slots that are not in use: at first those to come, then those that were.
    other: Slots,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Of the slots to come so many are free of what was in their memory before.
    Clearing(usize),
    /// Of the old slots those before position `at` have moved; all tags below `bound` have.
    Moving { at: usize, bound: u64 },
}

/// Marks positions in slots that have not moved yet.
const OLD: usize = 1 << 63;

impl Index {
    pub(super) fn new(tags: &Tags) -> Self {
        Self { slots: Slots::zeroed(HOMES_MIN, tags.end), growth: None, keys: 0, tags_end: tags.end }
    }

    pub(super) fn keys(&self) -> usize {
        self.keys
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.bytes() + self.growth.as_ref().map_or(0, |growth| growth.other.bytes())
    }

    /// Gives the memory to other tables.
    pub(super) fn retire(self) -> impl Iterator<Item = Memory> {
        let other = self.growth.map(|growth| growth.other);
        other.into_iter().chain([self.slots]).map(Slots::retire)
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

    /// The old slots, where they go on, and the least tag in them.
    #[inline]
    fn old(&self) -> Option<(&Slots, usize, u64)> {
        match self.growth.as_deref()? {
            Growth { other, stage: Stage::Moving { at, bound } } => Some((other, *at, *bound)),
            Growth { stage: Stage::Clearing(_), .. } => None,
        }
    }

    /// Where the rows of a tag begin, if there are any, or else would.
    #[inline]
    pub(super) fn first(&self, tag: Tag) -> usize {
        match self.old() {
            Some((old, at, bound)) if bound <= u64::from(tag.0) => OLD | old.first(tag, at),
            Some(_) | None => self.slots.first(tag, 0),
        }
    }

    /// The row at a position, if it has this tag.
    #[inline]
    pub(super) fn at(&self, position: usize, tag: Tag) -> Option<RowId> {
        let slots = match self.old() {
            Some((old, ..)) if position & OLD != 0 => old,
            Some(_) | None => &self.slots,
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
        let (old, at, _) = self.old()?;
        let position = if position & OLD == 0 { at } else { position & !OLD };
        let (after, slot) = old.next(position)?;
        Some(found((OLD | after, slot)))
    }

    /// Adds a row of a tag at the position that follows the rows of this tag.
    pub(super) fn insert(&mut self, position: usize, tag: Tag, row: RowId, pool: &mut Pool) {
        let mut position = position;
        if self.keys >= self.keys_max() {
            self.grow(larger(self.slots.homes()), pool);
            position = self.after(tag);
        }
        let slot = (u64::from(tag.0) << 32) | u64::from(row.0);
        while !self.slots_at(position).try_insert(position & !OLD, slot) {
            self.grow(larger(self.slots.homes()), pool);
            position = self.after(tag);
        }
        self.keys += 1;
    }

    /// How many keys there may be before growth can no longer take its time.
    fn keys_max(&self) -> usize {
        let keys_max = self.slots.keys_max();
        match &self.growth {
            Some(growth) if matches!(growth.stage, Stage::Clearing(_)) => keys_max + keys_max / 4,
            Some(_) | None => keys_max,
        }
    }

    fn slots_at(&mut self, position: usize) -> &mut Slots {
        match &mut self.growth {
            Some(growth) if position & OLD != 0 => &mut growth.other,
            Some(_) | None => &mut self.slots,
        }
    }

    /// Makes room for as many keys as are `expected`, or for more than now if it is nearly full, but looks at about
    /// `slots_max` slots only.
    pub(super) fn grow_some(&mut self, expected: usize, slots_max: usize, pool: &mut Pool) {
        let keys_max = self.slots.keys_max();
        let needed = if self.keys >= keys_max / 8 * 7 { keys_max + 1 } else { 0 };
        self.reserve_some(expected.max(needed), slots_max, pool);
    }

    /// Makes room for `keys` keys, if that is more than there is.
    pub(super) fn reserve(&mut self, keys: usize, pool: &mut Pool) {
        let homes = self.slots.homes_for(keys);
        if homes > self.slots.homes() {
            self.grow(homes, pool);
        }
    }

    /// Makes room for `keys` keys, but looks at about `slots_max` slots only. Whether there is room now; otherwise it is to
    /// be called again.
    pub(super) fn reserve_some(&mut self, keys: usize, slots_max: usize, pool: &mut Pool) -> bool {
        let homes = self.slots.homes_for(keys);
        if self.growth.is_none() && homes > self.slots.homes() {
            let other = Slots::uncleared(homes, self.tags_end, pool);
            self.growth = Some(Box::new(Growth { other, stage: Stage::Clearing(0) }));
        }
        let Some(growth) = &mut self.growth else { return true };
        match growth.stage {
            Stage::Clearing(cleared) => {
                let slots = growth.other.all_mut();
                let end = slots.len().min(cleared + slots_max * CLEARED_PER_MOVED);
                slots[cleared..end].fill(0);
                growth.stage = Stage::Clearing(end);
                if end == slots.len() {
                    std::mem::swap(&mut self.slots, &mut growth.other);
                    growth.stage = Stage::Moving { at: 0, bound: 0 };
                }
            }
            Stage::Moving { at, bound } => self.move_some(at, bound, slots_max, pool),
        }
        // Growth that was under way may have been for fewer keys.
        self.growth.is_none() && self.slots.homes_for(keys) == self.slots.homes()
    }

    /// Moves about so many of the old slots, from position `at` on; all tags below `bound` have moved.
    fn move_some(&mut self, at: usize, bound: u64, slots_max: usize, pool: &mut Pool) {
        let Some(growth) = &mut self.growth else { return };
        let old = &growth.other.all()[at..];
        let mut end = slots_max.min(old.len());
        // Rows of one tag stay together.
        while (1..old.len()).contains(&end) && old[end - 1] != 0 && tag_of(old[end]) == tag_of(old[end - 1]) {
            end += 1;
        }
        let taken = self.slots.append(&old[..end]);
        if taken == old.len() {
            pool.put(self.growth.take().into_iter().map(|growth| growth.other.retire()));
            return;
        }
        let last = old[..taken].iter().rfind(|&&slot| slot != 0);
        let bound = last.map_or(bound, |&slot| u64::from(tag_of(slot).0) + 1);
        growth.stage = Stage::Moving { at: at + taken, bound };
        if taken < end {
            self.grow(larger(self.slots.homes()), pool);
        }
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
            let mut slots = Slots::uncleared(homes, self.tags_end, pool);
            slots.all_mut().fill(0);
            let waiting = self.old().map_or(&[][..], |(old, at, _)| &old.all()[at..]);
            if [self.slots.all(), waiting].into_iter().all(|old| slots.append(old) == old.len()) {
                let grown = Self { slots, growth: None, ..*self };
                pool.put(std::mem::replace(self, grown).retire());
                return;
            }
            pool.put([slots.retire()].into_iter());
            homes = larger(homes);
        }
    }
}
