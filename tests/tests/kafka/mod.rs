//! Jobs over a real Kafka cluster.
//!
//! Owns: the manifests, and what of their results must hold.
//! Never: uses a stand-in for a broker.

mod outages;
mod progress;
mod records;
mod refusals;
mod routes;
mod running;
mod secured;
mod security;
mod sink;
mod source;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use streamjob_tests::job::{JobFolder, streamjob};
use streamjob_tests::kafka::{Cluster, Record, shared};
use streamjob_tests::process::{Ended, Running};

const WITHIN: Duration = Duration::from_secs(60);

/// What a test's job says of its source, and where it runs.
struct TopicJob {
    /// Further fields of `cluster` and of `kafka`, each with a comma in front.
    cluster: &'static str,
    kafka: &'static str,
    format: &'static str,
    columns: &'static str,
    bad_records: &'static str,
    event_time: &'static str,
    key: &'static str,
}

impl Default for TopicJob {
    fn default() -> Self {
        Self {
            cluster: "",
            kafka: ", until: Latest",
            format: "{json: {}}",
            columns: "[{name: key, type: String}, {name: n, type: Int64}, {name: ts, type: TimestampMillis}]",
            bad_records: "{action: Fail}",
            event_time: "{field: ts, maxOutOfOrderness: 1h}",
            key: "key",
        }
    }
}

impl TopicJob {
    fn folder(&self, brokers: &Cluster, topics: &str) -> Result<JobFolder> {
        let servers = brokers.bootstrap();
        let Self { cluster, kafka, format, columns, bad_records, event_time, key } = self;
        JobFolder::new(&format!(
            "apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: topics}}
spec:
  parallelism: 2
  pipeline:
    source:
      kafka: {{cluster: {{bootstrapServers: \"{servers}\"{cluster}}}, topics: [{topics}]{kafka}}}
      format: {format}
      columns: {columns}
      badRecords: {bad_records}
    eventTime: {event_time}
    keyBy: [{key}]
    window: {{tumbling: {{size: 10s}}}}
    aggregates: [{{name: rows, function: Count}}, {{name: total, function: Sum, field: n}}]
    sink: {{files: {{url: out}}}}
  state: {{checkpoint: {{interval: 100ms}}}}
"
        ))
    }
}

/// A topic that no other test has.
fn topic(partitions: i32, settings: &[(&str, &str)]) -> Result<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("topic-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    shared().create_topic(&name, partitions, settings)?;
    Ok(name)
}

/// A row of the default columns.
fn row(key: &str, n: i64, ts: i64) -> Record {
    Record::of(format!("{{\"key\":\"{key}\",\"n\":{n},\"ts\":{ts}}}"))
}

fn start(folder: &JobFolder) -> Result<Running> {
    start_with(folder, &[])
}

fn start_with(folder: &JobFolder, words: &[&str]) -> Result<Running> {
    let mut command = Command::new(streamjob());
    command.arg("run").arg(folder.path().join("job.yaml")).args(words);
    Running::start(command)
}

/// Runs a job that must stop with exit code 1, and gives what it says.
fn fails(folder: &JobFolder) -> Result<String> {
    let ended = start(folder)?.wait(WITHIN)?;
    ensure!(ended.code == Some(1), "{}: {}", ended.shown(), ended.said);
    Ok(ended.said)
}

fn ends(mut running: Running) -> Result<Ended> {
    running.wait(WITHIN)
}

/// Waits until something holds.
fn eventually(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !holds()? {
        ensure!(began.elapsed() < WITHIN, "{what}: not within {WITHIN:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// (key, window) to (rows, total); a key and window that comes twice is an error.
fn results(folder: &JobFolder) -> Result<BTreeMap<(String, i64), (i64, i64)>> {
    let mut results = BTreeMap::new();
    for row in folder.rows("out")? {
        let number = |name: &str| row[name].as_i64().unwrap_or_default();
        let key = row.get("key").unwrap_or(&Value::Null);
        let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        let at = (key, number("window_start"));
        let twice = results.insert(at, (number("rows"), number("total")));
        ensure!(twice.is_none(), "twice: {row}");
    }
    Ok(results)
}

/// The same of rows (key, n, event time).
fn expected<'a>(rows: impl IntoIterator<Item = (&'a str, i64, i64)>) -> BTreeMap<(String, i64), (i64, i64)> {
    let mut results = BTreeMap::new();
    for (key, n, ts) in rows {
        let result: &mut (i64, i64) = results.entry((key.to_owned(), ts - ts % 10_000)).or_default();
        *result = (result.0 + 1, result.1 + n);
    }
    results
}
