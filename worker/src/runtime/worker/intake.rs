//! The source side of a slot: which of its partitions is read next, which of them are held, idle or finished.
//!
//! Owns: the readers of a slot's partitions, their time and status.
//! Never: decodes, transforms or sends.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crossbeam_utils::sync::Unparker;
use streamjob_checkpoint::checkpoint::{PartitionState, PartitionStatus, SourcePosition};
use streamjob_core::watermark::{PartitionWatermark, Status};

use super::super::Input;
use super::absent::Absent;
use crate::pipeline::records::{DecodedRows, PartitionReader, Read, SourceError};
use crate::pipeline::transform::PartitionTime;

/// How many files of a slot are open at once; the others hold time back until it is their turn.
const OPEN_MAX: usize = 64;

/// The partitions of one slot.
pub(super) struct Intake {
    unopened: VecDeque<(u32, Input)>,
    open: Vec<OpenPartition>,
    /// All of them; of open ones as they were when they were opened.
    states: BTreeMap<u32, PartitionState>,
    bound_ms: i64,
    idle_timeout: Option<Duration>,
    rows_max: usize,
    open_max: usize,
    waker: Option<Unparker>,
    max_drift_ms: Option<i64>,
    /// Partitions with a greater watermark are held: others have to catch up.
    limit: i64,
    /// Where open partitions stood at the last barrier.
    noted: Vec<(u32, SourcePosition)>,
    /// Looks for columns that no record has.
    absent: Option<Absent>,
}

/// A partition that is being read.
pub(super) struct OpenPartition {
    /// Reads it.
    pub reader: Box<dyn PartitionReader>,
    /// Its id and watermark.
    pub time: PartitionTime,
    /// Active or idle; a finished partition is dropped.
    pub status: Status,
    not_before: Option<Duration>,
    waiting: Duration,
    waited_at: Option<Duration>,
}

/// What one look at the partitions brought.
pub(super) enum Taken<'a> {
    /// A batch of rows, and the partition it is from. It was idle before if its status says so.
    Rows(&'a mut OpenPartition, DecodedRows),
    /// A partition has nothing new for too long.
    Idle(u32),
    /// A partition has ended.
    Finished(u32),
    /// Nothing before this long.
    Wait(Duration),
    /// All partitions have ended.
    End,
}

impl Intake {
    /// The partitions of a slot, with their ids, in the order in which they are opened. Finished ones stay closed.
    pub(super) fn new(
        partitions: Vec<(u32, Input)>,
        event_time: &streamjob_plan::EventTimePlan,
        rows_max: usize,
    ) -> Self {
        let idle = event_time.idle_timeout_ms;
        let states = partitions.iter().map(|(id, input)| (*id, input.state.clone())).collect();
        let unfinished = |(_, input): &(u32, Input)| input.state.status != PartitionStatus::Finished;
        Self {
            unopened: partitions.into_iter().filter(unfinished).collect(),
            open: Vec::new(),
            states,
            bound_ms: event_time.max_out_of_orderness_ms,
            idle_timeout: (idle > 0).then(|| Duration::from_millis(idle.unsigned_abs())),
            rows_max,
            open_max: OPEN_MAX,
            waker: None,
            max_drift_ms: event_time.max_drift_ms,
            limit: i64::MAX,
            noted: Vec::new(),
            absent: None,
        }
    }

    /// Looks for columns that no record has, too.
    pub(super) fn looking_for(self, absent: Absent) -> Self {
        Self { absent: Some(absent), ..self }
    }

    /// All partitions are open at once: they hold no file, and those that never end would not let others begin. They wake
    /// the slot when something comes.
    pub(super) fn all_open(self, waker: Unparker) -> Self {
        Self { open_max: usize::MAX, waker: Some(waker), ..self }
    }

    /// Holds partitions that are too far ahead of the slowest active one of the job, if the job wants that.
    pub(super) fn align(&mut self, slowest: impl FnOnce() -> Option<i64>) {
        let Some(drift) = self.max_drift_ms else { return };
        self.limit = slowest().map_or(i64::MAX, |slowest| slowest.saturating_add(drift));
        for held in self.open.iter_mut().filter(|partition| partition.is_ahead_of(self.limit)) {
            // It is not known to be silent: nobody looks.
            held.waited_at = None;
        }
    }

    /// Reads from the partition with the lowest watermark that has something, at most this `part` of a batch. `blocked`
    /// says that the slot could not read since the last call: that time does not make a partition idle.
    pub(super) fn take(
        &mut self,
        now: Duration,
        blocked: bool,
        part: usize,
    ) -> Result<Taken<'_>, SourceError> {
        self.open_more()?;
        let Some(index) = self.lowest_ready(now) else { return Ok(self.nothing_ready(now)) };
        let partition = &mut self.open[index];
        match partition.reader.read((self.rows_max / part).max(1))? {
            Read::Rows(rows) => {
                if let Some(absent) = &mut self.absent {
                    absent.on_rows(&rows.rows);
                }
                let partition = &mut self.open[index];
                (partition.not_before, partition.waited_at) = (None, None);
                partition.waiting = Duration::ZERO;
                Ok(Taken::Rows(partition, rows))
            }
            Read::End => {
                let mut ended = self.open.swap_remove(index);
                ended.status = Status::Finished;
                let id = ended.time.id;
                ended.note(self.states.get_mut(&id).expect("every partition has a state"));
                Ok(Taken::Finished(id))
            }
            Read::Wait(pause) => Ok(self.on_wait(index, pause, now, blocked)),
            Read::Stalled(pause) => {
                let partition = &mut self.open[index];
                (partition.not_before, partition.waited_at) = (Some(now + pause), None);
                Ok(self.nothing_ready(now))
            }
        }
    }

    fn on_wait(&mut self, index: usize, pause: Duration, now: Duration, blocked: bool) -> Taken<'_> {
        let partition = &mut self.open[index];
        partition.not_before = Some(now + pause);
        if let (Some(since), false) = (partition.waited_at, blocked) {
            partition.waiting += now.saturating_sub(since);
        }
        partition.waited_at = Some(now);
        let timed_out = self.idle_timeout.is_some_and(|timeout| partition.waiting >= timeout);
        if timed_out && partition.status == Status::Active {
            partition.status = Status::Idle;
            return Taken::Idle(partition.time.id);
        }
        self.nothing_ready(now)
    }

    fn open_more(&mut self) -> Result<(), SourceError> {
        while self.open.len() < self.open_max
            && let Some((id, partition)) = self.unopened.pop_front()
        {
            let watermark = PartitionWatermark::restore(partition.state.max_timestamp_ms, self.bound_ms);
            let mut reader = (partition.open)()?;
            if let Some(waker) = &self.waker {
                reader.wake_with(waker.clone());
            }
            self.open.push(OpenPartition {
                reader,
                time: PartitionTime { id, watermark },
                status: status(partition.state.status),
                not_before: None,
                waiting: Duration::ZERO,
                waited_at: None,
            });
        }
        Ok(())
    }

    fn lowest_ready(&self, now: Duration) -> Option<usize> {
        let ready = |partition: &OpenPartition| {
            partition.not_before.is_none_or(|at| at <= now) || partition.reader.has_come()
        };
        let open = self.open.iter().enumerate().filter(|(_, partition)| ready(partition));
        open.filter(|(_, partition)| !partition.is_ahead_of(self.limit))
            .min_by_key(|(_, partition)| (partition.time.watermark.current(), partition.time.id))
            .map(|(i, _)| i)
    }

    fn nothing_ready(&mut self, now: Duration) -> Taken<'_> {
        let free = self.open.iter().filter(|partition| !partition.is_ahead_of(self.limit));
        match free.map(|partition| partition.not_before.unwrap_or(now)).min() {
            Some(at) => Taken::Wait(at.saturating_sub(now)),
            None if self.open.is_empty() => {
                if let Some(absent) = &mut self.absent {
                    absent.on_end();
                }
                Taken::End
            }
            // Whoever catches up wakes the slot.
            None => Taken::Wait(Duration::MAX),
        }
    }

    /// Whether a partition is active; finished ones are not.
    pub(super) fn is_active(&self, id: u32) -> bool {
        self.open.iter().any(|partition| partition.time.id == id && partition.status == Status::Active)
    }

    /// The last [`Intake::states`] are in a checkpoint.
    pub(super) fn on_committed(&mut self) {
        for (id, position) in std::mem::take(&mut self.noted) {
            if let Some(open) = self.open.iter_mut().find(|open| open.time.id == id) {
                open.reader.on_committed(&position);
            }
        }
    }

    /// Where each partition stands: what was given out so far is before it.
    pub(super) fn states(&mut self) -> BTreeMap<u32, PartitionState> {
        let mut states = self.states.clone();
        for open in &self.open {
            open.note(states.get_mut(&open.time.id).expect("every partition has a state"));
        }
        self.noted = self.open.iter().map(|open| (open.time.id, states[&open.time.id].position)).collect();
        states
    }
}

impl OpenPartition {
    fn is_ahead_of(&self, limit: i64) -> bool {
        self.time.watermark.current() > limit
    }

    fn note(&self, state: &mut PartitionState) {
        state.position = self.reader.next_position();
        state.max_timestamp_ms = self.time.watermark.max_timestamp();
        state.status = match self.status {
            Status::Active => PartitionStatus::Active,
            Status::Idle => PartitionStatus::Idle,
            Status::Finished => PartitionStatus::Finished,
        };
    }
}

/// The same word in the window operators' terms.
pub(super) fn status(status: PartitionStatus) -> Status {
    match status {
        PartitionStatus::Active => Status::Active,
        PartitionStatus::Idle => Status::Idle,
        PartitionStatus::Finished => Status::Finished,
    }
}

#[cfg(test)]
mod tests;
