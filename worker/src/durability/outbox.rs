//! Writes what slots want published into the outbox object of each epoch, as it comes.
//!
//! Owns: the open outbox objects, which slot has passed which barrier, and the budget of unpublished bytes.
//! Never: publishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use streamjob_checkpoint::checkpoint::{Object, OutboxObject};
use streamjob_checkpoint::fail_point;
use streamjob_checkpoint::ids::Epoch;
use streamjob_checkpoint::outbox::OutboxWriter;
use streamjob_checkpoint::store::StateStore;
use tokio::runtime::Handle;

use super::{ObjectWriterId, with_causes};

/// Bytes that were given to the outbox and are not published.
#[derive(Debug)]
pub struct OutboxBudget {
    unpublished: AtomicU64,
    bytes_max: u64,
}

impl OutboxBudget {
    /// A budget of so many bytes.
    pub fn new(bytes_max: u64) -> Self {
        Self { unpublished: AtomicU64::new(0), bytes_max }
    }

    /// Whether slots must stop reading and firing until something is published.
    pub fn is_full(&self) -> bool {
        self.unpublished() >= self.bytes_max
    }

    /// Bytes that wait.
    pub fn unpublished(&self) -> u64 {
        self.unpublished.load(Ordering::Relaxed)
    }

    /// These were published.
    pub fn release(&self, bytes: u64) {
        self.unpublished.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether these bytes take it past half of what there is.
    fn take(&self, bytes: u64) -> bool {
        let before = self.unpublished.fetch_add(bytes, Ordering::Relaxed);
        let half = self.bytes_max / 2;
        before < half && before + bytes >= half
    }
}

/// What slots tell the thread that writes the outbox.
#[derive(Debug)]
enum Item {
    /// Encoded rows.
    Chunk { slot: u32, target: &'static str, rows: u64, bytes: Vec<u8> },
    /// What the slot sends from here on belongs to a later epoch.
    Barrier { slot: u32, epoch: Epoch },
}

/// A slot's way to the outbox.
#[derive(Clone)]
pub struct OutboxSender {
    slot: u32,
    items: Sender<Item>,
    budget: Arc<OutboxBudget>,
    half_full: Arc<dyn Fn() + Send + Sync>,
}

impl OutboxSender {
    /// Adds encoded rows of the current epoch.
    pub fn push(&self, target: &'static str, rows: u64, bytes: Vec<u8>) {
        if self.budget.take(bytes.len() as u64) {
            (self.half_full)();
        }
        // Without its thread an error is on its way to the coordinator.
        let _gone = self.items.send(Item::Chunk { slot: self.slot, target, rows, bytes });
    }

    /// Ends the slot's part of an epoch.
    pub fn on_barrier(&self, epoch: Epoch) {
        let _gone = self.items.send(Item::Barrier { slot: self.slot, epoch });
    }
}

/// What came of an epoch's outbox.
pub type Sealed = Result<Option<(Object, OutboxObject)>, String>;

/// Writes outboxes, on a thread of its own.
pub struct OutboxThread {
    items: Receiver<Item>,
    passed: Vec<bool>,
    current: Option<OutboxWriter>,
    /// Of slots that have passed the barrier that others have not.
    next: Option<OutboxWriter>,
    epoch: Epoch,
    store: StateStore,
    id: ObjectWriterId,
    runtime: Handle,
    failed: Option<String>,
}

/// The thread's state, and a sender for each slot. `half_full` is called when half of the budget is used.
pub fn outbox(
    slots: u32,
    (store, id, runtime): (StateStore, ObjectWriterId, Handle),
    budget: &Arc<OutboxBudget>,
    half_full: Arc<dyn Fn() + Send + Sync>,
) -> (OutboxThread, Vec<OutboxSender>) {
    // Unbounded, but what is in it counts in the budget.
    let (sender, items) = crossbeam_channel::unbounded();
    let senders = (0..slots).map(|slot| OutboxSender {
        slot,
        items: sender.clone(),
        budget: Arc::clone(budget),
        half_full: Arc::clone(&half_full),
    });
    let thread = OutboxThread {
        items,
        passed: vec![false; slots as usize],
        current: None,
        next: None,
        epoch: Epoch(0),
        store,
        id,
        runtime,
        failed: None,
    };
    (thread, senders.collect())
}

impl OutboxThread {
    /// Runs until all senders are gone; `sealed` gets each epoch's object once it is durable.
    pub fn run(mut self, mut sealed: impl FnMut(Epoch, Sealed)) {
        while let Ok(item) = self.items.recv() {
            match item {
                Item::Chunk { slot, target, rows, bytes } => {
                    if self.failed.is_none()
                        && let Err(cause) = self.write(slot, target, rows, bytes.into())
                    {
                        self.failed = Some(cause);
                    }
                }
                Item::Barrier { slot, epoch } => {
                    self.epoch = epoch;
                    self.passed[slot as usize] = true;
                    if self.passed.iter().all(|&passed| passed) {
                        sealed(epoch, self.seal());
                        self.current = self.next.take();
                        self.passed.fill(false);
                    }
                }
            }
        }
    }

    fn write(&mut self, slot: u32, target: &'static str, rows: u64, bytes: Bytes) -> Result<(), String> {
        let open = if self.passed[slot as usize] { &mut self.next } else { &mut self.current };
        let writer = match open {
            Some(writer) => writer,
            None => {
                fail_point::hit("upload.outbox.before");
                let epoch = self.epoch.next();
                let object = self.store.writer(&self.id.outbox(epoch));
                let made = OutboxWriter::new(object, &self.id.about(epoch));
                open.insert(made.map_err(|error| with_causes(&error))?)
            }
        };
        let written = self.runtime.block_on(writer.write(slot, target, rows, bytes));
        written.map_err(|error| with_causes(&error))
    }

    fn seal(&mut self) -> Sealed {
        if let Some(cause) = &self.failed {
            return Err(cause.clone());
        }
        let Some(writer) = self.current.take() else { return Ok(None) };
        let finished = self.runtime.block_on(writer.finish());
        fail_point::hit("upload.outbox.after");
        finished.map_err(|error| {
            let cause = with_causes(&error);
            self.failed = Some(cause.clone());
            cause
        })
    }
}
