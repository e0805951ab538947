//! A worker that moves no rows: it claims, commits epochs, answers, and ends as the contract says.
//!
//! Owns: one process in a pod, from its start to its exit.
//! Never: knows the API server.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Behaviour;
use super::log::{Log, RecordKind, StartAs};

/// Where the process stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Claims at its next turn.
    Starting,
    /// Commits an epoch at each turn.
    Running,
    /// Was asked to stop, and waits for its output.
    Stopping {
        /// Who asked.
        operation: String,
        /// Goes on then.
        deadline: Timestamp,
    },
    /// Ended for good; answers from the log.
    Stopped,
    /// The end of input.
    Finished,
    /// The process is gone, with its termination message; empty after a signal.
    Exited(Option<Value>),
}

/// One process.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Of its pod.
    pub pod_uid: String,
    /// The state it runs on.
    pub state: String,
    /// How it was told to start.
    pub start: StartAs,
    /// Given by the log.
    pub attempt: i64,
    /// Where it stands.
    pub phase: Phase,
    /// The audience of tokens that it accepts.
    pub audience: String,
    /// The subject of tokens that it accepts.
    pub subject: String,
    started: Timestamp,
    running_since: Option<Timestamp>,
    restored_from: Option<Value>,
    last_checkpoint: Option<Value>,
    checkpoints: i64,
    operation: Option<Value>,
    savepoints: Vec<Value>,
}

impl Worker {
    pub(crate) fn new(pod: &Value, now: Timestamp) -> Self {
        let args = Arguments::of(pod);
        let start = StartAs {
            incarnation: args.get("incarnation").and_then(|text| text.parse().ok()).unwrap_or(0),
            restore: args.get("restore").unwrap_or("latest").to_owned(),
            request: args.get("restore-request").map(str::to_owned),
            floor: args.get("floor").and_then(|text| text.parse().ok()),
            owner: ["cluster-id", "namespace"].map(|part| args.get(part).unwrap_or_default()).join("/")
                + "/"
                + pod["metadata"]["labels"]["streamjob.dev/job"].as_str().unwrap_or_default(),
            take_over: args.get("take-over").map(str::to_owned),
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            pod_uid: text(&pod["metadata"]["uid"]),
            state: args.get("state-id").unwrap_or_default().to_owned(),
            start,
            attempt: 0,
            phase: Phase::Starting,
            audience: args.get("token-audience").unwrap_or_default().to_owned(),
            subject: args.get("token-subject").unwrap_or_default().to_owned(),
            started: now,
            running_since: None,
            restored_from: None,
            last_checkpoint: None,
            checkpoints: 0,
            operation: None,
            savepoints: Vec::new(),
        }
    }

    /// Whether it could append to the log or publish.
    pub fn can_commit(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Running | Phase::Stopping { .. })
    }

    /// A moment passes.
    pub(crate) fn turn(&mut self, log: &mut Log, behaviour: &Behaviour, now: Timestamp) {
        match self.phase.clone() {
            Phase::Starting => self.begin(log, behaviour, now),
            Phase::Running => self.run(log, behaviour, now),
            Phase::Stopping { operation, deadline } => {
                self.go_on_stopping(log, behaviour, (&operation, deadline), now)
            }
            Phase::Stopped | Phase::Finished | Phase::Exited(_) => {}
        }
    }

    fn begin(&mut self, log: &mut Log, behaviour: &Behaviour, now: Timestamp) {
        if let Some(termination) = &behaviour.fails_at_start {
            self.phase = Phase::Exited(Some(termination.clone()));
            return;
        }
        if behaviour.waits_at_start {
            return;
        }
        if log.end_of(self.start.incarnation).is_some() {
            self.phase = Phase::Stopped;
            self.attempt = log.generation().1;
            return;
        }
        match log.claim(&self.start) {
            Err(refused) => self.phase = Phase::Exited(Some(refused.termination())),
            Ok(attempt) => {
                self.attempt = attempt;
                self.restored_from = Some(json!({"epoch": log.epoch(), "seq": log.head()}));
                self.running_since = Some(now);
                self.phase = Phase::Running;
            }
        }
    }

    fn run(&mut self, log: &mut Log, behaviour: &Behaviour, now: Timestamp) {
        if let Some(termination) = &behaviour.fails_running {
            self.phase = Phase::Exited(Some(termination.clone()));
            return;
        }
        if behaviour.no_checkpoints {
            return;
        }
        if self.checkpoint(log, now).is_some() && behaviour.finishes && self.checkpoints >= 2 {
            let end = RecordKind::Final { operation: String::new() };
            if log.commit(self.generation(), end).is_ok() {
                self.phase = Phase::Finished;
            }
        }
    }

    fn generation(&self) -> (i64, i64) {
        (self.start.incarnation, self.attempt)
    }

    fn checkpoint(&mut self, log: &mut Log, now: Timestamp) -> Option<Value> {
        let epoch = log.epoch() + 1;
        match log.commit(self.generation(), RecordKind::Epoch(epoch)) {
            Err(refused) => {
                self.phase = Phase::Exited(Some(refused.termination()));
                None
            }
            Ok(seq) => {
                self.checkpoints += 1;
                let place = json!({"epoch": epoch, "seq": seq});
                self.last_checkpoint = Some(json!({
                    "epoch": epoch, "seq": seq, "completionTime": now.to_string(), "sizeBytes": 1000, "durationMillis": 12,
                }));
                Some(place)
            }
        }
    }

    fn go_on_stopping(
        &mut self,
        log: &mut Log,
        behaviour: &Behaviour,
        (operation, deadline): (&str, Timestamp),
        now: Timestamp,
    ) {
        if !behaviour.cannot_stop {
            if let Some(checkpoint) = self.checkpoint(log, now) {
                let end = RecordKind::Final { operation: operation.to_owned() };
                if log.commit(self.generation(), end).is_ok() {
                    self.phase = Phase::Stopped;
                    self.note_stop(operation, "Stopped", Some(checkpoint));
                }
            }
        } else if now >= deadline {
            self.phase = Phase::Running;
            self.note_stop(operation, "Resumed", None);
        }
    }

    fn note_stop(&mut self, operation: &str, state: &str, checkpoint: Option<Value>) {
        let mut answer = json!({"operationID": operation, "state": state});
        if let Some(checkpoint) = checkpoint {
            answer["checkpoint"] = checkpoint;
        }
        self.operation = Some(json!({"id": operation, "kind": "Stop", "result": answer}));
    }

    /// SIGTERM: the last epoch, no Final.
    pub(crate) fn signal(&mut self, log: &mut Log, now: Timestamp) {
        if matches!(self.phase, Phase::Running | Phase::Stopping { .. }) {
            self.checkpoint(log, now);
        }
        if !matches!(self.phase, Phase::Exited(_)) {
            self.phase = Phase::Exited(None);
        }
    }

    /// `POST /v1/stop`.
    pub(crate) fn stop(&mut self, log: &mut Log, request: &Value) -> Value {
        let id = request["operationID"].as_str().unwrap_or_default().to_owned();
        if let Some(RecordKind::Final { operation }) =
            log.end_of(self.start.incarnation).map(|record| record.kind.clone())
        {
            self.phase = if operation.is_empty() { Phase::Finished } else { Phase::Stopped };
            let seq = log.end_of(self.start.incarnation).map_or(0, |record| record.seq) - 1;
            return json!({"operationID": operation, "state": "Stopped", "checkpoint": {"epoch": log.epoch(), "seq": seq}});
        }
        let known = self.operation.as_ref().filter(|known| known["id"] == json!(id));
        let deadline = request["deadline"].as_str().and_then(|text| text.parse().ok());
        if let (Some(known), Phase::Running) = (known, &self.phase)
            && known["deadline"] == request["deadline"]
        {
            return known["result"].clone();
        }
        if self.phase == Phase::Running {
            self.phase =
                Phase::Stopping { operation: id.clone(), deadline: deadline.unwrap_or(self.started) };
            self.operation = Some(
                json!({"id": id, "kind": "Stop", "deadline": request["deadline"], "result": {"operationID": id, "state": "Stopping"}}),
            );
        }
        json!({"operationID": id, "state": "Stopping"})
    }

    /// `POST /v1/savepoints`.
    pub(crate) fn savepoint(&mut self, request: &Value, behaviour: &Behaviour) -> Value {
        if let Some(known) = self.savepoints.iter_mut().find(|known| known["id"] == request["id"]) {
            if known["state"] == json!("InProgress") {
                known["state"] = json!("Completed");
                known["uri"] = json!(format!(
                    "s3://streams/{}/savepoints/{}",
                    self.state,
                    request["id"].as_str().unwrap_or_default()
                ));
                known["sizeBytes"] = json!(1000);
                known["epoch"] = json!(self.checkpoints);
            }
            return known.clone();
        }
        let mut answer = json!({"id": request["id"], "state": "InProgress"});
        if behaviour.savepoints_fail {
            answer["state"] = json!("Failed");
            answer["message"] = json!("the store is full");
        }
        self.savepoints.push(answer.clone());
        answer
    }

    /// `GET /v1/status`.
    pub(crate) fn status(&self, log: &Log) -> Value {
        let phase = match &self.phase {
            Phase::Starting => "Starting",
            Phase::Running => "Running",
            Phase::Stopping { .. } => "Stopping",
            Phase::Stopped => "Stopped",
            Phase::Finished => "Finished",
            Phase::Exited(_) => "Failed",
        };
        let mut status = json!({
            "podUID": self.pod_uid, "incarnation": self.start.incarnation, "attempt": self.attempt, "phase": phase,
            "startedTime": self.started.to_string(), "head": log.head(), "checkpointsSinceStart": self.checkpoints,
            "records": 1000, "unpublishedBytes": 0,
        });
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                status[name] = value;
            }
        };
        set("runningSince", self.running_since.map(|time| json!(time.to_string())));
        set("restoredFrom", self.restored_from.clone());
        set("lastCheckpoint", self.last_checkpoint.clone());
        set("operation", self.operation.clone());
        status
    }
}

/// The arguments of a container.
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    pub(crate) fn of(pod: &Value) -> Self {
        let list = pod["spec"]["containers"][0]["args"].as_array().into_iter().flatten();
        Self(list.filter_map(|text| text.as_str().map(str::to_owned)).collect())
    }

    /// `run`, `check` or `janitor`.
    pub(crate) fn command(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// `--name=value`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|text| text.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('='))
    }
}
