//! Where a job on this machine begins.
//!
//! Owns: opening the state, claiming it, fixing the input of a new lineage.
//! Never: reads a manifest, prints, or runs what it has begun.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streamjob_checkpoint::checkpoint::{Checkpoint, PartitionState};
use streamjob_checkpoint::ids::{Epoch, Generation, Hash, Lineage, Seq, WriterId};
use streamjob_checkpoint::log::{CommitError, Log};
use streamjob_checkpoint::protocol::{BeginAt, Claimant, Commit, CommitPermit, Start, StartRequest};
use streamjob_checkpoint::record::{Owner, Stored};
use streamjob_checkpoint::retry::Patience;
use streamjob_checkpoint::store::StateStore;
use streamjob_plan::Plan;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use super::earlier::publish_earlier;
use super::messages::Publication;
use super::priority::give_way;
use super::worker::wiring;
use super::{RunError, location};
use crate::outages::Outages;
use crate::pipeline::clock::Clock;
use crate::pipeline::records::{PartitionReader, SourceError};
use crate::pipeline::sink::{self, Folder, NewestOutput, Target, Topic};
use crate::pipeline::{decode, source};
use crate::progress::beginning;

/// A partition, not yet opened.
pub struct Input {
    /// What it is, and where it is read on.
    pub state: PartitionState,
    /// Opens it, on the thread of the slot that reads it.
    pub open: Box<dyn FnOnce() -> Result<Box<dyn PartitionReader>, SourceError> + Send>,
}

/// What a job reads.
pub trait Inputs: Send + Sync {
    /// The partitions at their beginning: what a new lineage is fixed to.
    fn list(&self) -> Result<Vec<PartitionState>, SourceError>;

    /// The partitions that came since those of a checkpoint were found, at their beginning.
    fn grown(&self, _states: &[PartitionState]) -> Result<Vec<PartitionState>, SourceError> {
        Ok(Vec::new())
    }

    /// The partitions where a checkpoint left them, in its order.
    fn open(&self, states: &[PartitionState]) -> Result<Vec<Input>, SourceError>;
}

/// What the plan's source names.
pub struct SourceInputs {
    plan: Arc<Plan>,
    with: source::With,
}

impl SourceInputs {
    /// The inputs of a plan.
    pub fn new(plan: Arc<Plan>, clock: Arc<dyn Clock>) -> Self {
        let decoder = decode::maker(&plan.source);
        let outage = Outages::default().source;
        Self { plan, with: source::With { clock, decoder, outage } }
    }

    /// The same, noting there if brokers do not answer.
    pub fn with_outages(mut self, outages: &Outages) -> Self {
        self.with.outage = Arc::clone(&outages.source);
        self
    }
}

impl Inputs for SourceInputs {
    fn list(&self) -> Result<Vec<PartitionState>, SourceError> {
        let partitions = source::open(&self.plan.source, self.with.clone())?;
        Ok(partitions.iter().map(|partition| partition.state().clone()).collect())
    }

    fn grown(&self, states: &[PartitionState]) -> Result<Vec<PartitionState>, SourceError> {
        source::grown(&self.plan.source, states, &self.with.outage)
    }

    fn open(&self, states: &[PartitionState]) -> Result<Vec<Input>, SourceError> {
        let partitions = source::reopen(&self.plan.source, self.with.clone(), states)?;
        let input = |partition: source::Partition| Input {
            state: partition.state().clone(),
            open: Box::new(move || partition.open_at(&partition.state().position.clone())),
        };
        Ok(partitions.into_iter().map(input).collect())
    }
}

/// Where a job's state is, and what its calls run on. Clones share both.
#[derive(Clone)]
pub struct State {
    /// The objects.
    pub store: StateStore,
    /// The records.
    pub log: Log,
    /// Where it is noted if it is away, or another that the job depends on.
    pub outages: Outages,
    runtime: Arc<Runtime>,
}

impl State {
    /// The state of a plan's job, in its folder, which is made if it is not there.
    pub fn open(plan: &Plan) -> Result<Self, RunError> {
        Self::open_noting(plan, Outages::default())
    }

    /// The same, noting there if it is away.
    pub fn open_noting(plan: &Plan, outages: Outages) -> Result<Self, RunError> {
        let here = |source| RunError::Location { source };
        let store = location::open(&plan.state.location).map_err(here)?;
        let store = store.failing_into(Arc::clone(&outages.store));
        let state = Self { outages, ..Self::over(store)? };
        location::warn_if_untested(&plan.state.location);
        // A store that is away is waited for: it would be waited for all the same by whoever started the job again.
        let patient = state.store.clone().with_patience(Patience::Endless);
        state.runtime.block_on(patient.probe(WriterId(Uuid::new_v4().as_u128()))).map_err(here)?;
        Ok(state)
    }

    /// Refuses a store that cannot keep state.
    pub fn probe(&self, patience: Patience) -> Result<(), RunError> {
        let store = self.store.clone().with_patience(patience);
        Ok(self.runtime.block_on(store.probe(WriterId(Uuid::new_v4().as_u128())))?)
    }

    /// State in any store.
    pub fn over(store: StateStore) -> Result<Self, RunError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("store")
            .on_thread_start(give_way)
            .enable_all()
            .build()
            .map_err(|source| RunError::Thread { thread: "store".to_owned(), source })?;
        let log = Log::new(store.clone());
        let outages = Outages { store: Arc::clone(store.retries().failures()), ..Outages::default() };
        Ok(Self { store, log, outages, runtime: Arc::new(runtime) })
    }

    /// What the calls of store and log run on.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}

/// Where a start led.
pub enum Started {
    /// All input was read before: there is nothing to do.
    Finished(Box<Stored>),
    /// The job is ours to run.
    Begun(Box<Begun>),
}

/// A job that is ours to run.
pub struct Begun {
    pub(super) permit: CommitPermit,
    pub(super) lineage: Lineage,
    pub(super) checkpoint: Box<Checkpoint>,
    pub(super) inherited: Option<Publication>,
    /// The checkpoint that it goes on from; `None`: from the beginning.
    pub resumed: Option<Epoch>,
    /// The record that holds it, or that began the lineage.
    pub resumed_from: Seq,
    /// From where it goes on, in words.
    pub beginning: String,
}

impl Begun {
    /// The checkpoint that the job goes on from; in a new lineage it holds the beginning of the input.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Whose right to write the job has.
    pub fn generation(&self) -> Generation {
        self.permit.generation()
    }

    /// Whose state it is.
    pub fn owner(&self) -> &Owner {
        &self.permit.head().record.owner
    }

    /// The newest record.
    pub fn head(&self) -> Seq {
        self.permit.head().record.seq
    }

    /// What metrics call the partitions.
    pub fn partition_names(&self) -> impl Iterator<Item = String> + '_ {
        self.checkpoint.partitions.iter().map(|partition| partition.name.clone())
    }
}

/// Who starts a job, and with what.
#[derive(Clone, Debug)]
pub struct Starting {
    /// Whose state it must be.
    pub owner: Owner,
    /// Whose state is taken over, if it is found there.
    pub take_over: Option<String>,
    /// As whom it is claimed.
    pub claimant: Claimant,
    /// With what.
    pub begin: BeginAt,
    /// The log must have come to here.
    pub floor: Option<Seq>,
}

impl Starting {
    /// A start on this machine.
    pub fn here(plan: &Plan, begin: BeginAt) -> Self {
        Self { owner: owner(plan), take_over: None, claimant: Claimant::Next, begin, floor: None }
    }
}

/// Claims the state of a job of this machine. For a new lineage this fixes the input durably, before the first row is
/// read.
pub fn start(
    state: &State,
    plan: &Plan,
    inputs: &dyn Inputs,
    begin: BeginAt,
    clock: &dyn Clock,
) -> Result<Started, RunError> {
    start_as(&Starting::here(plan, begin), state, plan, (inputs, clock))
}

/// Claims it once more, for the next attempt of the same incarnation.
pub(super) fn start_again(
    (owner, failed): (&Owner, Generation),
    state: &State,
    plan: &Plan,
    (inputs, clock): (&dyn Inputs, &dyn Clock),
) -> Result<Started, RunError> {
    let claimant = Claimant::Exactly(Generation { attempt: failed.attempt + 1, ..failed });
    let starting =
        Starting { owner: owner.clone(), take_over: None, claimant, begin: BeginAt::Latest, floor: None };
    start_as(&starting, state, plan, (inputs, clock))
}

/// The same for whom and with what is said.
pub fn start_as(
    starting: &Starting,
    state: &State,
    plan: &Plan,
    (inputs, clock): (&dyn Inputs, &dyn Clock),
) -> Result<Started, RunError> {
    let log = Log::new(state.store.clone().with_patience(Patience::Endless));
    let published = refuse_to_publish_again(state, &log, plan, &starting.begin)?;
    let request = StartRequest {
        owner: starting.owner.clone(),
        take_over: starting.take_over.clone(),
        sink: sink_identity(plan, &state.outages)?,
        fingerprint: plan.fingerprint(),
        claimant: starting.claimant,
        begin: starting.begin.clone(),
        floor: starting.floor,
        published: published.map(Epoch),
        writer: WriterId(Uuid::new_v4().as_u128()),
        lineage: Lineage(Uuid::new_v4().as_u128()),
        now_ms: clock.now_ms(),
    };
    let begun = match state.runtime.block_on(log.begin(&request))? {
        Start::Finished(last) => return Ok(Started::Finished(last)),
        Start::Begun(begun) => *begun,
    };
    let beginning = beginning(&request.begin, &begun, clock.now_ms());
    let mut permit = begun.permit;
    let inherited = begun.inherited.and_then(|stored| ours(state, plan, &stored, &mut permit));
    let spec_hash = Hash::of(plan.spec_text.as_bytes());
    let resumed = begun.checkpoint.as_ref().map(|checkpoint| checkpoint.epoch);
    let resumed_from = begun.resumed_from;
    let checkpoint = match begun.checkpoint {
        Some(mut checkpoint) => {
            checkpoint.partitions.extend(inputs.grown(&checkpoint.partitions)?);
            Box::new(Checkpoint { spec_hash, ..*checkpoint })
        }
        None => {
            let partitions = inputs.list()?;
            let first = Checkpoint::at_start(plan.parallelism, request.fingerprint, spec_hash, partitions);
            let first = Box::new(first);
            commit_start(state, &mut permit, first.clone())?;
            first
        }
    };
    let lineage = begun.lineage;
    let begun = Begun { permit, lineage, checkpoint, inherited, resumed, resumed_from, beginning };
    Ok(Started::Begun(Box::new(begun)))
}

/// What each target is: a folder, or a topic of a cluster, which is known by its id.
fn sink_identity(plan: &Plan, outages: &Outages) -> Result<BTreeMap<String, String>, RunError> {
    let folders = wiring::folders(plan).into_iter();
    let folder = |(target, folder): (Target, Folder)| (target.name().to_owned(), shown(&folder.path));
    let mut identity: BTreeMap<String, String> = folders.map(folder).collect();
    if let Some(output) = &plan.kafka_output {
        let cluster = sink::cluster_id(&output.cluster, &outages.sink.outage)?;
        let topics = wiring::topics(plan).into_iter();
        let topic = |(target, topic): (Target, Topic)| {
            (target.name().to_owned(), format!("kafka:{cluster}/{}", topic.name))
        };
        identity.extend(topics.map(topic));
    }
    Ok(identity)
}

/// A log that has lost its newest records still reads well; what was published since tells. Who goes back on purpose
/// publishes again what follows, in files beside those that are there: gives the greatest epoch among these.
fn refuse_to_publish_again(
    state: &State,
    log: &Log,
    plan: &Plan,
    begin: &BeginAt,
) -> Result<Option<u64>, RunError> {
    let folders = wiring::folders(plan);
    let outputs: Vec<_> = folders.values().flat_map(|folder| NewestOutput::in_folder(&folder.path)).collect();
    // What is wrong with a log that cannot be read is told by the claim.
    let published = outputs.iter().map(NewestOutput::epoch).max();
    let Ok(Some(head)) = state.runtime.block_on(log.head()) else { return Ok(published) };
    if begin.restores(&head.record) {
        return Ok(published);
    }
    let newest = head.record.last_epoch.map(|epoch| epoch.0);
    let lineage = head.record.lineage.to_string();
    outputs.into_iter().try_for_each(|output| output.check_known(&lineage, newest))?;
    Ok(published)
}

fn commit_start(state: &State, permit: &mut CommitPermit, first: Box<Checkpoint>) -> Result<(), RunError> {
    const RETRY: Duration = Duration::from_secs(1);
    loop {
        match state.runtime.block_on(state.log.commit(permit, Commit::Epoch(first.clone()))) {
            Ok(_stored) => return Ok(()),
            Err(error @ CommitError::Unresolved(_)) => {
                tracing::warn!(error = %error, "the start of the job is not stored yet; trying again");
                std::thread::sleep(RETRY);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Output that the worker publishes before anything else. That of an earlier life of the state is no business of this one.
fn ours(state: &State, plan: &Plan, left: &Stored, permit: &mut CommitPermit) -> Option<Publication> {
    let output = Publication::of(left.record.lineage, left.record.checkpoint()?);
    if output.lineage == permit.lineage() {
        return Some(output);
    }
    publish_earlier(state, plan, (&left.record, &permit.head().record));
    permit.published(output.lineage, output.epoch);
    None
}

/// Whose state a job on this machine has.
pub fn owner(plan: &Plan) -> Owner {
    Owner { cluster: "local".to_owned(), namespace: shown(&plan.manifest_folder), name: plan.job.clone() }
}

fn shown(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}
