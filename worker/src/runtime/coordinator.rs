//! Starts epochs, publishes them once every slot has sealed its part, and decides when the job is over.
//!
//! Owns: the number of the epoch, who has sealed it, and the end of the job.
//! Never: touches rows.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use crossbeam_utils::sync::Unparker;

use super::RunError;
use super::outlets::Target;
use super::publish::Publisher;
use super::stop::StopFlag;
use crate::pipeline::sink::SealedFile;

/// What the coordinator tells a slot.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// End the epoch: send the barrier after everything read so far. After the last one, read no more.
    Barrier {
        /// The epoch to end.
        epoch: u64,
        /// Whether the job ends with it.
        last: bool,
    },
    /// The epoch is complete in every slot; these partitions are still behind in some.
    Complete {
        /// Partition ids.
        behind: Vec<u32>,
    },
    /// Leave.
    Exit,
}

/// What a slot tells the coordinator.
#[derive(Debug)]
pub(super) enum Event {
    /// The barrier has come through all channels and the slot's part of the epoch is sealed.
    Sealed {
        /// Which slot.
        slot: usize,
        /// The epoch.
        epoch: u64,
        /// What it wrote, and for which target.
        files: Vec<(Target, SealedFile)>,
        /// Partitions that are behind the slot's watermark.
        behind: Vec<u32>,
    },
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

/// How a job ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// All input was read and everything has fired.
    Finished,
    /// Someone asked it to stop; nothing fired early.
    Stopped,
}

/// The coordinator of a job.
pub(super) struct Coordinator {
    slots: Vec<SlotHandle>,
    events: Receiver<Event>,
    publisher: Publisher,
    stop: StopFlag,
    interval: Duration,
    epoch: u64,
    drained: Vec<bool>,
}

/// An epoch whose barrier is on its way.
struct Pending {
    ending: Option<Ending>,
    sealed: Vec<bool>,
    files: Vec<(Target, SealedFile)>,
    behind: Vec<u32>,
}

impl Coordinator {
    /// A coordinator over these slots; a barrier starts every `interval`.
    pub(super) fn new(
        slots: Vec<SlotHandle>,
        events: Receiver<Event>,
        publisher: Publisher,
        stop: StopFlag,
        interval: Duration,
    ) -> Self {
        let drained = vec![false; slots.len()];
        Self { slots, events, publisher, stop, interval, epoch: 0, drained }
    }

    /// Runs the job to its end. The slots have been told to exit when it returns.
    pub(super) fn run(mut self) -> Result<Ending, RunError> {
        let ending = self.run_epochs();
        self.tell(&Command::Exit);
        ending
    }

    fn run_epochs(&mut self) -> Result<Ending, RunError> {
        const STOP_POLL: Duration = Duration::from_millis(50);
        let mut next_barrier = Instant::now() + self.interval;
        let mut pending: Option<Pending> = None;
        loop {
            let now = Instant::now();
            if pending.is_none() {
                let ending = self.ending();
                if ending.is_some() || now >= next_barrier {
                    pending = Some(self.start_epoch(ending));
                    next_barrier = now + self.interval;
                }
            }
            let wait = next_barrier.saturating_duration_since(now).min(STOP_POLL);
            match self.events.recv_timeout(wait) {
                Ok(Event::Drained { slot }) => self.drained[slot] = true,
                Ok(Event::Failed { error }) => return Err(error),
                Ok(Event::Sealed { slot, epoch, files, behind }) => {
                    assert_eq!(epoch, self.epoch, "one epoch is outstanding");
                    let current = pending.as_mut().expect("a slot seals what was started");
                    current.sealed[slot] = true;
                    current.files.extend(files);
                    current.behind.extend(behind);
                    if current.sealed.iter().all(|&sealed| sealed) {
                        let complete = pending.take().expect("it is the current one");
                        if let Some(ending) = self.complete(complete)? {
                            return Ok(ending);
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(RunError::SlotsGone),
            }
        }
    }

    fn ending(&self) -> Option<Ending> {
        if self.drained.iter().all(|&drained| drained) {
            Some(Ending::Finished)
        } else if self.stop.is_set() {
            Some(Ending::Stopped)
        } else {
            None
        }
    }

    fn start_epoch(&mut self, ending: Option<Ending>) -> Pending {
        self.epoch += 1;
        self.tell(&Command::Barrier { epoch: self.epoch, last: ending.is_some() });
        let sealed = vec![false; self.slots.len()];
        Pending { ending, sealed, files: Vec::new(), behind: Vec::new() }
    }

    fn complete(&mut self, epoch: Pending) -> Result<Option<Ending>, RunError> {
        self.publisher.publish(self.epoch, epoch.files)?;
        let mut behind = epoch.behind;
        behind.sort_unstable();
        behind.dedup();
        self.tell(&Command::Complete { behind });
        Ok(epoch.ending)
    }

    fn tell(&self, command: &Command) {
        for slot in &self.slots {
            // A slot that has gone has said why through its event.
            let _gone = slot.commands.send(command.clone());
            slot.waker.unpark();
        }
    }
}
