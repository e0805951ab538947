//! A Kubernetes API server in memory, for the operator's tests: HTTP on the loopback interface, objects in a mutex.
//!
//! What it claims to do, it does as a real one does: `tests/tests/operator/conformance.rs` asks both the same questions. It
//! knows a dozen kinds, no authentication and no schemas.
//!
//! Owns: the life of the server, its clients, its record of writes, and the faults between them.
//! Never: runs controllers; `crate::fake_cluster` does.

mod apply;
pub mod faults;
mod fields;
mod garbage;
pub(crate) mod http;
mod http_paths;
pub(crate) mod kinds;
mod patch;
mod refusal;
mod rules;
mod select;
mod store;
mod watch;
mod write;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use jiff::Timestamp;
use serde_json::Value;
use tokio::task::JoinSet;

use faults::{Call, Faults, Positions};
use store::{Key, Store};
use write::Deletion;

/// The secret of the tokens that the server issues.
pub(crate) const TOKEN_SECRET: &[u8] = b"a loopback test's tokens";
/// Who issues them.
pub const ISSUER: &str = "https://issuer.test";

/// A clock that a test moves.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// Stands at an instant.
    pub fn at(seconds: i64) -> Self {
        Self(Arc::new(AtomicI64::new(seconds * 1000)))
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).expect("tests stay in this century")
    }

    /// Shows what the machine's own clock shows.
    pub fn follow(&self) {
        self.0.store(Timestamp::now().as_millisecond(), Ordering::SeqCst);
    }

    /// Goes on.
    pub fn advance(&self, by: std::time::Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

/// A call that came through the door where faults are.
#[derive(Clone, Debug)]
pub struct Done {
    /// What was asked.
    pub call: Call,
    /// Who asked, as `fieldManager` says.
    pub manager: String,
    /// What was answered.
    pub code: u16,
    /// Whether an object changed.
    pub changed: bool,
}

/// The server's inside.
pub(crate) struct Shared {
    store: Mutex<Store>,
    changed: tokio::sync::watch::Sender<u64>,
    faults: Faults,
    positions: Arc<Positions>,
    done: Mutex<Vec<Done>>,
}

impl Shared {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn note(&self, done: Done) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(done);
    }
}

/// A server under way; it ends with the value.
pub struct ApiServer {
    shared: Arc<Shared>,
    faulty: String,
    direct: String,
    _tasks: JoinSet<()>,
}

impl ApiServer {
    /// Starts one, empty but for two namespaces.
    pub async fn start(clock: &TestClock, positions: &Arc<Positions>) -> Result<Self> {
        let clock = clock.clone();
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::new(Arc::new(move || clock.now()))),
            changed: tokio::sync::watch::Sender::new(0),
            faults: Faults::default(),
            positions: positions.clone(),
            done: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        let faulty = http::serve(shared.clone(), false, &mut tasks).await?;
        let direct = http::serve(shared.clone(), true, &mut tasks).await?;
        Ok(Self { shared, faulty, direct, _tasks: tasks })
    }

    /// How the operator reaches it: through the faults, counted.
    pub fn config(&self) -> kube::Config {
        config(&self.faulty)
    }

    /// A client of the test: no faults, not counted.
    pub fn direct(&self) -> Result<kube::Client> {
        Ok(kube::Client::try_from(config(&self.direct))?)
    }

    /// The faults between the operator and the server.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What the operator asked for since the last time: reads, too.
    pub fn take_done(&self) -> Vec<Done> {
        std::mem::take(&mut *self.shared.done.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether our own kinds are defined.
    pub fn define_own_kinds(&self, defined: bool) {
        self.shared.store().has_own_kinds = defined;
    }

    /// Stops what watches and lists from caches show, or lets it go on.
    pub fn hold_caches(&self, hold: bool) {
        self.shared.store().hold_caches(hold);
        self.shared.touch();
    }

    /// Forgets the past: watches from before get 410.
    pub fn compact(&self) {
        self.shared.store().compact();
        self.shared.touch();
    }

    /// Collects what deleted owners left behind, until nothing is left to do.
    pub fn collect_garbage(&self) {
        let mut store = self.shared.store();
        while garbage::collect(&mut store) {}
        drop(store);
        self.shared.touch();
    }

    /// All objects of a kind, without HTTP.
    pub fn all(&self, kind: &str) -> Vec<Value> {
        let kind = kinds::index_of(kind);
        let store = self.shared.store();
        let of_kind = store.objects.iter().filter(|(key, _)| key.kind == kind);
        of_kind.map(|(_, stored)| stored.object.clone()).collect()
    }

    /// One object, without HTTP.
    pub fn one(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        self.shared.store().objects.get(&key(kind, namespace, name)).map(|stored| stored.object.clone())
    }

    /// Makes an object, without HTTP.
    pub fn put(&self, kind: &str, namespace: &str, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = key(kind, namespace, &name);
        let mut store = self.shared.store();
        let now = store.now_text();
        let writer = apply::Writer { name: "cluster", status: false, force: true, now: &now };
        // A name that is taken stays as it is.
        let _ = write::create(&mut store, &key, object, &write::Terms::by(&writer));
        drop(store);
        self.shared.touch();
    }

    /// Changes an object, without HTTP; with `status` only that half of it.
    pub fn edit(&self, kind: &str, at: (&str, &str), status: bool, change: impl FnOnce(&mut Value)) {
        let key = key(kind, at.0, at.1);
        let mut store = self.shared.store();
        let now = store.now_text();
        let writer = apply::Writer { name: "cluster", status, force: true, now: &now };
        // What is gone stays gone.
        let _ = write::update(&mut store, &key, &write::Terms::by(&writer), |object| {
            change(object);
            Ok(())
        });
        drop(store);
        self.shared.touch();
    }

    /// Deletes an object, without HTTP; a grace of 0 ends a pod at once.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str, grace: Option<i64>) {
        let deletion = Deletion { grace, ..Deletion::default() };
        // What is gone stays gone.
        let _ = write::delete(&mut self.shared.store(), &key(kind, namespace, name), &deletion);
        self.shared.touch();
    }
}

fn key(kind: &str, namespace: &str, name: &str) -> Key {
    Key { kind: kinds::index_of(kind), namespace: namespace.to_owned(), name: name.to_owned() }
}

fn config(url: &str) -> kube::Config {
    let mut config = kube::Config::new(url.parse().expect("the server made this address"));
    config.default_retry = false;
    // Nothing is secured here: no certificates of this machine are read, which would take longer than the rest.
    config.root_cert = Some(Vec::new());
    config
}

/// As objects carry a time.
pub(crate) fn whole_seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).map(|time| time.to_string()).unwrap_or_default()
}
