//! Tests of compiling whole manifests.
//!
//! Owns: defaults, pruning, and what is refused.
//! Never: reads a file.

use std::path::{Path, PathBuf};

use streamjob_crds::StreamJob;

use super::compile;
use crate::{FormatPlan, LatePlan, Plan, SinkKind, SourceKind};

const CLICKS: &str = "
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

fn job(text: &str) -> StreamJob {
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
fn only_used_columns_are_read_in_the_order_of_the_manifest() {
    let plan = plan(CLICKS);

    assert_eq!(names(&plan.source.schema), ["page", "value", "ts"]);
    assert!(plan.transforms.is_identity());
    assert_eq!(plan.key, [0]);
    assert_eq!(plan.aggregates[1].input.as_ref().expect("Sum has an input").0, 1);
    assert_eq!(names(&plan.result), ["page", "window_start", "window_end", "clicks", "total"]);
}
