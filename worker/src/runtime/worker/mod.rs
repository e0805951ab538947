//! The worker role: runs slots, stores their part of each epoch, publishes what is committed.
//!
//! Owns: the threads of a worker, and what the coordinator's messages mean for them.
//! Never: decides that an epoch begins, is committed or may be published.

mod absent;
mod bad_records;
mod counts;
mod gap;
mod intake;
mod outlets;
pub(super) mod publish;
mod slot;
mod threads;
pub(super) mod wiring;

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, never, select, tick};
use streamjob_checkpoint::ids::Epoch;
use streamjob_checkpoint::retry::{Passing, with_causes};
use streamjob_checkpoint::store::StateStore;
use streamjob_plan::Plan;
use tokio::runtime::Handle;

use self::publish::{Publish, Published};
use self::slot::{Command, SlotEvent};
use self::threads::{Event, Threads};
use super::figures::Figures;
use super::messages::{FailureKind, PublishedFile, Times, ToCoordinator, ToWorker};
use super::transport::{WorkerLink, WorkerSender};
use super::{Inputs, Options, RunError};
use crate::durability::outbox::Broken;
use crate::durability::restore::Restored;
use crate::durability::uploader::{Done, Work};
use crate::metrics::JobMetrics;
use crate::pipeline::clock::Clock;

/// How often a coordinator in another process is told what was counted: as often as people look.
const COUNTED_EVERY: Duration = Duration::from_millis(500);

/// What a worker is made from.
pub struct WorkerSetup {
    /// What the job does.
    pub plan: Arc<Plan>,
    /// What it reads.
    pub inputs: Arc<dyn Inputs>,
    /// How it is run.
    pub options: Options,
    /// Where its state is.
    pub store: StateStore,
    /// What it counts.
    pub metrics: Arc<JobMetrics>,
    /// Whether the coordinator counts elsewhere, and is told.
    pub tells_counts: bool,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What the store's calls run on.
    pub runtime: Handle,
}

/// Does what the coordinator says until it says exit, or is gone. Why it failed was told to the coordinator, too.
pub fn run(setup: WorkerSetup, link: &WorkerLink) -> Result<(), RunError> {
    let sender = link.sender();
    let ran = serve(setup, link, &sender);
    if let Err(error) = &ran {
        let kind = match error {
            closed if closed.is_clean_stop() => FailureKind::OutputClosed,
            passing if passing.may_pass() => FailureKind::MayPass,
            _ => FailureKind::Error,
        };
        say(&sender, ToCoordinator::Failed { kind, reason: with_causes(error) });
    }
    ran
}

fn serve(setup: WorkerSetup, link: &WorkerLink, sender: &WorkerSender) -> Result<(), RunError> {
    say(sender, ToCoordinator::Registered { slots: setup.plan.parallelism });
    let Some((start, inherited)) = wait_for_start(link) else { return Ok(()) };
    let (threads, events) = Threads::start(&setup, link.generation(), &start)?;
    let slots = threads.slots.len();
    let counted = setup.tells_counts.then(|| Arc::clone(&setup.metrics));
    let mut worker = Worker { threads, sender, drained: vec![false; slots], committed: None, counted };
    if let Some(inherited) = inherited {
        worker.publish(inherited, false);
    }
    let ran = worker.serve(link, &events);
    worker.threads.join();
    ran
}

/// What a start message holds.
struct Start {
    lineage: streamjob_checkpoint::ids::Lineage,
    formerly: Vec<streamjob_checkpoint::ids::Lineage>,
    progress_from: Option<u64>,
    checkpoint: Box<streamjob_checkpoint::checkpoint::Checkpoint>,
    last_epoch: Epoch,
    /// Output comes that may not be published.
    owes: bool,
}

/// `None`: there will be none.
fn wait_for_start(link: &WorkerLink) -> Option<(Start, Option<super::messages::Publication>)> {
    match link.received().recv().ok()? {
        ToWorker::Start { lineage, formerly, progress_from, checkpoint, last_epoch, inherited } => {
            let owes = inherited.is_some();
            Some((Start { lineage, formerly, progress_from, checkpoint, last_epoch, owes }, inherited))
        }
        ToWorker::Exit => None,
        early @ (ToWorker::Barrier { .. }
        | ToWorker::Committed { .. }
        | ToWorker::Publish(_)
        | ToWorker::Abandon { .. }) => {
            unreachable!("{early:?} before the start: a bug of the coordinator")
        }
    }
}

struct Worker<'a> {
    threads: Threads,
    sender: &'a WorkerSender,
    drained: Vec<bool>,
    committed: Option<Epoch>,
    /// What the coordinator is told of.
    counted: Option<Arc<JobMetrics>>,
}

impl Worker<'_> {
    fn serve(&mut self, link: &WorkerLink, events: &Receiver<Event>) -> Result<(), RunError> {
        let received = link.received();
        let due = if self.counted.is_some() { tick(COUNTED_EVERY) } else { never() };
        loop {
            select! {
                recv(received) -> message => match message {
                    Ok(message) => if !self.on_message(message) { return Ok(()) },
                    Err(_gone) => return Ok(()),
                },
                recv(due) -> _ => self.tell_counts(),
                recv(events) -> event => self.on_event(event.expect("the worker holds a sender"))?,
            }
        }
    }

    /// Whether the worker stays.
    fn on_message(&mut self, message: ToWorker) -> bool {
        match message {
            ToWorker::Barrier { epoch, last, compact } => {
                let compact: Arc<[i64]> = compact.into();
                self.threads.tell_slots(|| Command::Barrier { epoch, last, compact: Arc::clone(&compact) });
            }
            ToWorker::Committed { epoch, behind } => {
                self.committed = Some(epoch);
                self.threads.upload(Work::Committed(epoch));
                self.threads.tell_slots(|| Command::Committed { behind: behind.clone() });
            }
            ToWorker::Publish(output) => self.publish(output, true),
            ToWorker::Abandon { epoch } => self.threads.give_up(epoch),
            ToWorker::Exit => return false,
            ToWorker::Start { .. } => unreachable!("a worker starts once: a bug of the coordinator"),
        }
        true
    }

    fn publish(&self, output: super::messages::Publication, own: bool) {
        self.threads.publish(Publish { output, own });
    }

    fn on_event(&mut self, event: Event) -> Result<(), RunError> {
        match event {
            Event::Slot(SlotEvent::Failed { error }) => return Err(error),
            Event::Slot(SlotEvent::Drained { slot }) => {
                self.drained[slot] = true;
                if self.drained.iter().all(|&drained| drained) {
                    self.tell_counts();
                    say(self.sender, ToCoordinator::Drained);
                }
            }
            Event::Uploaded(Done::Acknowledged { epoch, report, times }) => {
                let times = Times {
                    align_ms: times.align.as_millis() as u64,
                    encode_ms: times.encode.as_millis() as u64,
                    upload_ms: times.upload.as_millis() as u64,
                };
                self.tell_counts();
                say(self.sender, ToCoordinator::Acknowledged { epoch, report, times });
            }
            Event::Uploaded(Done::UploadFailed { epoch, cause }) => {
                say(self.sender, ToCoordinator::UploadFailed { epoch, cause });
            }
            Event::Uploaded(Done::OutboxFailed(Broken { cause, may_pass })) => {
                return Err(RunError::OutboxWrite { cause, may_pass });
            }
            Event::Published(published) => self.on_published(published)?,
            Event::Restored(restored) => self.on_restored(restored)?,
            Event::OutboxHalfFull => say(self.sender, ToCoordinator::OutboxFull),
        }
        Ok(())
    }

    /// The last word counts for the summary, so that of the last epoch has to be one.
    fn tell_counts(&self) {
        if let Some(metrics) = &self.counted {
            say(self.sender, ToCoordinator::Counted(Box::new(Figures::of(metrics))));
        }
    }

    fn on_published(&self, published: Published) -> Result<(), RunError> {
        let publish::Out { lineage, epoch, files, progress } = published?;
        let named =
            |(target, file): (crate::pipeline::sink::Target, crate::pipeline::sink::PublishedFile)| {
                let target = target.name().to_owned();
                PublishedFile { target, name: file.name, rows: file.rows, bytes: file.bytes }
            };
        let files = files.into_iter().map(named).collect();
        say(self.sender, ToCoordinator::Published { lineage, epoch, files, progress });
        self.threads.wake_slots();
        Ok(())
    }

    fn on_restored(&self, restored: Restored) -> Result<(), RunError> {
        match restored {
            Restored::Checked => say(self.sender, ToCoordinator::Checked),
            Restored::Layer { slot, end_ms, layer } => {
                self.threads.slots[slot as usize].tell(Command::Layer { end_ms, layer });
            }
            Restored::Done => tracing::debug!("all old state is back"),
            Restored::Failed { cause } => return Err(RunError::Restore { cause }),
        }
        Ok(())
    }
}

fn say(sender: &WorkerSender, message: ToCoordinator) {
    // Without a coordinator the link says so, and the worker leaves.
    let _gone = sender.send(message);
}
