//! Where each aggregate's state lies in a row.
//!
//! Owns: offsets and null flags, given out once when a job starts.
//! Never: reads or writes a row.

use crate::table::{Plain, StateField, StateRows};

/// Every field starts at a multiple of this.
const ALIGNMENT: usize = 4;

/// Gives out the bytes and flags of a row.
#[derive(Debug, Default)]
pub(super) struct Layout {
    width: usize,
    /// The word that has flags left, and how many are taken.
    flags: Option<(usize, u32)>,
}

/// One bit of a row: whether a state holds a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    offset: usize,
    mask: u32,
}

/// A flag of a group of rows.
#[derive(Clone, Copy)]
pub(super) struct FlagField<'a> {
    words: StateField<'a, u32>,
    mask: u32,
}

impl Layout {
    /// Room for a number; its offset.
    pub(super) fn field<T: Plain>(&mut self) -> usize {
        let offset = self.width;
        self.width += size_of::<T>().next_multiple_of(ALIGNMENT);
        offset
    }

    /// Room for a flag. 32 of them share a word.
    pub(super) fn flag(&mut self) -> Flag {
        let (offset, taken) = match self.flags {
            Some((offset, taken)) if taken < u32::BITS => (offset, taken),
            Some(_) | None => (self.field::<u32>(), 0),
        };
        self.flags = Some((offset, taken + 1));
        Flag { offset, mask: 1 << taken }
    }

    /// Bytes of a row.
    pub(super) fn width(&self) -> usize {
        self.width
    }
}

impl Flag {
    pub(super) fn of<'a>(&self, rows: &StateRows<'a>) -> FlagField<'a> {
        FlagField { words: rows.field(self.offset), mask: self.mask }
    }
}

impl FlagField<'_> {
    #[inline]
    pub(super) fn is_set(&self, index: usize) -> bool {
        self.words.get(index) & self.mask != 0
    }

    #[inline]
    pub(super) fn set(&self, index: usize) {
        self.words.set(index, self.words.get(index) | self.mask);
    }
}

#[cfg(test)]
mod tests {
    use super::Layout;

    #[test]
    fn fields_follow_each_other_and_flags_share_words() {
        let mut layout = Layout::default();

        let first = layout.flag();
        let number = layout.field::<i64>();
        let small = layout.field::<u8>();
        let others: Vec<_> = (0..32).map(|_| layout.flag()).collect();

        assert_eq!((first.offset, number, small), (0, 4, 12));
        assert!(others[..31].iter().all(|flag| flag.offset == 0));
        assert_eq!((others[31].offset, others[31].mask), (16, 1));
        assert_eq!(layout.width(), 20);
    }
}
