//! Which files a pattern means.
//!
//! Owns: globs, order, duplicates.
//! Never: opens a file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::pipeline::records::SourceError;

/// The files that the patterns match, sorted by path, each once. Folders are passed over.
pub(crate) fn list(patterns: &[String]) -> Result<BTreeSet<PathBuf>, SourceError> {
    let mut paths = BTreeSet::new();
    for pattern in patterns {
        let (files, others): (Vec<_>, Vec<_>) =
            matches(pattern)?.into_iter().partition(|path| path.is_file());
        if files.is_empty() {
            return Err(nothing(pattern, &others));
        }
        paths.extend(files);
    }
    match paths.iter().find(|path| path.to_str().is_none()) {
        // A name is text in checkpoints and output.
        Some(path) => Err(SourceError::Name { path: path.clone() }),
        None => Ok(paths),
    }
}

fn nothing(pattern: &str, others: &[PathBuf]) -> SourceError {
    let pattern = pattern.to_owned();
    if others.iter().any(|path| path.is_dir()) {
        return SourceError::Folder { pattern };
    }
    SourceError::NoMatch { pattern }
}

fn matches(pattern: &str) -> Result<Vec<PathBuf>, SourceError> {
    // A name that is there is meant literally, even if it has brackets.
    if Path::new(pattern).exists() {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let paths = glob::glob(pattern)
        .map_err(|error| SourceError::Pattern { pattern: pattern.to_owned(), cause: error.to_string() })?;
    let paths = paths.map(|path| {
        path.map_err(|error| SourceError::Open { path: error.path().to_owned(), source: error.into() })
    });
    paths.collect()
}
