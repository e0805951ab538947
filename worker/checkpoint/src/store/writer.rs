//! An object that is written piece by piece and appears whole or not at all.
//!
//! Owns: parts of 8 MiB and more; length and hash of all that passed.
//! Never: copies what it is given, or leaves a visible piece behind.

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload};
use xxhash_rust::xxh3::Xxh3;

use super::{StateStore, StoreError};
use crate::checkpoint::Object;
use crate::ids::Hash;

/// Stores want parts of at least 5 MiB.
const PART_BYTES: u64 = 8 * 1024 * 1024;

/// Writes one object. Dropped before it is finished, it leaves nothing that anyone can see.
pub struct ObjectWriter {
    store: StateStore,
    name: String,
    /// Not uploaded yet.
    waiting: Vec<Bytes>,
    waiting_bytes: u64,
    bytes: u64,
    hash: Box<Xxh3>,
    /// Only of objects larger than a part.
    upload: Option<Box<dyn MultipartUpload>>,
}

impl ObjectWriter {
    pub(super) fn new(store: StateStore, name: String) -> Self {
        let hash = Box::new(Xxh3::new());
        Self { store, name, waiting: Vec::new(), waiting_bytes: 0, bytes: 0, hash, upload: None }
    }

    /// The object's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The hash of what was written so far.
    pub fn hash(&self) -> Hash {
        Hash(self.hash.digest128())
    }

    /// Appends.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.hash.update(&bytes);
        self.bytes += bytes.len() as u64;
        self.waiting_bytes += bytes.len() as u64;
        self.waiting.push(bytes);
        if self.waiting_bytes < PART_BYTES {
            return Ok(());
        }
        let uploaded = self.upload_part().await;
        if uploaded.is_err() {
            self.give_up().await;
        }
        uploaded
    }

    /// Makes it durable and visible.
    pub async fn finish(mut self) -> Result<Object, StoreError> {
        if self.upload.is_some()
            && let Err(error) = self.upload_part().await
        {
            self.abort().await;
            return Err(error);
        }
        let object = Object { name: std::mem::take(&mut self.name), bytes: self.bytes, hash: self.hash() };
        match self.upload.take() {
            Some(mut upload) => {
                let completed = self.store.once("complete", &object.name, upload.complete()).await;
                if let Err(error) = completed {
                    // An upload is completed once. Only what is there tells whether it was.
                    let is_there = self.store.holds(&object).await.is_ok_and(|held| held == Some(true));
                    if is_there {
                        return Ok(object);
                    }
                    self.name = object.name;
                    self.upload = Some(upload);
                    self.abort().await;
                    return Err(error);
                }
            }
            None => self.store.create_unique(&object, self.waiting.drain(..).collect()).await?,
        }
        Ok(object)
    }

    /// Gives up; what was written is removed.
    pub async fn abort(mut self) {
        self.give_up().await;
    }

    async fn give_up(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            // Nobody refers to what stays if this fails, and nobody sees it.
            let _ = self.store.once("abort", &self.name, upload.abort()).await;
        }
    }

    async fn upload_part(&mut self) -> Result<(), StoreError> {
        let part: PutPayload = self.waiting.drain(..).collect();
        self.waiting_bytes = 0;
        if self.upload.is_none() {
            let path = self.store.path(&self.name)?;
            let begin = || self.store.store.put_multipart(&path);
            self.upload = Some(self.store.ask("begin", &self.name, begin).await?);
        }
        let Some(upload) = &mut self.upload else { return Ok(()) };
        if part.content_length() == 0 {
            return Ok(());
        }
        // Asked again, an upload would take it for a further part. Stores over HTTP repeat the request themselves.
        let put = upload.put_part(part);
        self.store.once("write", &self.name, put).await
    }
}

impl std::fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectWriter")
            .field("name", &self.name)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
