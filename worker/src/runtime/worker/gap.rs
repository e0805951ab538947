//! Measures the longest time for which a slot with input took none.
//!
//! Owns: the instant of the last batch.
//! Never: counts time in which there was nothing to read.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::metrics::SlotMetrics;

/// The time since the last batch, while there is input.
#[derive(Debug, Default)]
pub(super) struct GapMeter {
    last: Option<Duration>,
}

impl GapMeter {
    /// A batch has been processed at `now`, time since the start; the time since the one before it is a gap.
    pub(super) fn on_batch(&mut self, now: Duration, metrics: &SlotMetrics) {
        if let Some(last) = self.last.replace(now) {
            let gap = now.saturating_sub(last);
            metrics.longest_gap_nanos.fetch_max(gap.as_nanos() as u64, Relaxed);
        }
    }

    /// The slot had nothing to read: the next batch ends no gap.
    pub(super) fn pause(&mut self) {
        self.last = None;
    }
}
