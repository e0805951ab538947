//! Runs at a fixed rate that are killed: how soon they go on.
//!
//! Owns: when an engine is killed, and what counts as going on.
//! Never: waits between a kill and the next start.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use streamjob_tests::kafka::Cluster;

use super::engines::Job;
use super::latency::{begin, end};
use super::pace::{CAUGHT_UP_MS, Driver};
use super::results::{Kill, Recovery};
use super::topics;
use super::watched::{Watched, now_ms};

/// How often a run is killed.
const KILLS: usize = 3;
const WITHIN: Duration = Duration::from_secs(180);

/// Runs the job at this rate; between two kills it is undisturbed for a part of the seconds.
pub(crate) fn run(cluster: &Cluster, job: &mut Job<'_>, rate: u64, seconds: u64) -> Result<Recovery> {
    let mut process = begin(cluster, job)?;
    let mut driver = Driver::start(cluster, (&job.input, &job.output), job.cell.keys, rate)?;
    driver.wait_for("results in time", WITHIN, |seen| seen.end_to_end_ms() < CAUGHT_UP_MS)?;
    let mut kills = Vec::new();
    for kill in 0..KILLS {
        // At another place between two checkpoints each time.
        thread::sleep(Duration::from_millis(seconds * 1_000 / 4 + 370 * kill as u64));
        kills.push(kill_and_start(cluster, job, &driver, &mut process)?);
    }
    let (written, _) = driver.finish()?;
    end(job, &mut process)?;
    topics::check(cluster, &job.output, driver.plan.expected(written.rows))?;
    cluster.delete_topic(&job.input)?;
    Ok(Recovery { rows: written.rows, kills })
}

fn kill_and_start(cluster: &Cluster, job: &Job<'_>, driver: &Driver, process: &mut Watched) -> Result<Kill> {
    let reader = topics::reader(cluster, &job.output)?;
    // The first look takes longer.
    topics::committed_ends(&reader, &job.output)?;
    let (killed, killed_ms) = (Instant::now(), now_ms());
    process.kill()?;
    // What could be read until now is not new.
    let ends = topics::committed_ends(&reader, &job.output)?;
    *process = job.start()?;
    let first = process.wait_for("the first row", WITHIN, |event| job.engine.is_first_row(event))?;
    let end = |partition: i32| ends.get(partition as usize).copied().unwrap_or_default();
    let is_new = |at: i32, offset: i64| offset >= end(at);
    let result = driver.wait_for("results", WITHIN, |seen| is_new(seen.partition, seen.offset))?;
    let in_time = driver.wait_for("results in time", WITHIN, |seen| {
        is_new(seen.partition, seen.offset) && seen.end_to_end_ms() < CAUGHT_UP_MS
    });
    Ok(Kill {
        first_row_s: (first.at - killed).as_secs_f64(),
        results_s: (result.at_ms - killed_ms) / 1e3,
        caught_up_s: (in_time.context("after a kill")?.at_ms - killed_ms) / 1e3,
    })
}
