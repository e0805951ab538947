//! What checkpoints cost, and how soon a killed job reads on.
//!
//! Owns: reading the program's own account of its checkpoints; killing it and starting it again.
//! Never: estimates: what is not in the log or the records is not counted.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::process::{self, Usage};

/// A run is given up after this long.
const PATIENCE: Duration = Duration::from_secs(300);

/// A run and its checkpoints.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Checkpoints {
    /// The whole run.
    pub(crate) usage: Usage,
    /// How many were committed.
    pub(crate) committed: usize,
    /// Those that held state, in order.
    pub(crate) checkpoints: Vec<Checkpoint>,
    /// For each of them the longest time between two batches in the 100 ms behind the barrier, milliseconds.
    pub(crate) gaps_ms: Vec<f64>,
}

/// A checkpoint, as the program's log has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Checkpoint {
    /// From the barrier's start to the committed record, milliseconds.
    pub(crate) duration_ms: f64,
    /// Keys in its new blocks.
    pub(crate) keys: u64,
    /// Bytes of its new blocks.
    pub(crate) state_bytes: u64,
}

/// A run that was killed, and the one that went on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Restart {
    /// From the start of the process until the first rows of the restored position were in a window, seconds.
    pub(crate) first_row_s: f64,
    /// Until all old state was back, seconds.
    pub(crate) restored_s: f64,
    /// Of the checkpoint.
    pub(crate) state_bytes: u64,
}

/// Runs a job to its end and reads what it says of its checkpoints.
pub(crate) fn run(streamjob: &Path, manifest: &Path) -> Result<Checkpoints> {
    let usage =
        process::run_with(streamjob, manifest, &["--log", "streamjob_worker=debug", "--log-format", "json"])?;
    let log = fs::read_to_string(manifest.with_extension("log"))?;
    let (mut committed, mut checkpoints, mut gaps_ms) = (0, Vec::new(), Vec::new());
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        match line["message"].as_str() {
            Some("checkpoint committed") => {
                let checkpoint: Checkpoint = serde_json::from_value(line.clone())?;
                committed += 1;
                checkpoints.extend((checkpoint.keys > 0).then_some(checkpoint));
            }
            Some("longest gap between batches after a barrier") => {
                gaps_ms.push(line["gap_us"].as_f64().context("a number")? / 1e3);
            }
            _ => {}
        }
    }
    ensure!(committed > 0, "the log tells of no checkpoint");
    Ok(Checkpoints { usage, committed, checkpoints, gaps_ms })
}

/// Runs a job until a checkpoint holds this many keys, kills it, and measures the start after that.
pub(crate) fn restart(streamjob: &Path, manifest: &Path, keys: u64) -> Result<Restart> {
    let mut killed = Watched::start(streamjob, manifest)?;
    let mut all = 0;
    let mut state_bytes = 0;
    while all < keys {
        let line = killed.next("checkpoint committed")?;
        all += line["keys"].as_u64().context("the number of keys")?;
        state_bytes += line["state_bytes"].as_u64().context("the number of bytes")?;
    }
    drop(killed);
    let started = Instant::now();
    let mut again = Watched::start(streamjob, manifest)?;
    // A start with nothing would have nothing to wait for.
    again.next("goes on from epoch")?;
    // Either may come first: a small state is back before the first batch is read.
    let (mut first_row_s, mut restored_s) = (None, None);
    while first_row_s.is_none() || restored_s.is_none() {
        let line = again.next_of(&["the first rows are in windows", "all old state is back"])?;
        let seen = Some(started.elapsed().as_secs_f64());
        if line["message"] == "all old state is back" { restored_s = seen } else { first_row_s = seen }
    }
    let both = first_row_s.zip(restored_s);
    let (first_row_s, restored_s) = both.context("the loop ends when both are there")?;
    Ok(Restart { first_row_s, restored_s, state_bytes })
}

/// A job that runs, and its log. Dropped, it is killed.
struct Watched {
    child: Child,
    log: BufReader<ChildStderr>,
    started: Instant,
}

impl Watched {
    fn start(streamjob: &Path, manifest: &Path) -> Result<Self> {
        let mut child = Command::new(streamjob)
            .arg("run")
            .arg(manifest)
            .args(["--log", "streamjob_worker=debug", "--log-format", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = BufReader::new(child.stderr.take().context("standard error is piped")?);
        Ok(Self { child, log, started: Instant::now() })
    }

    /// The next event whose message begins so.
    fn next(&mut self, message: &str) -> Result<Value> {
        self.next_of(&[message])
    }

    /// The next event whose message begins with one of these.
    fn next_of(&mut self, messages: &[&str]) -> Result<Value> {
        let mut line = String::new();
        while self.started.elapsed() < PATIENCE {
            line.clear();
            ensure!(self.log.read_line(&mut line)? > 0, "the job ended before it said {messages:?}");
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            let said = event["message"].as_str().unwrap_or_default();
            if messages.iter().any(|message| said.starts_with(message)) {
                return Ok(event);
            }
        }
        bail!("the job did not say {messages:?} in {} s", PATIENCE.as_secs())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
