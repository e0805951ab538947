//! Record batches as they lie in a topic.
//!
//! Owns: the header of a batch, its checksum, and which batches are not for readers: markers and aborted records.
//! Never: talks to a broker.
//!
//! The layout is that of Kafka's message format 2: <https://kafka.apache.org/documentation/#recordbatch>.

mod codec;
mod record;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use bytes::{Buf, Bytes};

pub use self::record::{Place, Record};

/// Bytes before the records of a batch.
const HEADER: usize = 61;
/// Of these, offset and length: the length counts what follows.
const PREFIX: usize = 12;
/// The checksum covers what follows it.
const CHECKED_FROM: usize = 21;

/// Bits of a batch's attributes.
const CODEC: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// A transaction whose records nobody shall see.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Aborted {
    /// Who wrote it.
    pub(crate) producer: i64,
    /// Its first record.
    pub(crate) first_offset: i64,
}

/// What one answer of a broker has of a partition.
#[derive(Debug)]
pub struct Chunk {
    bytes: Bytes,
    /// By first offset.
    aborted: Vec<Aborted>,
    /// Producers whose transaction is one of them, here.
    aborting: HashSet<i64>,
    next: u64,
}

/// The records of a batch, ready to be read in place.
#[derive(Debug)]
pub struct Batch {
    records: Bytes,
    base_offset: i64,
    base_timestamp: i64,
    /// The time of all records, if the broker has set it.
    append_timestamp: Option<i64>,
    count: u32,
    next: u64,
}

/// A batch that is not what was written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Damaged(pub(crate) String);

impl Damaged {
    pub(crate) fn new(cause: impl Into<String>) -> Self {
        Self(cause.into())
    }
}

/// Where an answer's complete batches end: the offset behind them, and the leader epoch of the last. `None`: it has none.
pub(crate) fn end_of(mut bytes: &[u8]) -> Option<(u64, i32)> {
    let mut end = None;
    while bytes.len() >= HEADER {
        let length = PREFIX + usize::try_from(at_i32(bytes, 8)).ok()?;
        if length < HEADER || length > bytes.len() {
            break;
        }
        let behind = at_i64(bytes, 0).checked_add(i64::from(at_i32(bytes, 23)))?.checked_add(1)?;
        end = Some((u64::try_from(behind).ok()?, at_i32(bytes, 12)));
        bytes = &bytes[length..];
    }
    end
}

impl Chunk {
    /// `bytes`: batches, the last of which may be cut. `next`: the offset behind them.
    pub(crate) fn new(bytes: Bytes, mut aborted: Vec<Aborted>, next: u64) -> Self {
        aborted.sort_unstable_by_key(|aborted| std::cmp::Reverse(aborted.first_offset));
        Self { bytes, aborted, aborting: HashSet::new(), next }
    }

    /// The offset behind all its batches.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How much memory it holds.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The next batch that has records for a reader; `None`: there are no more.
    ///
    /// # Errors
    /// The next batch is damaged; then so is what follows.
    pub fn batch(&mut self) -> Result<Option<Batch>, Damaged> {
        while self.bytes.len() >= HEADER {
            let length = at_i32(&self.bytes, 8);
            let length = PREFIX + usize::try_from(length).map_err(|_| of_length(length))?;
            let magic = self.bytes[16];
            if magic != 2 {
                return Err(Damaged::new(format!(
                    "its batch has message format {magic}, and only 2 is read, which Kafka has written since 0.11"
                )));
            }
            if length < HEADER {
                return Err(of_length(at_i32(&self.bytes, 8)));
            }
            if length > self.bytes.len() {
                break;
            }
            let batch = self.bytes.split_to(length);
            if let Some(batch) = self.open(batch)? {
                return Ok(Some(batch));
            }
        }
        self.bytes.clear();
        Ok(None)
    }

    fn open(&mut self, mut bytes: Bytes) -> Result<Option<Batch>, Damaged> {
        let (stored, found) = (at_u32(&bytes, 17), crc32c::crc32c(&bytes[CHECKED_FROM..]));
        if stored != found {
            return Err(Damaged::new(format!(
                "its batch has checksum {found:08x}, and {stored:08x} was written"
            )));
        }
        let (base_offset, attributes) = (at_i64(&bytes, 0), at_i16(&bytes, 21));
        let (base_timestamp, max_timestamp) = (at_i64(&bytes, 27), at_i64(&bytes, 35));
        let (producer, count) = (at_i64(&bytes, 43), at_i32(&bytes, 57));
        let last = base_offset.checked_add(i64::from(at_i32(&bytes, 23)));
        let next = last.and_then(|last| last.checked_add(1)).and_then(|next| u64::try_from(next).ok());
        let (Some(last), Some(next)) = (last, next) else {
            return Err(Damaged::new("its batch has an offset below zero"));
        };
        let count = u32::try_from(count).map_err(|_| Damaged::new("its batch has less than no record"))?;
        bytes.advance(HEADER);
        let bytes = codec::expand(bytes, attributes & CODEC)?;
        while self.aborted.last().is_some_and(|aborted| aborted.first_offset <= last) {
            self.aborting.extend(self.aborted.pop().map(|aborted| aborted.producer));
        }
        let append_timestamp = (attributes & LOG_APPEND_TIME != 0).then_some(max_timestamp);
        let batch = Batch { records: bytes, base_offset, base_timestamp, append_timestamp, count, next };
        if attributes & CONTROL != 0 {
            if batch.ends_aborted()? {
                self.aborting.remove(&producer);
            }
            return Ok(None);
        }
        let aborted = attributes & TRANSACTIONAL != 0 && self.aborting.contains(&producer);
        Ok((!aborted && count > 0).then_some(batch))
    }
}

impl Batch {
    /// The offset behind its last record, which may have been compacted away.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether this marker ends a transaction that was aborted.
    fn ends_aborted(&self) -> Result<bool, Damaged> {
        /// Of a marker's key, behind its version.
        const ABORT: i16 = 0;
        let mut at = 0;
        let Some(place) = (self.count > 0).then(|| self.place(&mut at)).transpose()? else {
            return Ok(false);
        };
        let key = self.record(place).key().unwrap_or_default();
        Ok(key.len() >= 4 && at_i16(key, 2) == ABORT)
    }
}

fn of_length(length: i32) -> Damaged {
    Damaged::new(format!("its batch says to be {length} bytes long"))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a range of this length")
}

fn at_i16(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(array(bytes, at))
}

fn at_i32(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(array(bytes, at))
}

fn at_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}

fn at_i64(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(array(bytes, at))
}
