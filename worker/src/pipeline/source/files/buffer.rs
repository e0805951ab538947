//! A file's content, a piece at a time.
//!
//! Owns: the buffer between file and decoder: lines that go over a piece's end are carried over.
//! Never: looks for records.

use std::io::{self, Read};

use super::input::Input;
use crate::pipeline::records::RECORD_BYTES_MAX;

/// Read at a time, and kept while no record is longer.
const PIECE_BYTES: usize = 256 * 1024;

/// The part of an input that is in memory.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    filled: usize,
    /// The offset in the input of the byte at `start`.
    offset: u64,
    /// The input has no more bytes than these.
    end: bool,
}

impl Buffer {
    /// Forgets the last input.
    pub(super) fn reset(&mut self) {
        (self.start, self.filled, self.offset, self.end) = (0, 0, 0, false);
    }

    /// What comes next is read from this place in the input.
    pub(super) fn restart(&mut self, offset: u64) {
        self.reset();
        self.offset = offset;
    }

    /// What is there and not used up.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.filled]
    }

    /// Bytes by their place in the buffer: valid until the next fill.
    pub(super) fn slice(&self, from: usize, to: usize) -> &[u8] {
        &self.bytes[from..to]
    }

    /// Where in the buffer the rest begins.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Where in the input the rest begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Nothing comes behind the rest.
    pub(super) fn at_end(&self) -> bool {
        self.end
    }

    /// The longest record fits, so that what has no end in here is too long.
    pub(super) fn is_full(&self) -> bool {
        self.filled - self.start >= RECORD_BYTES_MAX
    }

    /// The first `count` bytes of the rest are used up.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    /// Reads more behind the rest: a piece, and if the rest is longer than that, as much again.
    pub(super) fn fill(&mut self, input: &mut Input) -> io::Result<()> {
        self.bytes.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        let size = if self.filled < PIECE_BYTES / 2 {
            PIECE_BYTES
        } else {
            (self.filled * 2).clamp(PIECE_BYTES, RECORD_BYTES_MAX)
        };
        if self.bytes.len() != size {
            self.bytes.resize(size, 0);
            self.bytes.shrink_to(size);
        }
        while self.filled < size {
            match input.read(&mut self.bytes[self.filled..]) {
                Ok(0) => {
                    self.end = true;
                    return Ok(());
                }
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
