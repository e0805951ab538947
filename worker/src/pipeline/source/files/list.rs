//! Which files a pattern means.
//!
//! Owns: globs, order, duplicates.
//! Never: opens a file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::pipeline::records::SourceError;

/// A file that is there, and its size.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// The files that the patterns match, sorted by path, each once. Folders are passed over.
pub(crate) fn list(patterns: &[String]) -> Result<Vec<Found>, SourceError> {
    let mut paths = BTreeSet::new();
    for pattern in patterns {
        let mut any = false;
        for path in matches(pattern)? {
            if path.is_file() {
                any = true;
                paths.insert(path);
            }
        }
        if !any {
            return Err(SourceError::NoMatch { pattern: pattern.clone() });
        }
    }
    let sized = paths.into_iter().map(|path| match std::fs::metadata(&path) {
        Ok(metadata) => Ok(Found { path, bytes: metadata.len() }),
        Err(source) => Err(SourceError::Open { path, source }),
    });
    sized.collect()
}

fn matches(pattern: &str) -> Result<Vec<PathBuf>, SourceError> {
    // A name that is there is meant literally, even if it has brackets.
    if Path::new(pattern).is_file() {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let paths = glob::glob(pattern)
        .map_err(|error| SourceError::Pattern { pattern: pattern.to_owned(), cause: error.to_string() })?;
    let paths = paths.map(|path| {
        path.map_err(|error| SourceError::Open { path: error.path().to_owned(), source: error.into() })
    });
    paths.collect()
}
