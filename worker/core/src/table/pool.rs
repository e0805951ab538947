//! Memory of closed tables that the next ones use.
//!
//! Owns: the free pieces and how many are kept.
//! Never: clears a piece.

use super::memory::{Ahead, Memory};

/// Smaller pieces are as cheap to get anew.
const BYTES_MIN: usize = 4096;
/// Wishes that nobody has taken; more are forgotten.
const AHEAD_MAX: usize = 64;

/// Free memory that the kernel has already handed over, which costs more than all that is done with it later. Together
/// with the tables in use it is no more than these were at most in this period and the one before.
#[derive(Debug, Default)]
pub struct Pool {
    free: Vec<Memory>,
    bytes: usize,
    /// The most that tables held, in the last period and in this one.
    most: [usize; 2],
    ahead: Vec<Ahead>,
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

    /// Memory that tables will use soon.
    pub fn take_ahead(&mut self) -> impl Iterator<Item = Ahead> + '_ {
        self.ahead.drain(..)
    }

    /// A piece of this size, with anything in it. Whether it is new: its pages are not there yet.
    pub(super) fn piece(&mut self, bytes: usize) -> (Memory, bool) {
        match self.free.iter().position(|piece| piece.bytes() == bytes) {
            Some(at) => {
                self.bytes -= bytes;
                (self.free.swap_remove(at), false)
            }
            None => (Memory::zeroed(bytes), true),
        }
    }

    /// These bytes of a piece will be used soon.
    pub(super) fn want(&mut self, piece: &Memory, from: usize, to: usize) {
        if self.ahead.len() < AHEAD_MAX {
            self.ahead.extend(piece.ahead(from, to));
        }
    }

    /// Takes pieces that are no longer in use.
    pub(super) fn put(&mut self, pieces: impl Iterator<Item = Memory>) {
        for piece in pieces.filter(|piece| piece.bytes() >= BYTES_MIN) {
            self.bytes += piece.bytes();
            self.free.push(piece);
        }
    }
}
