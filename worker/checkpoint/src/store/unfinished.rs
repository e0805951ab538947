//! A file that is being written: it has no name that anyone looks for until it is whole and on the disk.
//!
//! Owns: temporary files, from their creation to their name.
//! Never: leaves one behind while its process lives.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use object_store::path::Path;
use object_store::{Error, MultipartUpload, PutPayload, PutResult, Result, UploadPart};

use super::local::{Folders, NAME, blocking, file_error, sync_folder};

/// Tells the unfinished files of this process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A file without a name that counts. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct Unfinished {
    folders: Arc<Folders>,
    path: PathBuf,
    file: File,
    /// The temporary name is gone; it may be another's by now.
    nameless: AtomicBool,
}

/// Writes an object in parts.
#[derive(Debug)]
pub(super) struct Upload {
    file: Option<Arc<Unfinished>>,
    location: Path,
    written: u64,
}

impl Unfinished {
    /// Makes the file and locks it: unlocked ones are swept.
    pub(super) fn begin(folders: &Arc<Folders>) -> Result<Self> {
        Self::make(folders).map_err(|error| file_error(error, &Path::default()))
    }

    fn make(folders: &Arc<Folders>) -> io::Result<Self> {
        let folder = folders.unfinished()?;
        loop {
            // Another machine or container may have a process of this number on the same folder.
            let path = folder.join(format!("{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    // Without locks nothing is lost but the protection from being swept, which fails this write.
                    let _ = file.try_lock();
                    let nameless = AtomicBool::new(false);
                    return Ok(Self { folders: folders.clone(), path, file, nameless });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(generic)
    }

    /// Makes it an object: on the disk, under its name, and that on the disk.
    pub(super) fn publish(&self, location: &Path) -> Result<PutResult> {
        let publish = || {
            self.file.sync_all()?;
            let folder = self.folders.link(&self.path, location)?;
            fs::remove_file(&self.path)?;
            self.nameless.store(true, Ordering::Relaxed);
            sync_folder(&folder)
        };
        publish().map_err(|error| file_error(error, location))?;
        Ok(PutResult { e_tag: None, version: None })
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.nameless.load(Ordering::Relaxed) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Upload {
    pub(super) fn new(file: Unfinished, location: Path) -> Self {
        Self { file: Some(Arc::new(file)), location, written: 0 }
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let Some(file) = self.file.clone() else { return Box::pin(async { Err(ended()) }) };
        let offset = self.written;
        self.written += data.content_length() as u64;
        Box::pin(blocking(move || {
            let mut offset = offset;
            for bytes in data.iter() {
                file.file.write_all_at(bytes, offset).map_err(generic)?;
                offset += bytes.len() as u64;
            }
            Ok(())
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let file = self.file.take().ok_or_else(ended)?;
        let location = self.location.clone();
        blocking(move || file.publish(&location)).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.file = None;
        Ok(())
    }
}

fn generic(error: io::Error) -> Error {
    Error::Generic { store: NAME, source: Box::new(error) }
}

fn ended() -> Error {
    Error::Generic { store: NAME, source: "this upload has ended".into() }
}
