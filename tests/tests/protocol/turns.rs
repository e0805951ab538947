//! A store whose every call takes some turns, so that two processes interleave.
//!
//! Owns: how many turns a call takes, decided by a seed.
//! Never: fails, or changes an answer.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Passes every call on, after some turns of others, and answers after some more.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    inner: Arc<dyn ObjectStore>,
    random: Arc<Mutex<fastrand::Rng>>,
}

/// Lets others go first, once.
#[derive(Debug, Default)]
pub(super) struct Turn {
    taken: bool,
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.taken, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Turns {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, seed: u64) -> Self {
        Self { inner, random: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))) }
    }

    async fn some(&self) {
        let turns = self.random.lock().unwrap_or_else(PoisonError::into_inner).u8(0..2);
        for _ in 0..turns {
            Turn::default().await;
        }
    }

    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        self.some().await;
        let answer = call.await;
        self.some().await;
        answer
    }

    fn listed(self, prefix: Option<Path>, offset: Option<Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let all = async move {
            let listing = match &offset {
                Some(offset) => self.inner.list_with_offset(prefix.as_ref(), offset),
                None => self.inner.list(prefix.as_ref()),
            };
            stream::iter(self.around(listing.collect::<Vec<_>>()).await)
        };
        stream::once(all).flatten().boxed()
    }
}

impl fmt::Display for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with turns", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Turns {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.around(self.inner.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.around(self.inner.put_multipart_opts(location, opts)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.around(self.inner.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let before = stream::once(async move { this.some().await }).filter_map(|()| async { None });
        before.chain(self.inner.delete_stream(locations)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.clone().listed(prefix.cloned(), None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.clone().listed(prefix.cloned(), Some(offset.clone()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.around(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.around(self.inner.copy_opts(from, to, options)).await
    }
}
