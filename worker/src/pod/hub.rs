//! What a pod knows of itself, and what it is asked.
//!
//! Owns: the answers to the operator: how a stop stands, where the job is.
//! Never: trusts its memory for what is in the log: how an incarnation has ended is read there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use streamjob_checkpoint::ids::{Epoch, Seq};
use streamjob_checkpoint::record::{Body, Operation, Record};
use streamjob_checkpoint::store::StateStore;
use streamjob_crds::worker::{
    CheckpointRef, CheckpointSummary, StopAnswer, StopRequest, StopState, Termination, WorkerOperation,
    WorkerOperationKind, WorkerPhase, WorkerStatus,
};
use tokio::runtime::Handle;

use super::savepoints::Savepoints;
use crate::metrics::{JobMetrics, Phase};
use crate::pipeline::clock::Clock;
use crate::runtime::stop::HandOver;
use crate::runtime::{Desk, StopFlag, warn_of_late};

/// What the threads of a pod share.
pub(super) struct Hub {
    /// The number of its set.
    pub(super) incarnation: u64,
    /// The pod, if it was told.
    pub(super) pod_uid: Option<String>,
    /// When the process began.
    pub(super) started_ms: i64,
    /// What the job counts.
    pub(super) metrics: Arc<JobMetrics>,
    /// Time.
    pub(super) clock: Arc<dyn Clock>,
    /// Ends the job.
    pub(super) stop: StopFlag,
    /// Where the job is asked for savepoints.
    pub(super) desk: Arc<Desk>,
    /// Where its state is, and what calls of it run on.
    pub(super) store: StateStore,
    pub(super) calls: Handle,
    /// What was asked for and what is known, behind one lock.
    pub(super) book: Mutex<Book>,
}

/// What changes.
#[derive(Default)]
pub(super) struct Book {
    ended: Option<Ended>,
    stop: Option<Asked>,
    failure: Option<Termination>,
    last: Option<WorkerOperation>,
    pub(super) savepoints: Savepoints,
}

/// A stop that was asked for.
struct Asked {
    operation: String,
    deadline_ms: i64,
}

/// How the incarnation has ended, as its log says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Ended {
    finished: bool,
    epoch: Epoch,
    seq: Seq,
    operation: Option<Operation>,
}

impl Ended {
    /// What a record says of it; `None`: nothing has ended.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let Body::Final { checkpoint, finished } = &record.body else { return None };
        let operation = record.operation.clone();
        Some(Self { finished: *finished, epoch: checkpoint.epoch, seq: record.seq, operation })
    }
}

impl Hub {
    /// The incarnation has ended: it only answers from now on.
    pub(super) fn end(&self, ended: Ended) {
        self.metrics.standing.reached(ended.seq);
        self.lock().ended = Some(ended);
    }

    /// Whether it has.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended.is_some()
    }

    /// An attempt has failed, and another one follows; `None`: it runs.
    pub(super) fn failed(&self, failure: Option<Termination>) {
        self.lock().failure = failure;
    }

    /// Asks the job to hand over. Asked again, it only answers; with a later deadline than that of a try that failed it
    /// tries again.
    pub(super) fn ask_to_stop(&self, request: &StopRequest) -> StopAnswer {
        let mut book = self.lock();
        let answer = self.stop_answer(&mut book, request);
        book.last = Some(WorkerOperation {
            id: answer.operation_id.clone(),
            kind: WorkerOperationKind::Stop,
            result: format!("{:?}", answer.state),
        });
        answer
    }

    fn stop_answer(&self, book: &mut Book, request: &StopRequest) -> StopAnswer {
        let operation_id = request.operation_id.clone();
        let answer = |state, checkpoint, message: Option<&str>| StopAnswer {
            operation_id: operation_id.clone(),
            state,
            checkpoint,
            message: message.map(str::to_owned),
        };
        if let Some(ended) = &book.ended {
            let checkpoint = Some(CheckpointRef { epoch: number(ended.epoch.0), seq: number(ended.seq.0) });
            let message = ended.message(&operation_id);
            return answer(StopState::Stopped, checkpoint, message.as_deref());
        }
        let deadline_ms = request.deadline.as_millisecond();
        let under_way = self.stop.handing_over();
        if under_way.is_some_and(|wanted| wanted.operation == operation_id) {
            return answer(StopState::Stopping, None, Some(self.step()));
        }
        let known = book.stop.as_ref().filter(|asked| asked.operation == operation_id);
        if known.is_some_and(|asked| deadline_ms <= asked.deadline_ms) {
            let message = "the last checkpoint was not complete and published in time; the job goes on";
            return answer(StopState::Resumed, None, Some(message));
        }
        let left = deadline_ms - self.clock.now_ms();
        let Ok(left @ 1..) = u64::try_from(left) else {
            return answer(StopState::Resumed, None, Some("the deadline is over already; the job goes on"));
        };
        tracing::info!(operation = operation_id, within_ms = left, "asked to hand over");
        book.stop = Some(Asked { operation: operation_id.clone(), deadline_ms });
        let until = self.clock.elapsed() + Duration::from_millis(left);
        self.stop.hand_over(HandOver { operation: operation_id.clone(), until });
        answer(StopState::Stopping, None, Some(self.step()))
    }

    /// A hand-over whose time is over is given up, however long what it waits for still takes.
    pub(super) fn give_up_late(&self) {
        let Some(late) = self.stop.give_up_late(|| self.clock.elapsed()) else { return };
        warn_of_late(&late);
        let result = format!("{:?}", StopState::Resumed);
        self.note(WorkerOperation { id: late.operation, kind: WorkerOperationKind::Stop, result });
    }

    /// What a stop waits for.
    fn step(&self) -> &'static str {
        use crate::metrics::CheckpointStep;
        match (self.metrics.phase(), self.metrics.checkpoints.step()) {
            (Phase::Starting, _) => "the job has to start first",
            (_, CheckpointStep::Publishing) => "the output of the last checkpoint is being published",
            (_, CheckpointStep::Idle | CheckpointStep::Collecting | CheckpointStep::Committing) => {
                "the last checkpoint is being taken"
            }
        }
    }

    /// What the operator looks at.
    pub(super) fn status(&self) -> WorkerStatus {
        let attempt = self.metrics.standing.attempt();
        let checkpoints = &self.metrics.checkpoints;
        let last = checkpoints.last().map(|last| CheckpointSummary {
            epoch: number(last.epoch),
            seq: number(last.seq),
            completion_time: time(last.committed_ms),
            size_bytes: number(last.bytes_total),
            duration_millis: i64::try_from(last.duration.as_millis()).unwrap_or(i64::MAX),
        });
        let restored = attempt.and_then(|attempt| attempt.restored_from);
        let book = self.lock();
        WorkerStatus {
            pod_uid: self.pod_uid.clone(),
            incarnation: number(self.incarnation),
            attempt: attempt.map_or(0, |attempt| number(attempt.generation.attempt)),
            phase: self.phase(&book),
            started_time: time(self.started_ms),
            running_since: attempt.and_then(|attempt| attempt.running_since_ms).map(time),
            head: number(self.metrics.standing.head().0),
            restored_from: restored
                .map(|(epoch, seq)| CheckpointRef { epoch: number(epoch.0), seq: number(seq.0) }),
            last_checkpoint: last,
            checkpoints_since_start: number(relaxed(&checkpoints.committed)),
            records: number(self.metrics.sum(|slot| &slot.rows_in)),
            unpublished_bytes: number(relaxed(&self.metrics.unpublished_bytes)),
            waiting_for: self.metrics.outages.waiting_for(),
            operation: book.last.clone(),
            failure: book.failure.clone(),
        }
    }

    /// Whether rows are processed.
    pub(super) fn is_ready(&self) -> bool {
        self.phase(&self.lock()) == WorkerPhase::Running
    }

    fn phase(&self, book: &Book) -> WorkerPhase {
        if let Some(ended) = &book.ended {
            return if ended.finished { WorkerPhase::Finished } else { WorkerPhase::Stopped };
        }
        let runs = self.metrics.standing.attempt().is_some_and(|attempt| attempt.running_since_ms.is_some());
        match self.metrics.phase() {
            Phase::Running if runs => WorkerPhase::Running,
            Phase::Starting | Phase::Running if book.failure.is_some() => WorkerPhase::Failed,
            Phase::Starting | Phase::Running => WorkerPhase::Starting,
            // The dataflow has ended, and the log is being asked how.
            Phase::Stopping | Phase::Finished | Phase::Failed => WorkerPhase::Stopping,
        }
    }

    /// What was asked for last, for the status.
    pub(super) fn note(&self, operation: WorkerOperation) {
        self.lock().last = Some(operation);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ended {
    /// Why it has ended, if not for this operation.
    fn message(&self, asked: &str) -> Option<String> {
        match &self.operation {
            Some(operation) if operation.id == asked && !self.finished => None,
            _ if self.finished => Some("all input was read before".to_owned()),
            Some(operation) => Some(format!("it had ended with the operation {}", operation.id)),
            None => Some("it had ended before".to_owned()),
        }
    }
}

fn relaxed(count: &std::sync::atomic::AtomicU64) -> u64 {
    count.load(std::sync::atomic::Ordering::Relaxed)
}

pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn time(epoch_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(epoch_ms).unwrap_or(Timestamp::UNIX_EPOCH)
}
