//! Different strings, each kept once and numbered in the order of their coming.
//!
//! Owns: the strings and the index from string to number.
//! Never: forgets one.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::texts::{Blocks, Span};

/// Strings by number.
#[derive(Debug, Default)]
pub(in super::super) struct Names {
    blocks: Blocks,
    entries: Vec<Entry>,
    index: HashTable<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    span: Span,
    len: u32,
    /// Of the string's hash: what the index needs when it grows, and what tells most strings apart.
    hash: u32,
}

impl Names {
    /// The number of a string; a new one if it has not come before.
    pub(in super::super) fn number(&mut self, name: &str) -> u32 {
        let hash = spread(xxh3_64(name.as_bytes()) as u32);
        let short = hash as u32;
        let (blocks, entries) = (&self.blocks, &self.entries);
        let is_it = |number: &u32| {
            let entry = &entries[*number as usize];
            entry.hash == short && blocks.get(entry.span, entry.len) == name
        };
        if let Some(number) = self.index.find(hash, is_it) {
            return *number;
        }
        let number = u32::try_from(self.entries.len()).expect("a table has fewer than 2^32 strings");
        let len = u32::try_from(name.len()).expect("a string in an array is shorter than 2 GB");
        let span = self.blocks.place(name, name.len());
        self.entries.push(Entry { span, len, hash: short });
        let entries = &self.entries;
        self.index.insert_unique(hash, number, |number| spread(entries[*number as usize].hash));
        number
    }

    pub(in super::super) fn name(&self, number: u32) -> &str {
        let entry = &self.entries[number as usize];
        self.blocks.get(entry.span, entry.len)
    }

    pub(super) fn bytes(&self) -> usize {
        self.blocks.bytes() + self.entries.capacity() * size_of::<Entry>() + self.index.allocation_size()
    }
}

/// 64 bits of which both ends depend on all 32: the index uses both. The lower half is the hash itself.
fn spread(hash: u32) -> u64 {
    u64::from(hash.wrapping_mul(0x9e37_79b1)) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn equal_strings_have_one_number_and_the_number_leads_back() {
        let mut names = Names::default();
        let numbers: Vec<u32> = (0..5_000).map(|i| names.number(&format!("name {i}"))).collect();

        for (i, number) in numbers.iter().enumerate() {
            assert_eq!(names.number(&format!("name {i}")), *number);
            assert_eq!(names.name(*number), format!("name {i}"));
        }
        assert_eq!(numbers, (0..5_000).collect::<Vec<_>>());
        assert!(names.bytes() > 5_000 * 9);
    }
}
