//! The API server of a fake cluster: the one in memory, or a real one.
//!
//! Owns: what the parts of a fake cluster ask of either.
//! Never: is what an operator asks; operators come over HTTP.

use serde_json::Value;

use super::real::RealServer;
use crate::api_server::faults::Faults;
use crate::api_server::{ApiServer, Done};

/// See the module.
pub enum Server {
    /// With controllers that are fakes, too.
    Memory(ApiServer),
    /// With real controllers.
    Real(RealServer),
}

impl Server {
    /// The one in memory, for what only that can do.
    fn memory(&self) -> &ApiServer {
        match self {
            Self::Memory(server) => server,
            Self::Real(_) => panic!("nothing can be planned for a real API server"),
        }
    }

    /// See [`ApiServer::config`].
    pub fn config(&self) -> kube::Config {
        match self {
            Self::Memory(server) => server.config(),
            Self::Real(server) => server.config(),
        }
    }

    /// See [`ApiServer::faults`].
    pub fn faults(&self) -> &Faults {
        self.memory().faults()
    }

    /// See [`ApiServer::hold_caches`].
    pub fn hold_caches(&self, hold: bool) {
        self.memory().hold_caches(hold);
    }

    /// See [`ApiServer::compact`].
    pub fn compact(&self) {
        self.memory().compact();
    }

    /// See [`ApiServer::take_done`]; nobody counts at a real one.
    pub fn take_done(&self) -> Vec<Done> {
        match self {
            Self::Memory(server) => server.take_done(),
            Self::Real(_) => Vec::new(),
        }
    }

    /// All objects of a kind.
    pub fn all(&self, kind: &str) -> Vec<Value> {
        match self {
            Self::Memory(server) => server.all(kind),
            Self::Real(server) => server.all(kind),
        }
    }

    /// One object.
    pub fn one(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        match self {
            Self::Memory(server) => server.one(kind, namespace, name),
            Self::Real(server) => server.one(kind, namespace, name),
        }
    }

    /// Makes an object; one that is there stays as it is.
    pub fn put(&self, kind: &str, namespace: &str, object: Value) {
        match self {
            Self::Memory(server) => server.put(kind, namespace, object),
            Self::Real(server) => server.put(kind, namespace, object),
        }
    }

    /// Changes an object; with `status` only that half of it.
    pub fn edit(&self, kind: &str, at: (&str, &str), status: bool, change: impl FnOnce(&mut Value)) {
        match self {
            Self::Memory(server) => server.edit(kind, at, status, change),
            Self::Real(server) => server.edit(kind, at, status, change),
        }
    }

    /// Deletes an object; a grace of 0 ends a pod at once.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str, grace: Option<i64>) {
        match self {
            Self::Memory(server) => server.delete(kind, namespace, name, grace),
            Self::Real(server) => server.delete(kind, namespace, name, grace),
        }
    }
}
