//! Memory of closed tables that the next ones use.
//!
//! Owns: the free pieces and how many are kept.
//! Never: clears a piece.

use super::memory::Memory;

/// Smaller pieces are as cheap to get anew.
const BYTES_MIN: usize = 4096;

/// Free memory that the kernel has already handed over, which costs more than all that is done with it later. Together
/// with the tables in use it is no more than these were at most in this period and the one before.
#[derive(Debug, Default)]
pub struct Pool {
    free: Vec<Memory>,
    bytes: usize,
    /// The most that tables held, in the last period and in this one.
    most: [usize; 2],
}

impl Pool {
    /// Bytes of free memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes note of what tables hold at one time.
    pub fn note(&mut self, held: usize) {
        self.most[1] = self.most[1].max(held);
    }

    /// Gives back what is more than tables may need again, now that they hold `held` bytes.
    pub fn trim(&mut self, held: usize) {
        let bytes_max = self.most[0].max(self.most[1]).saturating_sub(held);
        // The first are those that were of no use for longest.
        let mut drop_first = 0;
        while self.bytes > bytes_max {
            self.bytes -= self.free[drop_first].bytes();
            drop_first += 1;
        }
        self.free.drain(..drop_first);
    }

    /// Begins a period: what tables held before the last one no longer counts.
    pub fn next_period(&mut self) {
        self.most = [self.most[1], 0];
    }

    /// A piece of this size, with anything in it.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Memory> {
        let at = self.free.iter().position(|piece| piece.bytes() == bytes)?;
        self.bytes -= bytes;
        Some(self.free.swap_remove(at))
    }

    /// Takes pieces that are no longer in use.
    pub(super) fn put(&mut self, pieces: impl Iterator<Item = Memory>) {
        for piece in pieces.filter(|piece| piece.bytes() >= BYTES_MIN) {
            self.bytes += piece.bytes();
            self.free.push(piece);
        }
    }
}
