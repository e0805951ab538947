//! What a running job counts.
//!
//! Owns: plain atomics, one padded block for each slot and partition, that the slots update once a batch.
//! Never: formats, logs or aggregates; readers do that in their own time.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use serde::{Deserialize, Serialize};
use streamjob_checkpoint::retry::Failures;

use crate::outages::Outages;

use crate::standing::Standing;

/// Marks a partition without an end in [`PartitionMetrics::bytes_total`].
pub const ENDLESS: u64 = u64::MAX;

/// What a running job counts. Slots write, everyone reads; a reader may see a batch half counted.
#[derive(Debug)]
pub struct JobMetrics {
    /// The job's name.
    pub job: String,
    /// One for each slot, by its number.
    pub slots: Vec<CachePadded<SlotMetrics>>,
    partitions: RwLock<Vec<Partition>>,
    /// How often the job has begun to process in this process; more than once after failures that may pass.
    pub attempts: AtomicU64,
    /// The newest epoch whose output is published; 0 before the first.
    pub epochs_published: AtomicU64,
    /// From the start of the process's clock to the first rows that went into windows; 0 before them.
    pub first_rows_nanos: AtomicU64,
    /// Bytes of output that wait to be published.
    pub unpublished_bytes: AtomicU64,
    /// What is known of checkpoints.
    pub checkpoints: CheckpointMetrics,
    /// What is waited for from outside.
    pub outages: Outages,
    /// Where the job stands in its log.
    pub standing: Standing,
    phase: AtomicU8,
}

/// What is counted of a partition, for whoever reads it.
type Partition = Arc<CachePadded<PartitionMetrics>>;

/// What one slot counts. All but the gauges only grow.
#[derive(Debug, Default)]
pub struct SlotMetrics {
    /// Records read from the source, bad ones included.
    pub rows_in: AtomicU64,
    /// Bytes read from the source, before decompression.
    pub bytes_in: AtomicU64,
    /// Result rows given to the sink.
    pub rows_out: AtomicU64,
    /// Rows whose windows had closed.
    pub late: AtomicU64,
    /// Records that could not be used.
    pub bad: AtomicU64,
    /// Windows of this slot that fired with at least one key.
    pub windows_fired: AtomicU64,
    /// Time spent working.
    pub busy_nanos: AtomicU64,
    /// Time spent with rows in hand that nobody could take.
    pub blocked_nanos: AtomicU64,
    /// Time spent waiting for input.
    pub idle_nanos: AtomicU64,
    /// The longest time between two batches while there was input to read.
    pub longest_gap_nanos: AtomicU64,
    /// Gauge: windows that hold rows and have not closed.
    pub open_windows: AtomicU64,
    /// Gauge: keys over all open windows.
    pub keys: AtomicU64,
    /// Gauge: bytes that the state of open windows takes.
    pub state_bytes: AtomicU64,
}

/// What is known of one source partition. Written by the slot that reads it.
#[derive(Debug)]
pub struct PartitionMetrics {
    /// The file's or generator's name.
    pub name: String,
    /// Epoch milliseconds; `i64::MIN` before the first row, `i64::MAX` at the end of input.
    pub watermark_ms: AtomicI64,
    /// Bytes read.
    pub bytes_done: AtomicU64,
    /// Bytes in all, or [`ENDLESS`].
    pub bytes_total: AtomicU64,
    /// Records read, bad ones included.
    pub rows: AtomicU64,
    status: AtomicU8,
}

/// Where a partition stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PartitionStatus {
    /// Not read from yet; it holds time back.
    Waiting,
    /// Read from.
    Active,
    /// Without rows for so long that it no longer holds time back.
    Idle,
    /// Read to its end.
    Finished,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Opening its input and output.
    Starting,
    /// Reading.
    Running,
    /// Told to stop, finishing its last epoch.
    Stopping,
    /// Done: input finished, or stopped as asked.
    Finished,
    /// Done, with an error.
    Failed,
}

/// What is known of checkpoints. Written by the coordinator, a few times an epoch.
#[derive(Debug, Default)]
pub struct CheckpointMetrics {
    /// Checkpoints that this process has committed.
    pub committed: AtomicU64,
    /// Checkpoints that were abandoned; the next one holds their data.
    pub failed: AtomicU64,
    /// Whether nobody knows if a record is in the log.
    pub unresolved: AtomicBool,
    step: AtomicU8,
    last: Mutex<Option<LastCheckpoint>>,
}

/// The last checkpoint that this process has committed.
#[derive(Clone, Debug)]
pub struct LastCheckpoint {
    /// Its number.
    pub epoch: u64,
    /// Its record.
    pub seq: u64,
    /// When it was in the log.
    pub committed_at: Instant,
    /// The same on the wall clock, in epoch milliseconds.
    pub committed_ms: i64,
    /// From its barrier until then.
    pub duration: Duration,
    /// What most of that time went into: `barrier`, `encoding`, `upload` or `commit`.
    pub waited_for: &'static str,
    /// What was written for it.
    pub bytes_written: u64,
    /// What it consists of.
    pub bytes_total: u64,
}

/// What the checkpoint under way waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CheckpointStep {
    /// None is under way.
    Idle,
    /// The barrier, or parts that are being stored.
    Collecting,
    /// The log.
    Committing,
    /// Its output.
    Publishing,
}

impl CheckpointMetrics {
    /// The last one that was committed.
    pub fn last(&self) -> Option<LastCheckpoint> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One is committed.
    pub fn set_last(&self, last: LastCheckpoint) {
        self.committed.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    /// What the one under way waits for.
    pub fn step(&self) -> CheckpointStep {
        const STEPS: [CheckpointStep; 4] = [
            CheckpointStep::Idle,
            CheckpointStep::Collecting,
            CheckpointStep::Committing,
            CheckpointStep::Publishing,
        ];
        STEPS[usize::from(self.step.load(Ordering::Relaxed))]
    }

    /// Says what the one under way waits for.
    pub fn set_step(&self, step: CheckpointStep) {
        self.step.store(step as u8, Ordering::Relaxed);
    }
}

impl JobMetrics {
    /// All counts zero, all partitions waiting.
    pub fn new(job: impl Into<String>, slots: u32, partitions: impl IntoIterator<Item = String>) -> Self {
        Self {
            job: job.into(),
            slots: (0..slots).map(|_| CachePadded::default()).collect(),
            partitions: RwLock::new(partitions.into_iter().map(PartitionMetrics::counted).collect()),
            attempts: AtomicU64::new(0),
            epochs_published: AtomicU64::new(0),
            first_rows_nanos: AtomicU64::new(0),
            unpublished_bytes: AtomicU64::new(0),
            checkpoints: CheckpointMetrics::default(),
            outages: Outages::default(),
            standing: Standing::default(),
            phase: AtomicU8::new(Phase::Starting as u8),
        }
    }

    /// The same with what is noted there.
    pub fn with_outages(self, outages: Outages) -> Self {
        Self { outages, ..self }
    }

    /// Calls of store and sink that were made again, and those that are being made again.
    pub fn retries(&self) -> (u64, u64) {
        let both = [&self.outages.store, &self.outages.sink];
        let sum =
            |of: fn(&Failures) -> &AtomicU64| both.iter().map(|one| of(one).load(Ordering::Relaxed)).sum();
        (sum(|failures| &failures.retries), sum(|failures| &failures.waiting))
    }

    /// Where the job stands.
    pub fn phase(&self) -> Phase {
        const PHASES: [Phase; 5] =
            [Phase::Starting, Phase::Running, Phase::Stopping, Phase::Finished, Phase::Failed];
        PHASES[usize::from(self.phase.load(Ordering::Relaxed))]
    }

    /// Says where the job stands.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// A count of the slots, summed: `metrics.sum(|slot| &slot.rows_in)`.
    pub fn sum(&self, count: impl Fn(&SlotMetrics) -> &AtomicU64) -> u64 {
        self.slots.iter().map(|slot| count(slot).load(Ordering::Relaxed)).sum()
    }

    /// The partition that holds time back, and the watermark that it allows: the lowest one over the
    /// partitions that are neither idle nor finished. `None` when there is none.
    pub fn holding(&self) -> Option<(Partition, i64)> {
        self.partitions()
            .into_iter()
            .filter(|partition| match partition.status() {
                PartitionStatus::Waiting | PartitionStatus::Active => true,
                PartitionStatus::Idle | PartitionStatus::Finished => false,
            })
            .map(|partition| {
                let watermark_ms = partition.watermark_ms.load(Ordering::Relaxed);
                (partition, watermark_ms)
            })
            .min_by_key(|(_, watermark_ms)| *watermark_ms)
    }

    /// What is counted of each source partition, by its id.
    pub fn partitions(&self) -> Vec<Partition> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is counted of one.
    pub fn partition(&self, id: u32) -> Option<Partition> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).get(id as usize).cloned()
    }

    /// These are the partitions now: those that are known, and perhaps more behind them.
    pub fn grow_partitions(&self, names: impl IntoIterator<Item = String>) {
        let mut partitions = self.partitions.write().unwrap_or_else(PoisonError::into_inner);
        let known = partitions.len();
        partitions.extend(names.into_iter().skip(known).map(PartitionMetrics::counted));
    }

    /// Bytes read and bytes in all over all partitions; `None` if one of them has no end.
    pub fn bytes_done_and_total(&self) -> Option<(u64, u64)> {
        self.partitions().iter().try_fold((0, 0), |(done, total), partition| {
            match partition.bytes_total.load(Ordering::Relaxed) {
                ENDLESS => None,
                bytes => {
                    Some((done + partition.bytes_done.load(Ordering::Relaxed).min(bytes), total + bytes))
                }
            }
        })
    }
}

impl PartitionMetrics {
    fn counted(name: String) -> Partition {
        Arc::new(CachePadded::new(Self::new(name)))
    }

    fn new(name: String) -> Self {
        Self {
            name,
            watermark_ms: AtomicI64::new(i64::MIN),
            bytes_done: AtomicU64::new(0),
            bytes_total: AtomicU64::new(ENDLESS),
            rows: AtomicU64::new(0),
            status: AtomicU8::new(PartitionStatus::Waiting as u8),
        }
    }

    /// Where the partition stands.
    pub fn status(&self) -> PartitionStatus {
        const STATUSES: [PartitionStatus; 4] = [
            PartitionStatus::Waiting,
            PartitionStatus::Active,
            PartitionStatus::Idle,
            PartitionStatus::Finished,
        ];
        STATUSES[usize::from(self.status.load(Ordering::Relaxed))]
    }

    /// Says where the partition stands.
    pub fn set_status(&self, status: PartitionStatus) {
        self.status.store(status as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_partitions() -> JobMetrics {
        let metrics = JobMetrics::new("job", 2, ["a", "b", "c"].map(String::from));
        for (partition, watermark_ms) in metrics.partitions().iter().zip([30, 10, 20]) {
            partition.set_status(PartitionStatus::Active);
            partition.watermark_ms.store(watermark_ms, Ordering::Relaxed);
        }
        metrics
    }

    #[test]
    fn the_active_partition_with_the_lowest_watermark_holds_time_back() {
        let metrics = three_partitions();

        metrics.partitions()[1].set_status(PartitionStatus::Idle);

        let (partition, watermark_ms) = metrics.holding().expect("two partitions are active");
        assert_eq!((partition.name.as_str(), watermark_ms), ("c", 20));
    }

    #[test]
    fn lag_is_unknown_as_long_as_one_partition_has_no_end() {
        let metrics = three_partitions();
        metrics.partitions()[0].bytes_total.store(100, Ordering::Relaxed);
        metrics.partitions()[1].bytes_total.store(50, Ordering::Relaxed);
        let before = metrics.bytes_done_and_total();

        metrics.partitions()[2].bytes_total.store(0, Ordering::Relaxed);
        metrics.partitions()[0].bytes_done.store(40, Ordering::Relaxed);

        assert_eq!((before, metrics.bytes_done_and_total()), (None, Some((40, 150))));
    }

    #[test]
    fn partitions_that_come_later_are_counted_beside_those_that_were_there() {
        let metrics = three_partitions();

        metrics.grow_partitions(["a", "b", "c", "d"].map(String::from));

        let names: Vec<_> = metrics.partitions().iter().map(|partition| partition.name.clone()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        let watermarks =
            [0, 3].map(|id| metrics.partition(id).map(|found| found.watermark_ms.load(Ordering::Relaxed)));
        assert_eq!(watermarks, [Some(30), Some(i64::MIN)]);
    }

    #[test]
    fn counts_are_summed_over_slots() {
        let metrics = three_partitions();

        metrics.slots[0].rows_in.fetch_add(3, Ordering::Relaxed);
        metrics.slots[1].rows_in.fetch_add(4, Ordering::Relaxed);
        metrics.set_phase(Phase::Running);

        assert_eq!((metrics.sum(|slot| &slot.rows_in), metrics.phase()), (7, Phase::Running));
    }
}
