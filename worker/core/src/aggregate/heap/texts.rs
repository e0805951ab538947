//! Strings that are replaced now and then.
//!
//! Owns: blocks of bytes, and where in them each string lies.
//! Never: moves a string while it fits where it is.

use super::Handle;

/// The first block is this large, and each next one twice as large as the one before, up to a limit.
const BLOCK_BYTES_MIN: usize = 1 << 10;
const BLOCK_BYTES_MAX: usize = 1 << 18;

/// Bytes that only grow, in blocks, so that growth copies nothing.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    blocks: Vec<Vec<u8>>,
    bytes: usize,
}

/// Where bytes lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    block: u32,
    start: u32,
}

impl Blocks {
    /// Room for `capacity` bytes, which begins with these.
    pub(super) fn place(&mut self, text: &str, capacity: usize) -> Span {
        let has_room = |block: &Vec<u8>| block.capacity() - block.len() >= capacity;
        if !self.blocks.last().is_some_and(has_room) {
            let doubled = self.blocks.last().map_or(BLOCK_BYTES_MIN, |last| last.capacity() * 2);
            let block = Vec::with_capacity(doubled.min(BLOCK_BYTES_MAX).max(capacity));
            self.bytes += block.capacity() + size_of::<Vec<u8>>();
            self.blocks.push(block);
        }
        let index = self.blocks.len() - 1;
        let block = &mut self.blocks[index];
        let start = block.len();
        block.extend_from_slice(text.as_bytes());
        block.resize(start + capacity, 0);
        let fits = "blocks are fewer than 2^32 and smaller than 4 GB";
        Span { block: u32::try_from(index).expect(fits), start: u32::try_from(start).expect(fits) }
    }

    pub(super) fn get(&self, span: Span, len: u32) -> &str {
        let start = span.start as usize;
        let bytes = &self.blocks[span.block as usize][start..start + len as usize];
        std::str::from_utf8(bytes).expect("only whole strings are placed")
    }

    /// Overwrites the first bytes of a place.
    pub(super) fn replace(&mut self, span: Span, text: &str) {
        let start = span.start as usize;
        self.blocks[span.block as usize][start..start + text.len()].copy_from_slice(text.as_bytes());
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    span: Span,
    len: u32,
    capacity: u32,
}

/// Strings by handle.
#[derive(Debug, Default)]
pub(in super::super) struct Texts {
    blocks: Blocks,
    entries: Vec<Entry>,
}

impl Texts {
    pub(in super::super) fn get(&self, handle: Handle) -> Option<&str> {
        let entry = self.entries.get((handle as usize).checked_sub(1)?)?;
        Some(self.blocks.get(entry.span, entry.len))
    }

    /// Makes this the string of a handle, or of a new one if it is 0; gives the handle.
    pub(in super::super) fn put(&mut self, handle: Handle, text: &str) -> Handle {
        let len = u32::try_from(text.len()).expect("a string in an array is shorter than 2 GB");
        let Some(index) = (handle as usize).checked_sub(1) else {
            let span = self.blocks.place(text, text.len());
            self.entries.push(Entry { span, len, capacity: len });
            return Handle::try_from(self.entries.len()).expect("a table has fewer than 2^32 strings");
        };
        let entry = &mut self.entries[index];
        if len <= entry.capacity {
            self.blocks.replace(entry.span, text);
        } else {
            // The old place is lost. Places at least double, so that less is lost than is held.
            let capacity = text.len().max(entry.capacity as usize * 2);
            entry.span = self.blocks.place(text, capacity);
            entry.capacity = u32::try_from(capacity).expect("a string in an array is shorter than 2 GB");
        }
        entry.len = len;
        handle
    }

    pub(super) fn bytes(&self) -> usize {
        self.blocks.bytes() + self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::Texts;

    #[test]
    fn a_string_keeps_its_place_while_it_fits_and_others_stay_whole() {
        let mut texts = Texts::default();
        let first = texts.put(0, "longish");
        let second = texts.put(0, "x");
        let held = texts.bytes();

        assert_eq!(texts.put(first, "ab"), first);
        assert_eq!(texts.put(first, "abcdefg"), first);
        assert_eq!(texts.bytes(), held);
        texts.put(second, &"y".repeat(1 << 20));

        assert_eq!(texts.get(first), Some("abcdefg"));
        assert_eq!(texts.get(second).map(str::len), Some(1 << 20));
        assert!(texts.bytes() > 1 << 20);
    }

    #[test]
    fn no_handle_refers_to_no_string_and_an_empty_string_is_one() {
        let mut texts = Texts::default();

        let empty = texts.put(0, "");

        assert_eq!(texts.get(0), None);
        assert_eq!(texts.get(empty), Some(""));
    }
}
