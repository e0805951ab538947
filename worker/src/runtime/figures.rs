//! What the slots of a worker count, on its way to a coordinator in another process.
//!
//! Owns: which counts travel, and that they go on from those of the attempts before.
//! Never: is needed in one process, where both look at the same counts.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use serde::{Deserialize, Serialize};

use crate::metrics::{JobMetrics, PartitionStatus, SlotMetrics};

/// What grows, in the order of [`Figures::slots`].
const COUNTS: [fn(&SlotMetrics) -> &AtomicU64; 9] = [
    |slot| &slot.rows_in,
    |slot| &slot.bytes_in,
    |slot| &slot.rows_out,
    |slot| &slot.late,
    |slot| &slot.bad,
    |slot| &slot.windows_fired,
    |slot| &slot.busy_nanos,
    |slot| &slot.blocked_nanos,
    |slot| &slot.idle_nanos,
];

/// What stands behind it there.
const GAUGES: [fn(&SlotMetrics) -> &AtomicU64; 4] =
    [|slot| &slot.open_windows, |slot| &slot.keys, |slot| &slot.state_bytes, |slot| &slot.longest_gap_nanos];

/// What a worker's process has counted since its start.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Figures {
    /// Of each slot: rows in, bytes in, rows out, late, bad, windows fired, time busy, blocked and idle; then open windows,
    /// keys, bytes of state, longest gap.
    pub slots: Vec<Vec<u64>>,
    /// Of each partition.
    pub partitions: Vec<PartitionFigures>,
    /// Bytes of output that wait to be published.
    pub unpublished_bytes: u64,
}

/// What is counted of a partition.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PartitionFigures {
    status: PartitionStatus,
    watermark_ms: i64,
    bytes_done: u64,
    bytes_total: u64,
    rows: u64,
}

impl Figures {
    /// What is counted now.
    pub(super) fn of(metrics: &JobMetrics) -> Self {
        let partition = |id: u32| {
            metrics.partition(id).map(|partition| PartitionFigures {
                status: partition.status(),
                watermark_ms: partition.watermark_ms.load(Relaxed),
                bytes_done: partition.bytes_done.load(Relaxed),
                bytes_total: partition.bytes_total.load(Relaxed),
                rows: partition.rows.load(Relaxed),
            })
        };
        Self {
            slots: metrics.slots.iter().map(|slot| all(slot).collect()).collect(),
            partitions: (0..).map_while(partition).collect(),
            unpublished_bytes: metrics.unpublished_bytes.load(Relaxed),
        }
    }

    /// Shows these, on top of what `before` had counted.
    pub(super) fn show(&self, before: &Self, metrics: &JobMetrics) {
        for ((slot, now), then) in metrics.slots.iter().zip(&self.slots).zip(&before.slots) {
            for ((count, now), then) in COUNTS.iter().zip(now).zip(then) {
                count(slot).store(then + now, Relaxed);
            }
            for (gauge, now) in GAUGES.iter().zip(now.iter().skip(COUNTS.len())) {
                gauge(slot).store(*now, Relaxed);
            }
        }
        for (partition, now) in metrics.partitions().iter().zip(&self.partitions) {
            partition.set_status(now.status);
            partition.watermark_ms.store(now.watermark_ms, Relaxed);
            partition.bytes_done.store(now.bytes_done, Relaxed);
            partition.bytes_total.store(now.bytes_total, Relaxed);
            partition.rows.store(now.rows, Relaxed);
        }
        metrics.unpublished_bytes.store(self.unpublished_bytes, Relaxed);
    }
}

fn all(slot: &SlotMetrics) -> impl Iterator<Item = u64> + '_ {
    COUNTS.iter().chain(&GAUGES).map(|figure| figure(slot).load(Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_on_from_those_of_the_process_before_and_gauges_do_not() {
        let count = |rows, keys| {
            let metrics = JobMetrics::new("job", 2, ["a".to_owned()]);
            metrics.slots[1].rows_in.store(rows, Relaxed);
            metrics.slots[1].keys.store(keys, Relaxed);
            metrics.partitions()[0].rows.store(rows, Relaxed);
            metrics
        };
        let shown = count(0, 0);

        for (rows, keys) in [(5, 3), (9, 7)] {
            let before = Figures::of(&shown);
            Figures::of(&count(1, 1)).show(&before, &shown);
            Figures::of(&count(rows, keys)).show(&before, &shown);
        }

        let slot = &shown.slots[1];
        assert_eq!((slot.rows_in.load(Relaxed), slot.keys.load(Relaxed)), (14, 7));
        assert_eq!(shown.partitions()[0].rows.load(Relaxed), 9);
    }
}
