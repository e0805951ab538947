//! The threads of a worker.
//!
//! Owns: starting them, what connects them, and waiting for their ends.
//! Never: decides anything.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use streamjob_checkpoint::checkpoint::{Object, PartitionState, PartitionStatus};
use streamjob_checkpoint::ids::{Epoch, Generation};
use streamjob_checkpoint::retry::{Patience, Retries};
use streamjob_checkpoint::transition::{SlotStart, assign};
use streamjob_core::table::Ahead;
use tokio::sync::watch;
use uuid::Uuid;

use super::super::priority::give_way;
use super::super::{Input, RunError};
use super::publish::{Publish, PublishThread, Published, Publisher};
use super::slot::{Command, Slot, SlotEvent, SlotHandle};
use super::wiring::{self, Ends, folders, window_spec};
use super::{Start, WorkerSetup};
use crate::durability::outbox::{OutboxBudget, OutboxSender, outbox};
use crate::durability::restore::{Restored, Restorer};
use crate::durability::snapshot::StateLayout;
use crate::durability::uploader::{Done, GivenUp, Uploader, Work};
use crate::durability::{Calls, ObjectWriterId};
use crate::metrics::{self, JobMetrics};
use crate::pipeline::sink::{FilePublisher, Life, SinkError, claim_folder};
use crate::pipeline::transform::Payload;

/// For how long a part of an epoch is tried to be stored before the epoch is abandoned; its data comes with the next.
const UPLOAD_PATIENCE: Patience = Patience::Within(Duration::from_secs(30));

/// What happens on the threads of a worker.
pub(super) enum Event {
    /// On a slot's.
    Slot(SlotEvent),
    /// On the uploader's.
    Uploaded(Done),
    /// On the publisher's.
    Published(Published),
    /// On the restorer's.
    Restored(Restored),
    /// Half of the budget of unpublished output is used.
    OutboxHalfFull,
}

/// The threads of a worker that runs.
pub(super) struct Threads {
    /// What commands the slots.
    pub(super) slots: Vec<SlotHandle>,
    work: Sender<Work>,
    publish: Sender<Publish>,
    given_up: GivenUp,
    calls: Calls,
    /// Gives up the calls.
    leave: watch::Sender<bool>,
    handles: Vec<JoinHandle<()>>,
}

/// The senders to a worker's threads, and what they read.
struct Channels {
    events: Sender<Event>,
    work: (Sender<Work>, Receiver<Work>),
    publish: (Sender<Publish>, Receiver<Publish>),
    budget: Arc<OutboxBudget>,
}

impl Threads {
    /// Claims the output folders, opens the input where the checkpoint left it, and starts everything.
    pub(super) fn start(
        setup: &WorkerSetup,
        generation: Generation,
        start: &Start,
    ) -> Result<(Self, Receiver<Event>), RunError> {
        let formerly: Vec<String> = start.formerly.iter().map(ToString::to_string).collect();
        for (target, folder) in folders(&setup.plan) {
            let claimed = claim_folder(&folder.path, &start.lineage.to_string(), &formerly);
            let named = |source| SinkError::Folder { field: target.folder_field(), source: Box::new(source) };
            claimed.map_err(named)?;
        }
        let inputs = setup.inputs.open(&start.checkpoint.partitions)?;
        show_partitions(&setup.metrics, &start.checkpoint.partitions);
        // All unbounded: one epoch is outstanding, and what slots send is counted in the outbox's budget.
        let (events, heard) = unbounded();
        let budget = Arc::new(OutboxBudget::new(setup.options.unpublished_bytes_max));
        let channels = Channels { events, work: unbounded(), publish: unbounded(), budget };
        let (leave, calls) = Calls::new(setup.runtime.clone());
        setup.metrics.unpublished_bytes.store(0, Ordering::Relaxed);
        let mut threads = Self {
            slots: Vec::new(),
            work: channels.work.0.clone(),
            publish: channels.publish.0.clone(),
            given_up: GivenUp::default(),
            calls,
            leave,
            handles: Vec::new(),
        };
        match threads.start_all((setup, generation, start), inputs, channels) {
            Ok(()) => Ok((threads, heard)),
            Err(error) => {
                threads.join();
                Err(error)
            }
        }
    }

    fn start_all(
        &mut self,
        (setup, generation, start): (&WorkerSetup, Generation, &Start),
        inputs: Vec<Input>,
        channels: Channels,
    ) -> Result<(), RunError> {
        let id =
            ObjectWriterId { job: setup.plan.job.clone(), lineage: start.lineage, generation, worker: 0 };
        let starts = assign(&start.checkpoint, setup.plan.parallelism);
        let layout = layout(setup)?;
        let outboxes = self.start_outbox(setup, &id, &channels)?;
        let ends = Ends {
            events: channels.events.clone(),
            work: channels.work.0.clone(),
            memory: self.start_memory(channels.events.clone())?,
            outboxes,
            budget: Arc::clone(&channels.budget),
        };
        let slots = wiring::slots(setup, &start.checkpoint, &starts, inputs, ends)?;
        self.start_uploader(setup, id, layout.clone(), &channels)?;
        self.start_publisher(setup, (generation, start), &channels)?;
        for (slot, handle) in slots {
            self.start_slot(slot, channels.events.clone())?;
            self.slots.push(handle);
        }
        self.start_restore(setup, (layout, starts), &start.checkpoint.objects, channels.events)
    }

    /// Tells every slot.
    pub(super) fn tell_slots(&self, command: impl Fn() -> Command) {
        self.slots.iter().for_each(|slot| slot.tell(command()));
    }

    /// Lets slots that wait see what has changed.
    pub(super) fn wake_slots(&self) {
        self.slots.iter().for_each(|slot| slot.waker.unpark());
    }

    /// Tells the uploader.
    pub(super) fn upload(&self, work: Work) {
        // A thread that has gone has said why.
        let _gone = self.work.send(work);
    }

    /// Tells all that an epoch is abandoned.
    pub(super) fn give_up(&self, epoch: Epoch) {
        self.given_up.set(epoch);
        self.tell_slots(|| Command::Abandoned);
    }

    /// Tells the publisher.
    pub(super) fn publish(&self, publish: Publish) {
        let _gone = self.publish.send(publish);
    }

    /// Ends all threads and waits for them.
    pub(super) fn join(self) {
        let Self { slots, work, publish, given_up: _, calls: _, leave, handles } = self;
        leave.send_replace(true);
        slots.iter().for_each(|slot| slot.tell(Command::Exit));
        drop((slots, work, publish));
        for handle in handles {
            handle.join().expect("a panic is caught on its thread");
        }
    }

    fn start_outbox(
        &mut self,
        setup: &WorkerSetup,
        id: &ObjectWriterId,
        channels: &Channels,
    ) -> Result<Vec<OutboxSender>, RunError> {
        let half_full = channels.events.clone();
        let (thread, senders) = outbox(
            setup.plan.parallelism,
            (setup.store.clone().with_patience(UPLOAD_PATIENCE), id.clone(), self.calls.clone()),
            &channels.budget,
            Arc::new(move || tell(&half_full, Event::OutboxHalfFull)),
        );
        let thread = thread.with_direct(wiring::direct(&setup.plan, &self.calls, &setup.metrics.outages)?);
        let sealed = channels.work.0.clone();
        self.launch("outbox", channels.events.clone(), move || {
            give_way();
            thread.run(|epoch, outbox| drop(sealed.send(Work::Outbox(epoch, outbox))));
        })?;
        Ok(senders)
    }

    /// Has memory ready before slots use it. Without any room for wishes it is had ready when it is used.
    fn start_memory(&mut self, events: Sender<Event>) -> Result<Sender<Ahead>, RunError> {
        const WISHES: usize = 64;
        let (wish, wishes) = bounded::<Ahead>(WISHES);
        self.launch("memory", events, move || {
            give_way();
            wishes.iter().for_each(|ahead| ahead.populate());
        })?;
        Ok(wish)
    }

    fn start_uploader(
        &mut self,
        setup: &WorkerSetup,
        id: ObjectWriterId,
        layout: StateLayout,
        channels: &Channels,
    ) -> Result<(), RunError> {
        let uploader = Uploader {
            slots: setup.plan.parallelism as usize,
            store: setup.store.clone().with_patience(UPLOAD_PATIENCE),
            id,
            layout,
            calls: self.calls.clone(),
            given_up: self.given_up.clone(),
        };
        let (work, events) = (channels.work.1.clone(), channels.events.clone());
        self.launch("uploader", channels.events.clone(), move || {
            give_way();
            uploader.run(&work, |done| tell(&events, Event::Uploaded(done)));
        })
    }

    fn start_publisher(
        &mut self,
        setup: &WorkerSetup,
        (generation, start): (Generation, &Start),
        channels: &Channels,
    ) -> Result<(), RunError> {
        let slots = setup.plan.parallelism;
        let life = Life {
            job: setup.plan.state.id.clone(),
            lineage: start.lineage.to_string(),
            slots: slots.max(start.checkpoint.parallelism),
            newest: start.last_epoch.0,
            progress_from: start.progress_from,
            owes: start.owes,
        };
        let publisher = Publisher {
            store: setup.store.clone().with_patience(Patience::Endless),
            retries: Retries::default().known_to(Arc::clone(&setup.metrics.outages.sink)),
            files: FilePublisher::new(folders(&setup.plan), Uuid::new_v4().simple().to_string()),
            topics: wiring::kafka_publisher(&setup.plan, life, &setup.metrics.outages)
                .map(tokio::sync::Mutex::new),
            generation,
        };
        let (budget, metrics) = (Arc::clone(&channels.budget), Arc::clone(&setup.metrics));
        let publisher = PublishThread { publisher, budget, metrics, calls: self.calls.clone(), slots };
        let (epochs, events) = (channels.publish.1.clone(), channels.events.clone());
        self.launch("publisher", channels.events.clone(), move || {
            give_way();
            publisher.run(&epochs, |published| tell(&events, Event::Published(published)));
        })
    }

    fn start_slot(&mut self, slot: Slot, events: Sender<Event>) -> Result<(), RunError> {
        self.launch(&format!("slot-{}", slot.id), events, move || slot.run())
    }

    fn start_restore(
        &mut self,
        setup: &WorkerSetup,
        (layout, starts): (StateLayout, Vec<SlotStart>),
        objects: &[Object],
        events: Sender<Event>,
    ) -> Result<(), RunError> {
        let restorer = Restorer {
            store: setup.store.clone().with_patience(Patience::Endless),
            layout,
            spec: window_spec(&setup.plan, &Payload::of(&setup.plan)),
            objects: objects.to_vec(),
            calls: self.calls.clone(),
        };
        self.launch("restore", events.clone(), move || {
            restorer.run(&starts, |restored| tell(&events, Event::Restored(restored)));
        })
    }

    fn launch(
        &mut self,
        name: &str,
        events: Sender<Event>,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), RunError> {
        let thread = name.to_owned();
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
                let message = panic_message(panic.as_ref());
                let error = RunError::Panicked { thread, message };
                tell(&events, Event::Slot(SlotEvent::Failed { error }));
            }
        });
        let thread = |source| RunError::Thread { thread: name.to_owned(), source };
        self.handles.push(handle.map_err(thread)?);
        Ok(())
    }
}

fn tell(events: &Sender<Event>, event: Event) {
    // Without a worker nobody is left to tell.
    let _gone = events.send(event);
}

fn layout(setup: &WorkerSetup) -> Result<StateLayout, RunError> {
    let plan = &setup.plan;
    let output = plan.transforms.output();
    let key_names: Vec<String> = plan.key.iter().map(|&key| output.field(key).name().clone()).collect();
    Ok(StateLayout::new(&window_spec(plan, &Payload::of(plan)), &key_names)?)
}

/// Partitions that are not read again would otherwise look as if they waited.
fn show_partitions(metrics: &JobMetrics, states: &[PartitionState]) {
    for (partition, state) in metrics.partitions().iter().zip(states) {
        if state.status == PartitionStatus::Finished {
            partition.set_status(metrics::PartitionStatus::Finished);
            partition.watermark_ms.store(state.max_timestamp_ms.unwrap_or(i64::MIN), Ordering::Relaxed);
            let bytes = state.files.iter().map(|file| file.bytes).sum();
            partition.bytes_total.store(bytes, Ordering::Relaxed);
            partition.bytes_done.store(bytes, Ordering::Relaxed);
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
