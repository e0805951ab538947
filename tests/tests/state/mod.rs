//! What a job has stored, through the command line, while it runs and afterwards.
//!
//! Owns: a job of a few seconds, and calling the program on it.
//! Never: looks into the state folder itself.

mod in_bucket;
mod looking;
mod returning;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use streamjob_tests::job::{JobFolder, streamjob};

const ROWS: u64 = 60_000;

/// 60,000 rows in about ten seconds: a machine that is slow still finds the job running when it is to be stopped. A window
/// for each half second of event time, a checkpoint every 100 ms.
fn manifest() -> String {
    format!(
        "\
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: pages}}
spec:
  parallelism: 2
  state: {{checkpoint: {{interval: 100ms}}}}
  pipeline:
    source:
      generator:
        seed: 7
        partitions: 3
        rows: {ROWS}
        rowsPerSecond: 6000
        columns:
          - {{name: page, zipf: {{values: 50, prefix: p}}}}
          - {{name: ts, timestamp: {{start: 2026-01-01T00:00:00Z, rowsPerSecond: 20000, disorder: 100ms}}}}
    eventTime: {{field: ts, maxOutOfOrderness: 200ms}}
    keyBy: [page]
    window: {{tumbling: {{size: 500ms}}}}
    aggregates: [{{name: visits, function: Count}}]
    sink: {{files: {{url: out}}}}
"
    )
}

/// `streamjob` with these words; `job.yaml` is the folder's manifest.
fn say(folder: &JobFolder, words: &[&str]) -> Result<Output> {
    let mut command = Command::new(streamjob());
    command.args(words).current_dir(folder.path()).envs(folder.environment()).stdin(Stdio::null());
    Ok(command.output()?)
}

/// The same, which must end with exit code 0; what it printed.
fn say_well(folder: &JobFolder, words: &[&str]) -> Result<String> {
    let output = say(folder, words)?;
    ensure!(output.status.success(), "{words:?} ended with {}:\n{}", output.status, stderr(&output));
    Ok(String::from_utf8(output.stdout)?)
}

fn json(folder: &JobFolder, words: &[&str]) -> Result<Value> {
    let text = say_well(folder, words)?;
    serde_json::from_str(&text).with_context(|| format!("{words:?} printed {text}"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts the job and waits until it has a few checkpoints.
fn start(folder: &JobFolder, words: &[&str]) -> Result<Child> {
    let mut command = Command::new(streamjob());
    command.args(["run", "job.yaml"]).args(words).current_dir(folder.path()).envs(folder.environment());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let begun = Instant::now();
    while newest(folder).is_none_or(|epoch| epoch < 3) {
        ensure!(child.try_wait()?.is_none(), "the job ended before its third checkpoint");
        ensure!(begun.elapsed() < Duration::from_secs(60), "no third checkpoint after a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(child)
}

fn newest(folder: &JobFolder) -> Option<u64> {
    let listed = json(folder, &["checkpoints", "list", "job.yaml", "--json"]).ok()?;
    listed["checkpoints"].as_array()?.last()?["epoch"].as_u64()
}

/// Ctrl-C, and waits for the end: the exit code.
fn stop(child: &mut Child) -> Result<Option<i32>> {
    let signalled = Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    ensure!(signalled.success(), "the job has ended before it could be stopped");
    Ok(child.wait()?.code())
}

/// Visits by page and window, of rows of results or of state. Fails if one comes twice.
fn visits(rows: impl IntoIterator<Item = Value>) -> Result<BTreeMap<(String, i64), i64>> {
    let mut visits = BTreeMap::new();
    for row in rows {
        let page = row["page"].as_str().context("a page")?.to_owned();
        let window = row["window_end"].as_i64().context("a window")?;
        let count = row["visits"].as_i64().context("a count")?;
        ensure!(visits.insert((page, window), count).is_none(), "{row} came twice");
    }
    Ok(visits)
}

fn exported(folder: &JobFolder, words: &[&str]) -> Result<Vec<Value>> {
    let export = ["state", "export", "job.yaml", "--format", "json"];
    let text = say_well(folder, &[&export, words].concat())?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-r").args([from, to]).status()?;
    ensure!(copied.success(), "{} cannot be copied", from.display());
    Ok(())
}
