//! Tests of the state's place and of what state depends on.
//!
//! Owns: which changes of a manifest go with old state.
//! Never: reads a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::compile;
use super::tests::{CLICKS, job};
use crate::Plan;

const TRANSFORMS: &str = "    transforms:
      - where: value > 0
      - select: [{name: page, expr: upper(page)}, {name: value, expr: value}]
      - flatMap: {column: page, expr: \"string_to_array(page, '/')\"}
    keyBy";
const GENERATOR: &str = "      generator:
        seed: 7
        rows: 100
        columns:
          - {name: page, choice: {values: [a, null], weights: [2, 1]}}
          - {name: referrer, zipf: {values: 9, prefix: r}}
          - {name: value, uniform: {min: 1, max: 6.5}}
          - {name: n, sequence: {modulo: 5, prefix: k-, digits: 3}}
          - {name: size, uniform: {min: 1, max: 6}}
          - {name: ts, timestamp: {disorder: 20ms}}
";

fn plan(text: &str) -> Plan {
    compile(&job(text), Path::new("/jobs")).unwrap_or_else(|errors| panic!("{errors}"))
}

fn edited(from: &str, to: &str) -> Plan {
    assert_eq!(full().matches(from).count(), 1, "`{from}` must stand once in the manifest");
    plan(&full().replace(from, to))
}

fn full() -> String {
    CLICKS.replace("    keyBy", TRANSFORMS)
}

fn generated() -> String {
    let head = CLICKS.split("      files:").next().expect("the source begins with files");
    let tail = CLICKS.split("    eventTime").nth(1).expect("the event time follows");
    let tail = tail.replace("keyBy: [page]", "keyBy: [page, n, referrer, size]");
    format!("{head}{GENERATOR}    eventTime{tail}")
}

/// What differs, as `field: old -> new`, without `spec.pipeline.`.
fn changes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let mut fields: Vec<&String> = old.keys().chain(new.keys()).collect();
    fields.sort();
    fields.dedup();
    let shown = |side: &BTreeMap<String, String>, field: &String| {
        side.get(field).cloned().unwrap_or("nothing".to_owned())
    };
    let differs = fields.into_iter().filter(|field| old.get(*field) != new.get(*field));
    let change = |field: &String| {
        let name = field.strip_prefix("spec.pipeline.").expect("every field is in the pipeline");
        format!("{name}: {} -> {}", shown(old, field), shown(new, field))
    };
    differs.map(change).collect()
}

#[test]
fn the_texts_of_what_state_depends_on_never_change() {
    let mut text = String::new();
    for manifest in [full(), generated()] {
        for (field, value) in plan(&manifest).fingerprint() {
            writeln!(text, "{field}: {value}").expect("a String takes everything");
        }
        text.push('\n');
    }

    insta::assert_snapshot!(text);
}

#[test]
fn what_state_does_not_depend_on_may_change() {
    let old = plan(&full()).fingerprint();
    for (from, to) in [
        ("parallelism: 2", "parallelism: 7"),
        ("metadata: {name: clicks}", "metadata: {name: clicks, labels: {team: a}}"),
        ("maxOutOfOrderness: 1s", "maxOutOfOrderness: 9s, idleTimeout: 5s, maxFuture: 1h"),
        ("{size: 10s}}", "{size: 10s, offset: 0s}, allowedLateness: 1m}"),
        ("{size: 10s}}", "{size: 10s}, late: {action: SideOutput, files: {url: late}}}"),
        ("type: TimestampMillis}", "type: TimestampMillis}\n      badRecords: {action: Skip}"),
        ("        - {name: referrer, type: String}\n", ""),
        ("{name: referrer, type: String}", "{name: referrer, type: Int64}"),
        ("{files: {url: out}}", "{files: {url: other}, format: {csv: {}}}"),
        ("{field: ts,", "{expr: ts,"),
        ("{files: {url: out}}", "{stdout: {}}\n  state: {checkpoint: {interval: 1s}}"),
        ("files: {urls: ['clicks-*.jsonl']}", "files: {urls: ['file:///jobs/./clicks-*.jsonl']}"),
    ] {
        assert_eq!(changes(&old, &edited(from, to).fingerprint()), [""; 0], "{from} -> {to}");
    }
    let (slow, fast) =
        (generated(), generated().replace("rows: 100\n", "rows: 100\n        rowsPerSecond: 1000000\n"));
    assert_eq!(plan(&slow).fingerprint(), plan(&fast).fingerprint());
}

#[test]
fn what_state_depends_on_is_told_by_its_field() {
    let old = plan(&full()).fingerprint();
    let mut text = String::new();
    for (from, to) in [
        ("['clicks-*.jsonl']", "['clicks-*.jsonl', 'more.jsonl']"),
        ("{urls: ['clicks-*.jsonl']}", "{urls: ['clicks-*.jsonl'], order: Name}"),
        ("{name: ts, type: TimestampMillis}", "{name: ts, type: TimestampSeconds}"),
        ("{name: value, type: Int64}", "{name: value, type: Decimal, precision: 9, scale: 2}"),
        ("{field: ts,", "{expr: \"date_trunc('hour', ts)\","),
        ("value > 0", "value > 1"),
        ("- where: value > 0\n      - ", "- "),
        ("keyBy: [page]", "keyBy: [page, value]"),
        ("{size: 10s}", "{size: 20s, offset: 5s}"),
        ("{name: clicks, function: Count}, ", ""),
        ("field: value}", "field: value, overflow: 'Null'}"),
    ] {
        let changes = changes(&old, &edited(from, to).fingerprint());

        assert!(!changes.is_empty(), "{from} -> {to}");
        writeln!(text, "## {from} -> {to}\n{}\n", changes.join("\n")).expect("a String takes everything");
    }

    insta::assert_snapshot!(text);
}

#[test]
fn state_lies_in_a_folder_of_the_jobs_own() {
    let state = |state: &str| plan(&format!("{}  state: {state}\n", CLICKS.trim_start())).state;
    let defaults = plan(CLICKS).state;

    assert_eq!(defaults.location.folder(), Some(Path::new("/jobs/.streamjob/clicks")));
    assert_eq!((defaults.interval_ms, defaults.timeout_ms, defaults.retain), (10_000, 600_000, 3));
    let written = state("{location: {uri: ../state}, checkpoint: {interval: 50ms, timeout: 1m, retain: 9}}");
    assert_eq!(written.location.folder(), Some(Path::new("/state/clicks")));
    assert_eq!((written.interval_ms, written.timeout_ms, written.retain), (50, 60_000, 9));
    let spaced = state("{location: {uri: 'file:///var/a%20b'}}");
    assert_eq!(spaced.location.folder(), Some(Path::new("/var/a b/clicks")));
}

#[test]
fn state_in_a_bucket_lies_in_a_folder_of_the_jobs_own() {
    let shown = |location: &str| {
        let text = format!("{}  state: {{location: {{{location}}}}}\n", CLICKS.trim_start());
        plan(&text).state.location.to_string()
    };

    assert_eq!(shown("uri: s3://streams/prod"), "s3://streams/prod/clicks");
    assert_eq!(shown("uri: s3://streams/"), "s3://streams/clicks");
    assert_eq!(shown("uri: gs://streams/a/b"), "gs://streams/a/b/clicks");
    assert_eq!(
        shown("uri: s3://streams, endpoint: \"http://127.0.0.1:9\", pathStyle: true"),
        "s3://streams/clicks at http://127.0.0.1:9"
    );
}

#[test]
fn state_has_no_folder_in_common_with_input_and_output() {
    let with = |urls: &str, out: &str, location: &str| {
        let text = CLICKS.replace("clicks-*.jsonl", urls).replace("url: out", &format!("url: {out}"));
        let text = format!("{}  state: {{location: {{uri: {location}}}}}\n", text.trim_start());
        compile(&job(&text), Path::new("/jobs")).err().map(|errors| errors.to_string())
    };

    assert_eq!(with("**/*.jsonl", "/out", "state"), None);
    let shared = "spec.pipeline.sink.files.url: /jobs/state/clicks is the folder of spec.state.location.uri too: each needs its own";
    assert_eq!(with("in/*", "state/clicks", "state").as_deref(), Some(shared));
    let read = "spec.state.location.uri: state in /jobs/state/clicks is read too, by /jobs/**/*.json of the source: keep state outside of the folders that are read, or write a narrower pattern";
    assert_eq!(with("**/*.json", "/out", "state").as_deref(), Some(read));
}
