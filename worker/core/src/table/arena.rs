//! The rows of a table, one after another, in blocks that never move.
//!
//! Owns: memory for rows; from row ids to addresses.
//! Never: knows what is in a row.
//!
//! Each block is as large as all before it together: small tables stay small, and a handful of blocks holds any
//! table. Pages that no row has touched cost nothing.

use std::ptr::{NonNull, null_mut};

use super::index::RowId;
use super::memory::Memory;
use super::pool::Pool;

/// Words in the first block, as a power of two: 4 KB.
const FIRST_BITS: u32 = 9;
/// Enough for all row ids: 2^32 words, which is 32 GB of rows in a table.
const BLOCKS: usize = (32 - FIRST_BITS + 1) as usize;
/// So many words, 2 MB, before they are used, pages of a new block are asked for.
const AHEAD_WORDS: u64 = 1 << 18;

#[derive(Debug)]
pub(super) struct Arena {
    blocks: [Option<Memory>; BLOCKS],
    /// Where word 0 would be if all words stood as those of this block do.
    origins: [*mut u8; BLOCKS],
    /// The next free word, and the end of its block.
    next: u64,
    end: u64,
    /// Where more pages are to be asked for, or a new block begins.
    ask_at: u64,
    /// Whether the block is new.
    new: bool,
    used_words: u64,
}

// SAFETY: the origins are pointers into the blocks, which the arena owns.
unsafe impl Send for Arena {}
// SAFETY: a shared arena gives away pointers only; who uses them answers for that.
unsafe impl Sync for Arena {}

impl Arena {
    pub(super) fn new() -> Self {
        // Row id 0 means no row, so the first word stays unused.
        Self {
            blocks: [const { None }; BLOCKS],
            origins: [null_mut(); BLOCKS],
            next: 1,
            end: 0,
            ask_at: 0,
            new: false,
            used_words: 0,
        }
    }

    /// Bytes of rows.
    pub(super) fn bytes(&self) -> usize {
        self.used_words as usize * 8
    }

    /// Bytes of blocks.
    pub(super) fn reserved_bytes(&self) -> usize {
        self.blocks.iter().flatten().map(Memory::bytes).sum()
    }

    /// Room for a row. Its words may hold anything that is initialised.
    ///
    /// # Panics
    /// If the table is full: row ids reach over 32 GB of rows.
    #[inline]
    pub(super) fn allocate(&mut self, bytes: usize, pool: &mut Pool) -> RowId {
        let words = bytes.div_ceil(8) as u64;
        if self.next + words > self.ask_at {
            self.ask(words, pool);
        }
        let row = RowId(self.next as u32);
        self.next += words;
        self.used_words += words;
        row
    }

    /// Where a row is. Rows of this arena only: others may be anywhere.
    #[inline]
    pub(super) fn address(&self, row: RowId) -> *mut u8 {
        self.origins[block_of(row)].wrapping_add(row.0 as usize * 8)
    }

    /// Gives the blocks to other tables.
    pub(super) fn retire(self) -> impl Iterator<Item = Memory> {
        self.blocks.into_iter().flatten()
    }

    #[cold]
    fn ask(&mut self, words: u64, pool: &mut Pool) {
        if self.next + words > self.end {
            self.next_block(words, pool);
        }
        self.ask_at = (self.next + words + AHEAD_WORDS).min(self.end);
        if self.new {
            let block = block_of(RowId((self.end - 1) as u32));
            let memory = self.blocks[block].as_ref().expect("the last block is there");
            let byte = |word: u64| (word - block_start(block)) as usize * 8;
            pool.want(memory, byte(self.ask_at), byte((self.ask_at + AHEAD_WORDS).min(self.end)));
        }
    }

    fn next_block(&mut self, words: u64, pool: &mut Pool) {
        let first = if self.end == 0 { 0 } else { block_of(RowId((self.end - 1) as u32)) + 1 };
        // The first word of block 0 is never used.
        let block = (first..BLOCKS).find(|&block| block_words(block) > words);
        let block = block.expect("a slice holds at most 32 GB of rows: make windows shorter or add slots");
        let bytes = block_words(block) as usize * 8;
        let (memory, new) = pool.piece(bytes);
        if new {
            pool.want(&memory, 0, AHEAD_WORDS as usize * 8);
        }
        self.new = new;
        let start = block_start(block);
        self.origins[block] = memory.start().as_ptr().wrapping_sub(start as usize * 8);
        self.blocks[block] = Some(memory);
        self.next = start.max(1);
        self.end = start + block_words(block);
    }
}

/// A row's first address as a pointer that is not null.
#[inline]
pub(super) fn row(address: *mut u8) -> NonNull<u8> {
    NonNull::new(address).expect("a row has an address")
}

#[inline]
fn block_of(row: RowId) -> usize {
    ((row.0 | (1 << (FIRST_BITS - 1))).ilog2() - (FIRST_BITS - 1)) as usize
}

fn block_start(block: usize) -> u64 {
    if block == 0 { 0 } else { 1 << (FIRST_BITS as usize + block - 1) }
}

fn block_words(block: usize) -> u64 {
    1 << (FIRST_BITS as usize + block.saturating_sub(1))
}
