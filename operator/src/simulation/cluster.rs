//! An API server and what stands behind it, in virtual time.
//!
//! Owns: the objects, the one StreamJob, its savepoints, the stores.
//! Never: does by itself what a controller does; that is in the controllers.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use streamjob_crds::{StreamJobSpec, StreamJobStatus};

use super::log::Log;
use super::worker::Process;
use crate::world::{Kind, Object, SavepointSeen, Settings, TokenCheck};

/// The StreamJob, as the API server has it.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) version: u64,
    pub(super) spec: Result<StreamJobSpec, String>,
    pub(super) status: Option<StreamJobStatus>,
    pub(super) deleted: Option<Timestamp>,
    pub(super) finalizers: Vec<String>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// A cluster with one job.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) now: Timestamp,
    pub(super) job: Option<Job>,
    pub(super) objects: BTreeMap<(Kind, String), Object>,
    pub(super) savepoints: Vec<SavepointSeen>,
    pub(super) processes: BTreeMap<String, Process>,
    pub(super) logs: BTreeMap<String, Log>,
    pub(super) store_up: bool,
    pub(super) node_up: bool,
    pub(super) token_fits: bool,
    pub(super) settings: Settings,
    /// Somebody watches: something changed since it was looked at.
    pub(super) changed: bool,
    pub(super) writes: Vec<String>,
    /// What must never be and was.
    pub(super) violations: Vec<String>,
    /// Pods are refused with these words.
    pub(super) refuses_pods: Option<String>,
    next_uid: u64,
}

pub(super) const NAME: &str = "orders";
pub(super) const NAMESPACE: &str = "shop";

impl Cluster {
    pub(super) fn new() -> Self {
        Self {
            now: "2026-11-22T08:00:00Z".parse().expect("an instant"),
            job: None,
            objects: BTreeMap::new(),
            savepoints: Vec::new(),
            processes: BTreeMap::new(),
            logs: BTreeMap::new(),
            store_up: true,
            node_up: true,
            token_fits: true,
            settings: Settings {
                worker_image: "worker:1".to_owned(),
                cluster_id: "cluster-1".to_owned(),
                operator_namespace: "streamjob".to_owned(),
                token: TokenCheck {
                    keys: "{\"keys\":[]}".to_owned(),
                    issuer: "https://kubernetes.default.svc".to_owned(),
                    subject: "system:serviceaccount:streamjob:operator".to_owned(),
                },
                metrics_namespace: None,
            },
            changed: true,
            writes: Vec::new(),
            violations: Vec::new(),
            refuses_pods: None,
            next_uid: 1,
        }
    }

    pub(super) fn uid(&mut self) -> String {
        self.next_uid += 1;
        format!("uid-{}", self.next_uid)
    }

    /// Somebody applies the job.
    pub(super) fn create(&mut self, spec: StreamJobSpec) {
        let uid = self.uid();
        self.job = Some(Job {
            uid,
            generation: 1,
            version: 1,
            spec: Ok(spec),
            status: None,
            deleted: None,
            finalizers: Vec::new(),
            annotations: BTreeMap::new(),
        });
        self.changed = true;
    }

    /// Somebody edits the spec.
    pub(super) fn edit(&mut self, edit: impl FnOnce(&mut StreamJobSpec)) {
        let job = self.job.as_mut().expect("there is a job");
        let spec = job.spec.as_mut().expect("it can be read");
        let before = spec.clone();
        edit(spec);
        if *spec != before {
            job.generation += 1;
            job.version += 1;
        }
        self.changed = true;
    }

    /// Somebody deletes the job.
    pub(super) fn delete_job(&mut self) {
        let now = self.now;
        let job = self.job.as_mut().expect("there is a job");
        job.deleted.get_or_insert(now);
        job.version += 1;
        self.changed = true;
        self.drop_job_if_free();
    }

    pub(super) fn drop_job_if_free(&mut self) {
        if self.job.as_ref().is_some_and(|job| job.deleted.is_some() && job.finalizers.is_empty()) {
            self.job = None;
            self.changed = true;
        }
    }

    /// Server-side apply by one manager: what it sends is so, what it stops sending of its own is gone.
    pub(super) fn apply(&mut self, object: &Object) {
        let kind = object.kind().expect("a known kind");
        let key = (kind, object.name().to_owned());
        let mut next = object.0.clone();
        let seen = self.objects.get(&key).map(|seen| seen.0.clone());
        match &seen {
            Some(seen) => {
                if kind == Kind::ControllerRevision && seen["data"] != next["data"] {
                    self.violations.push(format!("the data of {} changes", object.name()));
                }
                let mut merged = seen.clone();
                merge(&mut merged, &next);
                if next["metadata"]["ownerReferences"].is_null() {
                    let metadata = merged["metadata"].as_object_mut().expect("metadata is an object");
                    metadata.remove("ownerReferences");
                }
                let spec_changed = merged["spec"] != seen["spec"];
                let generation =
                    seen["metadata"]["generation"].as_i64().unwrap_or(1) + i64::from(spec_changed);
                merged["metadata"]["generation"] = json!(generation);
                next = merged;
            }
            None => {
                next["metadata"]["uid"] = json!(self.uid());
                next["metadata"]["generation"] = json!(1);
                next["metadata"]["creationTimestamp"] = json!(self.now.to_string());
            }
        }
        if seen.as_ref() != Some(&next) {
            self.changed = true;
            self.objects.insert(key, Object(next));
        }
    }

    /// Deletes an object in the background, if it has that uid.
    pub(super) fn delete(&mut self, kind: Kind, name: &str, uid: &str) {
        let key = (kind, name.to_owned());
        if self.objects.get(&key).is_some_and(|object| object.uid() == uid) {
            self.objects.remove(&key);
            self.changed = true;
        }
    }

    /// Changes an object, as somebody with kubectl would.
    pub(super) fn tamper(&mut self, kind: Kind, name: &str, change: impl FnOnce(&mut Value)) {
        if let Some(object) = self.objects.get_mut(&(kind, name.to_owned())) {
            change(&mut object.0);
            self.changed = true;
        }
    }

    pub(super) fn names(&self, kind: Kind) -> Vec<String> {
        self.objects.keys().filter(|(of, _)| *of == kind).map(|(_, name)| name.clone()).collect()
    }

    pub(super) fn after(&self, seconds: i64) -> Timestamp {
        self.now + SignedDuration::from_secs(seconds)
    }

    pub(super) fn status(&self) -> StreamJobStatus {
        self.job.as_ref().and_then(|job| job.status.clone()).unwrap_or_default()
    }

    /// A condition's status and reason.
    pub(super) fn condition(&self, kind: &str) -> (String, String) {
        let conditions = self.status().conditions;
        let found = conditions.into_iter().find(|condition| condition.type_ == kind);
        found.map_or((String::new(), String::new()), |condition| (condition.status, condition.reason))
    }

    pub(super) fn message(&self, kind: &str) -> String {
        let conditions = self.status().conditions;
        let found = conditions.into_iter().find(|condition| condition.type_ == kind);
        found.map_or(String::new(), |condition| condition.message)
    }

    pub(super) fn log(&self) -> &Log {
        self.logs.get("s3://streams/prod/shop.orders").expect("the job wrote something")
    }
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
