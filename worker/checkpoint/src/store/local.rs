//! A folder of this machine as an object store whose word survives a power failure.
//!
//! Owns: the order of system calls: temporary file, fsync, hard link, unlink, fsync of the folder; what dead writers left.
//! Never: replaces a file, or answers before the disk has what it answers for.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Range;
use std::path::{Path as FolderPath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::unfinished::{Unfinished, Upload};

/// What errors of this store are filed under.
pub(super) const NAME: &str = "DurableLocal";
/// Holds files that are being written. Objects cannot have such a name.
const UNFINISHED: &str = ".unfinished";

/// A folder. Only `put` with [`PutMode::Create`] and uploads in parts write to it.
#[derive(Debug)]
pub struct DurableLocal {
    files: LocalFileSystem,
    folders: Arc<Folders>,
}

/// The folders below the root, and how a file gets into one for good.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    /// Those whose own entry is known to be on the disk.
    durable: Mutex<HashSet<PathBuf>>,
    read_only: bool,
}

impl DurableLocal {
    /// Opens a folder, which is made if it is not there, and removes what dead writers left half done.
    pub fn open(folder: &FolderPath) -> io::Result<Self> {
        make_durably(folder)?;
        let store = Self::with(folder, false)?;
        sweep(&store.folders.root.join(UNFINISHED))?;
        Ok(store)
    }

    /// Opens a folder that must be there, to read only.
    pub fn open_to_read(folder: &FolderPath) -> io::Result<Self> {
        Self::with(folder, true)
    }

    fn with(folder: &FolderPath, read_only: bool) -> io::Result<Self> {
        let root = fs::canonicalize(folder)?;
        let files = LocalFileSystem::new_with_prefix(&root).map_err(io::Error::other)?;
        let folders = Arc::new(Folders { root, durable: Mutex::default(), read_only });
        Ok(Self { files, folders })
    }
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.folders.root.display().fmt(f)
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        match opts.mode {
            PutMode::Create => {}
            PutMode::Overwrite | PutMode::Update(_) => return Err(not_supported("replace an object")),
        }
        let (folders, location) = (self.folders.clone(), location.clone());
        blocking(move || {
            let mut file = Unfinished::begin(&folders)?;
            payload.iter().try_for_each(|bytes| file.append(bytes))?;
            file.publish(&location)
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let folders = self.folders.clone();
        let file = blocking(move || Unfinished::begin(&folders)).await?;
        Ok(Box::new(Upload::new(file, location.clone())))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.files.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let folders = self.folders.clone();
        let delete = move |location: Result<Path>| {
            let folders = folders.clone();
            async move {
                let location = location?;
                blocking(move || folders.delete(&location).map(|()| location)).await
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        objects_only(self.files.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        objects_only(self.files.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut found = self.files.list_with_delimiter(prefix).await?;
        found.common_prefixes.retain(|folder| folder.as_ref() != UNFINISHED);
        Ok(found)
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_supported("copy"))
    }
}

impl Folders {
    /// The folder of unfinished files, made if it is not there.
    pub(super) fn unfinished(&self) -> io::Result<PathBuf> {
        if self.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let folder = self.root.join(UNFINISHED);
        self.ensure(&folder)?;
        Ok(folder)
    }

    /// Gives a finished file its name. The answer counts after a power failure, also when it is that there was one.
    pub(super) fn link(&self, file: &FolderPath, location: &Path) -> io::Result<PathBuf> {
        let name = self.file_of(location);
        let folder = name.parent().unwrap_or(&self.root).to_owned();
        self.ensure(&folder)?;
        let linked = match fs::hard_link(file, &name) {
            // Someone deleted the last file of the folder, and the folder with it, and so on upwards.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.durable().clear();
                self.ensure(&folder)?;
                fs::hard_link(file, &name)
            }
            linked => linked,
        };
        match linked {
            Ok(()) => Ok(folder),
            Err(error) => {
                // Whoever made the other one may have died before this; what is seen here is acted upon.
                if error.kind() == io::ErrorKind::AlreadyExists {
                    sync_folder(&folder)?;
                }
                Err(error)
            }
        }
    }

    fn delete(&self, location: &Path) -> Result<()> {
        if self.read_only {
            return Err(file_error(io::ErrorKind::ReadOnlyFilesystem.into(), location));
        }
        let name = self.file_of(location);
        fs::remove_file(&name).map_err(|error| file_error(error, location))?;
        let folder = name.parent().unwrap_or(&self.root);
        sync_folder(folder).map_err(|error| file_error(error, location))?;
        self.remove_empty(folder);
        Ok(())
    }

    /// Removes folders that have become empty. One that stays does no harm.
    fn remove_empty(&self, folder: &FolderPath) {
        let mut folder = folder;
        while folder != self.root && fs::remove_dir(folder).is_ok() {
            self.durable().remove(folder);
            let Some(parent) = folder.parent() else { return };
            folder = parent;
        }
    }

    /// Makes a folder and those above it, and puts their entries on the disk: somebody else may have made them a
    /// moment ago and died.
    fn ensure(&self, folder: &FolderPath) -> io::Result<()> {
        if folder == self.root || self.durable().contains(folder) {
            return Ok(());
        }
        let parent = folder.parent().unwrap_or(&self.root);
        self.ensure(parent)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        sync_folder(parent)?;
        self.durable().insert(folder.to_owned());
        Ok(())
    }

    fn durable(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file_of(&self, location: &Path) -> PathBuf {
        location.parts().fold(self.root.clone(), |path, part| path.join(part.as_ref()))
    }
}

/// Puts a folder's entries on the disk.
pub(super) fn sync_folder(folder: &FolderPath) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// An error with the object's name, of the kind that callers tell apart.
pub(super) fn file_error(error: io::Error, location: &Path) -> Error {
    let path = location.to_string();
    let kind = error.kind();
    let source = Box::new(error);
    if kind == io::ErrorKind::NotFound {
        Error::NotFound { path, source }
    } else if kind == io::ErrorKind::AlreadyExists {
        Error::AlreadyExists { path, source }
    } else {
        Error::Generic { store: NAME, source }
    }
}

/// Runs file operations where they do not hold up other tasks.
pub(super) async fn blocking<T: Send + 'static>(
    operation: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(operation).await {
        Ok(result) => result,
        Err(error) => Err(Error::JoinError { source: error }),
    }
}

/// Makes a folder and those above it; all their entries are on the disk afterwards.
fn make_durably(folder: &FolderPath) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = match folder.parent() {
        Some(parent) if parent.as_os_str().is_empty() => FolderPath::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    make_durably(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    sync_folder(parent)
}

/// Removes the files of writers that are dead: those that nobody has locked.
fn sweep(folder: &FolderPath) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let Ok(file) = File::open(&path) else { continue };
        match file.try_lock() {
            // Another one that opens this folder may have been quicker.
            Ok(()) => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            },
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
    Ok(())
}

fn objects_only(found: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
    let is_object = |meta: &Result<ObjectMeta>| {
        meta.as_ref().map_or(true, |meta| !meta.location.as_ref().starts_with(UNFINISHED))
    };
    found.filter(move |meta| futures::future::ready(is_object(meta))).boxed()
}

fn not_supported(what: &str) -> Error {
    let source = format!("a folder of states is only added to: it does not {what}").into();
    Error::NotSupported { source }
}
