//! From the location in a plan to the store that is there.
//!
//! Owns: which stores a location may name.
//! Never: asks the store anything.

use std::path::Path;

use streamjob_checkpoint::store::{Access, Remote, RemoteKind, StateStore, StoreError};
use streamjob_crds::{BucketUrl, StoreKind};
use streamjob_plan::LocationPlan;

/// The store of a job's state. A folder of this machine is made if it is not there.
pub fn open(location: &LocationPlan) -> Result<StateStore, StoreError> {
    open_with(location, &Access::default())
}

/// The same, with what files say of a store in place of the environment.
pub fn open_with(location: &LocationPlan, access: &Access) -> Result<StateStore, StoreError> {
    match location {
        LocationPlan::Folder(folder) => StateStore::local(folder),
        LocationPlan::Bucket { .. } => open_to_read_with(location, access),
    }
}

/// The same to look at: makes nothing. [`StoreError::is_missing`] if it is a folder of this machine that is not there.
pub fn open_to_read(location: &LocationPlan) -> Result<StateStore, StoreError> {
    open_to_read_with(location, &Access::default())
}

/// The same, with what files say.
pub fn open_to_read_with(location: &LocationPlan, access: &Access) -> Result<StateStore, StoreError> {
    match location {
        LocationPlan::Folder(folder) => StateStore::local_to_read(folder),
        LocationPlan::Bucket { url, endpoint, region, path_style } => {
            let remote = Remote {
                kind: kind(url.kind),
                bucket: url.bucket.clone(),
                prefix: url.prefix.clone(),
                endpoint: endpoint.clone(),
                region: region.clone(),
                path_style: *path_style,
            };
            remote.open_with(access)
        }
    }
}

/// The folder that people name on the command line, by a path or URL.
pub fn named(text: &str) -> Result<LocationPlan, StoreError> {
    match BucketUrl::parse(text) {
        Some(Ok(url)) => Ok(LocationPlan::Bucket { url, endpoint: None, region: None, path_style: None }),
        // The URL may hold a password.
        Some(Err(why)) => Err(StoreError::BadLocation { store: "this URL".to_owned(), why }),
        None => {
            let path = Path::new(text.strip_prefix("file://").unwrap_or(text));
            Ok(LocationPlan::Folder(std::path::absolute(path).unwrap_or_else(|_| path.to_owned())))
        }
    }
}

/// A folder by its path or URL, reached as this state is: by the same endpoint, if it is the same kind of store.
pub fn named_beside(text: &str, state: &LocationPlan) -> Result<LocationPlan, StoreError> {
    Ok(match (named(text)?, state) {
        (
            LocationPlan::Bucket { url, .. },
            LocationPlan::Bucket { url: own, endpoint, region, path_style },
        ) if url.kind == own.kind => LocationPlan::Bucket {
            url,
            endpoint: endpoint.clone(),
            region: region.clone(),
            path_style: *path_style,
        },
        (named, _) => named,
    })
}

/// Says so if nobody has tried whether such a store keeps its word.
pub fn warn_if_untested(location: &LocationPlan) {
    let LocationPlan::Bucket { url, .. } = location else { return };
    match url.kind {
        StoreKind::S3 => {}
        StoreKind::Google | StoreKind::Azure => tracing::warn!(
            "state in {url}: {}:// is built in and untested with a real store; a start tries out what it must be able to do",
            url.kind.scheme()
        ),
    }
}

fn kind(kind: StoreKind) -> RemoteKind {
    match kind {
        StoreKind::S3 => RemoteKind::S3,
        StoreKind::Google => RemoteKind::Google,
        StoreKind::Azure => RemoteKind::Azure,
    }
}
