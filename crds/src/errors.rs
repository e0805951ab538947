//! What is wrong with a manifest, and where.
//!
//! Owns: the error types and how they are printed.
//! Never: decides what is wrong.

use std::fmt;

/// A mistake in a field of a job.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldError {
    /// Such as `spec.pipeline.window.tumbling.size` or `spec.pipeline.aggregates[1].name`.
    pub path: String,
    /// What is wrong and what to do, lower case, without a full stop.
    pub message: String,
}

impl FieldError {
    /// A mistake at a path.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// A place in a manifest; lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// A mistake in a manifest.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ManifestError {
    /// Unset if the file could not be read.
    pub position: Option<Position>,
    /// The field, as in [`FieldError::path`]; empty if the mistake belongs to none.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl ManifestError {
    pub(crate) fn new(position: Option<Position>, path: &str, message: String) -> Self {
        Self { position, path: path.to_owned(), message }
    }
}

/// Everything that is wrong with one manifest, in the order of its lines. Never empty.
///
/// Prints one mistake a line, such as
/// ``job.yaml:12:7: spec.pipeline.windw: unknown field; did you mean `window`? known: source, …``.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct ManifestErrors {
    /// The file, as it was named.
    pub file: String,
    /// At least one.
    pub errors: Vec<ManifestError>,
}

impl ManifestErrors {
    pub(crate) fn new(file: &str, mut errors: Vec<ManifestError>) -> Self {
        assert!(!errors.is_empty(), "a manifest without mistakes is not an error");
        errors.sort();
        errors.dedup();
        Self { file: file.to_owned(), errors }
    }
}

impl fmt::Display for ManifestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:", self.file)?;
            if let Some(Position { line, column }) = error.position {
                write!(f, "{line}:{column}:")?;
            }
            let path = if error.path.is_empty() { "" } else { " " };
            let colon = if error.path.is_empty() { "" } else { ":" };
            write!(f, "{path}{}{colon} {}", error.path, error.message)?;
        }
        Ok(())
    }
}
