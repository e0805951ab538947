//! Savepoints: self-contained copies of a checkpoint that someone asked to keep.
//!
//! Owns: `savepoints/<id>/`: `savepoint.json`, written last, and the objects it names, under the names they had.
//! Never: holds an outbox: what a checkpoint wanted published was published before it became a savepoint.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bundle::BundleError;
use crate::bundle::ipc::damaged;
use crate::checkpoint::{Checkpoint, Object};
use crate::ids::{Generation, Hash, Lineage, Seq};
use crate::outbox::check_whole;
use crate::record::{Owner, Record, Version, unwrapped, wrapped};
use crate::retry::Passing;
use crate::store::{PIECE_BYTES, StateStore, StoreError};

#[cfg(test)]
mod tests;

/// The version of savepoints that this build writes; it reads no greater one.
pub const FORMAT: u32 = 1;

/// What `savepoint.json` says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Savepoint {
    /// Its name among the savepoints of the state.
    pub id: String,
    /// The taker's wall clock in epoch milliseconds: for people, nothing depends on it.
    pub at_ms: i64,
    /// Whose state it was.
    pub owner: Owner,
    /// The life of the state.
    pub lineage: Lineage,
    /// The record that it is a copy of.
    pub seq: Seq,
    /// Who wrote that.
    pub generation: Generation,
    /// The checkpoint, without an outbox.
    pub checkpoint: Checkpoint,
}

/// One of the savepoints of a state.
#[derive(Debug)]
pub struct Found {
    /// Its name.
    pub id: String,
    /// Its folder, as messages show it.
    pub location: String,
    /// What it says, or why it cannot be read. One without `savepoint.json` was never completed.
    pub savepoint: Result<Savepoint, SavepointError>,
}

/// A savepoint that cannot be taken or read.
#[derive(Debug, thiserror::Error)]
pub enum SavepointError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One of its objects is damaged.
    #[error(transparent)]
    Object(#[from] BundleError),
    /// There is one of this name, of another lineage.
    #[error("savepoint {id} exists in {store}, of an earlier life of this state: choose another id")]
    Exists {
        /// Its name.
        id: String,
        /// The store.
        store: String,
    },
    /// No such savepoint, or one that was never completed.
    #[error("{location} is not a complete savepoint: `savepoint.json` is not there")]
    Incomplete {
        /// Its folder.
        location: String,
    },
    /// It is not what was written.
    #[error("{location}/savepoint.json is damaged: {what}; use another savepoint")]
    Damaged {
        /// Its folder.
        location: String,
        /// What does not fit.
        what: String,
    },
    /// A later program wrote it.
    #[error("{location} has format {found}; this build reads up to {known}: use the newer program")]
    TooNew {
        /// Its folder.
        location: String,
        /// Its format.
        found: u32,
        /// The greatest that can be read.
        known: u32,
    },
    /// An id that cannot be a folder's name.
    #[error("`{id}` is not an id for a savepoint: use letters, digits, `-` and `_`, 64 at most")]
    BadId {
        /// The id.
        id: String,
    },
    /// The record has no checkpoint.
    #[error("record {seq} of the log has no checkpoint to copy")]
    NoCheckpoint {
        /// The record.
        seq: Seq,
    },
}

impl Passing for SavepointError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) | Self::Object(BundleError::Store(error)) => error.may_pass(),
            Self::Object(
                BundleError::Damaged { .. } | BundleError::TooNew { .. } | BundleError::Encode { .. },
            )
            | Self::Exists { .. }
            | Self::Incomplete { .. }
            | Self::Damaged { .. }
            | Self::TooNew { .. }
            | Self::BadId { .. }
            | Self::NoCheckpoint { .. } => false,
        }
    }
}

/// The folder of all savepoints of a state.
const FOLDER: &str = "savepoints";
/// What makes a folder of objects a savepoint.
const FILE: &str = "savepoint.json";

/// Copies the checkpoint of a record whose outbox is published to `savepoints/<id>/` of its state, and gives that
/// folder as messages show it. Taken again with the same id, it goes on where it broke off; a complete one of this
/// lineage stays as it is.
pub async fn take(
    state: &StateStore,
    id: &str,
    at_ms: i64,
    record: &Record,
) -> Result<String, SavepointError> {
    let own = folder(state, id)?;
    let location = own.shown().to_owned();
    match open(&own).await {
        Ok(before) if before.lineage == record.lineage => return Ok(location),
        Ok(_) => return Err(SavepointError::Exists { id: id.to_owned(), store: state.shown().to_owned() }),
        Err(SavepointError::Incomplete { .. }) => {}
        Err(error) => return Err(error),
    }
    let checkpoint = record.checkpoint().ok_or(SavepointError::NoCheckpoint { seq: record.seq })?;
    let checkpoint = checkpoint.without_outbox();
    remove_others(&own, &checkpoint).await?;
    for object in &checkpoint.objects {
        copy(state, object, &own, &object.name).await?;
    }
    let savepoint = Savepoint {
        id: id.to_owned(),
        at_ms,
        owner: record.owner.clone(),
        lineage: record.lineage,
        seq: record.seq,
        generation: record.generation,
        checkpoint,
    };
    let text = serde_json::to_string(&savepoint).expect("a savepoint has only keys that are strings");
    own.ensure(FILE, Bytes::from(wrapped(FORMAT, "savepoint", &text))).await?;
    // Whoever was quicker, and whatever became of an answer that was lost: what is there counts.
    open(&own).await?;
    Ok(location)
}

/// Opens the savepoint in this folder: [`StateStore::local_to_read`] of it, or [`folder`] of its state.
pub async fn open(savepoint: &StateStore) -> Result<Savepoint, SavepointError> {
    let location = || savepoint.shown().to_owned();
    let bytes = match savepoint.get(FILE).await {
        Ok(bytes) => bytes,
        Err(error) if error.is_missing() => return Err(SavepointError::Incomplete { location: location() }),
        Err(error) => return Err(error.into()),
    };
    let damaged = |what: String| SavepointError::Damaged { location: location(), what };
    let version: Version = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if version.format > FORMAT {
        return Err(SavepointError::TooNew { location: location(), found: version.format, known: FORMAT });
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| damaged(error.to_string()))?;
    let (hash, body) = unwrapped(FORMAT, "savepoint", text)
        .ok_or_else(|| damaged("its envelope is not as written".to_owned()))?;
    if Hash::of(body.as_bytes()).to_string() != hash {
        return Err(damaged("its hash is not the one it names".to_owned()));
    }
    let opened: Savepoint = serde_json::from_str(body).map_err(|error| damaged(error.to_string()))?;
    opened.checkpoint.validate().map_err(|error| damaged(error.to_string()))?;
    if !opened.checkpoint.outbox.is_empty() {
        return Err(damaged("it has an outbox".to_owned()));
    }
    Ok(opened)
}

/// The folder of a savepoint of a state.
pub fn folder(state: &StateStore, id: &str) -> Result<StateStore, SavepointError> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if id.is_empty() || id.len() > 64 || !id.bytes().all(is_letter) {
        return Err(SavepointError::BadId { id: id.to_owned() });
    }
    Ok(state.within(&format!("{FOLDER}/{id}")))
}

/// How long all that belongs to a savepoint is.
pub async fn bytes(state: &StateStore, id: &str) -> Result<u64, SavepointError> {
    // Only an id that can be a folder's name is looked for.
    folder(state, id)?;
    let listed = state.list(&format!("{FOLDER}/{id}"), None).await?;
    Ok(listed.iter().map(|object| object.bytes).sum())
}

/// Copies its objects into a state, for a generation that begins with it. The checkpoint names the copies.
pub async fn import(
    savepoint: &StateStore,
    opened: &Savepoint,
    into: &StateStore,
    generation: Generation,
) -> Result<Checkpoint, SavepointError> {
    let mut checkpoint = opened.checkpoint.clone();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for object in &mut checkpoint.objects {
        // The name's end is unique: there is a random number in it.
        let file = object.name.rsplit('/').next().unwrap_or(&object.name);
        let name = format!("data/{generation}/{file}");
        copy(savepoint, object, into, &name).await?;
        names.insert(object.name.clone(), name.clone());
        object.name = name;
    }
    checkpoint.objects.sort();
    for block in checkpoint.slices.iter_mut().flat_map(|slice| &mut slice.blocks) {
        block.object.clone_from(&names[&block.object]);
    }
    Ok(checkpoint)
}

/// All savepoints of a state, by id; those that cannot be read hide none of the others.
pub async fn list(state: &StateStore) -> Result<Vec<Found>, StoreError> {
    let listed = state.list(FOLDER, None).await?;
    let ids: BTreeSet<&str> = listed.iter().filter_map(|object| object.name.split('/').nth(1)).collect();
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let (location, savepoint) = match folder(state, id) {
            Ok(own) => (own.shown().to_owned(), open(&own).await),
            Err(error) => (format!("{}/{FOLDER}/{id}", state.shown()), Err(error)),
        };
        found.push(Found { id: id.to_owned(), location, savepoint });
    }
    Ok(found)
}

/// Copies an object, checking it on the way. One that was copied before is only checked.
async fn copy(
    from: &StateStore,
    object: &Object,
    into: &StateStore,
    name: &str,
) -> Result<(), SavepointError> {
    // A part of a long object is not written again; all of the object is.
    into.retries().run(into.patience(), || copy_once(from, object, into, name)).await
}

async fn copy_once(
    from: &StateStore,
    object: &Object,
    into: &StateStore,
    name: &str,
) -> Result<(), SavepointError> {
    let copied = Object { name: name.to_owned(), ..object.clone() };
    if into.size(name).await?.is_some() {
        check_whole(into, &copied).await?;
        return Ok(());
    }
    let mut writer = into.writer(name);
    while writer.bytes() < object.bytes {
        let to = object.bytes.min(writer.bytes() + PIECE_BYTES);
        match from.get_range(&object.name, writer.bytes()..to).await {
            Ok(piece) => writer.write(piece).await?,
            Err(error) => {
                writer.abort().await;
                return Err(error.into());
            }
        }
    }
    let as_written = from.size(&object.name).await? == Some(object.bytes) && writer.hash() == object.hash;
    if !as_written {
        writer.abort().await;
        return Err(damaged(&object.name, "its bytes are not those that were written").into());
    }
    match writer.finish().await {
        Ok(_) => Ok(()),
        Err(StoreError::NameTaken { .. }) => {
            check_whole(into, &copied).await?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes what an attempt with another checkpoint has left.
async fn remove_others(own: &StateStore, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let needed: BTreeSet<&str> = checkpoint.objects.iter().map(|object| object.name.as_str()).collect();
    for left in own.list("data", None).await? {
        if !needed.contains(left.name.as_str()) {
            own.delete(&left.name).await?;
        }
    }
    Ok(())
}
