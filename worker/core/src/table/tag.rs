//! The hash bits by which an index orders keys.
//!
//! Owns: which bits those are, for the key groups of a table.
//! Never: knows where a tag lies.

use std::ops::Range;

/// The hash bits by which an index orders keys.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Tag(pub(super) u32);

/// From hashes to tags, for keys of a range of key groups.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Tags {
    /// The least hash.
    base: u64,
    /// Tag = (hash - base) >> shift.
    shift: u32,
    /// One more than the greatest tag.
    pub(super) end: u64,
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
