//! The cases: which job runs over which input, and how it is checked.
//!
//! Owns: the manifests of the bench.
//! Never: judges a number; the report does.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use crate::checkpoints::{self, Checkpoints, Restart};
use crate::expect::Expected;
use crate::input::Uniform;
use crate::prebuilt::{self, Measured};
use crate::process::{self, Usage};

/// The sink of the cases whose results are checked.
const FILES: &str = "{files: {url: out}}";

/// What all cases share.
pub(crate) struct Bench {
    pub(crate) streamjob: PathBuf,
    pub(crate) cache: PathBuf,
    pub(crate) rows: u64,
}

/// A case of the bench.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub(crate) enum Case {
    /// JSON lines to JSON lines, 100,000 keys, one file.
    Json100k,
    /// The same with 1,000,000 keys.
    Json1m,
    /// 100,000 keys in two files, on one slot.
    TwoFilesOneSlot,
    /// The same input on two slots.
    TwoFilesTwoSlots,
    /// 1,000,000 keys in sequence from the generator.
    Sequence1m,
    /// 10,000,000 keys in sequence from the generator.
    Sequence10m,
    /// From the start of the process to the first result of a small input.
    Start,
    /// As Json100k, from batches in memory.
    Prebuilt100k,
    /// As Json1m, from batches in memory.
    Prebuilt1m,
    /// As Prebuilt100k, with results that are counted and dropped.
    Blackhole100k,
    /// As Prebuilt1m, with results that are counted and dropped.
    Blackhole1m,
    /// As Json100k, with no checkpoint but the last.
    NoCheckpoints100k,
    /// As Json1m, with no checkpoint but the last.
    NoCheckpoints1m,
    /// As Json100k, with as many checkpoints as it can have.
    Checkpoints100k,
    /// As Json1m, with as many checkpoints as it can have.
    Checkpoints1m,
    /// 1,000,000 keys in sequence, and a hundred barriers in three runs.
    Barriers1m,
    /// 100,000 keys in an open window: killed, and started again.
    Restart100k,
    /// The same with 1,000,000 keys.
    Restart1m,
    /// The same with 10,000,000 keys.
    Restart10m,
}

/// What one run of a case gave.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) case: Case,
    pub(crate) rows: u64,
    #[serde(flatten)]
    pub(crate) numbers: Numbers,
}

/// What a case measures.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Numbers {
    /// A whole run.
    Usage(Usage),
    /// Seconds.
    FirstOutputS(f64),
    /// A run without source.
    Prebuilt(Measured),
    /// A whole run, and its checkpoints.
    Checkpoints(Checkpoints),
    /// A run that was killed and one that went on.
    Restart(Restart),
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.case.name();
        match &self.numbers {
            Numbers::FirstOutputS(seconds) => write!(f, "{name}: {:.0} ms to the first row", seconds * 1e3),
            Numbers::Prebuilt(measured) => write!(
                f,
                "{name}: {:.3} CPU-s per million rows, {:.1} s, longest gap {:.1} ms",
                measured.cpu_s / self.rows as f64 * 1e6,
                measured.wall_s,
                measured.longest_gap_ms
            ),
            Numbers::Restart(restart) => write!(
                f,
                "{name}: {:.0} ms to the first row, {:.1} s until {:.0} MB of state were back",
                restart.first_row_s * 1e3,
                restart.restored_s,
                restart.state_bytes as f64 / 1e6
            ),
            Numbers::Checkpoints(run) => write!(
                f,
                "{name}: {:.3} CPU-s per million rows, {} checkpoints",
                run.usage.cpu_s / self.rows as f64 * 1e6,
                run.checkpoints.len()
            ),
            Numbers::Usage(usage) => write!(
                f,
                "{name}: {:.3} CPU-s per million rows, {:.1} s, {:.0} MB, others used {:.1} s",
                usage.cpu_s / self.rows as f64 * 1e6,
                usage.wall_s,
                usage.rss_bytes as f64 / 1e6,
                usage.foreign_s
            ),
        }
    }
}

impl Case {
    /// All cases, in the order in which a round runs them.
    pub(crate) const ALL: [Self; 19] = [
        Self::Json100k,
        Self::Json1m,
        Self::TwoFilesOneSlot,
        Self::TwoFilesTwoSlots,
        Self::Sequence1m,
        Self::Sequence10m,
        Self::Start,
        Self::Prebuilt100k,
        Self::Prebuilt1m,
        Self::Blackhole100k,
        Self::Blackhole1m,
        Self::NoCheckpoints100k,
        Self::Checkpoints100k,
        Self::NoCheckpoints1m,
        Self::Checkpoints1m,
        Self::Barriers1m,
        Self::Restart100k,
        Self::Restart1m,
        Self::Restart10m,
    ];

    /// As on the command line and in file names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json100k => "json-100k",
            Self::Json1m => "json-1m",
            Self::TwoFilesOneSlot => "two-files-one-slot",
            Self::TwoFilesTwoSlots => "two-files-two-slots",
            Self::Sequence1m => "sequence-1m",
            Self::Sequence10m => "sequence-10m",
            Self::Start => "start",
            Self::Prebuilt100k => "prebuilt-100k",
            Self::Prebuilt1m => "prebuilt-1m",
            Self::Blackhole100k => "blackhole-100k",
            Self::Blackhole1m => "blackhole-1m",
            Self::NoCheckpoints100k => "no-checkpoints-100k",
            Self::NoCheckpoints1m => "no-checkpoints-1m",
            Self::Checkpoints100k => "checkpoints-100k",
            Self::Checkpoints1m => "checkpoints-1m",
            Self::Barriers1m => "barriers-1m",
            Self::Restart100k => "restart-100k",
            Self::Restart1m => "restart-1m",
            Self::Restart10m => "restart-10m",
        }
    }

    fn input(self, rows: u64) -> Input {
        let uniform = |keys, files| Uniform { keys, rows, files };
        match self {
            Self::Json100k | Self::NoCheckpoints100k | Self::Checkpoints100k => {
                Input::Files(uniform(100_000, 1))
            }
            Self::Json1m | Self::NoCheckpoints1m | Self::Checkpoints1m => Input::Files(uniform(1_000_000, 1)),
            Self::TwoFilesOneSlot | Self::TwoFilesTwoSlots => Input::Files(uniform(100_000, 2)),
            Self::Restart100k => Input::Sequence { keys: 100_000 },
            Self::Sequence1m | Self::Barriers1m | Self::Restart1m => Input::Sequence { keys: 1_000_000 },
            Self::Sequence10m | Self::Restart10m => Input::Sequence { keys: 10_000_000 },
            Self::Start => Input::Files(Uniform { keys: 10, rows: 1_000, files: 1 }),
            Self::Prebuilt100k | Self::Blackhole100k => Input::Memory(uniform(100_000, 1)),
            Self::Prebuilt1m | Self::Blackhole1m => Input::Memory(uniform(1_000_000, 1)),
        }
    }

    fn parallelism(self) -> u32 {
        if self == Self::TwoFilesTwoSlots { 2 } else { 1 }
    }

    fn sink(self) -> &'static str {
        if self == Self::Start {
            return "{stdout: {}}";
        }
        let drops = matches!(self, Self::Blackhole100k | Self::Blackhole1m);
        if drops { "{blackhole: {}}" } else { FILES }
    }

    /// How many rows the case reads of an input of `rows`; one that is killed reads what it can.
    fn rows(self, rows: u64) -> u64 {
        match () {
            () if self.is_restart() => u64::MAX >> 20,
            () if self == Self::Barriers1m => rows / 2 * 5,
            () => rows,
        }
    }

    /// Makes the input if it is not there.
    pub(crate) fn prepare(self, bench: &Bench) -> Result<()> {
        match self.input(bench.rows) {
            Input::Files(input) => input.make(&bench.cache),
            Input::Memory(_) | Input::Sequence { .. } => Ok(()),
        }
    }

    /// Runs the case once and checks its output.
    pub(crate) fn run(self, bench: &Bench) -> Result<Sample> {
        let folder = bench.cache.join("run");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let manifest = folder.join(format!("{}.yaml", self.name()));
        fs::write(&manifest, self.manifest(bench))?;
        let numbers = self.measure(bench, &manifest)?;
        let rows = self.rows(bench.rows);
        if self.sink() == FILES && !self.is_restart() {
            self.input(bench.rows).expected(rows).check(&folder.join("out"))?;
        }
        fs::remove_dir_all(&folder)?;
        Ok(Sample { case: self, rows, numbers })
    }

    fn measure(self, bench: &Bench, manifest: &Path) -> Result<Numbers> {
        if self == Self::Start {
            return Ok(Numbers::FirstOutputS(process::time_to_first_output(&bench.streamjob, manifest)?));
        }
        if self.is_restart() {
            return Ok(Numbers::Restart(checkpoints::restart(&bench.streamjob, manifest, self.keys())?));
        }
        if matches!(self, Self::Checkpoints100k | Self::Checkpoints1m | Self::Barriers1m) {
            return Ok(Numbers::Checkpoints(checkpoints::run(&bench.streamjob, manifest)?));
        }
        match self.input(bench.rows) {
            Input::Files(_) | Input::Sequence { .. } => {
                Ok(Numbers::Usage(process::run(&bench.streamjob, manifest)?))
            }
            Input::Memory(rows) => Ok(Numbers::Prebuilt(prebuilt::run_elsewhere(manifest, &rows)?)),
        }
    }

    fn is_restart(self) -> bool {
        matches!(self, Self::Restart100k | Self::Restart1m | Self::Restart10m)
    }

    /// How many different keys.
    pub(crate) fn keys(self) -> u64 {
        match self.input(0) {
            Input::Sequence { keys } => keys,
            Input::Files(uniform) | Input::Memory(uniform) => u64::from(uniform.keys),
        }
    }

    /// From one checkpoint to the next. The table is about one every 5 s. A run lasts a few seconds: so that there are
    /// some in it they come five times as often, and more often still where they are what is measured.
    fn interval(self) -> &'static str {
        match self {
            Self::Checkpoints100k | Self::Barriers1m => "250ms",
            Self::Checkpoints1m => "500ms",
            Self::NoCheckpoints100k | Self::NoCheckpoints1m => "10m",
            Self::Json100k
            | Self::Json1m
            | Self::TwoFilesOneSlot
            | Self::TwoFilesTwoSlots
            | Self::Sequence1m
            | Self::Sequence10m
            | Self::Start
            | Self::Prebuilt100k
            | Self::Prebuilt1m
            | Self::Blackhole100k
            | Self::Blackhole1m
            | Self::Restart100k
            | Self::Restart1m
            | Self::Restart10m => "1s",
        }
    }

    fn manifest(self, bench: &Bench) -> String {
        let interval = self.interval();
        // Restarts are measured inside of a window: what is restored is all of its keys.
        let window = if self.is_restart() { "10h" } else { "10s" };
        let parallelism = self.parallelism();
        let name = self.name();
        let source = self.input(bench.rows).source(&bench.cache, self.rows(bench.rows));
        let sink = self.sink();
        format!(
            "apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: {name}}}
spec:
  parallelism: {parallelism}
  state: {{checkpoint: {{interval: {interval}, timeout: 20m}}}}
  pipeline:
    source:
{source}
    eventTime: {{field: ts, maxOutOfOrderness: 1s}}
    keyBy: [key]
    window: {{tumbling: {{size: {window}}}}}
    aggregates: [{{name: total, function: Sum, field: value}}, {{name: rows, function: Count}}]
    sink: {sink}
"
        )
    }
}

/// Where the rows of a case come from.
enum Input {
    Files(Uniform),
    /// Batches that are built before the clock starts. The manifest names files; they are not opened.
    Memory(Uniform),
    /// 16-byte keys one after another, so that every window holds every key; in order of event time.
    Sequence {
        keys: u64,
    },
}

impl Input {
    fn source(&self, cache: &Path, rows: u64) -> String {
        match self {
            Self::Files(input) | Self::Memory(input) => format!(
                "      files: {{urls: ['{}/*.jsonl']}}
      format: {{json: {{}}}}
      columns: [{{name: key, type: String}}, {{name: ts, type: TimestampMillis}}, {{name: value, type: Int64}}]",
                input.folder(cache).display()
            ),
            Self::Sequence { keys } => format!(
                "      generator:
        rows: {rows}
        columns:
          - {{name: key, sequence: {{modulo: {keys}, prefix: user-, digits: 11}}}}
          - {{name: value, sequence: {{modulo: 1000}}}}
          - {{name: ts, timestamp: {{start: '2023-11-14T22:13:20Z', rowsPerSecond: 1000000}}}}"
            ),
        }
    }

    fn expected(&self, rows: u64) -> Expected {
        match self {
            Self::Files(input) | Self::Memory(input) => Expected::of_uniform(input),
            Self::Sequence { keys } => Expected::of_sequence(*keys as usize, rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use streamjob_crds::StreamJob;

    use super::*;

    #[test]
    fn every_manifest_is_accepted() {
        let bench = Bench { streamjob: PathBuf::new(), cache: PathBuf::from("cache"), rows: 1_000 };
        for case in Case::ALL {
            let manifest = case.manifest(&bench);

            StreamJob::parse(&manifest, case.name()).expect("the manifest is right");
        }
    }
}
