//! The source side of a slot: from its partitions to the slots that own the keys.
//!
//! Owns: the order of rows, watermarks and status of a partition on every channel.
//! Never: decides when a slot reads.

use std::sync::atomic::Ordering::Relaxed;

use streamjob_checkpoint::fail_point;
use streamjob_core::watermark::Status;
use streamjob_core::window::{KeyedRows, Tumbling};

use super::super::super::RunError;
use super::super::counts::count_batch;
use super::super::intake::Taken;
use super::{PARK_MAX, Slot, State};
use crate::metrics::PartitionStatus;
use crate::pipeline::exchange::Message;
use crate::pipeline::preaggregate::Routed;
use crate::pipeline::transform::Piece;

impl Slot {
    pub(super) fn read(&mut self, state: &mut State) -> Result<bool, RunError> {
        let blocked = self.is_blocked();
        if blocked || !state.reading {
            state.was_blocked |= blocked;
            state.wait = PARK_MAX;
            return Ok(false);
        }
        fail_point::hit("source.batch");
        let now = self.clock.elapsed();
        let was_blocked = std::mem::take(&mut state.was_blocked);
        self.intake.align(|| self.window.slowest());
        let (partition, rows) = match self.intake.take(now, was_blocked, state.part as usize)? {
            Taken::Rows(partition, rows) => (partition, rows),
            Taken::Idle(partition) => {
                self.announce_status(partition, Status::Idle)?;
                return Ok(true);
            }
            Taken::Finished(partition) => {
                self.announce_status(partition, Status::Finished)?;
                return Ok(true);
            }
            Taken::Wait(pause) => {
                state.wait = pause.min(PARK_MAX);
                return Ok(false);
            }
            Taken::End => {
                (state.reading, state.wait) = (false, PARK_MAX);
                return Ok(true);
            }
        };
        let id = partition.time.id;
        let woke = std::mem::replace(&mut partition.status, Status::Active) == Status::Idle;
        let before = partition.time.watermark.current();
        count_batch(&self.metrics, self.id, partition, &rows);
        let rejected =
            self.transform.on_rows(&mut partition.time, &rows, self.clock.now_ms(), &mut state.pieces);
        let bad = self.bad_records.on_batch(&rows, &rejected, partition.reader.as_ref())?;
        self.metrics.slots[self.id].bad.fetch_add(bad, Relaxed);
        if woke {
            self.announce_status(id, Status::Active)?;
        }
        self.send_pieces(id, before, &mut state.pieces)?;
        let done = self.clock.elapsed();
        self.gap.on_batch(now, done, &self.metrics.slots[self.id]);
        if self.metrics.first_rows_nanos.load(Relaxed) == 0 {
            self.metrics.first_rows_nanos.store(done.as_nanos() as u64, Relaxed);
            tracing::debug!("the first rows are in windows");
        }
        self.count_window();
        self.count_time(state);
        Ok(true)
    }

    fn send_pieces(
        &mut self,
        partition: u32,
        mut before: i64,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), RunError> {
        for piece in pieces.drain(..) {
            self.send_rows(piece.rows, before)?;
            if piece.watermark > before {
                self.advance(partition, before, piece.watermark)?;
                before = piece.watermark;
            }
        }
        if let Some(metrics) = self.metrics.partition(partition) {
            metrics.watermark_ms.store(before, Relaxed);
        }
        Ok(())
    }

    fn send_rows(&mut self, rows: KeyedRows, watermark: i64) -> Result<(), RunError> {
        let Some(preaggregate) = &mut self.preaggregate else {
            return Ok(self.window.on_rows(&rows)?);
        };
        let mut routed = Vec::new();
        preaggregate.on_rows(rows, watermark, |to, what| routed.push((to, what)));
        if preaggregate.is_full() {
            preaggregate.drain_all(|to, what| routed.push((to, what)));
        }
        self.dispatch(routed)
    }

    /// Hands what was routed to its slots; this slot's own part goes straight to its window stage.
    fn dispatch(&mut self, routed: Vec<(u32, Routed)>) -> Result<(), RunError> {
        for (to, what) in routed {
            let message = match what {
                Routed::Rows(rows) => Message::Rows(Box::new(rows)),
                Routed::Partials(partials) => Message::Partials(Box::new(partials)),
            };
            if to as usize == self.id {
                self.on_message(self.id, message)?;
            } else {
                self.outputs.send(to as usize, message);
            }
        }
        Ok(())
    }

    fn advance(&mut self, partition: u32, before: i64, watermark: i64) -> Result<(), RunError> {
        if let Some(preaggregate) = &mut self.preaggregate
            && closes_slice(&self.tumbling, before, watermark)
        {
            let mut routed = Vec::new();
            preaggregate.drain_up_to(watermark, |to, what| routed.push((to, what)));
            self.dispatch(routed)?;
        }
        for to in self.outputs.others() {
            self.outputs.send(to, Message::Watermark { partition, watermark });
        }
        self.on_message(self.id, Message::Watermark { partition, watermark })
    }

    pub(super) fn drain_partials(&mut self) -> Result<(), RunError> {
        let Some(preaggregate) = &mut self.preaggregate else { return Ok(()) };
        let mut routed = Vec::new();
        preaggregate.drain_all(|to, what| routed.push((to, what)));
        self.dispatch(routed)
    }

    fn announce_status(&mut self, partition: u32, status: Status) -> Result<(), RunError> {
        if status != Status::Active {
            self.drain_partials()?;
        }
        if let (Some(preaggregate), Status::Idle) = (&mut self.preaggregate, status) {
            preaggregate.on_idle(partition);
        }
        let shown = match status {
            Status::Active => PartitionStatus::Active,
            Status::Idle => PartitionStatus::Idle,
            Status::Finished => PartitionStatus::Finished,
        };
        if let Some(metrics) = self.metrics.partition(partition) {
            metrics.set_status(shown);
        }
        for to in self.outputs.others() {
            self.outputs.send(to, Message::Status { partition, status });
        }
        self.on_message(self.id, Message::Status { partition, status })
    }
}

/// Whether a slice ends between the two watermarks, so that its partial states must be sent before the second.
fn closes_slice(tumbling: &Tumbling, before: i64, after: i64) -> bool {
    before == i64::MIN || tumbling.end(before.saturating_add(1)) <= after.saturating_add(1)
}
