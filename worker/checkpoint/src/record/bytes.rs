//! A record as the bytes of its object.
//!
//! Owns: the envelope `{"format":1,"hash":"…","record":…}`, the format that a record needs, and what is refused.
//! Never: takes bytes that this build would not have written for the same record.

use ::bytes::Bytes;
use serde::Deserialize;

use super::{FORMAT, Record};
use crate::ids::{Hash, Seq};

/// A record and the hash of its object, which the next record names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// The record.
    pub record: Record,
    /// Of all bytes of its object.
    pub hash: Hash,
}

/// Bytes that are not a record this build can use.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RecordError {
    /// They are not what was written.
    #[error(
        "{name} is damaged: {what}; put it back from a copy of the folder, or start from a savepoint with --from"
    )]
    Damaged {
        /// The object.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// A later version of the program wrote them.
    #[error("{name} has format {found}; this build reads up to {FORMAT}: use the version that wrote it")]
    TooNew {
        /// The object.
        name: String,
        /// Its format.
        found: u32,
    },
}

/// What any version of the format has.
#[derive(Deserialize)]
pub(crate) struct Version {
    pub(crate) format: u32,
}

impl Record {
    /// The bytes of its object.
    pub fn encode(&self) -> Bytes {
        let body = serde_json::to_string(self).expect("a record has only keys that are strings");
        Bytes::from(wrapped(self.format(), "record", &body))
    }

    /// The oldest format that can say it.
    fn format(&self) -> u32 {
        if self.formerly.is_empty() && self.progress_from.is_none() { 1 } else { FORMAT }
    }

    /// The record in the bytes of the object `name`.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self, RecordError> {
        let damaged = |what: String| RecordError::Damaged { name: name.to_owned(), what };
        let version: Version = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if version.format > FORMAT {
            return Err(RecordError::TooNew { name: name.to_owned(), found: version.format });
        }
        // Strict: blanks, another order or another spelling of a number is nothing that anybody wrote.
        let text = str::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
        let (hash, body) = unwrapped(version.format, "record", text)
            .ok_or_else(|| damaged("its envelope is not as written".to_owned()))?;
        if Hash::of(body.as_bytes()).to_string() != hash {
            return Err(damaged("its hash is not the one it names".to_owned()));
        }
        let record: Self = serde_json::from_str(body).map_err(|error| damaged(error.to_string()))?;
        if record.format() != version.format {
            return Err(damaged(format!(
                "it is of format {} and says that it is of {}",
                record.format(),
                version.format
            )));
        }
        if Seq::of_object(name).is_some_and(|seq| seq != record.seq) {
            return Err(damaged(format!("it holds the record of {}", record.seq.object_name())));
        }
        Ok(record)
    }
}

impl Stored {
    /// A record, as it will be in the store.
    pub fn new(record: Record) -> Self {
        let hash = Hash::of(&record.encode());
        Self { record, hash }
    }

    /// What the object `name` holds.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self, RecordError> {
        Ok(Self { record: Record::decode(name, bytes)?, hash: Hash::of(bytes) })
    }

    /// Whether this record was written right behind the other.
    pub fn follows(&self, before: &Self) -> bool {
        self.record.previous == Some(before.hash) && before.record.seq.next() == self.record.seq
    }
}

// Two records of one hash are one record: bytes decide.
impl std::hash::Hash for Stored {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u128(self.hash.0);
    }
}

/// `{"format":1,"hash":"…","record":…}`: what is written as one line, with the hash of the body's exact bytes.
pub(crate) fn wrapped(format: u32, kind: &str, body: &str) -> String {
    let hash = Hash::of(body.as_bytes());
    format!("{}{hash}{}{body}{TAIL}", head(format), middle(kind))
}

/// The hash and the body.
pub(crate) fn unwrapped<'a>(format: u32, kind: &str, text: &'a str) -> Option<(&'a str, &'a str)> {
    let inner = text.strip_prefix(&head(format))?.strip_suffix(TAIL)?;
    inner.split_once(&middle(kind))
}

const TAIL: &str = "}\n";

fn head(format: u32) -> String {
    format!("{{\"format\":{format},\"hash\":\"")
}

fn middle(kind: &str) -> String {
    format!("\",\"{kind}\":")
}
