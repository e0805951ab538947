//! Tests of the loader: good manifests, a table of wrong ones, files that are no manifest.
//!
//! Owns: the base manifests that the table edits.
//! Never: tests a type by itself; those tests stand beside the type.

mod cluster;
mod good;
mod wrong;

use crate::{ManifestErrors, StreamJob};

/// A job over files that uses most fields.
const FILES: &str = "\
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata:
  name: clicks
spec:
  parallelism: 2
  pipeline:
    source:
      files:
        urls: [\"clicks-*.jsonl\"]
      format:
        json: {}
      columns:
        - {name: page, type: String}
        - {name: value, type: Int64}
        - {name: ts, type: TimestampMillis}
      badRecords: {action: DeadLetter, files: {url: bad}}
    transforms:
      - where: value > 0
      - flatMap: {column: word, expr: \"string_to_array(page, '/')\"}
    eventTime: {field: ts, maxOutOfOrderness: 1s}
    keyBy: [page]
    window:
      tumbling: {size: 10s, offset: -3s}
      allowedLateness: 5s
      late: {action: SideOutput, files: {url: late}}
    aggregates:
      - {name: clicks, function: Count}
      - {name: total, function: Sum, field: value, overflow: Null}
    sink:
      files: {url: out}
      format:
        csv: {header: true, delimiter: ;, nulls: [\"\", NA]}
  state:
    location: {uri: state}
    checkpoint: {interval: 5s, timeout: 2m, retain: 4}
";

/// A job over the generator with every kind of column.
const GENERATOR: &str = "\
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: made}
spec:
  parallelism: 1
  pipeline:
    source:
      generator:
        seed: 7
        partitions: 8
        rows: 1000
        rowsPerSecond: 500
        columns:
          - name: n
            sequence: {start: -5, step: 2, modulo: 100, prefix: k-, digits: 6}
          - name: amount
            uniform: {min: 0, max: 9.5}
          - name: page
            zipf: {values: 50, exponent: 1.1}
          - name: device
            choice: {values: [phone, null], weights: [3, 1]}
          - name: ts
            timestamp: {start: 2026-01-31T08:00:00Z, rowsPerSecond: 100, disorder: 250ms}
    eventTime: {field: ts}
    keyBy: [device]
    window: {tumbling: {size: 1m30s}}
    aggregates:
      - {name: n, function: Count}
    sink: {blackhole: {}}
";

/// A job from topics to topics with every field of Kafka.
const KAFKA: &str = "\
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: pages}
spec:
  parallelism: 2
  pipeline:
    source:
      kafka:
        cluster:
          bootstrapServers: \"kafka-0:9093,[::1]:9093\"
          tls:
            ca: {file: ca.crt}
            clientCertificate: {certificate: {file: client.crt}, privateKey: {environment: CLIENT_KEY}}
          sasl: {mechanism: SCRAM-SHA-512, username: reader, password: {environment: KAFKA_PASSWORD}}
          properties:
            - {name: fetch.min.bytes, value: \"1024\"}
            - {name: client.rack, value: a}
        topics: [clicks, clicks.old]
        consumerGroup: pages-lag
        startFrom: Offsets
        startOffsets:
          - {topic: clicks, partition: 0, offset: 100}
          - {topic: clicks.old, partition: 0, offset: 0}
        until: Latest
      format: {json: {}}
      columns:
        - {name: page, type: String}
        - {name: user, type: String, from: Key}
        - {name: trace, type: String, from: Header, header: trace-id}
        - {name: ts, type: TimestampMillis, from: Timestamp}
        - {name: topic, type: String, from: Topic}
        - {name: part, type: Int32, from: Partition}
        - {name: at, type: Int64, from: Offset}
      badRecords: {action: DeadLetter, kafka: {topic: bad}}
    eventTime: {field: ts, maxDrift: 30s}
    keyBy: [page]
    window: {tumbling: {size: 10s}, late: {action: SideOutput, kafka: {topic: late}}}
    aggregates: [{name: clicks, function: Count}]
    sink:
      kafka:
        cluster: {bootstrapServers: \"other:9092\"}
        topic: results
        topicField: page
        headers: [{name: page}, {name: n, field: clicks}]
        delivery: AtLeastOnce
";

/// Puts `to` in the one place where `base` has `from`.
fn edited(base: &str, from: &str, to: &str) -> String {
    assert_eq!(base.matches(from).count(), 1, "`{from}` must stand once in the base manifest");
    base.replacen(from, to, 1)
}

fn parse(text: &str) -> Result<StreamJob, ManifestErrors> {
    StreamJob::parse(text, "job.yaml")
}
