//! Blocks of closed tables that the next ones use.
//!
//! Owns: the free blocks and how many are kept.
//! Never: clears a block.

use super::arena::BLOCKS;
use super::memory::Memory;

/// Free blocks, with memory that the kernel has already handed over. It keeps at most as many bytes as the larger
/// of the last two tables had.
#[derive(Debug, Default)]
pub struct Pool {
    free: [Vec<Memory>; BLOCKS],
    bytes: usize,
    last: [usize; 2],
}

impl Pool {
    /// Bytes of free blocks.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn take(&mut self, block: usize) -> Option<Memory> {
        let memory = self.free[block].pop()?;
        self.bytes -= memory.bytes();
        Some(memory)
    }

    pub(super) fn put(&mut self, blocks: [Option<Memory>; BLOCKS]) {
        let given: usize = blocks.iter().flatten().map(Memory::bytes).sum();
        self.last = [self.last[1], given];
        for (block, memory) in blocks.into_iter().enumerate() {
            if let Some(memory) = memory {
                self.bytes += memory.bytes();
                self.free[block].push(memory);
            }
        }
        let bytes_max = self.last[0].max(self.last[1]);
        for block in (0..BLOCKS).rev() {
            while self.bytes > bytes_max && self.take(block).is_some() {}
        }
    }
}
