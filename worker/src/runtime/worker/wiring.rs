//! Puts the stages of a worker's slots together: the only place that knows all of them.
//!
//! Owns: which slot reads which partition, and what each slot begins with.
//! Never: looks at a row.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::{Receiver, Sender, unbounded};
use crossbeam_utils::sync::{Parker, Unparker};
use streamjob_checkpoint::checkpoint::{Checkpoint, Counters};
use streamjob_checkpoint::transition::SlotStart;
use streamjob_core::preaggregate::PreAggregator;
use streamjob_core::table::Ahead;
use streamjob_core::watermark::{NONE, PartitionWatermark, Status, WatermarkCombiner};
use streamjob_core::window::{RestoredSlice, Tumbling, WindowOperator, WindowSpec};
use streamjob_crds::Delivery;
use streamjob_plan::{BadRecordsPlan, KafkaRoute, LatePlan, Plan, SourceKind};

use super::super::{Input, RunError};
use super::WorkerSetup;
use super::absent::Absent;
use super::bad_records::BadRecordHandler;
use super::counts::Earlier;
use super::gap::GapMeter;
use super::intake::{Intake, status};
use super::outlets::{DirectOut, Outlets, SlotOutbox};
use super::slot::{Command, Slot, SlotHandle};
use super::threads::Event;
use crate::durability::Calls;
use crate::durability::outbox::{Direct, OutboxBudget, OutboxSender};
use crate::durability::snapshot::emitted_from;
use crate::durability::uploader::Work;
use crate::outages::Outages;
use crate::pipeline::exchange::Exchange;
use crate::pipeline::preaggregate::PreAggregate;
use crate::pipeline::sink::{self, Sink};
use crate::pipeline::transform::{Payload, Transform};
use crate::pipeline::window::{Schemas, WindowStage};

/// The windows of a plan, over the columns that travel with a key.
pub(super) fn window_spec(plan: &Plan, payload: &Payload) -> WindowSpec {
    let output = plan.transforms.output();
    let key_types = plan.key.iter().map(|&i| output.field(i).data_type().clone()).collect();
    WindowSpec {
        tumbling: Tumbling::new(plan.window.size_ms, plan.window.offset_ms),
        allowed_lateness_ms: plan.window.allowed_lateness_ms,
        aggregates: payload.remap(plan),
        key_types,
    }
}

/// What all slots are connected to.
pub(super) struct Ends {
    /// To the worker.
    pub events: Sender<Event>,
    /// To the uploader.
    pub work: Sender<Work>,
    /// To the thread that has memory ready.
    pub memory: Sender<Ahead>,
    /// To the outbox, one for each slot.
    pub outboxes: Vec<OutboxSender>,
    /// What they put there and is not published.
    pub budget: Arc<OutboxBudget>,
}

/// The slots of a worker, ready to run, and what commands them.
pub(super) fn slots(
    setup: &WorkerSetup,
    checkpoint: &Checkpoint,
    starts: &[SlotStart],
    inputs: Vec<Input>,
    ends: Ends,
) -> Result<Vec<(Slot, SlotHandle)>, RunError> {
    let parkers: Vec<Parker> = starts.iter().map(|_| Parker::new()).collect();
    let wakers: Vec<_> = parkers.iter().map(|parker| parker.unparker().clone()).collect();
    let exchange = Exchange::new(wakers.clone(), setup.options.queue_bytes);
    let hinted = Arc::new(AtomicBool::new(false));
    let build = Build {
        setup,
        checkpoint,
        exchange: &exchange,
        ends: &ends,
        behind: behind(checkpoint, starts),
        hinted,
    };
    let assigned = assign(inputs, starts.len());
    let mut slots = Vec::new();
    for ((start, parker), inputs) in starts.iter().zip(parkers).zip(assigned) {
        // Unbounded, but a worker has no more outstanding than an epoch's commands and a layer for each window.
        let (commands, received) = unbounded();
        let waker = wakers[start.slot as usize].clone();
        let slot = build.slot(start, inputs, received, parker)?;
        slots.push((slot, SlotHandle { commands, waker }));
    }
    Ok(slots)
}

/// Partition *i* goes to slot *i* modulo the number of slots.
fn assign(inputs: Vec<Input>, slots: usize) -> Vec<Vec<(u32, Input)>> {
    let mut assigned: Vec<Vec<(u32, Input)>> = (0..slots).map(|_| Vec::new()).collect();
    for (id, input) in inputs.into_iter().enumerate() {
        assigned[id % slots].push((id as u32, input));
    }
    assigned
}

/// Partitions whose rows may be late from the start: they were idle, or are behind the watermark of some slot.
fn behind(checkpoint: &Checkpoint, starts: &[SlotStart]) -> Vec<u32> {
    let time = starts.iter().filter_map(|start| start.watermark_ms).max().unwrap_or(NONE);
    let states = (0..).zip(&checkpoint.partitions);
    let apart = states.filter(|(id, state)| {
        let lags = state.max_timestamp_ms.is_none_or(|max| max <= time);
        let told = starts.iter().any(|start| start.behind.contains(id));
        match status(state.status) {
            Status::Idle => true,
            Status::Active => told || (lags && time != NONE),
            Status::Finished => false,
        }
    });
    apart.map(|(id, _)| id).collect()
}

/// What slots are built from.
struct Build<'a> {
    setup: &'a WorkerSetup,
    checkpoint: &'a Checkpoint,
    exchange: &'a Exchange,
    ends: &'a Ends,
    behind: Vec<u32>,
    /// A column that no record has was told of.
    hinted: Arc<AtomicBool>,
}

impl Build<'_> {
    fn slot(
        &self,
        start: &SlotStart,
        inputs: Vec<(u32, Input)>,
        commands: Receiver<Command>,
        parker: Parker,
    ) -> Result<Slot, RunError> {
        let plan = &*self.setup.plan;
        let id = start.slot as usize;
        let payload = Payload::of(plan);
        let spec = window_spec(plan, &payload);
        let outbox = &self.ends.outboxes[id];
        Ok(Slot {
            id,
            groups: start.groups,
            intake: self.intake(inputs, parker.unparker()),
            window: self.window(start, &spec, &payload)?,
            transform: Transform::new(plan, payload)?,
            preaggregate: self.preaggregate(&spec)?,
            outputs: self.exchange.outputs(id),
            inputs: self.exchange.inputs(id),
            tumbling: spec.tumbling,
            outlets: self.outlets(start.slot, outbox)?,
            bad_records: self.bad_records(outbox),
            commands,
            events: self.ends.events.clone(),
            work: self.ends.work.clone(),
            memory: self.ends.memory.clone(),
            gap: GapMeter::default(),
            cut: None,
            budget: Arc::clone(&self.ends.budget),
            earlier: Earlier::of(&self.setup.metrics.slots[id]),
            base: if id == 0 { self.checkpoint.counters } else { Counters::default() },
            parker,
            metrics: Arc::clone(&self.setup.metrics),
            clock: Arc::clone(&self.setup.clock),
        })
    }

    fn window(
        &self,
        start: &SlotStart,
        spec: &WindowSpec,
        payload: &Payload,
    ) -> Result<WindowStage, RunError> {
        let plan = &*self.setup.plan;
        let partitions = &self.checkpoint.partitions;
        let operator = WindowOperator::new(spec, start.groups.range())?;
        let schemas = Schemas { result: Arc::clone(&plan.result), late: payload.late.clone() };
        let mut stage = WindowStage::new(operator, partitions.len() as u32, plan.parallelism, schemas);
        let bound_ms = plan.event_time.max_out_of_orderness_ms;
        let time = |(id, state): (u32, &streamjob_checkpoint::checkpoint::PartitionState)| {
            let watermark = PartitionWatermark::restore(state.max_timestamp_ms, bound_ms).current();
            (watermark, status(state.status), start.behind.contains(&id))
        };
        let times: Vec<_> = (0..).zip(partitions).map(time).collect();
        let combiner = WatermarkCombiner::restore(start.watermark_ms.unwrap_or(NONE), &times);
        let slices = start.slices.iter().map(|slice| {
            let far = |(groups, far): &(_, _)| {
                let groups: streamjob_checkpoint::ids::Groups = *groups;
                emitted_from(far).map(|far| (groups.range(), far))
            };
            let emitted = slice.emitted.iter().map(far).collect::<Option<Vec<_>>>()?;
            let awaiting = !slice.blocks.is_empty();
            Some(RestoredSlice { end: slice.end_ms, input_rows: slice.input_rows, emitted, awaiting })
        });
        let slices = slices.collect::<Option<Vec<_>>>().ok_or(RunError::Checkpoint)?;
        stage.restore(combiner, slices);
        Ok(stage)
    }

    fn preaggregate(&self, spec: &WindowSpec) -> Result<Option<PreAggregate>, RunError> {
        let parallelism = self.setup.plan.parallelism;
        if parallelism == 1 {
            return Ok(None);
        }
        let table = PreAggregator::new(spec, parallelism, self.setup.options.preaggregate_bytes)?;
        let mut stage = PreAggregate::new(table, parallelism, self.checkpoint.partitions.len());
        self.behind.iter().for_each(|&partition| stage.on_idle(partition));
        Ok(Some(stage))
    }

    fn intake(&self, inputs: Vec<(u32, Input)>, waker: &Unparker) -> Intake {
        let plan = &*self.setup.plan;
        let intake = Intake::new(inputs, &plan.event_time, self.setup.options.batch_rows);
        let intake = intake.looking_for(Absent::of(&plan.source, Arc::clone(&self.hinted)));
        match &plan.source.kind {
            SourceKind::Kafka(_) => intake.all_open(waker.clone()),
            SourceKind::Files(_) | SourceKind::Generator(_) => intake,
        }
    }

    fn outlets(&self, slot: u32, outbox: &OutboxSender) -> Result<Outlets, RunError> {
        let plan = &*self.setup.plan;
        let to_outbox = || Box::new(SlotOutbox(outbox.clone()));
        let format = &plan.sink.format;
        let rows = |target, schema, keys| {
            let topic = topics(plan).remove(&target);
            sink::Rows { target, topic, schema, keys, format }
        };
        let results = rows(sink::Target::Results, &plan.result, plan.key.len());
        let results = sink::open_results(&plan.sink, results, slot, to_outbox())?;
        let late: Option<Box<dyn Sink>> = match &plan.window.late {
            LatePlan::Drop => None,
            LatePlan::Files { .. } | LatePlan::Kafka { .. } => {
                Some(sink::open(rows(sink::Target::Late, &plan.source.schema, 0), to_outbox())?)
            }
        };
        Ok(Outlets::new(results, late, outbox.clone()))
    }

    fn bad_records(&self, outbox: &OutboxSender) -> BadRecordHandler {
        match &self.setup.plan.source.bad_records {
            BadRecordsPlan::Fail => BadRecordHandler::Fail,
            BadRecordsPlan::Skip => BadRecordHandler::Skip,
            BadRecordsPlan::DeadLetter { .. } | BadRecordsPlan::DeadLetterTopic { .. } => {
                let topic = topics(&self.setup.plan).remove(&sink::Target::DeadLetters);
                let outbox = Box::new(SlotOutbox(outbox.clone()));
                BadRecordHandler::DeadLetter(sink::open_dead_letters(topic, outbox))
            }
        }
    }
}

/// The folders that output appears in.
pub(in crate::runtime) fn folders(plan: &Plan) -> BTreeMap<sink::Target, sink::Folder> {
    let mut folders = BTreeMap::new();
    let mut add = |target, path: &std::path::Path, extension| {
        folders.insert(target, sink::Folder { path: path.to_owned(), extension });
    };
    let extension = sink::extension(&plan.sink.format);
    if let streamjob_plan::SinkKind::Files { folder } = &plan.sink.kind {
        add(sink::Target::Results, folder, extension);
    }
    if let LatePlan::Files { folder } = &plan.window.late {
        add(sink::Target::Late, folder, extension);
    }
    if let BadRecordsPlan::DeadLetter { folder } = &plan.source.bad_records {
        add(sink::Target::DeadLetters, folder, sink::extension(&streamjob_plan::FormatPlan::Json));
    }
    folders
}

/// The topics that output goes to.
pub(in crate::runtime) fn topics(plan: &Plan) -> BTreeMap<sink::Target, sink::Topic> {
    let mut topics = BTreeMap::new();
    let Some(output) = &plan.kafka_output else { return topics };
    let record_bytes_max = sink::record_bytes_max(&output.cluster);
    let at_once = output.delivery == Delivery::AtLeastOnce;
    let mut add = |target, name: &str, route| {
        topics.insert(target, sink::Topic { name: name.to_owned(), route, record_bytes_max, at_once });
    };
    if let streamjob_plan::SinkKind::Kafka { topic, route } = &plan.sink.kind {
        add(sink::Target::Results, topic, route.clone());
    }
    if let LatePlan::Kafka { topic } = &plan.window.late {
        add(sink::Target::Late, topic, KafkaRoute::default());
    }
    if let BadRecordsPlan::DeadLetterTopic { topic } = &plan.source.bad_records {
        add(sink::Target::DeadLetters, topic, KafkaRoute::default());
    }
    topics
}

/// Publishes what goes to topics once it is committed; `None`: nothing does.
pub(in crate::runtime) fn kafka_publisher(
    plan: &Plan,
    life: sink::Life,
    outages: &Outages,
) -> Option<sink::KafkaPublisher> {
    let output = plan.kafka_output.as_ref().filter(|output| output.delivery == Delivery::ExactlyOnce)?;
    let outage = Arc::clone(&outages.sink.outage);
    Some(sink::KafkaPublisher::new(output.clone(), topic_names(plan), life, outage))
}

/// Sends what goes to topics when it is made; `None`: nothing does.
pub(super) fn direct(
    plan: &Plan,
    calls: &Calls,
    outages: &Outages,
) -> Result<Option<Box<dyn Direct>>, RunError> {
    let output = plan.kafka_output.as_ref().filter(|output| output.delivery == Delivery::AtLeastOnce);
    let Some(output) = output else { return Ok(None) };
    let topics = topic_names(plan);
    let targets = topics.keys().map(|target| target.name()).collect();
    let sink = sink::DirectSink::new(output, topics, Arc::clone(&outages.sink.outage))?;
    Ok(Some(Box::new(DirectOut { sink, targets, calls: calls.clone() })))
}

fn topic_names(plan: &Plan) -> BTreeMap<sink::Target, String> {
    topics(plan).into_iter().map(|(target, topic)| (target, topic.name)).collect()
}
