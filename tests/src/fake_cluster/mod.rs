//! The rest of a cluster around the API server: controllers of sets and jobs, one kubelet, workers that keep a log. Around a
//! real API server, with its own controllers, it is the kubelet and the workers.
//!
//! Nothing happens by itself: [`FakeCluster::tick`] lets a moment pass, so that a test is the same each time.
//!
//! Owns: the moment, the pods' processes, what tests have go wrong with them, and the watch over what must never be.
//! Never: looks at how the operator does its work; it sees what is in the API server, and what workers are asked.

mod control;
mod door;
mod invariants;
mod kubelet;
pub mod log;
mod real;
mod server;
mod sets;
pub mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::api_server::faults::Positions;
use crate::api_server::{ApiServer, TestClock};
use log::Logs;
use real::RealServer;
pub use server::Server;
use worker::Worker;

/// What is wrong with workers of an image.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// Each start ends so.
    pub fails_at_start: Option<Value>,
    /// Each run ends so, after it has claimed.
    pub fails_running: Option<Value>,
    /// A start claims nothing and says nothing.
    pub waits_at_start: bool,
    /// It runs, and completes no checkpoint.
    pub no_checkpoints: bool,
    /// After two checkpoints the input is over.
    pub finishes: bool,
    /// A stop cannot be done by its deadline.
    pub cannot_stop: bool,
    /// Nobody can reach it.
    pub unreachable: bool,
    /// Tokens are refused.
    pub refuses_tokens: bool,
    /// A check ends so.
    pub check_fails: Option<Value>,
    /// The janitor ends so.
    pub janitor_fails: Option<Value>,
    /// There is no such image.
    pub image_missing: bool,
    /// A Secret that is mounted is not there.
    pub secret_missing: bool,
    /// No node has room.
    pub unschedulable: bool,
    /// Savepoints fail.
    pub savepoints_fail: bool,
    /// A quota refuses the pods of sets.
    pub pods_refused: bool,
    /// Nothing of this is wrong with pods of which that holds.
    pub spared: Option<fn(&Value) -> bool>,
}

/// What the parts of the cluster know together.
#[derive(Default)]
pub(crate) struct Inside {
    /// By pod uid.
    pub(crate) processes: BTreeMap<String, Process>,
    pub(crate) logs: Logs,
    /// Addresses that were given out.
    pub(crate) addresses: u32,
    behaviours: BTreeMap<String, Behaviour>,
    /// Pods whose node is gone; their processes may go on.
    pub(crate) lost: BTreeSet<String>,
    pub(crate) violations: Vec<String>,
    /// The greatest incarnation that a status ever had, by namespace and job.
    pub(crate) incarnations: BTreeMap<(String, String), i64>,
    /// Requests that changed something in a worker.
    pub(crate) requests: Vec<String>,
}

/// The container of a pod.
pub(crate) struct Process {
    pub(crate) worker: Worker,
    pub(crate) ip: String,
    pub(crate) restarts: i64,
    /// Moments since it ended.
    pub(crate) ended: u32,
    pub(crate) image: String,
    pub(crate) signalled: bool,
}

impl Inside {
    pub(crate) fn behaviour(&self, image: &str) -> Behaviour {
        self.behaviours.get(image).cloned().unwrap_or_default()
    }

    /// What is wrong with the workers of a pod.
    pub(crate) fn behaviour_of(&self, pod: &Value) -> Behaviour {
        let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
        let behaviour = self.behaviour(image);
        if behaviour.spared.is_some_and(|spares| spares(pod)) { Behaviour::default() } else { behaviour }
    }

    /// Images whose pods a quota refuses.
    fn refused_images(&self) -> BTreeSet<String> {
        let refused = self.behaviours.iter().filter(|(_, behaviour)| behaviour.pods_refused);
        refused.map(|(image, _)| image.clone()).collect()
    }
}

/// Shared by the clock's moments and the pods' HTTP.
pub(crate) struct Site {
    inside: Mutex<Inside>,
    pub(crate) positions: Arc<Positions>,
    pub(crate) clock: TestClock,
    /// Those of a real server are not ours to check.
    pub(crate) checks_tokens: bool,
}

impl Site {
    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An API server, and a cluster behind it.
pub struct FakeCluster {
    /// What the operator talks to.
    pub server: Server,
    /// Moves only when told.
    pub clock: TestClock,
    /// Where the operator may be stopped: calls to the server and to workers are counted together.
    pub positions: Arc<Positions>,
    site: Arc<Site>,
    gateway: SocketAddr,
    _tasks: JoinSet<()>,
}

impl FakeCluster {
    /// An empty one.
    pub async fn start() -> Result<Self> {
        let clock = TestClock::at(1_800_000_000);
        let positions = Positions::shared();
        let server = ApiServer::start(&clock, &positions).await?;
        Self::around(Server::Memory(server), clock, positions).await
    }

    /// Around a real API server with real controllers: what is in these namespaces, which are the test's alone. Its runtime must have
    /// several threads.
    pub async fn on(client: kube::Client, namespaces: &[&str]) -> Result<Self> {
        let (clock, positions) = (TestClock::at(0), Positions::shared());
        clock.follow();
        let server = RealServer::start(client, namespaces, &positions).await?;
        Self::around(Server::Real(server), clock, positions).await
    }

    async fn around(server: Server, clock: TestClock, positions: Arc<Positions>) -> Result<Self> {
        let site = Arc::new(Site {
            inside: Mutex::default(),
            positions: positions.clone(),
            clock: clock.clone(),
            checks_tokens: matches!(server, Server::Memory(_)),
        });
        let mut tasks = JoinSet::new();
        let gateway = control::serve(site.clone(), &mut tasks).await?;
        Ok(Self { server, clock, positions, site, gateway, _tasks: tasks })
    }

    /// Where requests to pods are sent; their `Host` says which pod and port.
    pub fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// Workers of this image do so from now on.
    pub fn behave(&self, image: &str, behaviour: Behaviour) {
        self.site.inside().behaviours.insert(image.to_owned(), behaviour);
    }

    /// Time goes on, and everybody in the cluster does a little.
    pub fn tick(&self, by: Duration) {
        match &self.server {
            Server::Memory(server) => {
                self.clock.advance(by);
                sets::run(server, &self.site.inside().refused_images());
                sets::run_jobs(server, &self.clock);
            }
            Server::Real(server) => {
                self.clock.follow();
                server.begin();
            }
        }
        let mut inside = self.site.inside();
        kubelet::run(&self.server, &mut inside, &self.clock);
        if let Server::Memory(server) = &self.server {
            sets::report(server);
        }
        invariants::check(&self.server, &mut inside, &self.clock);
        drop(inside);
        match &self.server {
            Server::Memory(server) => server.collect_garbage(),
            Server::Real(server) => server.end(),
        }
    }

    /// Takes everything off a real API server that was made there.
    pub fn clear(self) {
        if let Server::Real(server) = &self.server {
            while !server.clear() {
                self.tick(Duration::ZERO);
            }
        }
    }

    /// The node of a pod is gone: the pod stays, and its process goes on where nobody reaches it.
    pub fn lose_node_of(&self, namespace: &str, pod: &str) {
        if let Some(found) = self.server.one("Pod", namespace, pod) {
            let uid = found["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            self.site.inside().lost.insert(uid);
        }
    }

    /// The process in a pod dies.
    pub fn kill(&self, namespace: &str, pod: &str) {
        let Some(found) = self.server.one("Pod", namespace, pod) else { return };
        let uid = found["metadata"]["uid"].as_str().unwrap_or_default();
        if let Some(process) = self.site.inside().processes.get_mut(uid) {
            process.worker.phase = worker::Phase::Exited(None);
            process.ended = 0;
        }
    }

    /// What went wrong that must never go wrong.
    pub fn violations(&self) -> Vec<String> {
        self.site.inside().violations.clone()
    }

    /// The log of a state.
    pub fn log(&self, state: &str) -> log::Log {
        self.site.inside().logs.get(state).cloned().unwrap_or_default()
    }

    /// Changes the log of a state, as another cluster would.
    pub fn with_log(&self, state: &str, change: impl FnOnce(&mut log::Log)) {
        change(self.site.inside().logs.entry(state.to_owned()).or_default());
    }

    /// Stops and savepoints that workers were asked for.
    pub fn requests(&self) -> Vec<String> {
        self.site.inside().requests.clone()
    }
}
