//! Where the objects of one state are: a folder of some object store.
//!
//! Owns: what an answer of the store means; deadlines; the names in messages.
//! Never: overwrites anything, tries twice, or knows what is in an object.

use std::ops::Range;
use std::path::Path as FolderPath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::ids::WriterId;

mod error;
mod writer;

pub use error::StoreError;
pub use writer::ObjectWriter;

/// The objects of one state or savepoint. Clones are cheap.
#[derive(Clone, Debug)]
pub struct StateStore {
    store: Arc<dyn ObjectStore>,
    root: Path,
    shown: Arc<str>,
    deadline: Duration,
}

/// What came of creating an object.
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

impl StateStore {
    /// The state in a folder of this machine, which is made if it is not there. Everything it says is done is on the
    /// disk.
    pub fn local(_folder: &FolderPath) -> Result<Self, StoreError> {
        todo!()
    }

    /// The same to look at beside whoever works on it: makes nothing, removes nothing, and refuses to write.
    /// [`StoreError::is_missing`] when there is no such folder.
    pub fn local_to_read(_folder: &FolderPath) -> Result<Self, StoreError> {
        todo!()
    }

    /// The state under `root` of a store. `shown` is what messages call it.
    pub fn new(_store: Arc<dyn ObjectStore>, _root: Path, _shown: String) -> Self {
        todo!()
    }

    /// The same with another deadline for each call.
    pub fn with_deadline(self, _deadline: Duration) -> Self {
        todo!()
    }

    /// A folder of it, such as a savepoint's.
    pub fn within(&self, _folder: &str) -> Self {
        todo!()
    }

    /// What messages call it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Refuses a store that cannot be written, or that lets two writers create one object, or that does not list what was created.
    pub async fn probe(&self, _writer: WriterId) -> Result<(), StoreError> {
        todo!()
    }

    /// The whole object.
    pub async fn get(&self, _name: &str) -> Result<Bytes, StoreError> {
        todo!()
    }

    /// A part of an object; all of the part, or an error.
    pub async fn get_range(&self, _name: &str, _range: Range<u64>) -> Result<Bytes, StoreError> {
        todo!()
    }

    /// How long an object is; `None` if there is none.
    pub async fn size(&self, _name: &str) -> Result<Option<u64>, StoreError> {
        todo!()
    }

    /// Creates an object, if there is none of this name.
    pub async fn create(&self, _name: &str, _bytes: Bytes) -> Created {
        todo!()
    }

    /// The objects in a folder, those in its folders included, by name; only those behind `after` if it is given.
    pub async fn list(&self, _folder: &str, _after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        todo!()
    }

    /// Deletes an object. One that is not there counts as deleted.
    pub async fn delete(&self, _name: &str) -> Result<(), StoreError> {
        todo!()
    }

    /// Begins an object of any length.
    pub fn writer(&self, _name: &str) -> ObjectWriter {
        todo!()
    }
}
