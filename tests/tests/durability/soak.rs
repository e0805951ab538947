//! At full rate with a checkpoint every 100 ms, nothing grows.
//!
//! Owns: what is sampled, and what counts as flat.
//! Never: has more than one job on the machine at a time.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use streamjob_tests::job::{JobFolder, streamjob};
use streamjob_tests::process::{Running, Signal};

use super::{alone, sized};

/// Few keys: all rows go through the windows at full rate, but so few results come out that a slow disk can take them.
/// Otherwise each checkpoint waits longer for the output of the one before, and has more to write itself.
const MANIFEST: &str = r#"
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: soak}
spec:
  parallelism: 2
  state: {checkpoint: {interval: 100ms}}
  pipeline:
    source:
      generator:
        partitions: 4
        columns:
          - {name: key, uniform: {min: 0, max: 999}}
          - {name: value, uniform: {min: 0, max: 1000}}
          - {name: ts, timestamp: {start: "2026-01-01T00:00:00Z", rowsPerSecond: 100000, disorder: 100ms}}
    eventTime: {field: ts, maxOutOfOrderness: 100ms}
    keyBy: [key]
    window: {tumbling: {size: 2s}}
    aggregates: [{name: rows, function: Count}, {name: total, function: Sum, field: value}]
    sink: {files: {url: out}}
"#;

/// What a process holds at an instant.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    rss_bytes: f64,
    open_files: f64,
    objects: f64,
    /// The median time of the checkpoints since the sample before.
    checkpoint_ms: f64,
}

fn files_in(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.map(|path| if path.is_dir() { files_in(&path) } else { 1 }).sum()
}

/// The values of `duration_ms` in these lines.
fn durations(lines: &[String]) -> Vec<f64> {
    let committed = lines.iter().filter(|line| line.contains("checkpoint committed"));
    let values = committed.filter_map(|line| {
        let json: serde_json::Value = serde_json::from_str(line).ok()?;
        json.pointer("/fields/duration_ms").or_else(|| json.get("duration_ms"))?.as_f64()
    });
    values.collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The median of one of the figures over some samples.
fn typical(samples: &[Sample], figure: fn(&Sample) -> f64) -> f64 {
    median(samples.iter().map(figure).collect())
}

fn sample(running: &Running, state: &Path, heard: &mut usize) -> Result<(Sample, usize)> {
    let lines = running.lines_from(*heard);
    *heard += lines.len();
    let durations = durations(&lines);
    let count = durations.len();
    let sample = Sample {
        rss_bytes: running.memory_bytes("VmRSS")? as f64,
        open_files: running.open_files()? as f64,
        objects: files_in(state) as f64,
        checkpoint_ms: median(durations),
    };
    Ok((sample, count))
}

/// So many checkpoints it takes until every table and pool has had its size.
const WARM: usize = 100;

/// A name, the figure of a sample, and its bounds.
type Figure = (&'static str, fn(&Sample) -> f64, f64, f64);

#[test]
fn under_a_checkpoint_every_100_ms_memory_files_objects_and_times_stay_flat() -> Result<()> {
    let _alone = alone();
    let job = JobFolder::new(MANIFEST)?;
    let mut command = Command::new(streamjob());
    command.arg("run").arg(job.path().join("job.yaml"));
    command.args(["--log-format", "json", "--log", "info,streamjob_worker=debug"]);
    let mut running = Running::start(command)?;
    let (began, lasts) = (Instant::now(), Duration::from_secs(sized(600, 60)));
    let (mut samples, mut heard, mut checkpoints) = (Vec::new(), 0, 0);
    // On a slow machine it takes longer, until there is something to compare.
    let is_short = |checkpoints| checkpoints < 3 * WARM && began.elapsed() < lasts * 5 / 2;
    while began.elapsed() < lasts || is_short(checkpoints) {
        std::thread::sleep(Duration::from_millis(500));
        anyhow::ensure!(!running.has_ended()?, "it ended:\n{}", running.said());
        let (sample, count) = sample(&running, &job.path().join(".streamjob"), &mut heard)?;
        checkpoints += count;
        // The first quarter is to warm up.
        if began.elapsed() > lasts / 4 && checkpoints >= WARM {
            samples.push(sample);
        }
    }
    running.signal(Signal::Interrupt)?;
    let ended = running.wait(Duration::from_secs(30))?;
    assert_eq!(ended.code, Some(130), "{}", ended.said);

    let third = samples.len() / 3;
    let (first, last) = (&samples[..third], samples.get(samples.len() - third..).context("samples")?);
    let lasted = began.elapsed();
    println!("soak: {checkpoints} checkpoints in {lasted:?}; figure: first third, last third");
    let figures: [Figure; 4] = [
        ("RSS in bytes", |sample| sample.rss_bytes, 1.1, 16e6),
        ("open files", |sample| sample.open_files, 1.0, 8.0),
        ("objects in the store", |sample| sample.objects, 1.2, 20.0),
        ("ms per checkpoint", |sample| sample.checkpoint_ms, 1.5, 20.0),
    ];
    for (name, figure, factor, more) in figures {
        let (before, after) = (typical(first, figure), typical(last, figure));
        println!("soak: {name}: {before:.1}, {after:.1}");
        assert!(after <= before * factor + more, "{name} grows from {before:.1} to {after:.1}");
    }
    let expected = lasted.as_millis() / 1_000;
    assert!(checkpoints as u128 > expected, "{checkpoints} checkpoints in {lasted:?} are too few");
    Ok(())
}
