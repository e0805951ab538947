//! What becomes of records and places that cannot be used.
//!
//! Owns: bad records under each policy, missing inputs, outputs that cannot be written.
//! Never: accepts a message that does not say where and what to do.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output};

use anyhow::{Context, Result};
use serde_json::Value;
use streamjob_tests::job::JobFolder;

fn manifest(urls: &str, bad_records: &str) -> String {
    format!(
        r#"
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: records}}
spec:
  parallelism: 1
  pipeline:
    source:
      files: {{urls: [{urls}]}}
      format: {{json: {{}}}}
      columns: [{{name: key, type: String}}, {{name: value, type: Int64}}, {{name: ts, type: TimestampMillis}}]
      badRecords: {bad_records}
    transforms: [{{where: "100 / value > 0"}}]
    eventTime: {{field: ts}}
    keyBy: [key]
    window: {{tumbling: {{size: 10s}}}}
    aggregates: [{{name: rows, function: Count}}, {{name: total, function: Sum, field: value}}]
    sink: {{files: {{url: out}}}}
"#
    )
}

const GOOD: &str = r#"{"key":"a","value":1,"ts":1000}"#;
const FAIL: &str = "{action: Fail}";
const SKIP: &str = "{action: Skip}";
const DEAD_LETTER: &str = "{action: DeadLetter, files: {url: dead}}";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn total_rows(job: &JobFolder) -> Result<i64> {
    job.rows("out")?.iter().map(|row| row["rows"].as_i64().context("a count")).sum()
}

/// Each is one record, and what its cause must say.
const BAD: [(&str, &str); 13] = [
    ("not json", "JSON"),
    ("{\"key\":\"a\",\"value\":1,\"ts\":1000", "JSON"),
    ("[1,2,3]", "object"),
    ("42", "object"),
    (r#"{"key":"a","value":"1","ts":1000}"#, "column `value`: expected Int64, found a string"),
    (r#"{"key":"a","value":1.5,"ts":1000}"#, "column `value`"),
    (r#"{"key":"a","value":99999999999999999999,"ts":1000}"#, "column `value`"),
    (r#"{"key":7,"value":1,"ts":1000}"#, "column `key`: expected String"),
    (r#"{"key":"a","value":1,"ts":null}"#, "event time `ts` is null"),
    (r#"{"key":"a","value":1}"#, "event time `ts` is null"),
    (r#"{"key":"a","value":1,"ts":999999999999999999}"#, "event time `ts`"),
    (r#"{"key":"a","value":0,"ts":1000}"#, "division by zero"),
    (r#"{"key":"a","value":1,"ts":"soon"}"#, "column `ts`"),
];

#[test]
fn under_fail_the_job_stops_and_names_file_line_and_cause() -> Result<()> {
    for (bad, cause) in BAD {
        let job = JobFolder::new(&manifest("in.jsonl", FAIL))?;
        job.write("in.jsonl", format!("{GOOD}\n\n{bad}\n{GOOD}\n"))?;

        let output = job.run(&[])?;

        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{bad}: {said}");
        assert!(said.contains("in.jsonl:3: "), "{bad}: {said}");
        assert!(said.contains(cause), "{bad}: {said}");
        assert!(said.contains("set `source.badRecords.action` to Skip"), "{bad}: {said}");
    }
    Ok(())
}

#[test]
fn under_skip_only_the_bad_records_are_missing_and_they_are_counted() -> Result<()> {
    let job = JobFolder::new(&manifest("in.jsonl", SKIP))?;
    let mut input = String::new();
    for (bad, _) in BAD {
        input += &format!("{GOOD}\n{bad}\n");
    }
    job.write("in.jsonl", input)?;

    let output = job.run(&[])?;

    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(total_rows(&job)?, BAD.len() as i64);
    assert!(said(&output).contains(&format!("late, bad    0, {}", BAD.len())), "{}", said(&output));
    Ok(())
}

#[test]
fn a_dead_letter_has_the_raw_bytes_the_cause_and_the_place() -> Result<()> {
    let job = JobFolder::new(&manifest("in.jsonl", DEAD_LETTER))?;
    job.write("in.jsonl", [GOOD.as_bytes(), b"\n", b"\xff\xfe{", b"\n", GOOD.as_bytes()].concat())?;

    job.run_well(&[])?;

    let letters = job.rows("dead")?;
    let [letter] = letters.as_slice() else { anyhow::bail!("one dead letter, not {letters:?}") };
    assert_eq!(letter["raw"], "//57");
    assert_eq!(letter["line"], 2);
    assert_eq!(letter["position"], 1);
    assert!(letter["source"].as_str().is_some_and(|source| source.ends_with("in.jsonl")), "{letter}");
    assert!(letter["cause"].as_str().is_some_and(|cause| !cause.is_empty()), "{letter}");
    assert_eq!(total_rows(&job)?, 2, "the line after it has no newline and still counts");
    Ok(())
}

#[test]
fn deep_nesting_and_a_line_of_100_mb_are_bad_records_and_memory_stays_bounded() -> Result<()> {
    let job = JobFolder::new(&manifest("in.jsonl", SKIP))?;
    let deep = format!("{{\"key\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!(r#"{{"key":"{}","value":1,"ts":1}}"#, "x".repeat(100 << 20));
    job.write("in.jsonl", format!("{GOOD}\n{deep}\n{GOOD}\n{long}\n{GOOD}"))?;

    let output = job.run(&[])?;

    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(total_rows(&job)?, 3);
    let memory = said(&output);
    let memory = memory.lines().find_map(|line| line.strip_prefix("memory")).context("a summary")?;
    let megabytes: f64 = memory.trim().split(' ').next().context("a number")?.parse()?;
    assert!(megabytes < 220.0, "{megabytes} MB for records of at most 16 MB");
    Ok(())
}

#[test]
fn an_input_that_matches_nothing_is_named() -> Result<()> {
    let job = JobFolder::new(&manifest("none-*.jsonl", FAIL))?;

    let output = job.run(&[])?;

    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("none-*.jsonl"), "{}", said(&output));
    assert!(!job.path().join("out").join("_epoch-1.json").exists());
    Ok(())
}

#[test]
fn output_of_another_run_is_never_mixed_with_ours() -> Result<()> {
    let job = JobFolder::new(&manifest("in.jsonl", FAIL))?;
    job.write("in.jsonl", GOOD)?;
    job.run_well(&[])?;
    let before = fs::read_dir(job.path().join("out"))?.count();
    // Without its state the job begins another lineage.
    fs::remove_dir_all(job.path().join(".streamjob"))?;

    let output = job.run(&[])?;

    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("which this run did not write"), "{}", said(&output));
    assert_eq!(fs::read_dir(job.path().join("out"))?.count(), before);
    Ok(())
}

/// A folder of 256 KB, so that it can be filled.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(path: std::path::PathBuf) -> Result<Option<Self>> {
        fs::create_dir_all(&path)?;
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(&path).output()?;
        Ok(mounted.status.success().then_some(Self(path)))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = Command::new("umount").arg("-l").arg(&self.0).status() {
            eprintln!("{} stays mounted: {error}", self.0.display());
        }
    }
}

#[test]
fn a_full_disk_is_named_and_shows_no_partial_file_while_the_job_waits() -> Result<()> {
    let job = JobFolder::new(&manifest("in.jsonl", FAIL))?;
    let Some(disk) = SmallDisk::mount(job.path().join("out"))? else {
        eprintln!("not run: mounting a small disk needs root");
        return Ok(());
    };
    let mut input = String::new();
    for key in 0..20_000 {
        input += &format!("{{\"key\":\"key-{key}\",\"value\":1,\"ts\":1000}}\n");
    }
    job.write("in.jsonl", input)?;

    let mut running = job.start(&[])?;
    let errors = BufReader::new(running.stderr.take().context("standard error is piped")?);
    let full = |line: &String| line.to_lowercase().contains("no space");
    let said = errors.lines().map_while(std::io::Result::ok).find(full);

    let said = said.context("it says that there is no space")?;
    assert!(said.contains("/out/") && said.contains("it is tried again"), "{said}");
    assert!(running.try_wait()?.is_none(), "it waits for space");
    let shown: Vec<Value> = job.rows("out")?;
    assert_eq!(shown.len(), 0);
    running.kill()?;
    running.wait()?;
    drop(disk);
    Ok(())
}
