//! Memory of closed tables that the next ones use.
//!
//! Owns: the free pieces and how many are kept.
//! Never: clears a piece.

use super::memory::Memory;

/// Smaller pieces are as cheap to get anew.
const BYTES_MIN: usize = 4096;

/// Free memory that the kernel has already handed over, which costs more than all that is done with it later. It keeps
/// at most as many bytes as the larger of the last two tables had.
#[derive(Debug, Default)]
pub struct Pool {
    free: Vec<Memory>,
    bytes: usize,
    last: [usize; 2],
}

impl Pool {
    /// Bytes of free memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A piece of this size, with anything in it.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Memory> {
        let at = self.free.iter().position(|piece| piece.bytes() == bytes)?;
        self.bytes -= bytes;
        Some(self.free.swap_remove(at))
    }

    /// Takes the pieces of a table that is closed.
    pub(super) fn put(&mut self, pieces: impl Iterator<Item = Memory>) {
        let before = self.bytes;
        for piece in pieces.filter(|piece| piece.bytes() >= BYTES_MIN) {
            self.bytes += piece.bytes();
            self.free.push(piece);
        }
        self.last = [self.last[1], self.bytes - before];
        let bytes_max = self.last[0].max(self.last[1]);
        // The first are those that were of no use for longest.
        let mut drop_first = 0;
        while self.bytes > bytes_max {
            self.bytes -= self.free[drop_first].bytes();
            drop_first += 1;
        }
        self.free.drain(..drop_first);
    }
}
