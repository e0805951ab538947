//! Objects under names that are used once.
//!
//! Owns: what a lost answer means for them: what is there under such a name and is what was written is ours.
//! Never: takes another's object for its own, or looks at a record of the log: two may want one place there.

use bytes::Bytes;
use object_store::PutPayload;
use xxhash_rust::xxh3::Xxh3;

use super::{Created, StateStore, StoreError};
use crate::checkpoint::Object;
use crate::ids::Hash;
use crate::retry::{Passing as _, Patience};

/// What is read at once.
pub(crate) const PIECE_BYTES: u64 = 8 * 1024 * 1024;

impl StateStore {
    /// Creates an object whose name is used for nothing else. After [`StoreError::NameTaken`] it was all the same:
    /// take another name.
    pub async fn create_unique(&self, object: &Object, payload: PutPayload) -> Result<(), StoreError> {
        self.retries.run(self.patience, || self.try_unique(object, payload.clone())).await
    }

    async fn try_unique(&self, object: &Object, payload: PutPayload) -> Result<(), StoreError> {
        let Object { name, .. } = object;
        match self.create_from(name, payload).await {
            Created::Created => Ok(()),
            // Where answers to creates are always lost, only reading tells.
            Created::Unknown(error) if error.may_pass() => match self.asking_once().holds(object).await {
                Ok(Some(true)) => Ok(()),
                Ok(Some(false) | None) | Err(_) => Err(error),
            },
            Created::Unknown(error) => Err(error),
            // The answer to an earlier try may have been lost, by us or by a store that tries again itself.
            Created::Exists => match self.holds(object).await? {
                Some(true) => Ok(()),
                Some(false) => Err(self.name_taken(name)),
                None => Err(self.neither(name)),
            },
        }
    }

    /// Has an object of this name be there, this one or another.
    pub async fn ensure(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let create = || async {
            match self.create(name, bytes.clone()).await {
                Created::Created | Created::Exists => Ok(()),
                Created::Unknown(error) if error.may_pass() => match self.asking_once().size(name).await {
                    Ok(Some(_)) => Ok(()),
                    Ok(None) | Err(_) => Err(error),
                },
                Created::Unknown(error) => Err(error),
            }
        };
        self.retries.run(self.patience, create).await
    }

    /// Looking after a failure, whoever tries again does so with the call that failed.
    fn asking_once(&self) -> Self {
        self.clone().with_patience(Patience::NONE)
    }

    /// Whether what is there is what was written; `None`: nothing is there.
    pub(super) async fn holds(&self, object: &Object) -> Result<Option<bool>, StoreError> {
        let Object { name, bytes, hash } = object;
        match self.size(name).await? {
            None => Ok(None),
            Some(found) if found != *bytes => Ok(Some(false)),
            Some(_) => Ok(Some(self.hash(name, *bytes).await? == *hash)),
        }
    }

    /// The hash of an object of this length.
    pub(crate) async fn hash(&self, name: &str, bytes: u64) -> Result<Hash, StoreError> {
        let (mut hash, mut at) = (Xxh3::new(), 0);
        while at < bytes {
            let to = bytes.min(at + PIECE_BYTES);
            hash.update(&self.get_range(name, at..to).await?);
            at = to;
        }
        Ok(Hash(hash.digest128()))
    }

    /// A conflict that was none: nothing has landed.
    fn neither(&self, name: &str) -> StoreError {
        StoreError::Failed {
            what: "create",
            name: name.to_owned(),
            store: self.shown().to_owned(),
            source: "it says that the object exists, and that it does not".into(),
        }
    }
}
