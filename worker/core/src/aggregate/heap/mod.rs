//! What does not fit in a row of fixed width: strings and sets, for all rows of one table.
//!
//! Owns: the memory behind the handles in rows, and the count of its bytes.
//! Never: frees one value; all go with the table.

mod names;
mod sets;
mod texts;

use names::Names;
pub(super) use sets::Member;
use sets::Sets;
use texts::Texts;

/// Refers to a string or a set from a row; 0 refers to none.
pub(super) type Handle = u32;

/// The strings and sets of the rows of one table.
#[derive(Debug, Default)]
pub struct Heap {
    /// Strings of Min, Max, First and Last.
    pub(super) texts: Texts,
    /// Different strings, numbered.
    pub(super) names: Names,
    sets_of_names: Sets<u32>,
    sets_of_numbers: Sets<u64>,
    sets_of_decimals: Sets<u128>,
}

impl Heap {
    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        let sets = self.sets_of_names.bytes() + self.sets_of_numbers.bytes() + self.sets_of_decimals.bytes();
        self.texts.bytes() + self.names.bytes() + sets
    }
}
