//! An object store that fails as real ones do: before or after it has done what it was asked, late, or never.
//!
//! Owns: which call fails and how, decided by a seed; counts of what failed at which step.
//! Never: lies about the log: a stale listing is of `data/` only, as the log needs a store that lists what is there.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// Listings of `data/` may lack the objects of so many calls.
const STALE_CALLS: u64 = 20;

#[cfg(test)]
mod tests;

/// What was asked, of what.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// A record is created.
    LogCreate,
    /// A record is read.
    LogRead,
    /// Records are listed.
    LogList,
    /// A record is deleted.
    LogDelete,
    /// An object is created at once.
    DataCreate,
    /// An upload in parts begins, or a part is uploaded.
    DataPart,
    /// An upload in parts is completed.
    DataComplete,
    /// An object is read.
    DataRead,
    /// Objects are listed.
    DataList,
    /// An object is deleted.
    DataDelete,
}

/// How it fails.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// An error, and nothing was done.
    Before,
    /// An error, and it was done: the answer was lost.
    After,
    /// No answer in time, and it was done.
    Slow,
    /// No answer in time, and it is done some calls later.
    Late,
    /// A conflict that none was: nothing was there, nothing was done.
    Conflict,
    /// Some of the listing, then an error.
    Partial,
    /// The listing of some calls ago.
    Stale,
}

/// Passes calls on to another store, but for those that fail.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: fastrand::Rng,
    per_mille: u32,
    planned: VecDeque<(Step, Fault)>,
    counts: BTreeMap<(Step, Fault), u64>,
    calls: u64,
    /// Puts that were answered by nothing and are done at these calls.
    late: Vec<(u64, Path, PutPayload, PutOptions)>,
    /// When objects of `data/` came.
    came: BTreeMap<Path, u64>,
}

impl FaultyStore {
    /// Of 1000 calls, `per_mille` fail.
    pub fn new(inner: Arc<dyn ObjectStore>, seed: u64, per_mille: u32) -> Self {
        let state = State {
            random: fastrand::Rng::with_seed(seed),
            per_mille,
            planned: VecDeque::new(),
            counts: BTreeMap::new(),
            calls: 0,
            late: Vec::new(),
            came: BTreeMap::new(),
        };
        Self { inner, state: Arc::new(Mutex::new(state)) }
    }

    /// From now on `per_mille` calls of 1000 fail; 0 heals it.
    pub fn set_per_mille(&self, per_mille: u32) {
        self.state().per_mille = per_mille;
    }

    /// The next call of this step fails so; several are used up in their order.
    pub fn fail_next(&self, step: Step, fault: Fault) {
        self.state().planned.push_back((step, fault));
    }

    /// Does what is still late: a healed network has delivered all that was sent.
    pub async fn deliver_late(&self) {
        let late = std::mem::take(&mut self.state().late);
        for (_, path, payload, options) in late {
            let _ = self.inner.put_opts(&path, payload, options).await;
        }
    }

    /// How often which step failed how.
    pub fn counts(&self) -> BTreeMap<(Step, Fault), u64> {
        self.state().counts.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the call, does what is late and due, and says whether it fails.
    async fn call(&self, step: Step) -> Option<Fault> {
        let due = self.state().begin();
        for (path, payload, options) in due {
            // Whether it could still be done is nobody's business any more.
            let _ = self.inner.put_opts(&path, payload, options).await;
        }
        self.state().decide(step)
    }

    /// What a listing of `data/` still lacks.
    fn too_new(&self) -> Vec<Path> {
        let state = self.state();
        let since = state.calls.saturating_sub(STALE_CALLS);
        state.came.iter().filter(|(_, call)| **call > since).map(|(path, _)| path.clone()).collect()
    }

    async fn list_all(&self, prefix: Option<Path>, offset: Option<Path>) -> Vec<Result<ObjectMeta>> {
        let step = if is_log(prefix.as_ref()) { Step::LogList } else { Step::DataList };
        let fault = self.call(step).await;
        let found = match &offset {
            Some(offset) => self.inner.list_with_offset(prefix.as_ref(), offset),
            None => self.inner.list(prefix.as_ref()),
        };
        let mut found: Vec<_> = found.collect().await;
        match fault {
            None => {}
            Some(Fault::Partial) => {
                found.truncate(found.len() / 2);
                found.push(Err(failed("list")));
            }
            Some(Fault::Stale) => {
                let hidden = self.too_new();
                found.retain(|meta| !meta.as_ref().is_ok_and(|meta| hidden.contains(&meta.location)));
            }
            Some(Fault::Slow | Fault::Late) => return vec![Err(timed_out("list"))],
            Some(Fault::Before | Fault::After | Fault::Conflict) => return vec![Err(failed("list"))],
        }
        found
    }
}

impl State {
    fn begin(&mut self) -> Vec<(Path, PutPayload, PutOptions)> {
        self.calls += 1;
        let calls = self.calls;
        let due = self.late.extract_if(.., |(at, ..)| *at <= calls);
        due.map(|(_, path, payload, options)| (path, payload, options)).collect()
    }

    fn decide(&mut self, step: Step) -> Option<Fault> {
        let planned = self.planned.iter().position(|(next, _)| *next == step);
        let fault = match planned.and_then(|at| self.planned.remove(at)) {
            Some((_, fault)) => fault,
            None if self.random.u32(0..1000) >= self.per_mille => return None,
            None => *self.random.choice(faults_of(step))?,
        };
        *self.counts.entry((step, fault)).or_default() += 1;
        Some(fault)
    }
}

/// How a step can fail.
fn faults_of(step: Step) -> &'static [Fault] {
    match step {
        Step::LogCreate | Step::DataCreate => {
            &[Fault::Before, Fault::After, Fault::Slow, Fault::Late, Fault::Conflict]
        }
        Step::LogDelete | Step::DataDelete | Step::DataPart | Step::DataComplete => {
            &[Fault::Before, Fault::After, Fault::Slow]
        }
        Step::LogRead | Step::DataRead => &[Fault::Before, Fault::Slow],
        Step::LogList => &[Fault::Before, Fault::Slow, Fault::Partial],
        Step::DataList => &[Fault::Before, Fault::Slow, Fault::Partial, Fault::Stale],
    }
}

fn is_log(path: Option<&Path>) -> bool {
    path.is_some_and(|path| path.parts().any(|part| part.as_ref() == "log"))
}

fn failed(what: &str) -> Error {
    Error::Generic {
        store: "FaultyStore",
        source: format!("the connection broke while asked to {what}").into(),
    }
}

fn timed_out(what: &str) -> Error {
    Error::Generic { store: "FaultyStore", source: format!("no answer in time when asked to {what}").into() }
}

/// Does something, or does not, and answers, or does not.
async fn answer<T>(
    fault: Option<Fault>,
    what: &'static str,
    act: impl Future<Output = Result<T>>,
) -> Result<T> {
    match fault {
        None => act.await,
        Some(Fault::After) => act.await.and(Err(failed(what))),
        Some(Fault::Slow) => {
            let _ = act.await;
            Err(timed_out(what))
        }
        Some(Fault::Late) => Err(timed_out(what)),
        Some(Fault::Before | Fault::Conflict | Fault::Partial | Fault::Stale) => Err(failed(what)),
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let step = if is_log(Some(location)) { Step::LogCreate } else { Step::DataCreate };
        let fault = self.call(step).await;
        if fault == Some(Fault::Conflict) {
            let path = location.to_string();
            return Err(Error::AlreadyExists { path, source: "409 ConditionalRequestConflict".into() });
        }
        {
            let mut state = self.state();
            let calls = state.calls;
            state.came.insert(location.clone(), calls);
            if fault == Some(Fault::Late) {
                let due = calls + state.random.u64(1..STALE_CALLS);
                state.late.push((due, location.clone(), payload.clone(), opts.clone()));
            }
        }
        answer(fault, "create", self.inner.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let fault = self.call(Step::DataPart).await;
        let begin = self.inner.put_multipart_opts(location, opts);
        let inner = answer(fault, "begin", begin).await?;
        Ok(Box::new(FaultyUpload { inner, state: self.state.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let step = if is_log(Some(location)) { Step::LogRead } else { Step::DataRead };
        let fault = self.call(step).await;
        answer(fault, "read", self.inner.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = Self { inner: self.inner.clone(), state: self.state.clone() };
        let this = Arc::new(this);
        let delete = move |location: Result<Path>| {
            let this = this.clone();
            async move {
                let location = location?;
                let step = if is_log(Some(&location)) { Step::LogDelete } else { Step::DataDelete };
                let fault = this.call(step).await;
                let one = stream::iter([Ok(location.clone())]).boxed();
                let deleted = this.inner.delete_stream(one).try_collect::<Vec<_>>();
                answer(fault, "delete", deleted).await.map(|_| location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let this = Self { inner: self.inner.clone(), state: self.state.clone() };
        let prefix = prefix.cloned();
        let found = async move { stream::iter(this.list_all(prefix, None).await) };
        stream::once(found).flatten().boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let this = Self { inner: self.inner.clone(), state: self.state.clone() };
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        let found = async move { stream::iter(this.list_all(prefix, Some(offset)).await) };
        stream::once(found).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// An upload some of whose parts fail.
#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    state: Arc<Mutex<State>>,
}

impl FaultyUpload {
    fn call(&self, step: Step) -> Option<Fault> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).decide(step)
    }
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let fault = self.call(Step::DataPart);
        Box::pin(answer(fault, "upload", self.inner.put_part(data)))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let fault = self.call(Step::DataComplete);
        answer(fault, "complete", self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
