//! Measures the longest time for which a slot with input took none.
//!
//! Owns: the instant of the last batch, and the gaps that follow a barrier.
//! Never: counts time in which there was nothing to read.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::metrics::SlotMetrics;

/// For how long after a barrier gaps are put down to it.
const BARRIER_EFFECT: Duration = Duration::from_millis(100);

/// The time since the last batch, while there is input.
#[derive(Debug, Default)]
pub(super) struct GapMeter {
    /// When the last batch was done.
    last: Option<Duration>,
    /// The last barrier, and the longest time since then from the end of a batch to the beginning of the next.
    barrier: Option<(Duration, Duration)>,
}

impl GapMeter {
    /// A batch was begun at `began` and is done at `now`, time since the start; the time since the end of the one before
    /// it is a gap.
    pub(super) fn on_batch(&mut self, began: Duration, now: Duration, metrics: &SlotMetrics) {
        let Some(last) = self.last.replace(now) else { return };
        metrics.longest_gap_nanos.fetch_max(now.saturating_sub(last).as_nanos() as u64, Relaxed);
        let Some((barrier, longest)) = &mut self.barrier else { return };
        *longest = (*longest).max(began.saturating_sub(last));
        if now.saturating_sub(*barrier) >= BARRIER_EFFECT {
            tracing::debug!(
                gap_us = longest.as_micros() as u64,
                "longest gap between batches after a barrier"
            );
            self.barrier = None;
        }
    }

    /// A barrier begins.
    pub(super) fn on_barrier(&mut self, now: Duration) {
        self.barrier = Some((now, Duration::ZERO));
    }

    /// The slot had nothing to read: the next batch ends no gap.
    pub(super) fn pause(&mut self) {
        self.last = None;
    }
}
