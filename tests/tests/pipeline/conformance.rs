//! The tumbling window cases that a real Flink 2.3.0 produced, through the command line.
//!
//! Owns: turning a case into a manifest and an input file, and comparing what comes out.
//! Never: forgives a difference.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use streamjob_tests::job::JobFolder;

fn cases() -> Result<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/conformance/flink-2.3.0.json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let all: Value = serde_json::from_str(&text)?;
    let cases = all["cases"].as_array().context("the file has cases")?.clone();
    Ok(cases.into_iter().filter(is_tumbling).collect())
}

/// A sliding window whose slide is its size is a tumbling one.
fn is_tumbling(case: &Value) -> bool {
    let window = &case["window"];
    window["type"] == "tumbling" || (window["type"] == "sliding" && window["slide_ms"] == window["size_ms"])
}

fn milliseconds(value: &Value) -> Result<String> {
    let number = value.as_i64().context("a number of milliseconds")?;
    Ok(format!("{number}ms"))
}

fn manifest(case: &Value, parallelism: u32) -> Result<String> {
    let window = &case["window"];
    Ok(format!(
        r#"
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: conformance}}
spec:
  parallelism: {parallelism}
  pipeline:
    source:
      files: {{urls: [events.jsonl]}}
      format: {{json: {{}}}}
      columns: [{{name: key, type: String}}, {{name: value, type: Int64}}, {{name: ts, type: TimestampMillis}}]
    eventTime: {{field: ts, maxOutOfOrderness: {out_of_orderness}}}
    keyBy: [key]
    window:
      tumbling: {{size: {size}, offset: {offset}}}
      allowedLateness: {lateness}
      late: {{action: SideOutput, files: {{url: late}}}}
    aggregates:
      - {{name: count, function: Count}}
      - {{name: sum, function: Sum, field: value}}
      - {{name: min, function: Min, field: value}}
      - {{name: max, function: Max, field: value}}
    sink: {{files: {{url: out}}, format: {{json: {{}}}}}}
"#,
        out_of_orderness = milliseconds(&case["out_of_orderness_ms"])?,
        size = milliseconds(&window["size_ms"])?,
        offset = milliseconds(&window["offset_ms"])?,
        lateness = milliseconds(&case["allowed_lateness_ms"])?,
    ))
}

fn input(case: &Value) -> Result<String> {
    let mut lines = String::new();
    for event in case["events"].as_array().context("a case has events")? {
        lines += &json!({"key": event[0], "value": event[1], "ts": event[2]}).to_string();
        lines.push('\n');
    }
    Ok(lines)
}

/// Rows by key, in order within each key.
fn by_key(rows: &[Value]) -> BTreeMap<String, Vec<Value>> {
    let mut keys: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for row in rows {
        let mut row = row.clone();
        if let Some(fields) = row.as_object_mut() {
            fields.remove("at_watermark");
        }
        keys.entry(row["key"].to_string()).or_default().push(row);
    }
    keys
}

#[test]
fn tumbling_windows_give_what_flink_gives_at_every_parallelism_and_batch_size() -> Result<()> {
    let cases = cases()?;
    assert!(cases.len() >= 16, "the file has 16 tumbling cases, {} were found", cases.len());
    for case in &cases {
        for parallelism in [1, 3] {
            for batch_rows in ["1", "7", "8192"] {
                let what = format!("{} at parallelism {parallelism}, batches of {batch_rows}", case["case"]);
                let job = JobFolder::new(&manifest(case, parallelism)?)?;
                job.write("events.jsonl", input(case)?)?;

                job.run_well(&["--batch-rows", batch_rows]).context(what.clone())?;

                let results = case["expected"].as_array().context("a case has results")?;
                assert_eq!(by_key(&job.rows("out")?), by_key(results), "results of {what}");
                let late = case["expected_late"].as_array().context("a case has late rows")?;
                assert_eq!(by_key(&job.rows("late")?), by_key(late), "late rows of {what}");
            }
        }
    }
    Ok(())
}
