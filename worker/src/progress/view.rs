//! What is shown of a running job.
//!
//! Owns: rates between two samples, the lag to the end of the input, who holds time back.
//! Never: prints or waits.

use std::time::Duration;

use super::format::{bytes, count, duration, instant, short};
use crate::metrics::{JobMetrics, Phase};

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
            open_windows: metrics
                .slots
                .iter()
                .map(|slot| slot.open_windows.load(std::sync::atomic::Ordering::Relaxed))
                .max()
                .unwrap_or(0),
            keys: metrics.sum(|slot| &slot.keys),
            state_bytes: metrics.sum(|slot| &slot.state_bytes),
            late: metrics.sum(|slot| &slot.late),
            bad: metrics.sum(|slot| &slot.bad),
            results: metrics.sum(|slot| &slot.rows_out),
        }
    }

    /// Three lines for a terminal.
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
            "{} {phase} {} · {} rows · {} rows/s · {}/s\n{time}{lag}\n{} open windows · {} keys · {} state · {} late · {} bad · {} result rows",
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
            "progress"
        );
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
