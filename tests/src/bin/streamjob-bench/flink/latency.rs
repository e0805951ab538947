//! Runs at a fixed rate: how soon results can be read.
//!
//! Owns: which results count, and which barrier committed one.
//! Never: trusts an engine's own idea of when a result was out.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use streamjob_tests::kafka::Cluster;

use super::engines::{Checkpoints, Engine, Job};
use super::pace::{CAUGHT_UP_MS, Driver, Seen, WINDOW_MS};
use super::results::{Latency, Quantiles};
use super::topics;
use super::watched::Watched;
use crate::process;

const WITHIN: Duration = Duration::from_secs(180);

/// Runs the job for so many seconds at this rate.
pub(crate) fn run(cluster: &Cluster, job: &mut Job<'_>, rate: u64, seconds: u64) -> Result<Latency> {
    let mut process = begin(cluster, job)?;
    let mut driver = Driver::start(cluster, (&job.input, &job.output), job.cell.keys, rate)?;
    // What waited while the engine started is not counted, nor the first half after that: Java is warm then.
    let in_time = driver.wait_for("results in time", WITHIN, |seen| seen.end_to_end_ms() < CAUGHT_UP_MS)?;
    let half_ms = in_time.window_end_ms + seconds as i64 * 500;
    let end_ms = in_time.window_end_ms + seconds as i64 * 1_000;
    let within = Duration::from_secs(seconds + 60);
    driver.wait_for("results of half of the run", within, |seen| seen.window_end_ms >= half_ms)?;
    let (cpu_s, began) = (process::cpu_s(process.pid())?, Instant::now());
    driver.wait_for("results of the whole run", within, |seen| seen.window_end_ms >= end_ms)?;
    let cores = (process::cpu_s(process.pid())? - cpu_s) / began.elapsed().as_secs_f64();
    let (written, seen) = driver.finish()?;
    let checkpoints = end(job, &mut process)?;
    topics::check(cluster, &job.output, driver.plan.expected(written.rows))?;
    cluster.delete_topic(&job.input)?;

    let counts = |seen: &&Seen| (half_ms..=end_ms).contains(&seen.window_end_ms);
    let counted: Vec<&Seen> = seen.iter().filter(counts).collect();
    let end_to_end_ms = Quantiles::of(counted.iter().map(|seen| seen.end_to_end_ms()).collect());
    let since_barrier = counted.iter().filter_map(|seen| since_barrier_ms(seen, &checkpoints)).collect();
    Ok(Latency {
        rows: written.rows,
        end_to_end_ms: end_to_end_ms.context("results of the second half")?,
        barrier_ms: if job.cell.exactly_once() { Quantiles::of(since_barrier) } else { None },
        driver_late_ms: written.late_ms,
        cores,
    })
}

/// Makes the topic of the input and starts the engine.
pub(crate) fn begin(cluster: &Cluster, job: &mut Job<'_>) -> Result<Watched> {
    job.input = format!("paced-{}", job.output);
    (job.endless, job.window_ms) = (true, WINDOW_MS);
    cluster.create_topic(&job.input, topics::PARTITIONS, &[])?;
    job.start()
}

/// Ends an engine that has put out everything, and gives what it told of its checkpoints.
pub(crate) fn end(job: &Job<'_>, process: &mut Watched) -> Result<Checkpoints> {
    match job.engine {
        Engine::StreamJob => process.interrupt()?,
        Engine::Flink => process.close()?,
    }
    Ok(job.engine.checkpoints(&process.events()))
}

/// A result is committed by the last checkpoint that was durable before it could be read: the next one is durable only
/// when this one's output is out, or, with Flink, an interval later.
fn since_barrier_ms(seen: &Seen, checkpoints: &Checkpoints) -> Option<f64> {
    let durable = checkpoints.all.iter().rev().find(|of| of.barrier_ms + of.duration_ms <= seen.at_ms);
    durable.map(|of| seen.at_ms - of.barrier_ms)
}

#[test]
fn a_result_belongs_to_the_last_checkpoint_that_was_durable_before_it() {
    use super::engines::Checkpoint;
    let at = |barrier_ms| Checkpoint { barrier_ms, duration_ms: 50.0, bytes: 0 };
    let checkpoints = Checkpoints { all: vec![at(1_000.0), at(2_000.0)], pauses_ms: Vec::new() };
    let seen = |at_ms| Seen { at_ms, window_end_ms: 0, partition: 0, offset: 0 };

    let since = [1_049.0, 1_060.0, 2_040.0, 2_070.0].map(|at| since_barrier_ms(&seen(at), &checkpoints));

    assert_eq!(since, [None, Some(60.0), Some(1_040.0), Some(70.0)]);
    assert_eq!(seen(2_500.0).end_to_end_ms(), 2_500.0 - super::pace::BOUND_MS as f64);
}
