//! Whether a file is the one that it was.
//!
//! Owns: what a file is known by: its length, and a hash of its first and last 4 KiB.
//! Never: reads the rest of it; a change in the middle that keeps the length is not seen.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use streamjob_checkpoint::checkpoint::FileIdentity;
use streamjob_checkpoint::ids::Hash;

use crate::pipeline::records::SourceError;

const END_BYTES: u64 = 4096;

/// What the file at a path is known by.
pub(crate) fn of(path: &Path) -> Result<FileIdentity, SourceError> {
    let ends = File::open(path).and_then(ends);
    let (bytes, ends) = ends.map_err(|source| SourceError::Open { path: path.to_owned(), source })?;
    Ok(FileIdentity { path: path.to_string_lossy().into_owned(), bytes, ends })
}

/// That unfinished files are there and unchanged.
pub(crate) fn check(files: &[FileIdentity]) -> Result<(), SourceError> {
    files.iter().try_for_each(check_file)
}

fn check_file(old: &FileIdentity) -> Result<(), SourceError> {
    let path = Path::new(&old.path);
    let new = match of(path) {
        Ok(new) => new,
        Err(SourceError::Open { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(SourceError::Gone { path: path.to_owned() });
        }
        Err(error) => return Err(error),
    };
    if new == *old {
        return Ok(());
    }
    let (old, new) = match new.bytes == old.bytes {
        true => (format!("its ends had hash {}", old.ends), format!("they have {}", new.ends)),
        false => (format!("it had {} bytes", old.bytes), format!("it has {}", new.bytes)),
    };
    Err(SourceError::Changed { path: path.to_owned(), old, new })
}

fn ends(mut file: File) -> io::Result<(u64, Hash)> {
    let bytes = file.metadata()?.len();
    let mut ends = Vec::new();
    file.by_ref().take(END_BYTES).read_to_end(&mut ends)?;
    file.seek(SeekFrom::Start(bytes.saturating_sub(END_BYTES)))?;
    file.take(END_BYTES).read_to_end(&mut ends)?;
    Ok((bytes, Hash::of(&ends)))
}
