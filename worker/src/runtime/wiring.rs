//! Puts the stages together: the only place that knows all of them.
//!
//! Owns: which slot reads which partition, and the threads.
//! Never: looks at a row.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use crossbeam_utils::sync::Parker;
use streamjob_core::key_group::range_of;
use streamjob_core::preaggregate::PreAggregator;
use streamjob_core::window::{Tumbling, WindowOperator, WindowSpec};
use streamjob_plan::{BadRecordsPlan, LatePlan, Plan, SinkKind};

use super::bad_records::BadRecordHandler;
use super::coordinator::{Command, Coordinator, Event, SlotHandle};
use super::intake::Intake;
use super::outlets::{Outlets, Target};
use super::publish::Publisher;
use super::slot::Slot;
use super::{Ending, Options, RunError, StopFlag};
use crate::metrics::{JobMetrics, Phase};
use crate::pipeline::clock::Clock;
use crate::pipeline::exchange::Exchange;
use crate::pipeline::preaggregate::PreAggregate;
use crate::pipeline::records::{PartitionReader, SourceError};
use crate::pipeline::sink::{self, Sink, Writer, claim_folder};
use crate::pipeline::transform::{Payload, Transform};
use crate::pipeline::window::{Schemas, WindowStage};
use crate::pipeline::{decode, source};

/// How many commands wait for a slot at most; the coordinator never has more outstanding.
const COMMANDS_MAX: usize = 8;

/// A job that is ready to run.
pub struct Job {
    /// What it does.
    pub plan: Plan,
    /// What it reads; ids are places in this list.
    pub partitions: Vec<Input>,
    /// How it is run.
    pub options: Options,
    /// Names this run in its files.
    pub run_id: String,
    /// What it counts.
    pub metrics: Arc<JobMetrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ends it early.
    pub stop: StopFlag,
}

/// A partition, not yet opened.
pub struct Input {
    /// What it is called in metrics and messages.
    pub name: String,
    /// Opens it, on the thread of the slot that reads it.
    pub open: Box<dyn FnOnce() -> Result<Box<dyn PartitionReader>, SourceError> + Send>,
}

/// The partitions that the plan's source has at this moment, sorted by name.
pub fn inputs(plan: &Plan, clock: &Arc<dyn Clock>) -> Result<Vec<Input>, RunError> {
    let decoder = decode::maker(&plan.source);
    let partitions = source::open(&plan.source, Arc::clone(clock), decoder)?;
    let input = |partition: source::Partition| Input {
        name: partition.name().to_owned(),
        open: Box::new(move || partition.open()),
    };
    Ok(partitions.into_iter().map(input).collect())
}

impl Job {
    /// Runs the job to its end, on threads of its own.
    pub fn run(mut self) -> Result<Ending, RunError> {
        let folders = self.claim_folders()?;
        self.metrics.set_phase(Phase::Running);
        let ending = self.run_slots(folders);
        self.metrics.set_phase(if ending.is_ok() { Phase::Finished } else { Phase::Failed });
        ending
    }

    fn claim_folders(&self) -> Result<BTreeMap<Target, PathBuf>, RunError> {
        let mut folders = BTreeMap::new();
        if let SinkKind::Files { folder } = &self.plan.sink.kind {
            folders.insert(Target::Results, folder.clone());
        }
        if let LatePlan::Files { folder } = &self.plan.window.late {
            folders.insert(Target::Late, folder.clone());
        }
        if let BadRecordsPlan::DeadLetter { folder } = &self.plan.source.bad_records {
            folders.insert(Target::DeadLetters, folder.clone());
        }
        for folder in folders.values() {
            claim_folder(folder, &self.run_id)?;
        }
        Ok(folders)
    }

    fn run_slots(&mut self, folders: BTreeMap<Target, PathBuf>) -> Result<Ending, RunError> {
        let slots = self.plan.parallelism as usize;
        let parkers: Vec<Parker> = (0..slots).map(|_| Parker::new()).collect();
        let wakers: Vec<_> = parkers.iter().map(|parker| parker.unparker().clone()).collect();
        let exchange = Exchange::new(wakers.clone(), self.options.queue_bytes);
        // Unbounded, but a slot sends at most one event an epoch and two at its end.
        let (events, heard) = unbounded();
        let mut assigned = self.assign();
        let mut handles = Vec::new();
        let mut threads = Vec::new();
        for (id, parker) in parkers.into_iter().enumerate() {
            let (commands, received) = bounded(COMMANDS_MAX);
            handles.push(SlotHandle { commands, waker: wakers[id].clone() });
            let ends = Ends { exchange: &exchange, commands: received, events: events.clone(), parker };
            let slot = self.slot(id, std::mem::take(&mut assigned[id]), ends)?;
            threads.push(spawn(slot, events.clone())?);
        }
        drop(events);
        let publisher = Publisher::new(folders, self.run_id.clone(), Arc::clone(&self.metrics));
        let coordinator =
            Coordinator::new(handles, heard, publisher, self.stop.clone(), self.options.epoch_interval);
        let ending = coordinator.run();
        for thread in threads {
            thread.join().expect("a slot's panic is caught on its thread");
        }
        ending
    }

    /// Partition *i* goes to slot *i* modulo the number of slots.
    fn assign(&mut self) -> Vec<Vec<(u32, Input)>> {
        let slots = self.plan.parallelism as usize;
        let mut assigned: Vec<Vec<(u32, Input)>> = (0..slots).map(|_| Vec::new()).collect();
        for (id, input) in std::mem::take(&mut self.partitions).into_iter().enumerate() {
            assigned[id % slots].push((id as u32, input));
        }
        assigned
    }

    fn slot(&self, id: usize, inputs: Vec<(u32, Input)>, ends: Ends<'_>) -> Result<Slot, RunError> {
        let plan = &self.plan;
        let payload = Payload::of(plan);
        let spec = window_spec(plan, &payload);
        let partitions = self.metrics.partitions.len();
        let operator = WindowOperator::new(&spec, range_of(id as u32, plan.parallelism))?;
        let schemas = Schemas { result: Arc::clone(&plan.result), late: payload.late.clone() };
        Ok(Slot {
            id,
            intake: Intake::new(inputs, &plan.event_time, self.options.batch_rows),
            transform: Transform::new(plan, payload)?,
            preaggregate: self.preaggregate(&spec, partitions)?,
            outputs: ends.exchange.outputs(id),
            inputs: ends.exchange.inputs(id),
            window: WindowStage::new(operator, partitions as u32, plan.parallelism, schemas),
            tumbling: spec.tumbling,
            outlets: self.outlets(id)?,
            bad_records: self.bad_records(id),
            commands: ends.commands,
            events: ends.events,
            parker: ends.parker,
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
        })
    }

    fn preaggregate(&self, spec: &WindowSpec, partitions: usize) -> Result<Option<PreAggregate>, RunError> {
        let parallelism = self.plan.parallelism;
        if parallelism == 1 {
            return Ok(None);
        }
        let table = PreAggregator::new(spec, parallelism, self.options.preaggregate_bytes)?;
        Ok(Some(PreAggregate::new(table, parallelism, partitions)))
    }

    fn outlets(&self, id: usize) -> Result<Outlets, RunError> {
        let writer = self.writer(id);
        let results = sink::open_results(&self.plan.sink, &self.plan.result, &writer)?;
        let late: Option<Box<dyn Sink>> = match &self.plan.window.late {
            LatePlan::Drop => None,
            LatePlan::Files { folder } => {
                let (format, schema) = (&self.plan.sink.format, &self.plan.source.schema);
                Some(Box::new(sink::open_files(folder, format, schema, &writer)?))
            }
        };
        Ok(Outlets::new(results, late))
    }

    fn bad_records(&self, id: usize) -> BadRecordHandler {
        match &self.plan.source.bad_records {
            BadRecordsPlan::Fail => BadRecordHandler::Fail,
            BadRecordsPlan::Skip => BadRecordHandler::Skip,
            BadRecordsPlan::DeadLetter { folder } => {
                BadRecordHandler::DeadLetter(Box::new(sink::open_dead_letters(folder, &self.writer(id))))
            }
        }
    }

    fn writer(&self, id: usize) -> Writer {
        Writer { run: self.run_id.clone(), slot: id as u32 }
    }
}

/// A slot's ends of what connects it.
struct Ends<'a> {
    exchange: &'a Exchange,
    commands: Receiver<Command>,
    events: Sender<Event>,
    parker: Parker,
}

fn window_spec(plan: &Plan, payload: &Payload) -> WindowSpec {
    let output = plan.transforms.output();
    let key_types = plan.key.iter().map(|&i| output.field(i).data_type().clone()).collect();
    WindowSpec {
        tumbling: Tumbling::new(plan.window.size_ms, plan.window.offset_ms),
        allowed_lateness_ms: plan.window.allowed_lateness_ms,
        aggregates: payload.remap(plan),
        key_types,
    }
}

fn spawn(slot: Slot, events: Sender<Event>) -> Result<JoinHandle<()>, RunError> {
    let id = slot.id;
    std::thread::Builder::new()
        .name(format!("slot-{id}"))
        .spawn(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| slot.run())) {
                let message = panic_message(panic.as_ref());
                // Without a coordinator nobody is left to tell.
                let _gone = events.send(Event::Failed { error: RunError::Panicked { slot: id, message } });
            }
        })
        .map_err(|source| RunError::Thread { slot: id, source })
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
