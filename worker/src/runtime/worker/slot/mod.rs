//! One slot: a thread that reads its partitions, aggregates its key groups and writes their results.
//!
//! Owns: the order in which a slot serves commands, inputs, firing windows and its source.
//! Never: blocks in a send, or touches another slot's state.

pub(super) mod barrier;
mod read;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use arrow::array::RecordBatch;
use crossbeam_channel::{Receiver, Sender};
use crossbeam_utils::sync::{Parker, Unparker};
use streamjob_checkpoint::checkpoint::Counters;
use streamjob_checkpoint::ids::{Epoch, Groups};
use streamjob_core::table::Ahead;
use streamjob_core::window::{RestoredLayer, Tumbling};

use self::barrier::Cut;
use super::super::RunError;
use super::bad_records::BadRecordHandler;
use super::counts::{Earlier, count_window};
use super::gap::GapMeter;
use super::intake::Intake;
use super::outlets::Outlets;
use super::threads::Event;
use crate::durability::outbox::OutboxBudget;
use crate::durability::uploader::Work;
use crate::metrics::JobMetrics;
use crate::pipeline::clock::Clock;
use crate::pipeline::exchange::{Inputs, Message, Outputs};
use crate::pipeline::preaggregate::PreAggregate;
use crate::pipeline::sink::SinkError;
use crate::pipeline::transform::{Piece, Transform};
use crate::pipeline::window::WindowStage;

/// A slot that fires or folds reads this part of a batch at a time, so that neither waits long for the other. The
/// budgets below are as small, so that the shares of both stay what they would be with whole batches.
const SHORT_BATCH: u32 = 4;
/// The same while many keys are fired: the next window's keys come on top of those that wait to be emitted, so that
/// memory is worth more than new rows.
const SHORTER_BATCH: u32 = 24;
/// How long a slot emits fired results before it looks at its input again.
const FIRE_BUDGET: Duration = Duration::from_micros(500);
/// What many keys are.
const KEYS_MANY: usize = 4_000_000;
/// How many results are emitted at once.
const RESULT_ROWS_MAX: usize = 512;
/// How many messages of one channel are served before the next one has its turn.
const MESSAGES_PER_TURN: usize = 16;
/// How long a slot folds durable state into its base between two batches. Enough for as many keys as a batch can touch,
/// so that folding keeps up with checkpoints.
const FOLD_BUDGET: Duration = Duration::from_micros(175);
/// How many keys are folded at once.
const FOLD_KEYS: usize = 256;
/// The longest a slot sleeps without being woken.
const PARK_MAX: Duration = Duration::from_millis(100);

/// What a worker tells a slot.
pub(super) enum Command {
    /// End the epoch: send the barrier after everything read so far. After the last one, read no more.
    Barrier {
        /// The epoch to end.
        epoch: Epoch,
        /// Whether the job ends with it.
        last: bool,
        /// Windows of which everything is to be written.
        compact: Arc<[i64]>,
    },
    /// The last epoch is committed; these partitions are still behind in some slot.
    Committed {
        /// Partition ids.
        behind: Vec<u32>,
    },
    /// The last epoch will not be committed.
    Abandoned,
    /// The old state of a window has come.
    Layer {
        /// The window's end.
        end_ms: i64,
        /// Its state.
        layer: Box<RestoredLayer>,
    },
    /// Leave.
    Exit,
}

/// What a slot tells its worker.
pub(super) enum SlotEvent {
    /// The input has ended for this slot and everything has fired.
    Drained {
        /// Which slot.
        slot: usize,
    },
    /// The slot cannot go on.
    Failed {
        /// Why.
        error: RunError,
    },
}

/// The end of a slot's command queue, and what wakes its thread.
pub(super) struct SlotHandle {
    /// Commands to the slot.
    pub commands: Sender<Command>,
    /// Wakes the slot's thread.
    pub waker: Unparker,
}

impl SlotHandle {
    /// Tells the slot.
    pub(super) fn tell(&self, command: Command) {
        // A slot that has gone has said why through its event.
        let _gone = self.commands.send(command);
        self.waker.unpark();
    }
}

/// Everything that one slot is made of.
pub(super) struct Slot {
    /// Its number.
    pub id: usize,
    /// The key groups that it owns.
    pub groups: Groups,
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
    /// From the worker.
    pub commands: Receiver<Command>,
    /// To the worker.
    pub events: Sender<Event>,
    /// To the uploader.
    pub work: Sender<Work>,
    /// To the thread that has memory ready before it is used.
    pub memory: Sender<Ahead>,
    /// The time between batches.
    pub gap: GapMeter,
    /// The barrier that is being aligned.
    pub cut: Option<Cut>,
    /// Output that is not published: when there is too much of it the slot stops reading and firing.
    pub budget: Arc<OutboxBudget>,
    /// What the lineage had counted before; slot 0 goes on from it.
    pub base: Counters,
    /// What this slot had counted before in this process.
    pub earlier: Earlier,
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
    parked: Duration,
    started: Duration,
    pieces: Vec<Piece>,
    /// Durable state lies above its base.
    folding: bool,
    /// Reading takes turns with firing or folding: which part of a batch is its turn.
    part: u32,
    /// Barriers that came while one was being aligned, which was abandoned meanwhile. Every slot passes them in turn.
    held: VecDeque<Command>,
}

impl Slot {
    /// Runs until the worker says exit. An error goes to the worker as an event.
    pub(super) fn run(mut self) {
        let events = self.events.clone();
        if let Err(error) = self.serve() {
            // Without a coordinator nobody is left to tell.
            let _gone = events.send(Event::Slot(SlotEvent::Failed { error }));
        }
    }

    fn serve(&mut self) -> Result<(), RunError> {
        let now = self.clock.elapsed();
        let busy = Duration::from_nanos(self.metrics.slots[self.id].busy_nanos.load(Relaxed));
        let mut state = State {
            reading: true,
            drained: false,
            was_blocked: false,
            wait: PARK_MAX,
            parked: Duration::ZERO,
            // Time goes on where an earlier attempt left it.
            started: now.saturating_sub(busy),
            pieces: Vec::new(),
            folding: true,
            part: 1,
            held: VecDeque::new(),
        };
        loop {
            while let Some(command) = self.next_command(&mut state) {
                if !self.on_command(command, &mut state)? {
                    return Ok(());
                }
            }
            let mut worked = self.outputs.flush();
            worked |= self.seal()?;
            worked |= self.receive()?;
            let fires = self.emit()?;
            state.part = self.part(fires, state.folding);
            worked |= fires;
            worked |= self.read(&mut state)?;
            worked |= self.fold(&mut state);
            for ahead in self.window.take_ahead() {
                // What finds no room is had ready when it is used.
                let _full = self.memory.try_send(ahead);
            }
            worked |= self.report_drained(&mut state);
            if !worked {
                self.park(&mut state);
            }
        }
    }

    /// Which part of a batch is read in one turn.
    fn part(&self, fires: bool, folds: bool) -> u32 {
        match () {
            () if fires && self.window.stats().keys > KEYS_MANY => SHORTER_BATCH,
            () if fires || folds => SHORT_BATCH,
            () => 1,
        }
    }

    /// What to do next: a barrier only when none is being aligned.
    fn next_command(&self, state: &mut State) -> Option<Command> {
        loop {
            if self.cut.is_none()
                && let Some(held) = state.held.pop_front()
            {
                return Some(held);
            }
            match self.commands.try_recv().ok()? {
                barrier @ Command::Barrier { .. } => state.held.push_back(barrier),
                command @ (Command::Committed { .. }
                | Command::Abandoned
                | Command::Layer { .. }
                | Command::Exit) => return Some(command),
            }
        }
    }

    fn receive(&mut self) -> Result<bool, RunError> {
        let mut worked = false;
        for from in 0..self.inputs.channels() {
            for _ in 0..MESSAGES_PER_TURN {
                if self.window.is_blocked(from as u32) || self.awaits_old_state() {
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
                    self.on_aligned(Epoch(epoch))?;
                }
            }
        }
        Ok(())
    }

    fn emit(&mut self) -> Result<bool, RunError> {
        let worked = self.write_late()?;
        if self.budget.is_full() {
            return Ok(worked);
        }
        let Some(first) = self.window.poll_results(RESULT_ROWS_MAX)? else { return Ok(worked) };
        let began = self.clock.elapsed();
        let mut next = Some(first);
        while let Some(results) = next {
            self.write_results(&results)?;
            if self.clock.elapsed().saturating_sub(began) >= FIRE_BUDGET {
                break;
            }
            next = self.window.poll_results(RESULT_ROWS_MAX)?;
        }
        self.count_window();
        Ok(true)
    }

    /// Whether there was something to fold.
    fn fold(&mut self, state: &mut State) -> bool {
        if !state.folding {
            return false;
        }
        let budget = FOLD_BUDGET * SHORT_BATCH / state.part.max(SHORT_BATCH);
        let began = self.clock.elapsed();
        while state.folding && self.clock.elapsed().saturating_sub(began) < budget {
            state.folding = self.window.fold_some(FOLD_KEYS);
        }
        true
    }

    fn write_results(&mut self, results: &RecordBatch) -> Result<(), SinkError> {
        self.metrics.slots[self.id].rows_out.fetch_add(results.num_rows() as u64, Relaxed);
        self.outlets.write_results(results)
    }

    /// Whether there were any.
    fn write_late(&mut self) -> Result<bool, SinkError> {
        let mut any = false;
        while let Some(late) = self.window.take_late() {
            self.outlets.write_late(&late)?;
            any = true;
        }
        Ok(any)
    }

    fn report_drained(&mut self, state: &mut State) -> bool {
        if state.drained || !self.window.is_drained() {
            return false;
        }
        state.drained = true;
        self.count_window();
        // Without a coordinator an exit is on its way.
        let _gone = self.events.send(Event::Slot(SlotEvent::Drained { slot: self.id }));
        true
    }

    /// Whether there may be rows to read that nobody can take.
    fn is_blocked(&self) -> bool {
        self.outputs.is_blocked()
            || self.window.is_blocked(self.id as u32)
            || self.awaits_old_state()
            || self.budget.is_full()
    }

    /// Whether nothing more can be taken before old state comes.
    fn awaits_old_state(&self) -> bool {
        self.is_aligned() || self.window.awaits_before_rows()
    }

    fn park(&mut self, state: &mut State) {
        let blocked = self.is_blocked();
        let began = self.clock.elapsed();
        self.parker.park_timeout(state.wait);
        let slept = self.clock.elapsed().saturating_sub(began);
        let metrics = &self.metrics.slots[self.id];
        let counter = if blocked { &metrics.blocked_nanos } else { &metrics.idle_nanos };
        counter.fetch_add(slept.as_nanos() as u64, Relaxed);
        state.parked += slept;
        if !blocked {
            self.gap.pause();
        }
        self.count_time(state);
    }

    fn count_window(&self) {
        let metrics = &self.metrics.slots[self.id];
        count_window(metrics, &self.earlier, &self.window, self.preaggregate.as_ref());
        self.metrics.unpublished_bytes.store(self.budget.unpublished(), Relaxed);
    }

    fn count_time(&self, state: &State) {
        let busy = self.clock.elapsed().saturating_sub(state.started).saturating_sub(state.parked);
        self.metrics.slots[self.id].busy_nanos.store(busy.as_nanos() as u64, Relaxed);
    }
}
