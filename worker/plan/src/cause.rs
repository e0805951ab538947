//! Why a record cannot be used.
//!
//! Owns: the sentence that may quote the record, and the one that may be told where its values must not be.
//! Never: decides who is told which.

use std::fmt;

/// Why a record cannot be used, in a sentence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cause {
    full: String,
    /// `None`: the full sentence quotes nothing.
    without_values: Option<String>,
}

impl Cause {
    /// A sentence in which no value of the record stands.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { full: text.into(), without_values: None }
    }

    /// A sentence that quotes the record, and one that says the same without its values.
    pub fn quoting(full: impl Into<String>, without_values: impl Into<String>) -> Self {
        Self { full: full.into(), without_values: Some(without_values.into()) }
    }

    /// With what stands in the record.
    pub fn full(&self) -> &str {
        &self.full
    }

    /// Names columns and types, and no value.
    pub fn without_values(&self) -> &str {
        self.without_values.as_ref().unwrap_or(&self.full)
    }

    /// The same within a greater sentence, which adds nothing of the record.
    pub fn within(&self, sentence: impl Fn(&str) -> String) -> Self {
        Self { full: sentence(&self.full), without_values: self.without_values.as_deref().map(sentence) }
    }
}

/// With what stands in the record.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}
