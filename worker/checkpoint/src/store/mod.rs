//! Where the objects of one state are: a folder of some object store.
//!
//! Owns: what an answer of the store means; deadlines; which calls can be made again; the names in messages.
//! Never: overwrites anything, creates a record of the log twice, or knows what is in an object.

use std::ops::Range;
use std::path::Path as FolderPath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};

use crate::checkpoint::Object;
use crate::ids::{Hash, WriterId};
use crate::planted::{self, Bug};
use crate::retry::{Failures, Pacer, Patience, Retries};

use error::Asked;

mod error;
mod local;
mod remote;
mod unfinished;
mod unique;
mod writer;

#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use local::DurableLocal;
use remote::uploads::Uploads;
pub use remote::{Access, Answer, Environment, Remote, RemoteKind};
pub(crate) use unique::PIECE_BYTES;
pub use writer::ObjectWriter;

/// How long a call may take. A part of an object is 8 MiB.
const DEADLINE: Duration = Duration::from_secs(30);
/// For how long a call that fails is made again, unless whoever makes it says otherwise.
const PATIENCE: Patience = Patience::Within(Duration::from_secs(5));

/// The objects of one state or savepoint. Clones are cheap. A store over the network is asked on one runtime only: its
/// connections stand still where nobody runs that.
#[derive(Clone)]
pub struct StateStore {
    store: Arc<dyn ObjectStore>,
    root: Path,
    shown: Arc<str>,
    deadline: Duration,
    patience: Patience,
    retries: Retries,
    /// Those that have not ended; `None`: the store cannot list them.
    uploads: Option<Arc<dyn Uploads>>,
}

/// What came of creating an object.
// The answer to `create` is `Created`; another word for the same would be worse.
#[allow(clippy::enum_variant_names)]
#[derive(Debug)]
pub enum Created {
    /// It is there, durable, and was not there before.
    Created,
    /// There was one of this name already; it is as it was.
    Exists,
    /// Nobody knows: it may be there now or appear later.
    Unknown(StoreError),
}

/// An object that a listing found.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Listed {
    /// Relative to the store's folder.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
}

impl std::fmt::Debug for StateStore {
    // Not the store itself: it knows credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateStore").field("shown", &self.shown).finish_non_exhaustive()
    }
}

impl StateStore {
    /// The state in a folder of this machine, which is made if it is not there. Everything it says is done is on the
    /// disk.
    pub fn local(folder: &FolderPath) -> Result<Self, StoreError> {
        Self::open(folder, "open", DurableLocal::open(folder))
    }

    /// The same to look at beside whoever works on it: makes nothing, removes nothing, and refuses to write.
    /// [`StoreError::is_missing`] when there is no such folder.
    pub fn local_to_read(folder: &FolderPath) -> Result<Self, StoreError> {
        Self::open(folder, "read", DurableLocal::open_to_read(folder))
    }

    fn open(
        folder: &FolderPath,
        what: &'static str,
        opened: std::io::Result<DurableLocal>,
    ) -> Result<Self, StoreError> {
        let store = folder.display().to_string();
        match opened {
            Ok(opened) => Ok(Self::new(Arc::new(opened), Path::default(), store)),
            Err(error) => {
                let error = Error::Generic { store: local::NAME, source: Box::new(error) };
                Err(Asked { what, name: ".", store: &store }.refused(error))
            }
        }
    }

    /// The state under `root` of a store. `shown` is what messages call it.
    pub fn new(store: Arc<dyn ObjectStore>, root: Path, shown: String) -> Self {
        let (patience, retries) = (PATIENCE, Retries::default());
        Self { store, root, shown: shown.into(), deadline: DEADLINE, patience, retries, uploads: None }
    }

    /// The same, which can list uploads that have not ended.
    fn listing_uploads(self, uploads: Option<Arc<dyn Uploads>>) -> Self {
        Self { uploads, ..self }
    }

    /// The same with another deadline for each call.
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The same, going on for so long when a call fails.
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The same in another time.
    pub fn paced_by(self, pacer: Arc<dyn Pacer>) -> Self {
        Self { retries: Retries::paced_by(pacer), ..self }
    }

    /// The same, of which this is known when a call fails.
    pub fn failing_into(self, failures: Arc<Failures>) -> Self {
        Self { retries: self.retries.known_to(failures), ..self }
    }

    /// A folder of it, such as a savepoint's.
    pub fn within(&self, folder: &str) -> Self {
        let root = Path::from_iter(self.root.parts().chain(Path::from(folder).parts()));
        let shown = format!("{}/{folder}", self.shown).into();
        Self { root, shown, ..self.clone() }
    }

    /// What messages call it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// For how long it goes on when a call fails.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// What tries again.
    pub fn retries(&self) -> &Retries {
        &self.retries
    }

    /// Refuses a store that cannot be written, that lets two writers create one object, or that does not list what was
    /// created. `writer` is a random number: two probes never touch the same object.
    pub async fn probe(&self, writer: WriterId) -> Result<(), StoreError> {
        let name = format!("probe/{writer}");
        self.retries.run(self.patience, || self.probe_at(&name)).await
    }

    async fn probe_at(&self, name: &str) -> Result<(), StoreError> {
        const FIRST: &[u8] = b"first";
        let unfit = |why| Err(StoreError::Unfit { store: self.shown.to_string(), why });
        let first = Object { name: name.to_owned(), bytes: FIRST.len() as u64, hash: Hash::of(FIRST) };
        self.create_unique(&first, PutPayload::from_static(FIRST)).await?;
        let second = self.create(name, Bytes::from_static(b"second")).await;
        let listed = self.list("probe", None).await?;
        let read = self.get(name).await?;
        self.delete(name).await?;
        match second {
            Created::Exists if read == FIRST => {}
            Created::Unknown(error) => return Err(error),
            Created::Created | Created::Exists => {
                return unfit("two writers can create the same object; it has no conditional writes");
            }
        }
        if !listed.iter().any(|found| found.name == name) {
            return unfit("what was just created is not in its listing");
        }
        Ok(())
    }

    /// The whole object.
    pub async fn get(&self, name: &str) -> Result<Bytes, StoreError> {
        let path = self.path(name)?;
        self.ask("read", name, || async { self.store.get(&path).await?.bytes().await }).await
    }

    /// A part of an object: all of the part, or an error.
    pub async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let (wanted, length) = (range.end, range.end - range.start);
        let path = self.path(name)?;
        let read = self.ask("read", name, || self.store.get_range(&path, range.clone())).await;
        if read.as_ref().is_ok_and(|bytes| bytes.len() as u64 == length) {
            return read;
        }
        // What stores say to a range behind the end differs.
        let (name, store) = (name.to_owned(), self.shown.to_string());
        match self.size(&name).await? {
            None => Err(StoreError::Missing { name, store }),
            Some(found) if found < wanted => Err(StoreError::Short { name, store, wanted, found }),
            Some(_) => read.and_then(|bytes| {
                let found = wanted - length + bytes.len() as u64;
                Err(StoreError::Short { name, store, wanted, found })
            }),
        }
    }

    /// How long an object is; `None` if there is none.
    pub async fn size(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let path = self.path(name)?;
        match self.ask("look at", name, || self.store.head(&path)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates an object, if there is none of this name. Never made again: what an answer means that was lost is for
    /// the caller to find out.
    pub async fn create(&self, name: &str, bytes: Bytes) -> Created {
        self.create_from(name, bytes.into()).await
    }

    async fn create_from(&self, name: &str, payload: PutPayload) -> Created {
        let path = match self.path(name) {
            Ok(path) => path,
            Err(error) => return Created::Unknown(error),
        };
        let options = PutOptions::from(PutMode::Create);
        if planted::is(Bug::CreateWithoutCondition) {
            let _ = self.delete(name).await;
        }
        let put = async {
            match self.store.put_opts(&path, payload, options).await {
                Ok(_) => Ok(Created::Created),
                Err(Error::AlreadyExists { .. }) => Ok(Created::Exists),
                Err(error) => Err(error),
            }
        };
        self.once("create", name, put).await.unwrap_or_else(Created::Unknown)
    }

    /// The objects in a folder, those in its folders included, by name; only those behind `after` if it is given.
    pub async fn list(&self, folder: &str, after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        let prefix = self.path(folder)?;
        let after = after.map(|after| self.path(after)).transpose()?;
        let list = || match &after {
            Some(after) => self.store.list_with_offset(Some(&prefix), after).try_collect(),
            None => self.store.list(Some(&prefix)).try_collect(),
        };
        let found: Vec<_> = self.ask("list", folder, list).await?;
        let mut listed: Vec<_> = found
            .into_iter()
            .filter_map(|meta| Some(Listed { name: self.name_of(&meta.location)?, bytes: meta.size }))
            .collect();
        listed.sort();
        Ok(listed)
    }

    /// Deletes an object. One that is not there counts as deleted.
    pub async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name)?;
        match self.ask("delete", name, || self.store.delete(&path)).await {
            Err(error) if !error.is_missing() => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Gives up uploads in a folder that have not ended, of objects of which this holds, and says how many; `None`: the
    /// store cannot list them, and has rules of its own.
    pub async fn abort_uploads(
        &self,
        folder: &str,
        of: impl Fn(&str) -> bool,
    ) -> Result<Option<u64>, StoreError> {
        let Some(uploads) = &self.uploads else { return Ok(None) };
        let prefix = self.path(folder)?;
        let mut aborted = 0;
        for upload in self.once("list uploads in", folder, uploads.list(&prefix)).await? {
            let Some(name) = self.name_of(&upload.object).filter(|name| of(name)) else { continue };
            self.once("abort", &name, uploads.abort(&upload)).await?;
            aborted += 1;
        }
        Ok(Some(aborted))
    }

    /// Begins an object of any length.
    pub fn writer(&self, name: &str) -> ObjectWriter {
        ObjectWriter::new(self.clone(), name.to_owned())
    }

    fn path(&self, name: &str) -> Result<Path, StoreError> {
        match Path::parse(name) {
            Ok(path) if !name.is_empty() && !name.starts_with(['.', '/']) => {
                Ok(Path::from_iter(self.root.parts().chain(path.parts())))
            }
            Ok(_) | Err(_) => {
                Err(StoreError::BadName { name: name.to_owned(), store: self.shown.to_string() })
            }
        }
    }

    fn name_of(&self, path: &Path) -> Option<String> {
        let parts: Vec<_> = path.prefix_match(&self.root)?.collect();
        Some(Path::from_iter(parts).to_string())
    }

    fn name_taken(&self, name: &str) -> StoreError {
        StoreError::NameTaken { name: name.to_owned(), store: self.shown.to_string() }
    }

    /// Makes a call that may be made again.
    async fn ask<T, F: Future<Output = object_store::Result<T>>>(
        &self,
        what: &'static str,
        name: &str,
        mut call: impl FnMut() -> F,
    ) -> Result<T, StoreError> {
        self.retries.run(self.patience, || self.once(what, name, call())).await
    }

    /// Makes a call that may not.
    async fn once<T>(
        &self,
        what: &'static str,
        name: &str,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        let asked = Asked { what, name, store: &self.shown };
        match tokio::time::timeout(self.deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(asked.refused(error)),
            Err(_) => Err(asked.timed_out(self.deadline)),
        }
    }
}
