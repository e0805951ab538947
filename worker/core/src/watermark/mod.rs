//! How far event time has come: per partition, and over all partitions of an operator.
//!
//! Owns: the watermark of a partition and the rule that combines them, with idle and finished partitions.
//! Never: reads a clock; who is idle is told from outside.

#[cfg(test)]
mod tests;

/// The watermark before anything is known about time.
pub const NONE: i64 = i64::MIN;

/// The watermark when no row can come any more.
pub const END: i64 = i64::MAX;

/// The watermark of one partition whose rows are out of order by at most a bound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PartitionWatermark {
    max_timestamp: i64,
    bound_ms: i64,
}

impl PartitionWatermark {
    /// The watermark before the first row. The bound is not negative.
    pub fn new(bound_ms: i64) -> Self {
        assert!(bound_ms >= 0, "a bound is not negative: {bound_ms}");
        Self { max_timestamp: NONE, bound_ms }
    }

    /// The watermark after rows up to this event time; `None` before the first row.
    pub fn restore(max_timestamp: Option<i64>, bound_ms: i64) -> Self {
        let mut restored = Self::new(bound_ms);
        restored.observe(max_timestamp.unwrap_or(NONE));
        restored
    }

    /// The greatest event time so far; `None` before the first row.
    pub fn max_timestamp(&self) -> Option<i64> {
        (self.max_timestamp != NONE).then_some(self.max_timestamp)
    }

    /// Takes a row's event time into account. `i64::MIN`, the mark of a rejected row, changes nothing.
    #[inline]
    pub fn observe(&mut self, timestamp: i64) {
        self.max_timestamp = self.max_timestamp.max(timestamp);
    }

    /// No row with this event time or an earlier one is expected any more; [`NONE`] before the first row.
    #[inline]
    pub fn current(&self) -> i64 {
        self.max_timestamp.saturating_sub(self.bound_ms).saturating_sub(1)
    }
}

/// Whether a partition takes part in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// It has rows, or may have them at any moment.
    Active,
    /// It is silent and does not hold time back.
    Idle,
    /// It has ended. This is final.
    Finished,
}

#[derive(Clone, Copy, Debug)]
struct Partition {
    watermark: i64,
    status: Status,
    /// Active, and caught up with the combined watermark: the only ones whose minimum counts.
    aligned: bool,
}

/// The watermark of an operator over the partitions that feed it: the least one of those that take part.
///
/// Flink's rules for active and idle inputs, and one more: a finished partition counts for nothing, neither
/// in the minimum of the active ones nor in the maximum that is taken when all go idle; the watermark goes
/// to [`END`] only when all are finished. It never falls.
#[derive(Clone, Debug)]
pub struct WatermarkCombiner {
    partitions: Vec<Partition>,
    active: u32,
    unfinished: u32,
    current: i64,
    /// The first of the aligned partitions with the least watermark.
    holder: Option<u32>,
}

impl WatermarkCombiner {
    /// Of partitions `0..partitions`, all active, without a watermark.
    pub fn new(partitions: u32) -> Self {
        let first = Partition { watermark: NONE, status: Status::Active, aligned: true };
        Self {
            partitions: vec![first; partitions as usize],
            active: partitions,
            unfinished: partitions,
            current: NONE,
            holder: (partitions > 0).then_some(0),
        }
    }

    /// As it was: with this combined watermark, and of each partition its watermark, its status, and whether it was
    /// [`behind`](Self::behind). An active partition below the combined watermark is behind whatever was said of it.
    /// [`current`](Self::current) says where time begins: it is [`END`] if all partitions are finished.
    pub fn restore(current: i64, partitions: &[(i64, Status, bool)]) -> Self {
        let part = |&(watermark, status, behind): &(i64, Status, bool)| Partition {
            watermark,
            status,
            aligned: status == Status::Active && !behind && watermark >= current,
        };
        let count = |wanted: &[Status]| {
            let found = partitions.iter().filter(|partition| wanted.contains(&partition.1)).count();
            u32::try_from(found).expect("partition ids fit 32 bits")
        };
        let unfinished = count(&[Status::Active, Status::Idle]);
        let mut restored = Self {
            partitions: partitions.iter().map(part).collect(),
            active: count(&[Status::Active]),
            unfinished,
            current: if unfinished == 0 && !partitions.is_empty() { END } else { current },
            holder: None,
        };
        restored.holder = restored.least_aligned();
        restored
    }

    /// Adds an active partition and gives its id. If time has begun already it has to catch up first and
    /// holds nothing back until then.
    pub fn add_partition(&mut self) -> u32 {
        let id = u32::try_from(self.partitions.len()).expect("partition ids fit 32 bits");
        let aligned = self.current == NONE;
        self.partitions.push(Partition { watermark: NONE, status: Status::Active, aligned });
        self.active += 1;
        self.unfinished += 1;
        self.holder = self.least_aligned();
        id
    }

    /// A partition's own watermark has grown. Gives the new combined watermark if that has grown too.
    ///
    /// Ignored for a partition that is not active, and if it is not growth.
    pub fn advance(&mut self, partition: u32, watermark: i64) -> Option<i64> {
        let seen = &mut self.partitions[partition as usize];
        if seen.status != Status::Active || watermark <= seen.watermark {
            return None;
        }
        seen.watermark = watermark;
        seen.aligned |= watermark >= self.current;
        if let Some(holder) = self.holder
            && holder != partition
            && self.partitions[holder as usize].watermark == self.current
        {
            return None; // Another one holds time back, as before.
        }
        self.rise_to_least_aligned()
    }

    /// A partition falls silent, wakes up or ends. Gives the new combined watermark if that has grown.
    ///
    /// Panics if a finished partition is to become something else.
    pub fn set_status(&mut self, partition: u32, status: Status) -> Option<i64> {
        let before = self.partitions[partition as usize].status;
        if before == status {
            return None;
        }
        assert!(before != Status::Finished, "partition {partition} is finished for good, not {status:?}");
        self.partitions[partition as usize].status = status;
        match status {
            Status::Active => {
                self.wake(partition);
                None
            }
            Status::Idle => self.leave(partition),
            Status::Finished => {
                self.unfinished -= 1;
                if self.unfinished == 0 {
                    self.active = 0;
                    self.partitions[partition as usize].aligned = false;
                    self.holder = None;
                    return self.rise_to(END);
                }
                if before == Status::Active { self.leave(partition) } else { None }
            }
        }
    }

    /// The combined watermark; [`NONE`] at first, [`END`] when all partitions are finished.
    pub fn current(&self) -> i64 {
        self.current
    }

    /// Partitions, finished ones left out, that do not take part in the minimum: idle ones, and active ones that
    /// are behind the combined watermark. Their rows may be late from the start.
    pub fn behind(&self) -> impl Iterator<Item = u32> + '_ {
        let apart = |p: &Partition| !p.aligned && p.status != Status::Finished;
        (0..).zip(&self.partitions).filter(move |(_, p)| apart(p)).map(|(id, _)| id)
    }

    /// The partition that holds time back, if any does.
    pub fn holding(&self) -> Option<u32> {
        self.holder
    }

    /// The least watermark of all active partitions, those that are behind included; `None` if none is active.
    pub fn slowest(&self) -> Option<i64> {
        let active = self.partitions.iter().filter(|partition| partition.status == Status::Active);
        active.map(|partition| partition.watermark).min()
    }

    /// Whether every partition has ended.
    pub fn all_finished(&self) -> bool {
        self.unfinished == 0
    }

    /// A partition that was idle takes part again, at once if it is not behind.
    fn wake(&mut self, partition: u32) {
        self.active += 1;
        let woken = &mut self.partitions[partition as usize];
        woken.aligned = woken.watermark >= self.current;
        self.holder = self.least_aligned();
    }

    /// An active partition became idle or finished, and others are not finished.
    fn leave(&mut self, partition: u32) -> Option<i64> {
        self.active -= 1;
        let left = &mut self.partitions[partition as usize];
        left.aligned = false;
        let held = left.watermark == self.current;
        if !held {
            self.holder = self.least_aligned();
            return None;
        }
        if self.active > 0 {
            return self.rise_to_least_aligned();
        }
        // All that are left are silent: nothing can be waited for, so time goes to where the first of them is.
        self.holder = None;
        let unfinished = self.partitions.iter().filter(|p| p.status != Status::Finished);
        let greatest = unfinished.map(|p| p.watermark).max().expect("one partition is not finished");
        self.rise_to(greatest)
    }

    fn rise_to_least_aligned(&mut self) -> Option<i64> {
        self.holder = self.least_aligned();
        let least = self.partitions[self.holder? as usize].watermark;
        self.rise_to(least)
    }

    fn rise_to(&mut self, watermark: i64) -> Option<i64> {
        let grows = watermark > self.current;
        self.current = self.current.max(watermark);
        grows.then_some(watermark)
    }

    fn least_aligned(&self) -> Option<u32> {
        let aligned = (0..).zip(&self.partitions).filter(|(_, p)| p.aligned);
        aligned.min_by_key(|(_, p)| p.watermark).map(|(id, _)| id)
    }
}
