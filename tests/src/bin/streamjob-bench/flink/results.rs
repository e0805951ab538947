//! What was measured, as JSON that outlives a run: a finished pair is not measured again.
//!
//! Owns: the files in the folder of results; to which build of StreamJob they belong.
//! Never: keeps a pair whose outputs were wrong.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::cells::Cell;
use super::engines::{self, Checkpoints, Engine};

/// One engine's run of a cell.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Run {
    pub(crate) engine: Engine,
    /// CPU that others used meanwhile, of one core.
    pub(crate) others: f64,
    #[serde(flatten)]
    pub(crate) numbers: Numbers,
}

/// What a kind of cell measures.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Numbers {
    Throughput(Throughput),
    Latency(Latency),
    Recovery(Recovery),
}

/// A run from the first row of its input to the last.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Throughput {
    pub(crate) rows: u64,
    pub(crate) wall_s: f64,
    /// User and system time of all threads of the process, to its end.
    pub(crate) cpu_s: f64,
    /// The same until half of the rows were in windows, and how many rows that were.
    pub(crate) half_cpu_s: f64,
    pub(crate) half_rows: u64,
    /// Peak of resident memory; 0 where the input is in it.
    pub(crate) rss_bytes: u64,
    /// From the start of the process until the first row was in a window.
    pub(crate) first_row_s: Option<f64>,
    pub(crate) checkpoints: Checkpoints,
}

/// A run at a fixed rate. Only its second half counts.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Latency {
    pub(crate) rows: u64,
    /// From the intended send time of the row that closes a window until a result of it could be read; quantiles over
    /// results.
    pub(crate) end_to_end_ms: Quantiles,
    /// From the start of the barrier until a result that it committed could be read.
    pub(crate) barrier_ms: Option<Quantiles>,
    /// How far the driver was behind its plan at worst.
    pub(crate) driver_late_ms: f64,
    /// CPU of the engine, of one core.
    pub(crate) cores: f64,
}

/// A run at a fixed rate that was killed again and again.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Recovery {
    pub(crate) rows: u64,
    pub(crate) kills: Vec<Kill>,
}

/// Seconds since the kill.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Kill {
    /// Until the first row was in a window again.
    pub(crate) first_row_s: f64,
    /// Until a result could be read that could not be read before.
    pub(crate) results_s: f64,
    /// Until results came as soon as they should again.
    pub(crate) caught_up_s: f64,
}

/// Of many values.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) count: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) most: f64,
}

/// Both engines, one after the other.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Pair {
    pub(crate) cell: String,
    pub(crate) number: u32,
    pub(crate) streamjob: Run,
    pub(crate) flink: Run,
    /// Others used more of the machine than they may, in every attempt.
    pub(crate) noisy: bool,
}

/// The folder of results of one build.
pub(crate) struct Kept {
    folder: PathBuf,
}

impl Quantiles {
    /// None of no values.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let most = *values.last()?;
        let at = |part: f64| values[((values.len() - 1) as f64 * part).round() as usize];
        Some(Self { count: values.len(), p50: at(0.5), p99: at(0.99), most })
    }
}

impl Pair {
    /// How much others used in the worse of both runs.
    pub(crate) fn others(&self) -> f64 {
        self.streamjob.others.max(self.flink.others)
    }
}

impl Kept {
    /// Results of another build of the program, or of another twin, are in another folder.
    pub(crate) fn of(results: &Path, program: &Path) -> Result<Self> {
        let twin = Command::new(engines::twin()).arg("folder").output()?;
        let folder = results.join(format!("{:016x}", fingerprint(program, &twin.stdout)?));
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A pair that was measured, with as many rows.
    pub(crate) fn pair(&self, cell: &Cell, number: u32) -> Option<Pair> {
        serde_json::from_slice(&fs::read(self.path(cell, number)).ok()?).ok()
    }

    /// All pairs of a cell.
    pub(crate) fn pairs(&self, cell: &Cell) -> Vec<Pair> {
        (1..=cell.pairs).filter_map(|number| self.pair(cell, number)).collect()
    }

    /// Keeps a pair.
    pub(crate) fn keep(&self, cell: &Cell, pair: &Pair) -> Result<()> {
        let path = self.path(cell, pair.number);
        let partial = path.with_extension("partial");
        fs::write(&partial, serde_json::to_vec_pretty(pair)?)?;
        fs::rename(&partial, &path).with_context(|| path.display().to_string())?;
        let failed = path.with_extension("failed");
        if failed.exists() { Ok(fs::remove_file(failed)?) } else { Ok(()) }
    }

    /// Keeps why a pair failed, until it is measured.
    pub(crate) fn fail(&self, cell: &Cell, number: u32, why: &str) -> Result<()> {
        Ok(fs::write(self.path(cell, number).with_extension("failed"), why)?)
    }

    /// What failed, and was not measured since.
    pub(crate) fn failures(&self) -> Result<Vec<String>> {
        let mut failed = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "failed") {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                failed.push(format!("{name}: {}", first_words(&fs::read_to_string(&path)?)));
            }
        }
        failed.sort();
        Ok(failed)
    }

    fn path(&self, cell: &Cell, number: u32) -> PathBuf {
        self.folder.join(format!("{}-{}-rows-{number}.json", cell.name, cell.rows))
    }
}

/// An engine may say a lot when it fails.
fn first_words(text: &str) -> String {
    text.replace('\n', " ").chars().take(300).collect()
}

/// FNV-1a over words: which build it is, not more.
fn fingerprint(program: &Path, twin: &[u8]) -> Result<u64> {
    let mut bytes = twin.to_vec();
    fs::File::open(program).with_context(|| program.display().to_string())?.read_to_end(&mut bytes)?;
    let word = |part: &[u8]| part.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    let mix = |hash: u64, part: &[u8]| (hash ^ word(part)).wrapping_mul(0x0100_0000_01b3);
    Ok(bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, mix))
}

#[test]
fn quantiles_are_values_that_occurred() {
    let of = Quantiles::of((0..=100).rev().map(f64::from).collect()).expect("there are values");

    assert_eq!((of.count, of.p50, of.p99, of.most), (101, 50.0, 99.0, 100.0));
}
