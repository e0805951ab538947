//! A growing buffer of text that is written in fixed-size pieces.
//!
//! Owns: the bytes, and the room that short copies may overwrite.
//! Never: gives out bytes beyond what was written.

/// Room that every write may use beyond what it needs, so that short texts are copied in whole pieces.
const SLACK: usize = 64;
/// How many bytes one instruction moves.
const PIECE: usize = 16;

/// Text under construction. Bytes beyond `filled` are old or zero, and are overwritten.
#[derive(Debug, Default)]
pub struct TextBuffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl TextBuffer {
    /// A buffer that grows when it holds more than this.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity + SLACK], filled: 0 }
    }

    /// What was written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Forgets what was written, keeps the memory.
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// Takes back what was written from `start` on.
    pub(super) fn split_off(&mut self, start: usize) -> Vec<u8> {
        let end = std::mem::replace(&mut self.filled, start);
        self.bytes[start..end].to_vec()
    }

    /// Makes room for this many bytes.
    #[inline]
    pub(super) fn reserve(&mut self, bytes: usize) {
        if self.bytes.len() - self.filled < bytes + SLACK {
            self.grow(bytes + SLACK);
        }
    }

    #[cold]
    fn grow(&mut self, room: usize) {
        let wanted = (self.filled + room).max(self.bytes.len() * 2);
        self.bytes.resize(wanted, 0);
    }

    /// Appends any text.
    #[inline]
    pub(super) fn put(&mut self, text: &[u8]) {
        self.reserve(text.len());
        if text.len() <= 2 * PIECE {
            self.put_short(text);
        } else {
            self.put_long(text);
        }
    }

    /// Appends a byte.
    #[inline]
    pub(super) fn put_byte(&mut self, byte: u8) {
        self.reserve(1);
        self.bytes[self.filled] = byte;
        self.filled += 1;
    }

    /// Appends a text that was padded once, when the writers were resolved.
    #[inline]
    pub(super) fn put_padded(&mut self, text: &Padded) {
        self.reserve(text.bytes.len());
        for (into, from) in
            self.bytes[self.filled..].chunks_exact_mut(PIECE).zip(text.bytes.chunks_exact(PIECE))
        {
            into.copy_from_slice(from);
        }
        self.filled += text.len;
    }

    /// Appends a copy of what was written from `start` on, `len` bytes.
    #[inline]
    pub(super) fn repeat(&mut self, start: usize, len: usize) {
        assert!(start + len <= self.filled, "only what was written can be repeated");
        self.reserve(len.next_multiple_of(PIECE));
        let mut done = 0;
        while done < len {
            let piece: [u8; PIECE] = piece_at(&self.bytes, start + done);
            self.bytes[self.filled + done..][..PIECE].copy_from_slice(&piece);
            done += PIECE;
        }
        self.filled += len;
    }

    // Two copies of fixed size that overlap are cheaper than one of a size that is only known now.
    #[inline]
    fn put_short(&mut self, text: &[u8]) {
        let into = &mut self.bytes[self.filled..];
        let len = text.len();
        if len >= PIECE {
            into[..PIECE].copy_from_slice(&text[..PIECE]);
            into[len - PIECE..len].copy_from_slice(&text[len - PIECE..]);
        } else if len >= 8 {
            into[..8].copy_from_slice(&text[..8]);
            into[len - 8..len].copy_from_slice(&text[len - 8..]);
        } else if len >= 4 {
            into[..4].copy_from_slice(&text[..4]);
            into[len - 4..len].copy_from_slice(&text[len - 4..]);
        } else {
            for (to, from) in into.iter_mut().zip(text) {
                *to = *from;
            }
        }
        self.filled += len;
    }

    #[inline(never)]
    fn put_long(&mut self, text: &[u8]) {
        self.bytes[self.filled..][..text.len()].copy_from_slice(text);
        self.filled += text.len();
    }
}

#[inline]
fn piece_at(bytes: &[u8], at: usize) -> [u8; PIECE] {
    bytes[at..at + PIECE].try_into().expect("a piece has its length")
}

/// A short text, padded to whole pieces.
#[derive(Debug)]
pub(super) struct Padded {
    bytes: Vec<u8>,
    len: usize,
}

impl Padded {
    /// Pads a text.
    pub(super) fn new(text: &[u8]) -> Self {
        let mut bytes = text.to_vec();
        bytes.resize(text.len().next_multiple_of(PIECE), 0);
        Self { bytes, len: text.len() }
    }
}
