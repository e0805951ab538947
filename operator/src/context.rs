//! What every reconcile has at hand.
//!
//! Owns: the ways to the API server and to workers, what was compiled before, the clock.
//! Never: knows anything about a job that is not also in the cluster; it can be thrown away at any instant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;

use crate::api::Server;
use crate::coordinator::{Coordinators, Route};
use crate::metrics::Metrics;
use crate::planted::Planted;
use crate::token::Tokens;
use crate::world::{Fingerprint, Settings, Trouble};

/// Tells the time; tests have their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How the operator reaches what it works with.
#[derive(Clone, Debug)]
pub struct Reach {
    /// A call to the API server has this long.
    pub api_deadline: Duration,
    /// A call to a worker has this long.
    pub worker_deadline: Duration,
    /// How workers are reached.
    pub route: Route,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            api_deadline: Duration::from_secs(10),
            worker_deadline: Duration::from_secs(3),
            route: Route::Pods,
        }
    }
}

/// Who the operator is in its cluster.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// The service account that it runs as.
    pub account: String,
    /// Its pod, or a name of its own; events about the operator itself are about it.
    pub pod: String,
}

impl Identity {
    /// What its tokens say of whom they are.
    pub fn subject(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.account)
    }

    /// What events about the operator itself are about.
    pub(crate) fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(self.pod.clone()),
            namespace: Some(self.namespace.clone()),
            ..ObjectReference::default()
        }
    }
}

/// See the module.
pub struct Context {
    pub(crate) server: Server,
    pub(crate) coordinators: Coordinators,
    pub(crate) tokens: Tokens,
    pub(crate) settings: Settings,
    pub(crate) identity: Identity,
    pub(crate) metrics: Metrics,
    pub(crate) planted: Planted,
    clock: Clock,
    compiled: Mutex<BTreeMap<String, Compiled>>,
}

/// What became of a spec, by the uid of its job.
struct Compiled {
    generation: i64,
    result: Result<Fingerprint, Trouble>,
}

/// Jobs whose specs are remembered as compiled; with more, some are compiled once again.
const COMPILED_MAX: usize = 10_000;

impl Context {
    /// The client must not try again by itself: each call has a deadline, and the next reconcile is the next try.
    pub fn new(
        client: kube::Client,
        (settings, identity): (Settings, Identity),
        reach: &Reach,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        let server = Server::new(client, reach.api_deadline, metrics.clone());
        Self {
            tokens: Tokens::new(server.clone(), &identity.namespace, &identity.account),
            coordinators: Coordinators::new(reach.route, reach.worker_deadline),
            server,
            settings,
            identity,
            metrics,
            planted: Planted::default(),
            clock,
            compiled: Mutex::default(),
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// What this generation of a job was compiled to, if it was.
    pub(crate) fn compiled(&self, uid: &str, generation: i64) -> Option<Result<Fingerprint, Trouble>> {
        let known = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(uid).filter(|known| known.generation == generation).map(|known| known.result.clone())
    }

    pub(crate) fn remember(&self, uid: &str, generation: i64, result: Result<Fingerprint, Trouble>) {
        let mut known = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= COMPILED_MAX {
            known.clear();
        }
        known.insert(uid.to_owned(), Compiled { generation, result });
    }

    /// A job is gone.
    pub(crate) fn forget(&self, namespace: &str, name: &str) {
        self.metrics.set_phase(namespace, name, None);
    }
}
