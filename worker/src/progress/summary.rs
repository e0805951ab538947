//! What a job has done, at its end.
//!
//! Owns: the last words of `streamjob run`.
//! Never: says whether that was good.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use streamjob_checkpoint::checkpoint::Counters;

use super::format::{bytes, count, duration, short};
use super::usage::Usage;
use crate::metrics::JobMetrics;

/// With fewer rows, what a process costs by itself would be told as the cost of rows.
const RATIO_ROWS_MIN: u64 = 10_000;

/// What a job has done. Prints as a few lines for people.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Records read, bad ones included.
    pub rows_in: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Result rows.
    pub rows_out: u64,
    /// Late rows.
    pub late: u64,
    /// Bad records.
    pub bad: u64,
    /// Windows that fired, as the slot with the most of them counts.
    pub windows_fired: u64,
    /// From the start to the end.
    pub elapsed: Duration,
    /// What the process has used.
    pub usage: Usage,
    /// Records and results of earlier runs, as the checkpoint counts them that this one went on from.
    pub before: (u64, u64),
}

impl Summary {
    /// What was counted up to now.
    pub fn of(metrics: &JobMetrics, elapsed: Duration, usage: Usage) -> Self {
        let fired = metrics.slots.iter().map(|slot| slot.windows_fired.load(Ordering::Relaxed));
        Self {
            rows_in: metrics.sum(|slot| &slot.rows_in),
            bytes_in: metrics.sum(|slot| &slot.bytes_in),
            rows_out: metrics.sum(|slot| &slot.rows_out),
            late: metrics.sum(|slot| &slot.late),
            bad: metrics.sum(|slot| &slot.bad),
            windows_fired: fired.max().unwrap_or(0),
            elapsed,
            usage,
            before: (0, 0),
        }
    }

    /// The same of a run that went on from here.
    pub fn after(self, counters: &Counters) -> Self {
        Self { before: (counters.rows_in, counters.rows_out), ..self }
    }

    /// Records read per second.
    pub fn rows_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.rows_in as f64 / seconds } else { 0.0 }
    }

    /// The same as one log event, for machines.
    pub fn log(&self) {
        tracing::info!(
            rows_in = self.rows_in,
            bytes_in = self.bytes_in,
            rows_out = self.rows_out,
            rows_in_before = self.before.0,
            rows_out_before = self.before.1,
            late = self.late,
            bad = self.bad,
            windows_fired = self.windows_fired,
            seconds = self.elapsed.as_secs_f64(),
            rows_per_second = self.rows_per_second().round(),
            cpu_seconds = self.usage.cpu.map(|cpu| cpu.as_secs_f64()),
            resident_peak_bytes = self.usage.resident_peak_bytes,
            "summary"
        );
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rows in      {} ({})", count(self.rows_in), bytes(self.bytes_in))?;
        writeln!(f, "results out  {} from {} windows", count(self.rows_out), count(self.windows_fired))?;
        if self.before != (0, 0) {
            let (rows_in, rows_out) = self.before;
            writeln!(f, "before that  {} in, {} out, by earlier runs", count(rows_in), count(rows_out))?;
        }
        writeln!(f, "late, bad    {}, {}", count(self.late), count(self.bad))?;
        write!(f, "time         {} ({} rows/s)", duration(self.elapsed), short(self.rows_per_second()))?;
        if let Some(cpu) = self.usage.cpu {
            write!(f, "\ncpu          {:.2} s", cpu.as_secs_f64())?;
            if self.rows_in >= RATIO_ROWS_MIN {
                write!(f, " ({:.3} s per million rows)", cpu.as_secs_f64() * 1e6 / self.rows_in as f64)?;
            }
        }
        if let Some(peak) = self.usage.resident_peak_bytes {
            write!(f, "\nmemory       {} at most", bytes(peak))?;
        }
        Ok(())
    }
}
