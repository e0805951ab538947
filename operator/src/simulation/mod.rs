//! A cluster in virtual time around `decide`: sequences, cut off at every effect; random edits; planted bugs.
//!
//! Owns: what a scenario is made of.
//! Never: sleeps, or looks at a real clock.

mod cluster;
mod controllers;
mod crash;

mod log;
mod messages;
mod operator;
mod people;
mod planted;
mod random;

mod scenarios;
mod troubles;
mod worker;

use cluster::Cluster;
use operator::Operator;
use serde_json::json;
use streamjob_crds::worker::WorkerPhase;
use streamjob_crds::{StreamJobSavepointSpec, StreamJobSpec};

use crate::world::SavepointSeen;

/// A cluster and its operator.
struct Sim {
    cluster: Cluster,
    operator: Operator,
}

impl Sim {
    fn new() -> Self {
        Self { cluster: Cluster::new(), operator: Operator::default() }
    }

    /// With a job that has run for a while.
    fn running() -> Self {
        let mut sim = Self::new();
        sim.cluster.create(spec());
        sim.settle();
        sim.seconds(30);
        sim
    }

    fn seconds(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.cluster.tick();
            self.operator.turn(&mut self.cluster);
            let open = self.cluster.job.is_some();
            if open {
                self.must_fit();
            }
        }
    }

    /// Until nothing goes on, at most half an hour.
    fn settle(&mut self) {
        for _ in 0..1_800 {
            self.seconds(1);
            if self.is_still() {
                return;
            }
        }
        panic!("it never comes to rest: {:#?}", self.cluster.status());
    }

    fn is_still(&self) -> bool {
        let Some(job) = &self.cluster.job else { return self.cluster.processes.is_empty() };
        let Some(status) = &job.status else { return false };
        let stalled = self.cluster.condition("Stalled").0 == "True";
        let idle = status.operation.is_none() || stalled;
        let seen = status.observed_generation == Some(job.generation);
        let moving = self.cluster.condition("Reconciling").0 == "True";
        seen && idle && !moving && job.deleted.is_none()
    }

    /// What holds at every instant.
    fn must_fit(&mut self) {
        let status = self.cluster.status();
        if status.conditions.is_empty() {
            return;
        }
        if status.conditions.len() != 7 {
            self.cluster.violations.push("a condition is missing".to_owned());
        }
        let (accepted, stalled) = (self.cluster.condition("Accepted"), self.cluster.condition("Stalled"));
        if accepted.0 == "False" && stalled != ("True".to_owned(), accepted.1.clone()) {
            self.cluster.violations.push(format!("Accepted is False, Stalled is {stalled:?}"));
        }
        if self.cluster.condition("Ready").0 == "True" && stalled.0 == "True" {
            self.cluster.violations.push("Ready and Stalled".to_owned());
        }
    }

    /// Somebody asks for a savepoint.
    fn add_savepoint(&mut self, name: &str) {
        let uid = self.cluster.uid();
        self.cluster.savepoints.push(SavepointSeen {
            name: name.to_owned(),
            uid,
            generation: 1,
            creation_timestamp: self.cluster.now,
            resource_version: "1".to_owned(),
            deleting: false,
            spec: StreamJobSavepointSpec { stream_job_name: cluster::NAME.to_owned(), timeout: None },
            status: None,
        });
        self.cluster.changed = true;
    }

    fn assert_sound(&self) {
        assert_eq!(self.cluster.violations, [""; 0]);
    }

    /// The incarnations whose workers process rows.
    fn at_work(&self) -> Vec<i64> {
        let running =
            self.cluster.processes.values().filter(|process| process.status.phase == WorkerPhase::Running);
        running.map(|process| process.status.incarnation).collect()
    }

    fn image_at_work(&self) -> String {
        let mut running =
            self.cluster.processes.values().filter(|process| process.status.phase == WorkerPhase::Running);
        running.next().map_or(String::new(), |process| process.image.clone())
    }
}

/// A job from a generator to nowhere, its state in a bucket.
fn spec() -> StreamJobSpec {
    serde_json::from_value(json!({
        "parallelism": 2,
        "pipeline": {
            "source": {"generator": {"rowsPerSecond": 10, "columns": [
                {"name": "page", "uniform": {"min": 0, "max": 9}},
                {"name": "ts", "timestamp": {}},
            ]}},
            "eventTime": {"field": "ts"},
            "keyBy": ["page"],
            "window": {"tumbling": {"size": "10s"}},
            "aggregates": [{"name": "clicks", "function": "Count"}],
            "sink": {"blackhole": {}},
        },
        "state": {"location": {"uri": "s3://streams/prod"}},
    }))
    .expect("a spec")
}
