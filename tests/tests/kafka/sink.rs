//! Output in topics: each result once to readers of committed records, whatever is killed.
//!
//! Owns: when the job or the broker dies; that every row is in one result.
//! Never: reads uncommitted records.

use std::collections::BTreeMap;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use streamjob_tests::job::JobFolder;
use streamjob_tests::kafka::{self, Cluster};

const ROWS: u64 = 60_000;
const WAIT_MAX: Duration = Duration::from_secs(120);

/// 10 windows of 6 s of event time, in some 3 s.
fn manifest(cluster: &Cluster, topic: &str, parallelism: u32) -> String {
    let servers = cluster.bootstrap();
    format!(
        r#"
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: {topic}}}
spec:
  parallelism: {parallelism}
  state: {{checkpoint: {{interval: 100ms}}}}
  pipeline:
    source:
      generator:
        seed: 7
        partitions: 3
        rows: {ROWS}
        rowsPerSecond: 20000
        columns:
          - {{name: key, choice: {{values: [a, b, c, d, e, f, g]}}}}
          - {{name: ts, timestamp: {{start: "2026-01-01T00:00:00Z", rowsPerSecond: 1000}}}}
    eventTime: {{field: ts}}
    keyBy: [key]
    window: {{tumbling: {{size: 600ms}}}}
    aggregates: [{{name: rows, function: Count}}]
    sink: {{kafka: {{cluster: {{bootstrapServers: "{servers}"}}, topic: {topic}}}, format: {{json: {{}}}}}}
"#
    )
}

/// A topic with three partitions and a job that writes to it.
fn job(cluster: &Cluster, topic: &str, parallelism: u32) -> Result<JobFolder> {
    cluster.create_topic(topic, 3, &[])?;
    JobFolder::new(&manifest(cluster, topic, parallelism))
}

fn wait(child: &mut Child, at_most: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + at_most;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(None)
}

/// The committed results: each key of each window once, and all rows in them.
fn assert_every_row_once(cluster: &Cluster, topic: &str) -> Result<()> {
    let (mut sum, mut partition_of) = (0, BTreeMap::new());
    let mut seen = BTreeMap::new();
    for read in cluster.consume(topic)? {
        let value = read.record.payload.context("a result has a payload")?;
        let value: Value = serde_json::from_slice(&value)?;
        let key = value["key"].as_str().context("a key")?.to_owned();
        ensure!(read.record.key.as_deref() == Some(key.as_bytes()), "the record's key is {key}");
        let of_key = partition_of.entry(key.clone()).or_insert(read.partition);
        ensure!(*of_key == read.partition, "{key} is in one partition");
        let window = value["window_start"].to_string();
        ensure!(seen.insert((window, key), read.offset).is_none(), "twice: {value}");
        sum += value["rows"].as_u64().context("a count")?;
    }
    ensure!(sum == ROWS, "{sum} rows of {ROWS}");
    Ok(())
}

#[test]
fn results_of_a_job_that_is_killed_again_and_again_are_in_the_topic_once() -> Result<()> {
    let cluster = kafka::shared();
    let topic = "killed-again-and-again";
    let job = job(cluster, topic, 2)?;
    let mut random = fastrand::Rng::with_seed(3);
    let mut kills = 0;

    let ended = loop {
        let mut child = job.start(&[])?;
        let life = if kills < 12 { Duration::from_millis(random.u64(100..900)) } else { WAIT_MAX };
        match wait(&mut child, life)? {
            Some(status) => break status,
            None => child.kill()?,
        }
        child.wait()?;
        kills += 1;
    };

    assert!(ended.success(), "{ended}");
    assert!(kills >= 5, "only {kills} kills before the end");
    assert_every_row_once(cluster, topic)
}
