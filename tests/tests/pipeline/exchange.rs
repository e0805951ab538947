//! What holds between slots whatever the sizes of batches and queues.
//!
//! Owns: the same job at many parallelisms, with hot keys and queues of one batch.
//! Never: measures speed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use streamjob_tests::inside;
use streamjob_tests::job::JobFolder;
use streamjob_worker::runtime::{Ending, Options, StopFlag};

fn manifest(parallelism: u32, key: &str) -> String {
    format!(
        r#"
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: exchange}}
spec:
  parallelism: {parallelism}
  pipeline:
    source:
      generator:
        seed: 7
        partitions: 5
        rows: 60000
        columns:
          - {{name: key, {key}}}
          - {{name: value, uniform: {{min: -1000, max: 1000}}}}
          - {{name: ts, timestamp: {{start: "2026-01-01T00:00:00Z", rowsPerSecond: 1000, disorder: 2s}}}}
    eventTime: {{field: ts, maxOutOfOrderness: 2s}}
    keyBy: [key]
    window: {{tumbling: {{size: 7s, offset: 1s}}}}
    aggregates:
      - {{name: rows, function: Count}}
      - {{name: total, function: Sum, field: value}}
      - {{name: least, function: Min, field: value}}
      - {{name: different, function: CountDistinct, field: value}}
      - {{name: first, function: First, field: value}}
      - {{name: last, function: Last, field: value}}
    sink: {{files: {{url: out}}}}
"#
    )
}

/// Rows as text, counted: the order between slots is free.
fn outcome(parallelism: u32, key: &str, options: Options) -> Result<BTreeMap<String, usize>> {
    let folder = JobFolder::new("")?;
    let plan = inside::plan(&manifest(parallelism, key), folder.path())?;
    let ran = inside::run(plan, options, StopFlag::default())?;
    assert_eq!(ran.ending, Ending::Finished);
    assert_eq!(ran.metrics.sum(|slot| &slot.rows_in), 60_000);
    assert_eq!(ran.metrics.sum(|slot| &slot.late), 0, "nothing is later than the disorder");
    let mut rows = BTreeMap::new();
    for row in folder.rows("out")? {
        *rows.entry(row.to_string()).or_default() += 1;
    }
    Ok(rows)
}

const MANY_KEYS: &str = r#"uniform: {min: 0, max: 5000, prefix: "k"}"#;
const ONE_KEY: &str = "choice: {values: [hot]}";

#[test]
fn every_parallelism_and_batch_size_gives_the_same_rows() -> Result<()> {
    let expected = outcome(1, MANY_KEYS, Options::default())?;
    assert!(expected.len() > 5_000, "{} result rows", expected.len());
    for (parallelism, batch_rows) in [(2, 8_192), (3, 100), (7, 1_000), (4, 1)] {
        let options = Options { batch_rows, ..Options::default() };

        let rows = outcome(parallelism, MANY_KEYS, options)?;

        assert!(rows == expected, "parallelism {parallelism}, batches of {batch_rows}");
    }
    Ok(())
}

#[test]
fn a_hot_key_and_queues_of_one_batch_neither_lose_rows_nor_lock_up() -> Result<()> {
    let expected = outcome(1, ONE_KEY, Options::default())?;
    for parallelism in [2, 4] {
        let options = Options { batch_rows: 64, queue_bytes: 1, preaggregate_bytes: 0, ..Options::default() };

        let rows = outcome(parallelism, ONE_KEY, options)?;

        assert!(rows == expected, "parallelism {parallelism}");
    }
    Ok(())
}

/// Partitions go idle between their rows and come back behind the watermark.
const IDLE: &str = r#"
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: idle}
spec:
  parallelism: 3
  state: {checkpoint: {interval: 100ms}}
  pipeline:
    source:
      generator:
        partitions: 16
        rows: 3000
        rowsPerSecond: 1500
        columns:
          - {name: key, sequence: {modulo: 7}}
          - {name: ts, timestamp: {start: "2026-01-01T00:00:00Z", rowsPerSecond: 100, disorder: 1s}}
    eventTime: {field: ts, maxOutOfOrderness: 100ms, idleTimeout: 1ms}
    keyBy: [key]
    window: {tumbling: {size: 300ms}, late: {action: SideOutput, files: {url: late}}}
    aggregates: [{name: rows, function: Count}]
    sink: {files: {url: out}}
"#;

#[test]
fn every_row_of_partitions_that_come_and_go_is_in_a_window_or_late_and_never_in_both() -> Result<()> {
    let folder = JobFolder::new("")?;
    let plan = inside::plan(IDLE, folder.path())?;
    let options = Options { batch_rows: 16, ..Options::default() };

    let ran = inside::run(plan, options, StopFlag::default())?;

    let mut in_windows = 0;
    let mut windows = BTreeSet::new();
    for row in folder.rows("out")? {
        in_windows += row["rows"].as_u64().expect("a count");
        assert!(windows.insert((row["key"].to_string(), row["window_start"].as_i64())), "fired twice: {row}");
    }
    let late = folder.rows("late")?.len() as u64;
    assert_eq!(in_windows + late, 3_000);
    assert_eq!(late, ran.metrics.sum(|slot| &slot.late));
    assert!(late > 0, "the disorder is greater than the bound");
    Ok(())
}
