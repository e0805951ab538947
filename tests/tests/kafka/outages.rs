//! Brokers that are away: what people see of it while it lasts, and when it is over.
//!
//! Owns: the gauges, the lines of the log.
//! Never: looks at results: `durability/topics` does.

use std::time::Duration;

use anyhow::{Context, Result};
use streamjob_tests::admin;
use streamjob_tests::job::JobFolder;
use streamjob_tests::kafka::{Cluster, ClusterSpec, Producing};
use streamjob_tests::process::Signal;
use streamjob_tests::proxy::Link;

use super::{eventually, row, start_with};

fn gauge(address: &str, name: &str) -> Result<f64> {
    let text = admin::get(address, "/metrics")?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.with_context(|| format!("no {name} in {text}"))?.parse()?)
}

/// The broker goes away and comes back: the gauge grows meanwhile, a warning says for how long and why, a line says
/// that it is over.
fn is_seen(brokers: &Cluster, folder: &JobFolder, gauge_name: &str, what: &str) -> Result<()> {
    let mut running = start_with(folder, &["--admin", "127.0.0.1:0"])?;
    let address = admin::address(&running)?;
    eventually("a first checkpoint", || Ok(gauge(&address, "streamjob_checkpoints_total")? > 3.0))?;
    let before = gauge(&address, gauge_name)?;

    brokers.door(0)[0].set(Link::Down);
    eventually("the outage is seen", || Ok(gauge(&address, gauge_name)? > 6.0))?;
    let during = running.said();
    brokers.door(0)[0].heal();
    eventually("it is over", || Ok(gauge(&address, gauge_name)? == 0.0))?;
    std::thread::sleep(Duration::from_millis(100));
    let after = running.said();
    running.signal(Signal::Interrupt)?;
    let ended = running.wait(super::WITHIN)?;

    assert!(before < 1.0, "{before}");
    let warning =
        during.lines().find(|line| line.contains("WARN") && line.contains("the job waits and goes on"));
    let warning = warning.with_context(|| during.clone())?;
    assert!(warning.contains(what) && warning.contains("away_s=") && warning.contains("cause="), "{warning}");
    let over = after.lines().find(|line| line.contains("it answers again")).with_context(|| after.clone())?;
    assert!(over.contains("INFO") && over.contains(what), "{over}");
    assert_eq!(ended.code, Some(130), "{}", ended.said);
    Ok(())
}

#[test]
fn brokers_of_the_source_that_are_away_are_seen_until_they_are_back() -> Result<()> {
    let brokers = Cluster::start(ClusterSpec { doors: 1, ..ClusterSpec::default() })?;
    brokers.create_topic("rows", 2, &[])?;
    brokers.produce("rows", 0, &[row("a", 1, 1_000)], Producing::default())?;
    let folder = JobFolder::new(&format!(
        "apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: away-source}}
spec:
  parallelism: 1
  pipeline:
    source:
      kafka: {{cluster: {{bootstrapServers: \"{}\"}}, topics: [rows]}}
      format: {{json: {{}}}}
      columns: [{{name: key, type: String}}, {{name: n, type: Int64}}, {{name: ts, type: TimestampMillis}}]
    eventTime: {{field: ts}}
    keyBy: [key]
    window: {{tumbling: {{size: 10s}}}}
    aggregates: [{{name: rows, function: Count}}]
    sink: {{files: {{url: out}}}}
  state: {{checkpoint: {{interval: 100ms}}}}
",
        brokers.bootstrap_behind(0)
    ))?;

    is_seen(&brokers, &folder, "streamjob_source_unreachable_seconds", "Kafka (source)")
}

#[test]
fn brokers_of_the_sink_that_are_away_are_seen_until_they_are_back() -> Result<()> {
    for delivery in ["ExactlyOnce", "AtLeastOnce"] {
        let brokers = Cluster::start(ClusterSpec { doors: 1, ..ClusterSpec::default() })?;
        brokers.create_topic("results", 2, &[])?;
        let folder = JobFolder::new(&format!(
            "apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: away-sink}}
spec:
  parallelism: 1
  pipeline:
    source:
      generator:
        seed: 7
        rowsPerSecond: 1000
        columns:
          - {{name: key, choice: {{values: [a, b]}}}}
          - {{name: ts, timestamp: {{start: \"2026-01-01T00:00:00Z\", rowsPerSecond: 1000}}}}
    eventTime: {{field: ts}}
    keyBy: [key]
    window: {{tumbling: {{size: 100ms}}}}
    aggregates: [{{name: rows, function: Count}}]
    sink: {{kafka: {{cluster: {{bootstrapServers: \"{}\"}}, topic: results, delivery: {delivery}}}, format: {{json: {{}}}}}}
  state: {{checkpoint: {{interval: 100ms}}}}
",
            brokers.bootstrap_behind(0)
        ))?;

        is_seen(&brokers, &folder, "streamjob_sink_unreachable_seconds", "the sink")?;
    }
    Ok(())
}
