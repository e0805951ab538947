//! One slot: a thread that reads its partitions, aggregates its key groups and writes their results.
//!
//! Owns: the order in which a slot serves commands, inputs, firing windows and its source.
//! Never: blocks in a send, or touches another slot's state.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use crossbeam_utils::sync::Parker;
use streamjob_core::watermark::Status;
use streamjob_core::window::Tumbling;

use super::RunError;
use super::bad_records::BadRecordHandler;
use super::coordinator::{Command, Event};
use super::counts::{count_batch, count_window};
use super::gap::GapMeter;
use super::intake::{Intake, Taken};
use super::outlets::Outlets;
use crate::metrics::{JobMetrics, PartitionStatus};
use crate::pipeline::clock::Clock;
use crate::pipeline::exchange::{Inputs, Message, Outputs};
use crate::pipeline::preaggregate::{PreAggregate, Routed};
use crate::pipeline::transform::{Piece, Transform};
use crate::pipeline::window::WindowStage;

/// How long a slot emits fired results before it looks at its input again.
const FIRE_BUDGET: Duration = Duration::from_millis(2);
/// The same while many keys are held: the next window's keys come on top of those that wait to be emitted, so memory
/// is worth more than the wait.
const FIRE_BUDGET_MANY: Duration = Duration::from_millis(12);
/// What many keys are.
const KEYS_MANY: usize = 4_000_000;
/// How many results are emitted at once.
const RESULT_ROWS_MAX: usize = 2_048;
/// How many messages of one channel are served before the next one has its turn.
const MESSAGES_PER_TURN: usize = 16;
/// The longest a slot sleeps without being woken.
const PARK_MAX: Duration = Duration::from_millis(100);

/// Everything that one slot is made of.
pub(super) struct Slot {
    /// Its number.
    pub id: usize,
    /// What it reads.
    pub intake: Intake,
    /// Rows to keyed rows.
    pub transform: Transform,
    /// Rows to partial states; `None` when there is no other slot to send to.
    pub preaggregate: Option<PreAggregate>,
    /// To other slots.
    pub outputs: Outputs,
    /// From other slots.
    pub inputs: Inputs,
    /// Keyed rows to results.
    pub window: WindowStage,
    /// The windows, to know when a watermark closes one.
    pub tumbling: Tumbling,
    /// Where results and late rows go.
    pub outlets: Outlets,
    /// What becomes of bad records.
    pub bad_records: BadRecordHandler,
    /// From the coordinator.
    pub commands: Receiver<Command>,
    /// To the coordinator.
    pub events: Sender<Event>,
    /// Where the slot sleeps.
    pub parker: Parker,
    /// Counts.
    pub metrics: Arc<JobMetrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// What changes while a slot runs.
struct State {
    reading: bool,
    drained: bool,
    was_blocked: bool,
    wait: Duration,
    gap: GapMeter,
    parked: Duration,
    started: Duration,
    pieces: Vec<Piece>,
}

impl Slot {
    /// Runs until the coordinator says exit. An error goes to the coordinator as an event.
    pub(super) fn run(mut self) {
        let events = self.events.clone();
        if let Err(error) = self.serve() {
            // Without a coordinator nobody is left to tell.
            let _gone = events.send(Event::Failed { error });
        }
    }

    fn serve(&mut self) -> Result<(), RunError> {
        let now = self.clock.elapsed();
        let mut state = State {
            reading: true,
            drained: false,
            was_blocked: false,
            wait: PARK_MAX,
            gap: GapMeter::default(),
            parked: Duration::ZERO,
            started: now,
            pieces: Vec::new(),
        };
        loop {
            while let Ok(command) = self.commands.try_recv() {
                if !self.on_command(command, &mut state)? {
                    return Ok(());
                }
            }
            let mut worked = self.outputs.flush();
            worked |= self.receive()?;
            worked |= self.emit()?;
            worked |= self.read(&mut state)?;
            worked |= self.report_drained(&mut state);
            if !worked {
                self.park(&mut state);
            }
        }
    }

    fn on_command(&mut self, command: Command, state: &mut State) -> Result<bool, RunError> {
        match command {
            Command::Barrier { epoch, last } => {
                state.reading &= !last;
                self.drain_partials()?;
                for to in self.outputs.others() {
                    self.outputs.send(to, Message::Barrier { epoch });
                }
                self.on_message(self.id, Message::Barrier { epoch })?;
            }
            Command::Complete { behind } => {
                if let Some(preaggregate) = &mut self.preaggregate {
                    let intake = &self.intake;
                    preaggregate.on_caught_up(&behind, |partition| intake.is_active(partition));
                }
            }
            Command::Exit => return Ok(false),
        }
        Ok(true)
    }

    fn receive(&mut self) -> Result<bool, RunError> {
        let mut worked = false;
        for from in 0..self.inputs.channels() {
            for _ in 0..MESSAGES_PER_TURN {
                if self.window.is_blocked(from as u32) {
                    break;
                }
                let Some(message) = self.inputs.take(from) else { break };
                self.on_message(from, message)?;
                worked = true;
            }
        }
        Ok(worked)
    }

    fn on_message(&mut self, from: usize, message: Message) -> Result<(), RunError> {
        match message {
            Message::Rows(rows) => self.window.on_rows(&rows)?,
            Message::Partials(partials) => self.window.on_partials(&partials)?,
            Message::Watermark { partition, watermark } => self.window.on_watermark(partition, watermark),
            Message::Status { partition, status } => self.window.on_status(partition, status),
            Message::Barrier { epoch } => {
                if self.window.on_barrier(from as u32, epoch) {
                    self.seal(epoch)?;
                }
            }
        }
        Ok(())
    }

    fn seal(&mut self, epoch: u64) -> Result<(), RunError> {
        let mut files = self.outlets.on_barrier(epoch)?;
        files.extend(self.bad_records.on_barrier(epoch)?);
        let behind = self.window.behind();
        // Without a coordinator an exit is on its way.
        let _gone = self.events.send(Event::Sealed { slot: self.id, epoch, files, behind });
        Ok(())
    }

    fn emit(&mut self) -> Result<bool, RunError> {
        let mut worked = false;
        while let Some(late) = self.window.take_late() {
            self.outlets.write_late(&late)?;
            worked = true;
        }
        let Some(first) = self.window.poll_results(RESULT_ROWS_MAX)? else { return Ok(worked) };
        let began = self.clock.elapsed();
        let budget = if self.window.stats().keys > KEYS_MANY { FIRE_BUDGET_MANY } else { FIRE_BUDGET };
        let mut next = Some(first);
        while let Some(results) = next {
            self.metrics.slots[self.id].rows_out.fetch_add(results.num_rows() as u64, Relaxed);
            self.outlets.write_results(&results)?;
            if self.clock.elapsed().saturating_sub(began) >= budget {
                break;
            }
            next = self.window.poll_results(RESULT_ROWS_MAX)?;
        }
        self.count_window();
        Ok(true)
    }

    fn read(&mut self, state: &mut State) -> Result<bool, RunError> {
        let blocked = self.outputs.is_blocked() || self.window.is_blocked(self.id as u32);
        if blocked || !state.reading {
            state.was_blocked |= blocked;
            state.wait = PARK_MAX;
            return Ok(false);
        }
        let now = self.clock.elapsed();
        let was_blocked = std::mem::take(&mut state.was_blocked);
        let (partition, rows) = match self.intake.take(now, was_blocked)? {
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
        let now = self.clock.elapsed();
        state.gap.on_batch(now, &self.metrics.slots[self.id]);
        if self.metrics.first_rows_nanos.load(Relaxed) == 0 {
            self.metrics.first_rows_nanos.store(now.as_nanos() as u64, Relaxed);
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
        self.metrics.partitions[partition as usize].watermark_ms.store(before, Relaxed);
        Ok(())
    }

    fn send_rows(&mut self, rows: streamjob_core::window::KeyedRows, watermark: i64) -> Result<(), RunError> {
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

    fn drain_partials(&mut self) -> Result<(), RunError> {
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
        self.metrics.partitions[partition as usize].set_status(shown);
        for to in self.outputs.others() {
            self.outputs.send(to, Message::Status { partition, status });
        }
        self.on_message(self.id, Message::Status { partition, status })
    }

    fn report_drained(&mut self, state: &mut State) -> bool {
        if state.drained || !self.window.is_drained() {
            return false;
        }
        state.drained = true;
        self.count_window();
        // Without a coordinator an exit is on its way.
        let _gone = self.events.send(Event::Drained { slot: self.id });
        true
    }

    fn park(&mut self, state: &mut State) {
        let blocked = self.outputs.is_blocked() || self.window.is_blocked(self.id as u32);
        let began = self.clock.elapsed();
        self.parker.park_timeout(state.wait);
        let slept = self.clock.elapsed().saturating_sub(began);
        let metrics = &self.metrics.slots[self.id];
        let counter = if blocked { &metrics.blocked_nanos } else { &metrics.idle_nanos };
        counter.fetch_add(slept.as_nanos() as u64, Relaxed);
        state.parked += slept;
        if !blocked {
            state.gap.pause();
        }
        self.count_time(state);
    }

    fn count_window(&self) {
        count_window(&self.metrics.slots[self.id], &self.window, self.preaggregate.as_ref());
    }

    fn count_time(&self, state: &State) {
        let busy = self.clock.elapsed().saturating_sub(state.started).saturating_sub(state.parked);
        self.metrics.slots[self.id].busy_nanos.store(busy.as_nanos() as u64, Relaxed);
    }
}

/// Whether a slice ends between the two watermarks, so that its partial states must be sent before the second.
fn closes_slice(tumbling: &Tumbling, before: i64, after: i64) -> bool {
    before == i64::MIN || tumbling.end(before.saturating_add(1)) <= after.saturating_add(1)
}
