//! Tests of the text of whole plans.
//!
//! Owns: four plans that use everything.
//! Never: compiles by hand.

use std::path::Path;

use super::explain;
use crate::compile;

fn explained(text: &str) -> String {
    let job = serde_yaml::from_str(text).expect("the manifest of a test parses");
    let plan = compile(&job, Path::new("/jobs")).expect("the manifest of a test compiles");
    explain(&plan)
}

#[test]
fn a_plain_job_is_explained_in_the_order_of_its_operators() {
    let text = explained(
        "
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: flights}
spec:
  parallelism: 3
  pipeline:
    source:
      files: {urls: ['flights-*.csv', 'file:///more/flights.csv.gz'], order: Name}
      format: {csv: {nulls: [NA, '']}}
      columns:
        - {name: carrier, type: String}
        - {name: flight, type: Int32}
        - {name: dep_delay, type: Decimal, precision: 10, scale: 1}
        - {name: time_hour, type: TimestampRfc3339}
      badRecords: {action: DeadLetter, files: {url: bad}}
    eventTime: {expr: \"date_trunc('hour', time_hour)\", maxOutOfOrderness: 1h30m, idleTimeout: 0s, maxFuture: 24h}
    transforms:
      - where: carrier IS NOT NULL
      - select:
          - {name: carrier, expr: upper(carrier)}
          - {name: delay, expr: dep_delay}
          - {name: unused, expr: flight + 1}
    keyBy: [carrier]
    window: {tumbling: {size: 24h, offset: -5h}}
    aggregates:
      - {name: departures, function: Count}
      - {name: mean_delay, function: Avg, field: delay}
      - {name: total, function: Sum, field: delay, overflow: 'Null'}
    sink: {files: {url: out}, format: {csv: {delimiter: ';'}}}
",
    );

    assert!(text.lines().all(|line| line == line.trim_end()));
    insta::assert_snapshot!(text);
}

#[test]
fn columns_that_go_along_for_late_rows_are_shown() {
    let text = explained(
        "
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: words}
spec:
  parallelism: 1
  pipeline:
    source:
      files: {urls: [lines.jsonl]}
      format: {json: {}}
      columns: [{name: line, type: String}, {name: ts, type: TimestampMillis}]
    eventTime: {field: ts}
    transforms: [{flatMap: {column: word, expr: \"string_to_array(line, ' ')\"}}]
    keyBy: [word]
    window: {tumbling: {size: 10s}, allowedLateness: 5s, late: {action: SideOutput, files: {url: late}}}
    aggregates: [{name: count, function: Count}]
    sink: {stdout: {}}
",
    );

    insta::assert_snapshot!(text);
}

#[test]
fn topics_are_shown_with_where_they_begin_and_what_columns_are_taken_from() {
    let text = explained(crate::compile::PAGES);

    assert!(!text.contains("KAFKA_PASSWORD"));
    insta::assert_snapshot!(text);
}

#[test]
fn a_generator_shows_what_its_columns_are_made_of() {
    let text = explained(
        "
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: made}
spec:
  parallelism: 40
  pipeline:
    source:
      generator:
        seed: 7
        rowsPerSecond: 1000
        columns:
          - {name: n, sequence: {modulo: 10}}
          - {name: user, zipf: {values: 1000, exponent: 1.1, prefix: u-, digits: 4}}
          - {name: skipped, choice: {values: [a, null]}}
          - {name: amount, uniform: {min: 0.5, max: 9}}
          - {name: ts, timestamp: {start: '2026-01-31T08:00:00Z', disorder: 500ms}}
    eventTime: {field: ts, maxOutOfOrderness: 500ms}
    keyBy: [user, n]
    window: {tumbling: {size: 1m}}
    aggregates: [{name: most, function: Max, field: amount}]
    sink: {blackhole: {}}
",
    );

    insta::assert_snapshot!(text);
}
