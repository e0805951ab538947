//! The worker on a cluster: real processes of `streamjob-worker`, as the operator starts, asks and ends them.
//!
//! Owns: the jobs that they run.
//! Never: looks inside the process.

mod asked;
mod attempts;
mod begins;
mod budget;
mod checks;
mod health;
mod janitor;
mod leaves;
mod secrets;
mod stops;
mod take_over;

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use streamjob_checkpoint::log::Log;
use streamjob_checkpoint::record::{Record, Stored};
use streamjob_checkpoint::store::StateStore;
use streamjob_tests::pod::{NAMESPACE, PodJob};

const SOON: Duration = Duration::from_secs(50);

/// A job without an end: files out, state in a folder, both beside its manifest.
fn endless() -> Value {
    json!({
        "parallelism": 2,
        "state": {"location": {"uri": "state"}, "checkpoint": {"interval": "100ms"}},
        "recovery": {"initialBackoff": "100ms", "maxBackoff": "1s"},
        "pipeline": {
            "source": {"generator": {
                "seed": 7,
                "partitions": 3,
                "rowsPerSecond": 6000,
                "columns": [
                    {"name": "page", "zipf": {"values": 50, "prefix": "p"}},
                    {"name": "ts", "timestamp": {
                        "start": "2026-01-01T00:00:00Z", "rowsPerSecond": 20000, "disorder": "100ms"}},
                ],
            }},
            "eventTime": {"field": "ts", "maxOutOfOrderness": "200ms"},
            "keyBy": ["page"],
            "window": {"tumbling": {"size": "500ms"}},
            "aggregates": [{"name": "visits", "function": "Count"}],
            "sink": {"files": {"url": "out"}},
        },
    })
}

/// The same with so many rows.
fn with_rows(rows: u64) -> Value {
    let mut spec = endless();
    spec["pipeline"]["source"]["generator"]["rows"] = rows.into();
    spec
}

/// The log of a job whose state is beside its manifest.
fn log(job: &PodJob) -> Result<Log> {
    let folder = job.path().join("state").join(format!("{NAMESPACE}.orders"));
    Ok(Log::new(StateStore::local_to_read(&folder)?))
}

fn wait<T>(answer: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(answer)
}

fn records(job: &PodJob) -> Result<Vec<Record>> {
    let stored: Vec<Stored> = wait(log(job)?.records())?;
    Ok(stored.into_iter().map(|stored| stored.record).collect())
}

fn head(job: &PodJob) -> Result<Record> {
    Ok(records(job)?.pop().expect("the job has a log"))
}
