//! Key groups: the units in which keys are divided among slots.
//!
//! Owns: from a key's hash to its group, from groups to slots and back.
//! Never: hashes.

use std::ops::Range;

/// How many key groups there are. Part of every checkpoint: it never changes.
pub const KEY_GROUPS: u32 = 65_536;

/// The group of a key.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyGroup(pub u16);

/// The group of a key with this hash: its upper 16 bits.
#[inline]
pub fn key_group(hash: u64) -> KeyGroup {
    KeyGroup((hash >> 48) as u16)
}

/// The slot that owns a group; the inverse of [`range_of`].
#[inline]
pub fn slot_of(group: KeyGroup, parallelism: u32) -> u32 {
    let (group, slots) = (u64::from(group.0), u64::from(parallelism));
    // The greatest slot whose first group, slot * 65536 / parallelism rounded down, is not above the group.
    (((group + 1) * slots - 1) / u64::from(KEY_GROUPS)) as u32
}

/// The groups that a slot owns.
///
/// # Panics
/// If there are more slots than groups, or the slot is not one of them.
pub fn range_of(slot: u32, parallelism: u32) -> Range<u32> {
    assert!(slot < parallelism && parallelism <= KEY_GROUPS, "slot {slot} of {parallelism}");
    let first = |slot: u32| (u64::from(slot) * u64::from(KEY_GROUPS) / u64::from(parallelism)) as u32;
    first(slot)..first(slot + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_belongs_to_the_slot_whose_range_holds_it() {
        for parallelism in [1, 2, 3, 5, 7, 16, 100, 127, 1000, 4097, 65_535, 65_536] {
            let mut next = 0;
            for slot in 0..parallelism {
                let range = range_of(slot, parallelism);
                assert_eq!(range.start, next);
                for group in range.clone() {
                    assert_eq!(
                        slot_of(KeyGroup(group as u16), parallelism),
                        slot,
                        "{group} of {parallelism}"
                    );
                }
                next = range.end;
            }
            assert_eq!(next, KEY_GROUPS);
        }
    }

    #[test]
    fn the_group_is_the_upper_sixteen_bits() {
        assert_eq!(key_group(0x1234_5678_9abc_def0), KeyGroup(0x1234));
        assert_eq!(key_group(u64::MAX), KeyGroup(u16::MAX));
    }
}
