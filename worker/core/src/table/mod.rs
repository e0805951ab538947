//! The table of one slice: a row of aggregate state for each key.
//!
//! Owns: where a key's row is, the memory of rows, and access to the state in them.
//! Never: knows what the state means.
//!
//! A row is `[state][length of the key: 1 byte, or 255 and 4 bytes][key]`, padded to 8 bytes, in an
//! arena; an index finds it by the key's hash and keeps the order of key groups.

mod arena;
mod buffer;
mod index;
mod memory;
mod pool;
mod row;
mod rows;
mod scan;
mod slice_table;
mod slots;
mod tag;
#[cfg(test)]
mod tests;

pub use buffer::StateBuffer;
pub use memory::Ahead;
pub use pool::Pool;
pub use rows::{Plain, Selection, StateField, StateRows};
pub use scan::{Chunk, OrderedScan, Part, TableFrom};
pub use slice_table::{GROUP_ROWS, RowGroup, SliceTable};

/// Loads the cache line of an address, if that is possible.
#[inline(always)]
fn prefetch(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch of any address is a hint without effect on the program.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}
