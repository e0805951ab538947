//! Encodes and uploads the snapshots of a worker's slots, beside processing.
//!
//! Owns: the state object of each epoch under way, and outboxes that no committed epoch has named.
//! Never: drops a snapshot's data for good: what is not committed is frozen again, or named again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use streamjob_checkpoint::bundle::{NewBlock, StateWriter};
use streamjob_checkpoint::checkpoint::{BlockKind, Object, OutboxObject, SlotReport, WorkerReport};
use streamjob_checkpoint::fail_point;
use streamjob_checkpoint::ids::Epoch;
use streamjob_checkpoint::planted::{self, Bug};
use streamjob_checkpoint::retry::with_causes;
use streamjob_checkpoint::store::StateStore;
use streamjob_core::window::{FrozenKind, FrozenSlice};

use super::outbox::{Broken, Sealed};
use super::snapshot::{SlotSnapshot, StateLayout, state_rows};
use super::{Calls, ObjectWriterId};

/// Keys that are encoded as one record batch.
const BATCH_KEYS: usize = 32_768;

/// What the uploader is told.
pub enum Work {
    /// A slot's part of an epoch.
    Snapshot(Box<SlotSnapshot>),
    /// The outbox of an epoch.
    Outbox(Epoch, Sealed),
    /// An epoch is committed: what it names is remembered by the log.
    Committed(Epoch),
}

/// What the uploader says.
#[derive(Debug)]
pub enum Done {
    /// All of the worker's part of an epoch is in the store.
    Acknowledged {
        /// Which.
        epoch: Epoch,
        /// What there is.
        report: Box<WorkerReport>,
        /// How long its steps took.
        times: UploadTimes,
    },
    /// It is not, and all of its data will be in the next.
    UploadFailed {
        /// Which.
        epoch: Epoch,
        /// Why.
        cause: String,
    },
    /// Output cannot be written: the job cannot go on.
    OutboxFailed(Broken),
}

/// How long the steps of a checkpoint took.
#[derive(Clone, Copy, Debug, Default)]
pub struct UploadTimes {
    /// The slowest slot, from the barrier's start until it had come through all channels.
    pub align: Duration,
    /// Encoding states and handing them to the store.
    pub encode: Duration,
    /// Until the store had made them durable.
    pub upload: Duration,
}

/// Uploads snapshots, on a thread of its own.
pub struct Uploader {
    /// How many slots an epoch needs.
    pub slots: usize,
    /// Where objects go.
    pub store: StateStore,
    /// Who writes them.
    pub id: ObjectWriterId,
    /// How states are laid out.
    pub layout: StateLayout,
    /// How the store is called.
    pub calls: Calls,
    /// Which epochs nobody waits for any more.
    pub given_up: GivenUp,
}

/// The greatest epoch that was abandoned. Its data comes again, so what is left of its upload is dropped: or else one
/// slow upload would delay that of every epoch after it.
#[derive(Clone, Debug)]
pub struct GivenUp(Arc<AtomicI64>);

impl Default for GivenUp {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(-1)))
    }
}

impl GivenUp {
    /// Nobody waits for this epoch any more.
    pub fn set(&self, epoch: Epoch) {
        self.0.fetch_max(number(epoch), Ordering::Relaxed);
    }

    fn is(&self, epoch: Epoch) -> bool {
        number(epoch) <= self.0.load(Ordering::Relaxed)
    }
}

fn number(epoch: Epoch) -> i64 {
    i64::try_from(epoch.0).expect("no job has 2^63 epochs")
}

/// An epoch under way. Parts of an abandoned one may come between those of the next.
#[derive(Default)]
struct Open {
    writer: Option<StateWriter>,
    reports: BTreeMap<u32, SlotReport>,
    outbox: bool,
    times: UploadTimes,
    failed: Option<String>,
}

impl Uploader {
    /// Runs until the senders of `work` are gone.
    pub fn run(self, work: &Receiver<Work>, mut say: impl FnMut(Done)) {
        let mut open: BTreeMap<Epoch, Open> = BTreeMap::new();
        let mut outboxes: Vec<(Epoch, Object, OutboxObject)> = Vec::new();
        while let Ok(item) = work.recv() {
            open.retain(|epoch, _| !self.given_up.is(*epoch));
            let epoch = match item {
                Work::Snapshot(snapshot) if self.given_up.is(snapshot.epoch) => continue,
                Work::Snapshot(snapshot) => {
                    let epoch = snapshot.epoch;
                    self.encode(*snapshot, open.entry(epoch).or_default());
                    epoch
                }
                Work::Outbox(epoch, sealed) => {
                    let open = open.entry(epoch).or_default();
                    open.outbox = true;
                    match sealed {
                        Sealed::Stored(stored) => {
                            outboxes
                                .extend(stored.into_iter().map(|(object, outbox)| (epoch, object, outbox)));
                        }
                        Sealed::Kept { cause } => open.failed = Some(cause),
                        Sealed::Broken(broken) => return say(Done::OutboxFailed(broken)),
                    }
                    epoch
                }
                Work::Committed(epoch) => {
                    outboxes.retain(|(of, _, _)| *of > epoch);
                    continue;
                }
            };
            let is_whole = |open: &Open| open.outbox && open.reports.len() == self.slots;
            if !self.given_up.is(epoch) && open.get(&epoch).is_some_and(is_whole) {
                let whole = open.remove(&epoch).expect("it was there in the line above");
                say(self.finish(epoch, whole, &outboxes));
                fail_point::hit("upload.acknowledge.after");
            }
        }
    }

    fn encode(&self, snapshot: SlotSnapshot, open: &mut Open) {
        let began = Instant::now();
        let SlotSnapshot { epoch, mut report, frozen, aligned } = snapshot;
        open.times.align = open.times.align.max(aligned);
        for slice in frozen.slices {
            if open.failed.is_some() || self.given_up.is(epoch) {
                break;
            }
            if let Err(cause) = self.write_slice(epoch, slice, &mut report, &mut open.writer) {
                open.failed = Some(cause);
            }
        }
        open.times.encode += began.elapsed();
        open.reports.insert(report.slot, report);
    }

    fn write_slice(
        &self,
        epoch: Epoch,
        slice: FrozenSlice,
        report: &mut SlotReport,
        writer: &mut Option<StateWriter>,
    ) -> Result<(), String> {
        let schema = self.layout.schema(&self.id.about(epoch));
        let writer = match writer {
            Some(writer) => writer,
            None => {
                fail_point::hit("upload.state.before");
                let object = self.store.writer(&self.id.state(epoch));
                let made = StateWriter::new(object, Arc::clone(&schema));
                writer.insert(made.map_err(|error| with_causes(&error))?)
            }
        };
        let (end_ms, groups, input_rows) = (slice.end, report.operator.groups, slice.input_rows);
        let kind = match slice.kind {
            FrozenKind::Delta => BlockKind::Delta,
            FrozenKind::Base => BlockKind::Base,
        };
        let mut scan = slice.scan();
        let batches = std::iter::from_fn(|| {
            let chunk = scan.next_chunk(&self.layout.codec, BATCH_KEYS)?;
            Some(state_rows(&schema, end_ms, chunk))
        });
        let new = NewBlock { kind, groups, input_rows };
        let block = self.calls.ask(writer.write_block(new, batches));
        fail_point::hit("upload.state.block");
        report.blocks.extend(block?.map(|block| (end_ms, block)));
        Ok(())
    }

    fn finish(&self, epoch: Epoch, open: Open, outboxes: &[(Epoch, Object, OutboxObject)]) -> Done {
        let began = Instant::now();
        let Open { writer, reports, mut times, failed, .. } = open;
        if let Some(cause) = failed {
            return Done::UploadFailed { epoch, cause };
        }
        let mut objects: Vec<Object> = outboxes.iter().map(|(_, object, _)| object.clone()).collect();
        if let Some(writer) = writer {
            match self.finish_state(writer) {
                Ok(object) => objects.extend(object),
                Err(cause) => return Done::UploadFailed { epoch, cause },
            }
        }
        times.upload = began.elapsed();
        let outbox = outboxes.iter().map(|(_, _, outbox)| outbox.clone()).collect();
        let report = WorkerReport { slots: reports.into_values().collect(), outbox, objects };
        Done::Acknowledged { epoch, report: Box::new(report), times }
    }

    fn finish_state(&self, writer: StateWriter) -> Result<Option<Object>, String> {
        let finished = self.calls.ask(writer.finish());
        fail_point::hit("upload.state.after");
        let finished = finished?;
        if planted::is(Bug::AckBeforeUpload)
            && let Some(object) = &finished
        {
            // The answer does not wait for the object, which a crash then takes away.
            let _gone = self.calls.ask(self.store.delete(&object.name));
        }
        Ok(finished)
    }
}
