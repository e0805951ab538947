//! What a slot counts, once a batch.
//!
//! Owns: which figure goes into which metric; what of it belongs to earlier attempts.
//! Never: is called per row.

use std::sync::atomic::Ordering::Relaxed;

use streamjob_checkpoint::checkpoint::Counters;

use super::intake::OpenPartition;
use crate::metrics::{ENDLESS, JobMetrics, PartitionStatus, SlotMetrics};
use crate::pipeline::preaggregate::PreAggregate;
use crate::pipeline::records::DecodedRows;
use crate::pipeline::window::WindowStage;

/// What a slot had counted when its attempt began: metrics go on from one attempt to the next, checkpoints count what
/// came since the one that the attempt goes on from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Earlier {
    rows: Counters,
    windows_fired: u64,
}

impl Earlier {
    /// What its metrics say now.
    pub(super) fn of(metrics: &SlotMetrics) -> Self {
        let rows = Counters {
            rows_in: metrics.rows_in.load(Relaxed),
            rows_out: metrics.rows_out.load(Relaxed),
            late: metrics.late.load(Relaxed),
            bad: metrics.bad.load(Relaxed),
        };
        Self { rows, windows_fired: metrics.windows_fired.load(Relaxed) }
    }

    /// What came since then, on top of `base`.
    pub(super) fn since(&self, base: Counters, metrics: &SlotMetrics) -> Counters {
        let (now, then) = (Self::of(metrics).rows, self.rows);
        Counters {
            rows_in: base.rows_in + now.rows_in - then.rows_in,
            rows_out: base.rows_out + now.rows_out - then.rows_out,
            late: base.late + now.late - then.late,
            bad: base.bad + now.bad - then.bad,
        }
    }
}

/// Counts a batch of a partition that slot `slot` has read.
pub(super) fn count_batch(metrics: &JobMetrics, slot: usize, from: &OpenPartition, batch: &DecodedRows) {
    let progress = from.reader.progress();
    let slot = &metrics.slots[slot];
    slot.rows_in.fetch_add((batch.rows.num_rows() + batch.bad.len()) as u64, Relaxed);
    let Some(partition) = metrics.partition(from.time.id) else {
        slot.bytes_in.fetch_add(batch.bytes, Relaxed);
        return;
    };
    let bytes_before = partition.bytes_done.swap(progress.bytes, Relaxed);
    partition.bytes_total.store(progress.bytes_total.unwrap_or(ENDLESS), Relaxed);
    partition.rows.store(progress.rows, Relaxed);
    partition.set_status(PartitionStatus::Active);
    slot.bytes_in.fetch_add(progress.bytes.saturating_sub(bytes_before), Relaxed);
}

/// Brings the gauges of a slot's windows up to date, with what its pre-aggregation holds for windows of any slot.
pub(super) fn count_window(
    metrics: &SlotMetrics,
    earlier: &Earlier,
    window: &WindowStage,
    before: Option<&PreAggregate>,
) {
    let stats = window.stats();
    let before = before.map(PreAggregate::stats).unwrap_or_default();
    metrics.late.store(earlier.rows.late + window.late_rows(), Relaxed);
    metrics.windows_fired.store(earlier.windows_fired + stats.fired_windows, Relaxed);
    metrics.open_windows.store(stats.open_windows.max(before.open_windows) as u64, Relaxed);
    metrics.keys.store((stats.keys + before.keys) as u64, Relaxed);
    metrics.state_bytes.store((stats.state_bytes + before.state_bytes) as u64, Relaxed);
}
