//! Workers: processes in pods that claim the log, commit epochs, hand over, and fail as their image says.
//!
//! Owns: what `GET /v1/status` and `POST /v1/stop` answer.
//! Never: outlives its pod.

use jiff::{SignedDuration, Timestamp};
use streamjob_crds::Reason;
use streamjob_crds::worker::{
    CheckpointRef, CheckpointSummary, SavepointAnswer, SavepointRequest, SavepointState, StopAnswer,
    StopRequest, StopState, Termination, WorkerPhase, WorkerStatus,
};

use super::log::{Begin, Log, Refusal};

/// A running container.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) begin: Begin,
    pub(super) image: String,
    pub(super) place: String,
    pub(super) status: WorkerStatus,
    pub(super) restarts: i64,
    stop: Option<StopRequest>,
    /// When the stop that is going on is through.
    stops_at: Option<Timestamp>,
    resumed: Option<String>,
    next_checkpoint: Timestamp,
    savepoints: Vec<(String, Timestamp)>,
}

/// What became of a process in a second.
pub(super) enum Life {
    Goes,
    Ends(Termination),
}

impl Process {
    pub(super) fn new(begin: Begin, image: &str, place: &str, now: Timestamp, restarts: i64) -> Self {
        let status = WorkerStatus {
            pod_uid: None,
            incarnation: begin.incarnation,
            attempt: 0,
            phase: WorkerPhase::Starting,
            started_time: now,
            running_since: None,
            head: 0,
            restored_from: None,
            last_checkpoint: None,
            checkpoints_since_start: 0,
            records: 0,
            unpublished_bytes: 0,
            waiting_for: None,
            operation: None,
            failure: None,
        };
        Self {
            begin,
            image: image.to_owned(),
            place: place.to_owned(),
            status,
            restarts,
            stop: None,
            stops_at: None,
            resumed: None,
            next_checkpoint: now,
            savepoints: Vec::new(),
        }
    }

    /// One second.
    pub(super) fn live(&mut self, log: &mut Log, now: Timestamp, store_up: bool) -> Life {
        self.status.waiting_for = (!store_up).then(|| "store".to_owned());
        match self.status.phase {
            WorkerPhase::Starting if store_up => self.start(log, now),
            WorkerPhase::Running => self.run(log, now, store_up),
            WorkerPhase::Stopping => self.go_on_stopping(log, now, store_up),
            WorkerPhase::Starting | WorkerPhase::Stopped | WorkerPhase::Finished | WorkerPhase::Failed => {
                Life::Goes
            }
        }
    }

    fn start(&mut self, log: &mut Log, now: Timestamp) -> Life {
        if self.image.contains("crash") {
            return Life::Ends(ended(Reason::TopicMissing, "The topic `clicks` does not exist", false));
        }
        if self.image.contains("hang") {
            return Life::Goes;
        }
        match log.claim(&self.begin) {
            Err(Refusal::Fenced(by)) => {
                let mut fenced = ended(Reason::Fenced, "a newer incarnation owns the state", false);
                fenced.incarnation = Some(by);
                Life::Ends(fenced)
            }
            Err(Refusal::Missing) => {
                Life::Ends(ended(Reason::StateMissing, "the log ends before the floor", false))
            }
            Err(Refusal::Incompatible) => {
                Life::Ends(ended(Reason::StateIncompatible, "the state was made by another pipeline", false))
            }
            Ok(claimed) => {
                self.status.phase = if claimed { WorkerPhase::Running } else { WorkerPhase::Stopped };
                self.status.running_since = claimed.then_some(now);
                self.status.attempt += 1;
                self.status.head = log.head;
                self.status.restored_from = Some(CheckpointRef { epoch: log.epoch, seq: log.head });
                self.next_checkpoint = now + SignedDuration::from_secs(10);
                Life::Goes
            }
        }
    }

    fn run(&mut self, log: &mut Log, now: Timestamp, store_up: bool) -> Life {
        if log.finished {
            self.status.phase = WorkerPhase::Finished;
            return Life::Goes;
        }
        if self.next_checkpoint > now || !store_up || self.image.contains("stuck") {
            return Life::Goes;
        }
        self.next_checkpoint = now + SignedDuration::from_secs(10);
        match log.commit(self.begin.incarnation) {
            Ok((epoch, seq)) => self.committed(epoch, seq, log.head, now),
            Err(by) => return Life::Ends(fenced(by)),
        }
        if self.image.contains("later") && self.status.checkpoints_since_start >= 1 {
            return Life::Ends(ended(Reason::KafkaDenied, "the sink may not be written any more", false));
        }
        Life::Goes
    }

    fn committed(&mut self, epoch: i64, seq: i64, head: i64, now: Timestamp) {
        self.status.checkpoints_since_start += 1;
        self.status.head = head;
        self.status.last_checkpoint = Some(CheckpointSummary {
            epoch,
            seq,
            completion_time: now,
            size_bytes: 4096,
            duration_millis: 20,
        });
    }

    fn go_on_stopping(&mut self, log: &mut Log, now: Timestamp, store_up: bool) -> Life {
        let late = self.stop.as_ref().is_some_and(|stop| stop.deadline <= now);
        if late {
            self.resumed = self.stop.take().map(|stop| stop.operation_id);
            self.status.phase = WorkerPhase::Running;
        } else if store_up && self.stops_at.is_some_and(|at| at <= now) && !self.image.contains("unstoppable")
        {
            match log.end(self.begin.incarnation) {
                Ok((epoch, seq)) => {
                    self.committed(epoch, seq, log.head, now);
                    self.status.phase = WorkerPhase::Stopped;
                }
                Err(by) => return Life::Ends(fenced(by)),
            }
        }
        Life::Goes
    }

    /// SIGTERM: a last epoch, without a Final.
    pub(super) fn terminate(&mut self, log: &mut Log, store_up: bool) {
        let at_work = matches!(self.status.phase, WorkerPhase::Running | WorkerPhase::Stopping);
        if store_up && at_work {
            let _committed = log.commit(self.begin.incarnation);
        }
    }

    pub(super) fn answer_stop(&mut self, request: &StopRequest, now: Timestamp) -> StopAnswer {
        let answer = |state, checkpoint, message: Option<&str>| StopAnswer {
            operation_id: request.operation_id.clone(),
            state,
            checkpoint,
            message: message.map(str::to_owned),
        };
        match self.status.phase {
            WorkerPhase::Stopped | WorkerPhase::Finished => {
                let last = self
                    .status
                    .last_checkpoint
                    .map(|last| CheckpointRef { epoch: last.epoch, seq: last.seq });
                answer(StopState::Stopped, last.or(self.status.restored_from), None)
            }
            WorkerPhase::Stopping => {
                answer(StopState::Stopping, None, Some("the last checkpoint is on its way"))
            }
            _ if self.resumed.as_ref() == Some(&request.operation_id) && request.deadline <= now => {
                answer(StopState::Resumed, None, Some("the store did not answer in time"))
            }
            WorkerPhase::Starting | WorkerPhase::Failed => {
                answer(StopState::Stopping, None, Some("it has not begun"))
            }
            WorkerPhase::Running => {
                self.status.phase = WorkerPhase::Stopping;
                self.stop = Some(request.clone());
                self.stops_at = Some(now + SignedDuration::from_secs(2));
                answer(StopState::Stopping, None, None)
            }
        }
    }

    pub(super) fn answer_savepoint(&mut self, request: &SavepointRequest, now: Timestamp) -> SavepointAnswer {
        let begun = self.savepoints.iter().find(|(id, _)| *id == request.id).map(|(_, at)| *at);
        let begun = begun.unwrap_or_else(|| {
            self.savepoints.push((request.id.clone(), now));
            now
        });
        let done = begun + SignedDuration::from_secs(5) <= now;
        let epoch = self.status.last_checkpoint.map_or(0, |last| last.epoch);
        SavepointAnswer {
            id: request.id.clone(),
            state: if done { SavepointState::Completed } else { SavepointState::InProgress },
            uri: done.then(|| format!("{}/savepoints/{epoch}", self.place)),
            size_bytes: done.then_some(4096),
            epoch: done.then_some(epoch),
            watermark: None,
            message: None,
        }
    }
}

fn fenced(by: i64) -> Termination {
    Termination {
        incarnation: Some(by),
        ..ended(Reason::Fenced, "a newer incarnation owns the state", false)
    }
}

fn ended(reason: Reason, message: &str, retryable: bool) -> Termination {
    Termination { reason, message: message.to_owned(), retryable, incarnation: None }
}
