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
pub(super) fn manifest(cluster: &Cluster, topic: &str, delivery: &str) -> String {
    let servers = cluster.bootstrap();
    format!(
        r#"
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: {topic}}}
spec:
  parallelism: 2
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
    sink: {{kafka: {{cluster: {{bootstrapServers: "{servers}"}}, topic: {topic}, delivery: {delivery}}}, format: {{json: {{}}}}}}
"#
    )
}

/// A topic with three partitions and a job that writes to it.
fn job(cluster: &Cluster, topic: &str, delivery: &str) -> Result<JobFolder> {
    cluster.create_topic(topic, 3, &[])?;
    JobFolder::new(&manifest(cluster, topic, delivery))
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

/// Starts the job and kills it at random instants, so many times at most, until it ends. How often it was killed.
fn run_and_kill(job: &JobFolder, seed: u64, most: u32) -> Result<u32> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut kills = 0;
    loop {
        let mut child = job.start(&[])?;
        let life = if kills < most { Duration::from_millis(random.u64(100..900)) } else { WAIT_MAX };
        match wait(&mut child, life)? {
            Some(status) => {
                ensure!(status.success(), "{status}");
                return Ok(kills);
            }
            None => child.kill()?,
        }
        child.wait()?;
        kills += 1;
    }
}

/// Window and key to rows.
type Results = BTreeMap<(String, String), u64>;

/// The committed results, and how many came more than once. Each is as it was the first time.
fn results(cluster: &Cluster, topic: &str) -> Result<(Results, u64)> {
    let (mut results, mut partition_of, mut again) = (BTreeMap::new(), BTreeMap::new(), 0);
    for read in cluster.consume(topic)? {
        let value = read.record.payload.context("a result has a payload")?;
        let value: Value = serde_json::from_slice(&value)?;
        let key = value["key"].as_str().context("a key")?.to_owned();
        ensure!(read.record.key.as_deref() == Some(key.as_bytes()), "the record's key is {key}");
        let of_key = partition_of.entry(key.clone()).or_insert(read.partition);
        ensure!(*of_key == read.partition, "{key} is in one partition");
        let rows = value["rows"].as_u64().context("a count")?;
        if let Some(before) = results.insert((value["window_start"].to_string(), key), rows) {
            ensure!(before == rows, "{before} rows, and then: {value}");
            again += 1;
        }
    }
    Ok((results, again))
}

#[test]
fn results_of_a_job_that_is_killed_again_and_again_are_in_the_topic_once() -> Result<()> {
    let (cluster, topic) = (kafka::shared(), "killed-once");
    let job = job(cluster, topic, "ExactlyOnce")?;

    let kills = run_and_kill(&job, 3, 12)?;

    let (results, again) = results(cluster, topic)?;
    assert!(kills >= 5, "only {kills} kills before the end");
    assert_eq!((results.values().sum::<u64>(), again), (ROWS, 0));
    Ok(())
}

#[test]
fn results_that_are_sent_when_they_are_made_are_there_at_least_once() -> Result<()> {
    let (cluster, topic) = (kafka::shared(), "killed-at-least-once");
    let job = job(cluster, topic, "AtLeastOnce")?;

    let kills = run_and_kill(&job, 5, 12)?;

    let (results, _again) = results(cluster, topic)?;
    assert!(kills >= 5, "only {kills} kills before the end");
    assert_eq!(results.values().sum::<u64>(), ROWS);
    Ok(())
}

#[test]
fn a_topic_that_is_not_there_is_named_with_what_to_do() -> Result<()> {
    let cluster = kafka::shared();
    let job = JobFolder::new(&manifest(cluster, "nobody-made-it", "ExactlyOnce"))?;

    let ended = job.run(&[])?;

    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the topic `nobody-made-it`, which `spec.pipeline.sink.kafka.topic` names, is not there; create it"),
        "{said}"
    );
    Ok(())
}
