//! A process of a seeded run: the production log, bundles, outbox, transitions and retention, and rows that are numbers.
//!
//! Owns: the order of start, upload, commit, publish, retention and end, as a coordinator and its worker have it.
//! Never: waits for real time.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray as _, Int64Array};
use arrow::datatypes::{DataType, Field, Int64Type};
use async_trait::async_trait;
use bytes::Bytes;
use streamjob_checkpoint::bundle::{About, BundleReader, NewBlock, StateWriter, state_batch, state_schema};
use streamjob_checkpoint::checkpoint::{
    BlockKind, Checkpoint, Counters, Emitted, OperatorState, OutboxObject, OutboxPart, PartitionState,
    PartitionStatus, Share, SlotReport, SourcePosition, WorkerReport,
};
use streamjob_checkpoint::ids::{Epoch, Groups, Hash, Lineage, WriterId};
use streamjob_checkpoint::log::{CommitError, Log};
use streamjob_checkpoint::outbox::{OutboxWriter, Output, read_outbox};
use streamjob_checkpoint::protocol::{
    BeginAt, Begun, Claimant, Commit, CommitPermit, Refusal, Start, StartRequest,
};
use streamjob_checkpoint::record::{Body, Owner, Stored};
use streamjob_checkpoint::retention::{Retention, RetentionError, Sweep};
use streamjob_checkpoint::retry::{Pacer, Patience};
use streamjob_checkpoint::store::StateStore;
use streamjob_checkpoint::transition::next_checkpoint;

use super::truth::Truth;
use super::turns::Turn;

/// How many epochs a window lives: then its blocks are needed no more.
const EPOCHS_OF_A_WINDOW: u64 = 3;

/// Time goes by in pauses, each of which lets others go first.
#[derive(Debug, Default)]
pub(super) struct TurnPacer(AtomicU64);

#[async_trait]
impl Pacer for TurnPacer {
    async fn pause(&self, about: Duration) {
        self.0.fetch_add(about.as_millis() as u64, Relaxed);
        Turn::default().await;
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }

    fn now_ms(&self) -> i64 {
        0
    }
}

/// One process.
pub(super) struct Process {
    pub(super) store: StateStore,
    pub(super) truth: Rc<RefCell<Truth>>,
    /// Turns so far: the clock of the grace.
    pub(super) turns: Rc<Cell<u64>>,
    pub(super) random: fastrand::Rng,
    pub(super) begin: BeginAt,
    /// Whether objects are real bundles.
    pub(super) bundles: bool,
    /// Epochs to commit before the end.
    pub(super) epochs: u32,
}

/// Why a process has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// With Final.
    Final,
    Fenced,
    /// The store failed for too long.
    Failed,
}

struct Leader {
    permit: CommitPermit,
    checkpoint: Checkpoint,
    epoch: Epoch,
}

impl Process {
    /// Runs to its end.
    pub(super) async fn run(mut self) -> Ended {
        let log = Log::new(self.store.clone());
        match self.lead(&log).await {
            Ok(()) => Ended::Final,
            Err(ended) => {
                self.truth.borrow_mut().fenced += u32::from(ended == Ended::Fenced);
                ended
            }
        }
    }

    async fn lead(&mut self, log: &Log) -> Result<(), Ended> {
        let mut leader = self.begin(log).await?;
        let grace = Duration::from_millis(self.random.u64(0..40).saturating_sub(20));
        let mut retention = Retention::new(self.random.u32(1..3), grace);
        for _ in 0..self.epochs {
            let Some(checkpoint) = self.write_epoch(&mut leader).await else {
                self.truth.borrow_mut().abandoned += 1;
                continue;
            };
            let stored = self.commit(log, &mut leader, Commit::Epoch(Box::new(checkpoint))).await?;
            self.truth.borrow_mut().committed_epoch(&stored);
            self.publish(log, &mut leader.permit, &stored).await?;
            let sweep = Sweep { now: Duration::from_millis(self.turns.get()), pins: &BTreeSet::new() };
            match retention.run(log, &leader.permit, sweep).await {
                Ok(_) | Err(RetentionError::Log(_) | RetentionError::Store(_)) => {}
                Err(RetentionError::Fenced { .. }) => return Err(Ended::Fenced),
            }
        }
        let mut checkpoint = Box::new(leader.checkpoint.without_outbox());
        checkpoint.epoch = leader.permit.last_epoch().ok_or(Ended::Failed)?;
        let stored = self
            .commit(log, &mut leader, Commit::Final { checkpoint, finished: false, operation: None })
            .await?;
        self.truth.borrow_mut().committed(&stored);
        Ok(())
    }

    async fn begin(&mut self, log: &Log) -> Result<Leader, Ended> {
        let state_at = self.truth.borrow().state_at();
        let start = self.request();
        let begun = match log.begin(&start).await {
            Ok(Start::Begun(begun)) => begun,
            Ok(Start::Finished(_)) => unreachable!("no run ends as finished"),
            Err(streamjob_checkpoint::log::LogError::Refused(Refusal::Fenced { .. })) => {
                return Err(Ended::Fenced);
            }
            Err(streamjob_checkpoint::log::LogError::Refused(refusal)) => {
                panic!("nothing is lost, but: {refusal}")
            }
            Err(_) => return Err(Ended::Failed),
        };
        self.truth.borrow_mut().begun(&begun, state_at);
        let Begun { mut permit, checkpoint, inherited, .. } = *begun;
        let checkpoint = match checkpoint {
            Some(checkpoint) => *checkpoint,
            None => self.commit_first(log, &mut permit).await?,
        };
        self.check_state(&checkpoint).await;
        if let Some(inherited) = inherited {
            self.publish(log, &mut permit, &inherited).await?;
        }
        let epoch = permit.last_epoch().unwrap_or_default();
        Ok(Leader { permit, checkpoint, epoch })
    }

    fn request(&mut self) -> StartRequest {
        StartRequest {
            owner: Owner { cluster: "local".into(), namespace: "/jobs".into(), name: "job".into() },
            take_over: None,
            sink: BTreeMap::from([("results".into(), "/out".into())]),
            fingerprint: BTreeMap::new(),
            claimant: Claimant::Next,
            begin: self.begin.clone(),
            floor: None,
            published: None,
            writer: WriterId(self.random.u128(..)),
            lineage: Lineage(self.random.u128(..)),
            now_ms: 0,
        }
    }

    async fn commit_first(&mut self, log: &Log, permit: &mut CommitPermit) -> Result<Checkpoint, Ended> {
        let partition = PartitionState {
            name: "generator-0".into(),
            files: Vec::new(),
            topic: None,
            position: SourcePosition::Row { row: 0, started_ms: 0 },
            max_timestamp_ms: None,
            status: PartitionStatus::Active,
        };
        let first = Checkpoint::at_start(1, BTreeMap::new(), Hash(0), vec![partition]);
        let commit = Commit::Epoch(Box::new(first.clone()));
        let stored = self.commit_by(log, permit, commit).await?;
        self.truth.borrow_mut().committed(&stored);
        Ok(first)
    }

    /// Reads some rows and writes what a worker writes of them; `None` if an upload failed.
    async fn write_epoch(&mut self, leader: &mut Leader) -> Option<Checkpoint> {
        leader.epoch = leader.epoch.next();
        let (epoch, before) = (leader.epoch, &leader.checkpoint);
        let first = before.counters.rows_in;
        let rows = first..first + self.random.u64(1..5);
        let about = About {
            lineage: leader.permit.lineage(),
            job: "job".into(),
            generation: leader.permit.generation(),
            epoch,
        };
        let name =
            |kind| format!("data/{}/{epoch}-0-{:032x}.{kind}.arrow", about.generation, self.random.u128(..));
        let [state, outbox] = ["state", "outbox"].map({
            let mut name = name;
            move |kind| name(kind)
        });
        let end_ms = (epoch.0 / EPOCHS_OF_A_WINDOW) as i64 * 1000 + 1000;
        // Some do not ask twice: their epochs are abandoned.
        let patience = if self.random.bool() { Patience::NONE } else { self.store.patience() };
        let store = self.store.clone().with_patience(patience);
        let report = match self.bundles {
            true => write_objects(&store, &about, [&state, &outbox], (end_ms, rows, before)).await?,
            false => write_plain(&store, &outbox, &rows, before).await?,
        };
        let next =
            next_checkpoint(before, epoch, 1, &[report]).expect("the reports fit the checkpoint before");
        Some(next)
    }

    async fn commit(&self, log: &Log, leader: &mut Leader, commit: Commit) -> Result<Stored, Ended> {
        let stored = self.commit_by(log, &mut leader.permit, commit).await?;
        if let Some(checkpoint) = stored.record.checkpoint() {
            leader.checkpoint = checkpoint.clone();
        }
        Ok(stored)
    }

    async fn commit_by(&self, log: &Log, permit: &mut CommitPermit, commit: Commit) -> Result<Stored, Ended> {
        for _ in 0..10 {
            match log.commit(permit, commit.clone()).await {
                Ok(stored) => return Ok(stored),
                Err(CommitError::Fenced { .. }) => return Err(Ended::Fenced),
                Err(CommitError::Unresolved(_)) => {}
                Err(error @ (CommitError::Late | CommitError::Refused(_) | CommitError::Record(_))) => {
                    panic!("{error}")
                }
            }
        }
        Err(Ended::Failed)
    }

    /// Reads the outbox back and gives it to the sink.
    async fn publish(&self, log: &Log, permit: &mut CommitPermit, stored: &Stored) -> Result<(), Ended> {
        let Body::Epoch { checkpoint } = &stored.record.body else { panic!("only epochs have output") };
        for _ in 0..20 {
            let Some(rows) = self.read_rows(checkpoint).await else {
                if log.still_leads(permit).await.is_ok_and(|leads| !leads) {
                    return Err(Ended::Fenced);
                }
                continue;
            };
            self.truth.borrow_mut().published(stored.record.lineage, checkpoint.epoch, rows);
            permit.published(stored.record.lineage, checkpoint.epoch);
            return Ok(());
        }
        Err(Ended::Failed)
    }

    async fn read_rows(&self, checkpoint: &Checkpoint) -> Option<Range<u64>> {
        let name = &checkpoint.outbox.first()?.object;
        let object = checkpoint.objects.iter().find(|object| object.name == *name)?;
        let value = match self.bundles {
            true => {
                let rows = read_outbox(&self.store, object).await.ok()?.next().await.ok()??;
                rows.chunks().next()?.record.value.to_vec().into()
            }
            false => self.store.get(name).await.ok()?,
        };
        let text = str::from_utf8(&value).expect("it was written as text");
        let (start, end) = text.trim_end().split_once("..").expect("it was written so");
        Some(start.parse().expect("a number")..end.parse().expect("a number"))
    }

    /// The state that a start goes on from accounts for every input row of its windows.
    async fn check_state(&self, checkpoint: &Checkpoint) {
        let reader = BundleReader::new(self.store.clone());
        for slice in &checkpoint.slices {
            let mut sum = 0;
            for block in &slice.blocks {
                // A store that fails is asked again when the window fires.
                let Ok(rows) = reader.read_block(block).await else { return };
                let states = rows.iter().map(|rows| rows.states[0].as_primitive::<Int64Type>());
                sum += states.flat_map(|states| states.values().iter()).sum::<i64>() as u64;
            }
            let rows: u64 = slice.shares.iter().map(|share| share.input_rows).sum();
            assert_eq!(sum, rows, "rows in the state of the window that ends at {}", slice.end_ms);
        }
    }
}

async fn write_objects(
    store: &StateStore,
    about: &About,
    [state, outbox]: [&str; 2],
    (end_ms, rows, before): (i64, Range<u64>, &Checkpoint),
) -> Option<WorkerReport> {
    let count = rows.end - rows.start;
    let fields = ["key", "rows.sum"].map(|name| Field::new(name, DataType::Int64, false));
    let schema = state_schema(&fields[..1], &fields[1..], about);
    let mut writer = StateWriter::new(store.writer(state), schema.clone()).expect("the head is encoded");
    let column = |value: u64| -> ArrayRef { Arc::new(Int64Array::from(vec![value as i64])) };
    let batch =
        state_batch(&schema, end_ms, vec![7], vec![column(7)], vec![column(count)]).expect("columns fit");
    let new = NewBlock { kind: BlockKind::Delta, groups: Groups::ALL, input_rows: count };
    let block = writer.write_block(new, std::iter::once(batch)).await.ok()??;
    let state = writer.finish().await.ok()??;
    let mut writer = OutboxWriter::new(outbox.to_owned(), about).expect("the head is encoded");
    let output = Output::Text { rows: count, bytes: text_of(&rows) };
    writer.write(0, "results", output).expect("rows are encoded");
    let sealed = writer.seal().expect("rows are encoded").expect("there are rows");
    let (object, outbox) = sealed.store(store).await.ok()?;
    let already = before.slices.iter().find(|slice| slice.end_ms == end_ms);
    let already: u64 = already.iter().flat_map(|slice| &slice.shares).map(|share| share.input_rows).sum();
    let share = Share { groups: Groups::ALL, input_rows: already + count, emitted: Emitted::Nothing };
    let slot =
        SlotReport { shares: vec![(end_ms, share)], blocks: vec![(end_ms, block)], ..slot(&rows, before) };
    Some(WorkerReport { slots: vec![slot], outbox: vec![outbox], objects: vec![state, object] })
}

/// The same without Arrow, which takes most of the time: the output as it is, and no state.
async fn write_plain(
    store: &StateStore,
    outbox: &str,
    rows: &Range<u64>,
    before: &Checkpoint,
) -> Option<WorkerReport> {
    let mut writer = store.writer(outbox);
    writer.write(text_of(rows)).await.ok()?;
    let object = writer.finish().await.ok()?;
    let rows_out = rows.end - rows.start;
    let part = OutboxPart { slot: 0, target: "results".into(), rows: rows_out, bytes: object.bytes };
    let outbox = OutboxObject { object: object.name.clone(), parts: vec![part] };
    Some(WorkerReport { slots: vec![slot(rows, before)], outbox: vec![outbox], objects: vec![object] })
}

fn text_of(rows: &Range<u64>) -> Bytes {
    Bytes::from(format!("{}..{}\n", rows.start, rows.end))
}

/// What the only slot reports, but for its windows.
fn slot(rows: &Range<u64>, before: &Checkpoint) -> SlotReport {
    let mut partition = before.partitions[0].clone();
    partition.position = SourcePosition::Row { row: rows.end, started_ms: 0 };
    SlotReport {
        slot: 0,
        partitions: BTreeMap::from([(0, partition)]),
        operator: OperatorState { groups: Groups::ALL, watermark_ms: None, behind: Vec::new() },
        shares: Vec::new(),
        blocks: Vec::new(),
        counters: Counters { rows_in: rows.end, rows_out: rows.end, late: 0, bad: 0 },
    }
}
