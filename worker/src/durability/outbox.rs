//! Writes what slots want published into the outbox object of each epoch, as it comes.
//!
//! Owns: output until an epoch's report names it, which slot has passed which barrier, the budget of unpublished bytes.
//! Never: publishes, or drops output that the store does not take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};
use streamjob_checkpoint::bundle::BundleError;
use streamjob_checkpoint::checkpoint::{Object, OutboxObject};
use streamjob_checkpoint::fail_point;
use streamjob_checkpoint::ids::Epoch;
use streamjob_checkpoint::outbox::{OutboxWriter, Output, SealedOutbox};
use streamjob_checkpoint::retry::with_causes;
use streamjob_checkpoint::store::{StateStore, StoreError};

use super::{Calls, ObjectWriterId};

/// Encoded rows in an object: what is stored at once, and held in memory until it is.
const OBJECT_BYTES: u64 = 8 << 20;

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
    Output { slot: u32, target: &'static str, output: Box<Output> },
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
    pub fn push(&self, target: &'static str, output: Output) {
        if self.budget.take(output.bytes()) {
            (self.half_full)();
        }
        // Without its thread an error is on its way to the coordinator.
        let _gone = self.items.send(Item::Output { slot: self.slot, target, output: Box::new(output) });
    }

    /// Ends the slot's part of an epoch.
    pub fn on_barrier(&self, epoch: Epoch) {
        let _gone = self.items.send(Item::Barrier { slot: self.slot, epoch });
    }
}

/// Output that is sent at once instead of being kept. Called on the thread of the outbox.
pub trait Direct: Send {
    /// Whether output for this target is sent at once.
    fn takes(&self, target: &str) -> bool;

    /// Finds out whether it can be sent, before there is any.
    fn prepare(&mut self) -> Result<(), Broken>;

    /// Sends it. An error ends the attempt.
    fn send(&mut self, target: &str, output: &Output) -> Result<(), Broken>;

    /// Returns when all that was sent has arrived.
    fn flush(&mut self) -> Result<(), Broken>;
}

/// Why output goes nowhere any more.
#[derive(Clone, Debug)]
pub struct Broken {
    /// In words.
    pub cause: String,
    /// Whether another attempt may fare better.
    pub may_pass: bool,
}

/// What came of an epoch's outbox.
pub enum Sealed {
    /// It is in the store: objects in the order in which their rows were written.
    Stored(Vec<(Object, OutboxObject)>),
    /// The store does not take all of it. It is kept, and goes with the next epoch.
    Kept {
        /// Why.
        cause: String,
    },
    /// It cannot be encoded or sent: the attempt cannot go on.
    Broken(Broken),
}

/// Writes outboxes, on a thread of its own.
pub struct OutboxThread {
    items: Receiver<Item>,
    passed: Vec<bool>,
    current: Unnamed,
    /// Of slots that have passed the barrier that others have not.
    next: Unnamed,
    epoch: Epoch,
    store: StateStore,
    id: ObjectWriterId,
    calls: Calls,
    direct: Option<Box<dyn Direct>>,
    budget: Arc<OutboxBudget>,
}

/// Output that no report has named, in its order.
#[derive(Default)]
struct Unnamed {
    sealed: Vec<Part>,
    open: Option<OutboxWriter>,
}

/// One object of it.
enum Part {
    /// Only in memory.
    Kept(SealedOutbox),
    /// In the store.
    Stored(Object, OutboxObject),
}

/// The thread's state, and a sender for each slot. `half_full` is called when half of the budget is used.
pub fn outbox(
    slots: u32,
    (store, id, calls): (StateStore, ObjectWriterId, Calls),
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
        current: Unnamed::default(),
        next: Unnamed::default(),
        epoch: Epoch(0),
        store,
        id,
        calls,
        direct: None,
        budget: Arc::clone(budget),
    };
    (thread, senders.collect())
}

impl OutboxThread {
    /// The same with some output that is sent at once.
    pub fn with_direct(self, direct: Option<Box<dyn Direct>>) -> Self {
        Self { direct, ..self }
    }

    /// Runs until all senders are gone; `say` gets what came of each epoch.
    pub fn run(mut self, mut say: impl FnMut(Epoch, Sealed)) {
        if let Some(Err(broken)) = self.direct.as_mut().map(|direct| direct.prepare()) {
            return say(self.epoch, Sealed::Broken(broken));
        }
        while let Ok(item) = self.items.recv() {
            let done = match item {
                Item::Output { slot, target, output } => match &mut self.direct {
                    Some(direct) if direct.takes(target) => {
                        if let Err(broken) = direct.send(target, &output) {
                            return say(self.epoch, Sealed::Broken(broken));
                        }
                        self.budget.release(output.bytes());
                        continue;
                    }
                    Some(_) | None => self.write(slot, target, *output),
                },
                Item::Barrier { slot, epoch } => {
                    self.epoch = epoch;
                    self.passed[slot as usize] = true;
                    if !self.passed.iter().all(|&passed| passed) {
                        continue;
                    }
                    if let Some(Err(broken)) = self.direct.as_mut().map(|direct| direct.flush()) {
                        return say(self.epoch, Sealed::Broken(broken));
                    }
                    self.seal().map(|sealed| say(epoch, sealed))
                }
            };
            if let Err(error) = done {
                let broken = Broken { cause: with_causes(&error), may_pass: false };
                return say(self.epoch, Sealed::Broken(broken));
            }
        }
    }

    fn write(&mut self, slot: u32, target: &'static str, output: Output) -> Result<(), BundleError> {
        let unnamed = if self.passed[slot as usize] { &mut self.next } else { &mut self.current };
        let open = match &mut unnamed.open {
            Some(open) => open,
            None => {
                let epoch = self.epoch.next();
                unnamed.open.insert(OutboxWriter::new(self.id.outbox(epoch), &self.id.about(epoch))?)
            }
        };
        open.write(slot, target, output)?;
        if open.bytes() >= OBJECT_BYTES {
            unnamed.end_object()?;
            if let Err(cause) =
                store_all(&mut unnamed.sealed, (&self.store, &self.id, self.epoch), &self.calls)
            {
                tracing::debug!(cause, "output is kept in memory");
            }
        }
        Ok(())
    }

    /// All slots have passed the barrier.
    fn seal(&mut self) -> Result<Sealed, BundleError> {
        self.passed.fill(false);
        self.current.end_object()?;
        let next = std::mem::take(&mut self.next);
        match store_all(&mut self.current.sealed, (&self.store, &self.id, self.epoch), &self.calls) {
            Ok(()) => Ok(Sealed::Stored(std::mem::replace(&mut self.current, next).into_stored())),
            Err(cause) => {
                self.current.sealed.extend(next.sealed);
                self.current.open = next.open;
                Ok(Sealed::Kept { cause })
            }
        }
    }
}

impl Unnamed {
    /// What comes next is in another object.
    fn end_object(&mut self) -> Result<(), BundleError> {
        if let Some(open) = self.open.take() {
            self.sealed.extend(open.seal()?.map(Part::Kept));
        }
        Ok(())
    }

    fn into_stored(self) -> Vec<(Object, OutboxObject)> {
        let stored = self.sealed.into_iter().map(|part| match part {
            Part::Stored(object, outbox) => (object, outbox),
            Part::Kept(_) => unreachable!("only what is stored is named"),
        });
        stored.collect()
    }
}

/// Stores what is only in memory, in its order, up to the first that the store does not take.
fn store_all(
    parts: &mut [Part],
    (store, id, epoch): (&StateStore, &ObjectWriterId, Epoch),
    calls: &Calls,
) -> Result<(), String> {
    for part in parts {
        let Part::Kept(sealed) = part else { continue };
        fail_point::hit("upload.outbox.before");
        let stored = calls.ask(async {
            loop {
                match sealed.store(store).await {
                    Err(StoreError::NameTaken { .. }) => sealed.rename(id.outbox(epoch)),
                    stored => return stored,
                }
            }
        });
        fail_point::hit("upload.outbox.after");
        let (object, outbox) = stored?;
        *part = Part::Stored(object, outbox);
    }
    Ok(())
}
