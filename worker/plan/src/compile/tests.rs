//! Tests of compiling whole manifests.
//!
//! Owns: defaults, pruning, and what is refused.
//! Never: reads a file.

use std::path::{Path, PathBuf};

use streamjob_crds::StreamJob;

use super::compile;
use crate::{
    BadRecordsPlan, FormatPlan, KafkaRoute, KafkaStart, KafkaUntil, LatePlan, PayloadPlan, Plan, SecretPlan,
    SinkKind, SourceKind,
};

pub(super) const CLICKS: &str = "
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: clicks}
spec:
  parallelism: 2
  pipeline:
    source:
      files: {urls: ['clicks-*.jsonl']}
      format: {json: {}}
      columns:
        - {name: page, type: String}
        - {name: referrer, type: String}
        - {name: value, type: Int64}
        - {name: ts, type: TimestampMillis}
    eventTime: {field: ts, maxOutOfOrderness: 1s}
    keyBy: [page]
    window: {tumbling: {size: 10s}}
    aggregates: [{name: clicks, function: Count}, {name: total, function: Sum, field: value}]
    sink: {files: {url: out}}
";

/// From topics to topics.
pub(crate) const PAGES: &str = "
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: pages}
spec:
  parallelism: 2
  pipeline:
    source:
      kafka:
        cluster:
          bootstrapServers: 'k1:9093, k2:9093'
          tls: {ca: {file: ca.crt}}
          sasl: {mechanism: SCRAM-SHA-512, username: reader, password: {environment: KAFKA_PASSWORD}}
        topics: [views, clicks]
        startFrom: Timestamp
        startTime: '2026-01-31T08:00:00Z'
        until: Latest
      format: {csv: {}}
      columns:
        - {name: page, type: String}
        - {name: user, type: String, from: Key}
        - {name: referrer, type: String}
        - {name: trace, type: String, from: Header}
        - {name: ts, type: TimestampMillis, from: Timestamp}
      badRecords: {action: DeadLetter, kafka: {topic: bad}}
    eventTime: {field: ts, maxDrift: 30s}
    keyBy: [user]
    window: {tumbling: {size: 10s}}
    aggregates: [{name: pages, function: CountDistinct, field: page}, {name: to, function: Last, field: page}]
    sink: {kafka: {topic: results, topicField: to, headers: [{name: user}, {name: n, field: pages}]}}
";

pub(super) fn job(text: &str) -> StreamJob {
    serde_yaml::from_str(text).expect("the manifest of a test parses")
}

fn plan(text: &str) -> Plan {
    compile(&job(text), Path::new("/jobs")).expect("the manifest of a test compiles")
}

fn names(schema: &arrow::datatypes::Schema) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
}

#[test]
fn a_job_gets_all_defaults_and_absolute_paths() {
    let plan = plan(CLICKS);

    let SourceKind::Files(files) = &plan.source.kind else { panic!("files") };
    assert_eq!(files.patterns, ["/jobs/clicks-*.jsonl"]);
    assert_eq!(files.declared, ["page", "referrer", "value", "ts"]);
    assert_eq!(plan.sink.kind, SinkKind::Files { folder: PathBuf::from("/jobs/out") });
    assert_eq!(plan.sink.format, FormatPlan::Json);
    assert_eq!(plan.window.late, LatePlan::Drop);
    assert_eq!(plan.event_time.max_out_of_orderness_ms, 1000);
    assert_eq!(plan.event_time.idle_timeout_ms, 60_000);
    assert_eq!(plan.event_time.max_future_ms, None);
}

#[test]
fn a_job_over_topics_gets_all_defaults_and_only_the_columns_that_it_reads() {
    let plan = plan(PAGES);

    let SourceKind::Kafka(kafka) = &plan.source.kind else { panic!("topics") };
    assert_eq!(
        (kafka.cluster.bootstrap_servers.as_str(), kafka.group.as_str()),
        ("k1:9093,k2:9093", "pages")
    );
    let tls = kafka.cluster.tls.as_ref().expect("it has TLS");
    assert_eq!(tls.ca, Some(SecretPlan::File(PathBuf::from("/jobs/ca.crt"))));
    assert_eq!(
        (&kafka.start, kafka.until),
        (&KafkaStart::Timestamp(1_769_846_400_000), Some(KafkaUntil::Latest))
    );
    let PayloadPlan::Format(FormatPlan::Csv { header, .. }) = &kafka.payload else { panic!("CSV") };
    assert!(!header);
    assert_eq!(kafka.declared, ["page", "referrer"]);
    assert_eq!(names(&plan.source.schema), ["page", "user", "ts"]);
    let metadata: Vec<&str> = kafka.metadata.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(metadata, ["user", "ts"]);
    assert_eq!(plan.event_time.max_future_ms, Some(86_400_000));
    assert_eq!(plan.event_time.max_drift_ms, Some(30_000));
    let route = KafkaRoute {
        topic: Some(4),
        read: vec!["views".to_owned(), "clicks".to_owned()],
        headers: vec![("user".to_owned(), 0), ("n".to_owned(), 3)],
    };
    assert_eq!(plan.sink.kind, SinkKind::Kafka { topic: "results".to_owned(), route });
    assert_eq!(plan.source.bad_records, BadRecordsPlan::DeadLetterTopic { topic: "bad".to_owned() });
    let output = plan.kafka_output.as_ref().expect("it writes topics");
    assert_eq!((&output.cluster, output.delivery), (&kafka.cluster, streamjob_crds::Delivery::ExactlyOnce));
}

#[test]
fn state_depends_on_topics_but_not_on_their_order_or_the_brokers_addresses() {
    let fingerprint = |text: &str| plan(text).fingerprint();
    let edited = |from: &str, to: &str| fingerprint(&PAGES.replace(from, to));

    let first = fingerprint(PAGES);

    assert_eq!(first["spec.pipeline.source.kafka.topics"], "clicks, views");
    assert_eq!(first["spec.pipeline.source.columns.user.from"], "Key");
    assert_eq!(edited("[views, clicks]", "[clicks, views]"), first);
    assert_eq!(edited("k1:9093, k2:9093", "k9:9092"), first);
    assert_eq!(edited("until: Latest", "consumerGroup: lag"), first);
    assert_ne!(edited("[views, clicks]", "[clicks]"), first);
    assert_ne!(edited("from: Key", "from: Topic"), first);
}

#[test]
fn only_used_columns_are_read_in_the_order_of_the_manifest() {
    let plan = plan(CLICKS);

    assert_eq!(names(&plan.source.schema), ["page", "value", "ts"]);
    assert!(plan.transforms.is_identity());
    assert_eq!(plan.key, [0]);
    assert_eq!(plan.aggregates[1].input.as_ref().expect("Sum has an input").0, 1);
    assert_eq!(names(&plan.result), ["page", "window_start", "window_end", "clicks", "total"]);
}

#[test]
fn only_what_results_need_is_read_and_computed() {
    let transforms = "    transforms:
      - select:
          - {name: page, expr: page}
          - {name: unused, expr: upper(referrer)}
          - {name: value, expr: value + 1}
      - where: value > 1
    keyBy";

    let plan = plan(&CLICKS.replace("    keyBy", transforms));

    assert_eq!(names(&plan.source.schema), ["page", "value", "ts"]);
    assert_eq!(names(plan.transforms.output()), ["page", "value"]);
    assert_eq!(plan.transforms.late_columns(), None);
}

#[test]
fn a_column_that_only_a_condition_reads_does_not_go_further() {
    let plan =
        plan(&CLICKS.replace("    keyBy", "    transforms: [{where: 'length(referrer) > 3'}]\n    keyBy"));

    assert_eq!(names(&plan.source.schema), ["page", "referrer", "value", "ts"]);
    assert_eq!(names(plan.transforms.output()), ["page", "value"]);
}

#[test]
fn late_rows_that_are_written_have_all_columns_of_the_source() {
    let late = "{tumbling: {size: 10s}, late: {action: SideOutput, files: {url: late}}}";
    let transforms = "    transforms:
      - flatMap: {column: page, expr: \"string_to_array(page, ' ')\"}
      - select: [{name: page, expr: page}, {name: value, expr: value}, {name: twice, expr: value * 2}]
    keyBy";
    let text = CLICKS.replace("{tumbling: {size: 10s}}", late).replace("    keyBy", transforms);

    let plan = plan(&text);

    assert_eq!(names(&plan.source.schema), ["page", "referrer", "value", "ts"]);
    assert_eq!(names(plan.transforms.output()), ["page", "value", "page", "referrer", "ts"]);
    assert_eq!(plan.transforms.late_columns(), Some([2, 3, 1, 4].as_slice()));
    assert_eq!(plan.key, [0]);
}

#[test]
fn late_rows_of_a_job_without_transforms_are_the_rows_themselves() {
    let late = "{tumbling: {size: 10s}, late: {action: SideOutput, files: {url: late}}}";

    let plan = plan(&CLICKS.replace("{tumbling: {size: 10s}}", late));

    assert!(plan.transforms.is_identity());
    assert_eq!(plan.transforms.late_columns(), Some([0, 1, 2, 3].as_slice()));
}

#[test]
fn a_generated_column_keeps_its_place_when_others_are_not_read() {
    let generator = "
        columns:
          - {name: skipped, sequence: {}}
          - {name: page, choice: {values: [a, b]}}
          - {name: value, uniform: {min: 1, max: 6}}
          - {name: ts, timestamp: {rowsPerSecond: 10}}
";
    let head = CLICKS.split("      files:").next().expect("the source begins with files");
    let tail = CLICKS.split("    eventTime").nth(1).expect("the event time follows");

    let plan = plan(&format!("{head}      generator:{generator}    eventTime{tail}"));

    let SourceKind::Generator(generator) = &plan.source.kind else { panic!("generator") };
    let places: Vec<u32> = generator.columns.iter().map(|column| column.index).collect();
    assert_eq!(places, [1, 2, 3]);
    assert_eq!(generator.partitions, 8);
    assert_eq!(generator.declared, ["skipped", "page", "value", "ts"]);
}
