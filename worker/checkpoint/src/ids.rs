//! The numbers and names that tell records, checkpoints and owners apart.
//!
//! Owns: their order and their text.
//! Never: makes one up: randomness is an argument.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The place of a record in the log. Grows by one, over all lineages, and never starts again.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// The number of a checkpoint. Grows by one within a lineage, whatever is restored.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Who may write: the incarnation first, then the attempt within it. The greatest one that has claimed leads.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generation {
    /// One set of workers, or one start of `streamjob run`.
    pub incarnation: u64,
    /// One start of the dataflow in it.
    pub attempt: u64,
}

/// Some of the key groups: those from `first` on, before `end`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Groups {
    /// The first group.
    pub first: u32,
    /// Behind the last group; 65536 at most.
    pub end: u32,
}

/// 128 bits as 32 lower-case hexadecimal digits.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotHex;

            fn from_str(text: &str) -> Result<Self, NotHex> {
                parse_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

hex_id!(
    /// One life of a state: a random number made when its log begins.
    Lineage
);
hex_id!(
    /// Tells the records of two writers of one generation apart: a random number of each start.
    WriterId
);
hex_id!(
    /// XXH3-128 of some bytes: shows damage, not forgery.
    Hash
);

/// Text that is not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected 32 lower-case hexadecimal digits")]
pub struct NotHex;

fn parse_hex(text: &str) -> Result<u128, NotHex> {
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != 32 || !digits {
        return Err(NotHex);
    }
    u128::from_str_radix(text, 16).map_err(|_| NotHex)
}

impl Hash {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(bytes))
    }
}

impl Groups {
    /// All of them.
    pub const ALL: Self = Self { first: 0, end: streamjob_core::key_group::KEY_GROUPS };

    /// Those of a slot.
    pub fn of_slot(slot: u32, parallelism: u32) -> Self {
        streamjob_core::key_group::range_of(slot, parallelism).into()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.first >= self.end
    }

    /// Those in both.
    pub fn intersect(self, other: Self) -> Self {
        Self { first: self.first.max(other.first), end: self.end.min(other.end) }
    }

    /// Whether a group is one of them.
    pub fn contains(self, group: u16) -> bool {
        (self.first..self.end).contains(&u32::from(group))
    }

    /// As a range.
    pub fn range(self) -> Range<u32> {
        self.first..self.end
    }
}

impl From<Range<u32>> for Groups {
    fn from(range: Range<u32>) -> Self {
        Self { first: range.start, end: range.end }
    }
}

impl Seq {
    /// Of the first record of a log.
    pub const FIRST: Self = Self(1);

    /// The one before; `None` for the first.
    pub fn before(self) -> Option<Self> {
        (self > Self::FIRST).then(|| Self(self.0 - 1))
    }

    /// The name of the record's object.
    pub fn object_name(self) -> String {
        format!("log/{:020}.json", self.0)
    }

    /// The record whose object has this name.
    pub fn of_object(name: &str) -> Option<Self> {
        let digits = name.strip_prefix("log/")?.strip_suffix(".json")?;
        let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok().map(Self)).flatten()
    }

    /// The one that follows.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Epoch {
    /// The one that follows.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.incarnation, self.attempt)
    }
}
