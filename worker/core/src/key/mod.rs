//! Keys: canonical bytes and their hash.
//!
//! Owns: the encoding of key columns, which is versioned and never changes within a version, and the hash.
//! Never: knows which columns of a row are the key.
//!
//! Columns follow one another. Null is the byte 0xFF. Text is its UTF-8 bytes, followed by 0xFE unless it is the last
//! column (neither byte occurs in UTF-8). Any other value is the byte 0x01 and then a fixed number of bytes whose order
//! is that of the values. So the order of keys is that of their columns, nulls last, except that text in the
//! middle that begins another text comes after it.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use arrow::array::{Array, BinaryArray, BinaryBuilder};
use arrow::datatypes::{DataType, TimeUnit};
use xxhash_rust::xxh3::xxh3_64;

/// Changes whenever the bytes of any key, or their hash, change.
pub const KEY_ENCODING_VERSION: u32 = 1;

const NULL: u8 = 0xFF;
const END_OF_TEXT: u8 = 0xFE;
const VALUE: u8 = 0x01;

/// Columns that cannot be a key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// A key without columns.
    #[error("a key needs at least one column")]
    NoColumns,
    /// A type that keys cannot have.
    #[error(
        "a column of type {0} cannot be a key; convert it to a type of this list with `select`: String, Int32, Int64, Float32, Float64, Boolean, Decimal, Date, Timestamp"
    )]
    Type(DataType),
}

/// The keys of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Keys {
    /// Canonical bytes, never null.
    pub bytes: BinaryArray,
    /// XXH3-64 of them.
    pub hashes: Vec<u64>,
}

impl Keys {
    /// Keys with these bytes.
    pub fn new(bytes: BinaryArray) -> Self {
        debug_assert_eq!(bytes.null_count(), 0, "a null key is bytes, too");
        let (offsets, data) = (bytes.value_offsets(), bytes.value_data());
        let hash = |pair: &[i32]| hash(&data[pair[0] as usize..pair[1] as usize]);
        let hashes = offsets.windows(2).map(hash).collect();
        Self { bytes, hashes }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The bytes of one.
    #[inline]
    pub fn get(&self, index: usize) -> &[u8] {
        let offsets = self.bytes.value_offsets();
        &self.bytes.value_data()[offsets[index] as usize..offsets[index + 1] as usize]
    }

    /// Consecutive keys.
    pub fn slice(&self, offset: usize, len: usize) -> Self {
        Self { bytes: self.bytes.slice(offset, len), hashes: self.hashes[offset..offset + len].to_vec() }
    }

    /// The keys at these indices.
    pub fn select(&self, indices: &[u32]) -> Self {
        let bytes: usize = indices.iter().map(|&index| self.get(index as usize).len()).sum();
        let mut selected = BinaryBuilder::with_capacity(indices.len(), bytes);
        for &index in indices {
            selected.append_value(self.get(index as usize));
        }
        let hashes = indices.iter().map(|&index| self.hashes[index as usize]).collect();
        Self { bytes: selected.finish(), hashes }
    }

    /// Memory that these keys take, about.
    pub fn memory_bytes(&self) -> usize {
        let offsets = self.bytes.value_offsets();
        let data = offsets.last().zip(offsets.first()).map_or(0, |(last, first)| last - first);
        data as usize + self.len() * 12
    }
}

/// The hash of a key.
#[inline]
pub(crate) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// Encodes and decodes keys with a fixed list of columns.
#[derive(Clone, Debug)]
pub struct KeyEncoder {
    types: Vec<DataType>,
}

impl KeyEncoder {
    /// For columns of these types.
    pub fn new(types: &[DataType]) -> Result<Self, KeyError> {
        if types.is_empty() {
            return Err(KeyError::NoColumns);
        }
        match types.iter().find(|column| !is_key_type(column)) {
            Some(other) => Err(KeyError::Type(other.clone())),
            None => Ok(Self { types: types.to_vec() }),
        }
    }

    /// The types of the columns.
    pub fn types(&self) -> &[DataType] {
        &self.types
    }
}

fn is_key_type(column: &DataType) -> bool {
    matches!(
        column,
        DataType::Utf8
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Boolean
            | DataType::Decimal128(_, _)
            | DataType::Date32
            | DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, _)
    )
}
