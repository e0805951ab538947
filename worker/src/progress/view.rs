//! What is shown of a running job.
//!
//! Owns: rates between two samples, the lag to the end of the input, who holds time back.
//! Never: prints or waits.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::format::{bytes, count, duration, instant, short};
use crate::metrics::{CheckpointStep, JobMetrics, LastCheckpoint, Phase};

/// What was counted up to a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    at: Duration,
    rows: u64,
    bytes: u64,
}

/// A running job at a glance.
#[derive(Clone, Debug)]
pub(super) struct View {
    job: String,
    phase: Phase,
    elapsed: Duration,
    rows: u64,
    rows_per_second: f64,
    bytes_per_second: f64,
    /// The lowest watermark, and the partition that has it.
    watermark: Option<(i64, String)>,
    /// The share of the input that is read, and how long the rest will take.
    read: Option<(f64, Option<Duration>)>,
    open_windows: u64,
    keys: u64,
    state_bytes: u64,
    late: u64,
    bad: u64,
    results: u64,
    checkpoints: Checkpoints,
}

/// What is known of checkpoints.
#[derive(Clone, Debug)]
struct Checkpoints {
    last: Option<LastCheckpoint>,
    age: Duration,
    failed: u64,
    unresolved: bool,
    step: CheckpointStep,
    unpublished_bytes: u64,
    retries_waiting: u64,
    waiting_for: Option<String>,
}

impl Sample {
    /// What is counted now, `at` after the start.
    pub(super) fn take(metrics: &JobMetrics, at: Duration) -> Self {
        Self { at, rows: metrics.sum(|slot| &slot.rows_in), bytes: metrics.sum(|slot| &slot.bytes_in) }
    }
}

impl View {
    /// The job at the later sample, with rates since the earlier one.
    pub(super) fn between(metrics: &JobMetrics, earlier: &Sample, now: &Sample) -> Self {
        let seconds = now.at.saturating_sub(earlier.at).as_secs_f64();
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Self {
            job: metrics.job.clone(),
            phase: metrics.phase(),
            elapsed: now.at,
            rows: now.rows,
            rows_per_second: rate(now.rows - earlier.rows),
            bytes_per_second: rate(now.bytes - earlier.bytes),
            watermark: metrics.holding().map(|(partition, watermark)| (watermark, partition.name.clone())),
            read: metrics.bytes_done_and_total().map(|(done, total)| read(done, total, now.at)),
            // Slots share windows: each has its keys of each window.
            open_windows: metrics.slots.iter().map(|slot| slot.open_windows.load(Relaxed)).max().unwrap_or(0),
            keys: metrics.sum(|slot| &slot.keys),
            state_bytes: metrics.sum(|slot| &slot.state_bytes),
            late: metrics.sum(|slot| &slot.late),
            bad: metrics.sum(|slot| &slot.bad),
            results: metrics.sum(|slot| &slot.rows_out),
            checkpoints: Checkpoints::of(metrics),
        }
    }

    /// Four lines for a terminal.
    pub(super) fn block(&self) -> String {
        let phase = match self.phase {
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Stopping => "stopping",
            Phase::Finished => "finished",
            Phase::Failed => "failed",
        };
        let time = match &self.watermark {
            Some((i64::MIN, partition)) => format!("no watermark yet, waiting for {partition}"),
            Some((watermark, partition)) => format!("watermark {}, held by {partition}", instant(*watermark)),
            None => "watermark held by no partition".to_owned(),
        };
        let lag = match self.read {
            Some((share, Some(left))) => {
                format!(" · {:.1} % of the input, about {} left", share * 100.0, duration(left))
            }
            Some((share, None)) => format!(" · {:.1} % of the input", share * 100.0),
            None => String::new(),
        };
        format!(
            "{} {phase} {} · {} rows · {} rows/s · {}/s\n{time}{lag}\n{} open windows · {} keys · {} state · {} late · {} bad · {} result rows\n{}",
            self.job,
            duration(self.elapsed),
            count(self.rows),
            short(self.rows_per_second),
            bytes(self.bytes_per_second as u64),
            count(self.open_windows),
            count(self.keys),
            bytes(self.state_bytes),
            count(self.late),
            count(self.bad),
            count(self.results),
            self.checkpoints.line(),
        )
    }

    /// A log line.
    pub(super) fn log(&self) {
        let (watermark, held_by) = match &self.watermark {
            Some((watermark, partition)) => (instant(*watermark), partition.as_str()),
            None => ("none".to_owned(), ""),
        };
        tracing::info!(
            rows = self.rows,
            rows_per_second = self.rows_per_second.round(),
            bytes_per_second = self.bytes_per_second.round(),
            watermark,
            held_by,
            read_percent = self.read.map(|(share, _)| (share * 1_000.0).round() / 10.0),
            left_seconds = self.read.and_then(|(_, left)| left).map(|left| left.as_secs()),
            open_windows = self.open_windows,
            keys = self.keys,
            state_bytes = self.state_bytes,
            late = self.late,
            bad = self.bad,
            results = self.results,
            checkpoint = self.checkpoints.last.as_ref().map(|last| last.epoch),
            checkpoint_age_seconds = self.checkpoints.last.as_ref().map(|_| self.checkpoints.age.as_secs()),
            checkpoints_failed = self.checkpoints.failed,
            unpublished_bytes = self.checkpoints.unpublished_bytes,
            waits_for = self.checkpoints.waiting_for,
            "progress"
        );
    }
}

impl Checkpoints {
    fn of(metrics: &JobMetrics) -> Self {
        let checkpoints = &metrics.checkpoints;
        let last = checkpoints.last();
        Self {
            age: last.as_ref().map(|last| last.committed_at.elapsed()).unwrap_or_default(),
            last,
            failed: checkpoints.failed.load(Relaxed),
            unresolved: checkpoints.unresolved.load(Relaxed),
            step: checkpoints.step(),
            unpublished_bytes: metrics.unpublished_bytes.load(Relaxed),
            retries_waiting: metrics.retries().1,
            waiting_for: metrics.outages.waiting_for(),
        }
    }

    fn line(&self) -> String {
        let mut line = match &self.last {
            Some(last) => format!(
                "checkpoint {}, {} ago: {} written of {} in {:.0} ms, most of it {}",
                last.epoch,
                duration(self.age),
                bytes(last.bytes_written),
                bytes(last.bytes_total),
                last.duration.as_secs_f64() * 1e3,
                last.waited_for,
            ),
            None => "no checkpoint yet".to_owned(),
        };
        match (self.unresolved, self.step) {
            (true, _) => line.push_str(" · the store does not say whether the next one is committed"),
            (false, CheckpointStep::Idle) => {}
            (false, CheckpointStep::Collecting) => line.push_str(" · the next one is being stored"),
            (false, CheckpointStep::Committing) => line.push_str(" · the next one is being committed"),
            (false, CheckpointStep::Publishing) => line.push_str(" · its output is being published"),
        }
        if self.failed > 0 {
            line.push_str(&format!(" · {} abandoned", count(self.failed)));
        }
        match &self.waiting_for {
            Some(waiting_for) => line.push_str(&format!(" · waits for {waiting_for}")),
            None if self.retries_waiting > 0 => line.push_str(" · store or output fails, trying again"),
            None => {}
        }
        if self.unpublished_bytes > 0 {
            line.push_str(&format!(" · {} unpublished", bytes(self.unpublished_bytes)));
        }
        line
    }
}

/// The share that is read, and how long the rest will take at the pace since the start.
fn read(done: u64, total: u64, elapsed: Duration) -> (f64, Option<Duration>) {
    if total == 0 {
        return (1.0, None);
    }
    let share = done as f64 / total as f64;
    let left = (done > 0).then(|| elapsed.mul_f64((total - done) as f64 / done as f64));
    (share, left)
}
