//! What the operator counts about itself.
//!
//! Owns: names and labels of metrics; few label values, none from users but phases.
//! Never: has a series per job: that is what `kubectl` and kube-state-metrics are for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

type Labels = Vec<(&'static str, String)>;

/// Shared by all parts of the operator.
#[derive(Clone)]
pub struct Metrics(Arc<Inside>);

struct Inside {
    registry: Registry,
    reconciles: Family<Labels, Counter>,
    durations: Histogram,
    writes: Family<Labels, Counter>,
    operations: Family<Labels, Counter>,
    leader: Gauge,
    compatible: Gauge,
    jobs: Family<Labels, Gauge>,
    /// The phase of each job, by namespace and name, so that a job is counted once.
    phases: Mutex<BTreeMap<(String, String), String>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut inside = Inside {
            registry: Registry::default(),
            reconciles: Family::default(),
            durations: Histogram::new(exponential_buckets(0.005, 2.0, 12)),
            writes: Family::default(),
            operations: Family::default(),
            leader: Gauge::default(),
            compatible: Gauge::default(),
            jobs: Family::default(),
            phases: Mutex::default(),
        };
        let mut registry = Registry::with_prefix("streamjob_operator");
        let help = "Reconciles by outcome: done, conflict, transient, bug";
        registry.register("reconciles", help, inside.reconciles.clone());
        let help = "How long a reconcile takes";
        registry.register_with_unit("reconcile_duration", help, Unit::Seconds, inside.durations.clone());
        let help = "Writes to the API server by kind, verb and outcome; in a steady state there are none";
        registry.register("api_writes", help, inside.writes.clone());
        let help = "Steps of operations that ended, by type, step and verdict";
        registry.register("operations", help, inside.operations.clone());
        registry.register("leader", "1 while this operator holds the lease", inside.leader.clone());
        let help = "1 if the CustomResourceDefinitions are there and as new as the operator";
        registry.register("crd_compatible", help, inside.compatible.clone());
        registry.register("jobs", "StreamJobs by phase", inside.jobs.clone());
        inside.registry = registry;
        Self(Arc::new(inside))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics")
    }
}

impl Metrics {
    /// The text that Prometheus reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.0.registry) {
            Ok(()) => text,
            Err(error) => format!("# {error}\n"),
        }
    }

    /// A reconcile came to its end.
    pub fn reconciled(&self, outcome: &'static str, took: Duration) {
        self.0.reconciles.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
        self.0.durations.observe(took.as_secs_f64());
    }

    /// Something was written, or should have been.
    pub fn wrote(&self, kind: &str, verb: &'static str, fine: bool) {
        let outcome = if fine { "done" } else { "failed" };
        let labels =
            vec![("kind", kind.to_owned()), ("verb", verb.to_owned()), ("outcome", outcome.to_owned())];
        self.0.writes.get_or_create(&labels).inc();
    }

    /// A step of an operation is over: another followed, or the operation ended.
    pub fn stepped(&self, operation: &str, step: &str, verdict: &'static str) {
        let labels =
            vec![("type", operation.to_owned()), ("step", step.to_owned()), ("verdict", verdict.to_owned())];
        self.0.operations.get_or_create(&labels).inc();
    }

    /// Whether this operator leads.
    pub fn set_leader(&self, leads: bool) {
        self.0.leader.set(i64::from(leads));
    }

    /// Whether our kinds are defined.
    pub fn set_compatible(&self, compatible: bool) {
        self.0.compatible.set(i64::from(compatible));
    }

    /// A job is in a phase now; `None` if it is gone.
    pub fn set_phase(&self, namespace: &str, name: &str, phase: Option<&str>) {
        let key = (namespace.to_owned(), name.to_owned());
        let mut phases = self.0.phases.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match phase {
            Some(phase) => phases.insert(key, phase.to_owned()),
            None => phases.remove(&key),
        };
        if before.as_deref() == phase {
            return;
        }
        let gauge = |phase: &str| self.0.jobs.get_or_create(&vec![("phase", phase.to_owned())]).clone();
        if let Some(before) = before {
            gauge(&before).dec();
        }
        if let Some(phase) = phase {
            gauge(phase).inc();
        }
    }

    /// How many writes were counted in all, for tests and alarms.
    pub fn writes(&self) -> String {
        let text = self.text();
        text.lines()
            .filter(|line| line.starts_with("streamjob_operator_api_writes"))
            .collect::<Vec<_>>()
            .join("\n")
    }
}
