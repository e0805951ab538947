//! A slot's part in a checkpoint: cut the input, freeze the windows, hand both over.
//!
//! Owns: what stands in a slot's report, and that it is of one instant.
//! Never: waits for an encoder or a store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streamjob_checkpoint::checkpoint::{OperatorState, PartitionState, Share, SlotReport};
use streamjob_checkpoint::fail_point;
use streamjob_checkpoint::ids::{Epoch, Groups};
use streamjob_checkpoint::planted::{self, Bug};
use streamjob_core::watermark::NONE;
use streamjob_core::window::SliceStatus;

use super::super::super::RunError;
use super::{Command, RESULT_ROWS_MAX, Slot, State};
use crate::durability::snapshot::{SlotSnapshot, emitted};
use crate::durability::uploader::Work;
use crate::pipeline::exchange::Message;

/// A barrier that has left the slot's source side and has not come through all of its channels.
pub(in crate::runtime::worker) struct Cut {
    /// Where the slot's partitions stood.
    partitions: BTreeMap<u32, PartitionState>,
    /// Windows of which everything is to be written.
    compact: Arc<[i64]>,
    /// When it began.
    since: Duration,
    /// The epoch, once the barrier has come through all channels: nothing more is taken before it is sealed.
    aligned: Option<Epoch>,
}

impl Slot {
    /// Does what the worker says. Whether the slot stays.
    pub(super) fn on_command(&mut self, command: Command, state: &mut State) -> Result<bool, RunError> {
        match command {
            Command::Barrier { epoch, last, compact } => {
                state.reading &= !last;
                self.cut(epoch, compact, state)?;
            }
            Command::Committed { behind } => {
                self.intake.on_committed();
                self.window.on_committed();
                state.folding = true;
                if let Some(preaggregate) = &mut self.preaggregate {
                    let intake = &self.intake;
                    preaggregate.on_caught_up(&behind, |partition| intake.is_active(partition));
                }
            }
            Command::Abandoned => {
                // What was frozen twice is merged.
                state.folding = true;
                if planted::is(Bug::DeltaLostOnAbandon) {
                    self.window.on_committed();
                }
            }
            Command::Layer { end_ms, layer } => {
                self.window.add_restored(end_ms, *layer);
                state.folding = true;
            }
            Command::Exit => return Ok(false),
        }
        Ok(true)
    }

    /// Ends the epoch on the source side. The slot does not read again before the barrier has come through all of its
    /// channels, its own included: so bad records, which leave here, are cut at the same place.
    fn cut(&mut self, epoch: Epoch, compact: Arc<[i64]>, state: &mut State) -> Result<(), RunError> {
        fail_point::hit("barrier.align.before");
        let since = self.clock.elapsed();
        self.gap.on_barrier(since);
        if !planted::is(Bug::BarrierBeforeData) {
            self.drain_partials()?;
        }
        let mut partitions = self.intake.states();
        for to in self.outputs.others() {
            self.outputs.send(to, Message::Barrier { epoch: epoch.0 });
        }
        if planted::is(Bug::PositionsAfterBarrier) {
            self.read(state)?;
            self.drain_partials()?;
            partitions = self.intake.states();
        }
        self.cut = Some(Cut { partitions, compact, since, aligned: None });
        self.on_message(self.id, Message::Barrier { epoch: epoch.0 })
    }

    /// The barrier has come through all channels: this is the instant of the epoch.
    pub(super) fn on_aligned(&mut self, epoch: Epoch) -> Result<(), RunError> {
        let cut = self.cut.as_mut();
        cut.expect("a slot's own channel is one of those that a barrier comes through").aligned = Some(epoch);
        self.seal()?;
        Ok(())
    }

    /// Whether a barrier has come through all channels and is not sealed.
    pub(super) fn is_aligned(&self) -> bool {
        self.cut.as_ref().is_some_and(|cut| cut.aligned.is_some())
    }

    /// Ends the epoch, if the barrier has come through all channels; whether it did. Rows that are held for old state are
    /// in no snapshot, nor are their results in the outbox: the epoch ends once that state has come.
    pub(super) fn seal(&mut self) -> Result<bool, RunError> {
        if !self.is_aligned() {
            return Ok(false);
        }
        while self.window.has_updates() {
            let Some(results) = self.window.poll_results(RESULT_ROWS_MAX)? else { return Ok(false) };
            self.write_results(&results)?;
        }
        let Some(Cut { partitions, compact, since, aligned: Some(epoch) }) = self.cut.take() else {
            return Ok(false);
        };
        self.write_late()?;
        self.bad_records.on_barrier();
        self.outlets.on_barrier(epoch);
        let aligned = self.clock.elapsed().saturating_sub(since);
        fail_point::hit("barrier.align.after");
        let (frozen, statuses) = self.window.freeze(&compact);
        fail_point::hit("barrier.freeze.after");
        let report = self.report(partitions, &statuses);
        // Without an uploader an error is on its way to the coordinator.
        let _gone = self.work.send(Work::Snapshot(Box::new(SlotSnapshot { epoch, report, frozen, aligned })));
        Ok(true)
    }

    fn report(&self, partitions: BTreeMap<u32, PartitionState>, statuses: &[SliceStatus]) -> SlotReport {
        let watermark = self.window.watermark();
        let operator = OperatorState {
            groups: self.groups,
            watermark_ms: (watermark != NONE).then_some(watermark),
            behind: self.window.behind(),
        };
        self.count_window();
        let counters = self.earlier.since(self.base, &self.metrics.slots[self.id]);
        let shares = statuses.iter().flat_map(shares).collect();
        SlotReport { slot: self.id as u32, partitions, operator, shares, blocks: Vec::new(), counters }
    }
}

/// A window in the words of a checkpoint: a share for each range of key groups that has been handed out equally far.
/// Input rows are not known by range; they stand with the first.
fn shares(status: &SliceStatus) -> Vec<(i64, Share)> {
    let mut input_rows = status.input_rows;
    let share = |(groups, far): &(std::ops::Range<u32>, streamjob_core::window::Emitted)| {
        let emitted = match planted::is(Bug::FiringNotInSnapshot) {
            true => streamjob_checkpoint::checkpoint::Emitted::Nothing,
            false => emitted(far),
        };
        let share = Share {
            groups: Groups::from(groups.clone()),
            input_rows: std::mem::take(&mut input_rows),
            emitted,
        };
        (status.end, share)
    };
    status.emitted.iter().map(share).collect()
}
