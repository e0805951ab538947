//! The slots of an index, in the order of their tags.
//!
//! Owns: where a slot lies, and how many fit.
//! Never: moves a slot to other memory.

use super::memory::Memory;
use super::pool::Pool;
use super::tag::Tag;

/// Of 16 homes so many may be in use.
const LOAD: usize = 11;

/// Slots in the order of their tags.
#[derive(Debug)]
pub(super) struct Slots {
    memory: Memory,
    /// Positions that are some tag's home. More follow them, for slots pushed over the end.
    homes: usize,
    /// home = tag * multiplier >> 32.
    multiplier: u64,
    /// Where appending goes on.
    free: usize,
}

impl Slots {
    pub(super) fn zeroed(homes: usize, tags_end: u64) -> Self {
        Self::in_memory(Memory::zeroed(slots_bytes(homes)), homes, tags_end)
    }

    /// Slots that hold anything, in memory that perhaps nobody has touched.
    pub(super) fn uncleared(homes: usize, tags_end: u64, pool: &mut Pool) -> Self {
        let (memory, new) = pool.piece(slots_bytes(homes));
        if new {
            pool.want(&memory, 0, memory.bytes());
        }
        Self::in_memory(memory, homes, tags_end)
    }

    fn in_memory(memory: Memory, homes: usize, tags_end: u64) -> Self {
        Self { memory, homes, multiplier: ((homes as u64) << 32) / tags_end, free: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    pub(super) fn homes(&self) -> usize {
        self.homes
    }

    /// Gives the memory to other tables.
    pub(super) fn retire(self) -> Memory {
        self.memory
    }

    #[inline]
    pub(super) fn home(&self, tag: Tag) -> usize {
        ((u64::from(tag.0) * self.multiplier) >> 32) as usize
    }

    /// How many keys may be in it.
    pub(super) fn keys_max(&self) -> usize {
        self.homes / 16 * LOAD
    }

    /// Homes for this many keys, no fewer than there are.
    pub(super) fn homes_for(&self, keys: usize) -> usize {
        let mut homes = self.homes;
        while keys > homes / 16 * LOAD {
            homes = larger(homes);
        }
        homes
    }

    /// Where the slots of a tag begin, if there are any, or else would; not before `from`.
    #[inline]
    pub(super) fn first(&self, tag: Tag, from: usize) -> usize {
        let least = u64::from(tag.0) << 32;
        let start = self.home(tag).max(from);
        let slots = &self.all()[start..];
        start + slots.iter().position(|&slot| slot == 0 || slot >= least).unwrap_or(slots.len())
    }

    #[inline]
    pub(super) fn next(&self, position: usize) -> Option<(usize, u64)> {
        let slots = &self.all()[position..];
        let offset = slots.iter().position(|&slot| slot != 0)?;
        Some((position + offset + 1, slots[offset]))
    }

    /// False if there is no free slot to push others to.
    pub(super) fn try_insert(&mut self, position: usize, slot: u64) -> bool {
        let slots = &mut self.all_mut()[position..];
        let Some(run) = slots.iter().position(|&slot| slot == 0) else { return false };
        slots.copy_within(..run, 1);
        slots[0] = slot;
        true
    }

    /// Copies slots, which are in the order of tags and come after all those here. How many there was room for.
    pub(super) fn append(&mut self, slots: &[u64]) -> usize {
        for (taken, &slot) in slots.iter().enumerate().filter(|&(_, &slot)| slot != 0) {
            let mut at = self.home(tag_of(slot)).max(self.free);
            // Slots that were inserted meanwhile may have pushed others on.
            while self.all().get(at).is_some_and(|&slot| slot != 0) {
                at += 1;
            }
            let Some(target) = self.all_mut().get_mut(at) else { return taken };
            *target = slot;
            self.free = at + 1;
        }
        slots.len()
    }

    #[inline]
    pub(super) fn all(&self) -> &[u64] {
        // SAFETY: the memory is aligned to 8, initialised (zeroed at first) and borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.memory.start().as_ptr().cast(), self.memory.bytes() / 8) }
    }

    #[inline]
    pub(super) fn all_mut(&mut self) -> &mut [u64] {
        // SAFETY: as in `all`; the borrow is exclusive.
        unsafe {
            std::slice::from_raw_parts_mut(self.memory.start().as_ptr().cast(), self.memory.bytes() / 8)
        }
    }
}

#[inline]
pub(super) fn tag_of(slot: u64) -> Tag {
    Tag((slot >> 32) as u32)
}

/// Besides the homes there are slots that take what is pushed over the end; more in a larger index, so that any
/// cluster fits some size.
fn slots_bytes(homes: usize) -> usize {
    (homes + 16 + homes / 64) * 8
}

/// The sizes of indexes are a series, so that memory of one fits another.
pub(super) fn larger(homes: usize) -> usize {
    (homes + homes / 2).next_multiple_of(16)
}
