//! Decides when an epoch begins, whether it is committed or abandoned, what follows it, and when the job is over.
//!
//! Owns: where the job stands: the step, the last committed checkpoint, who waits for what.
//! Never: does anything: no clock, no thread, no I/O. The shell hands it inputs and carries out its outputs.
//!
//! ```text
//! Registering ─► Inherited output, if any ─► Idle ─► Collecting ─► Appending ─► Publishing ─► Concluding ─┐
//!                                             ▲          │ abandoned                                      │
//!                                             └──────────┴────────────────────────────────────────────────┤
//!                                                                 after the last epoch: Closing ─► Appending
//! ```

use std::time::Duration;

use streamjob_checkpoint::checkpoint::Checkpoint;
use streamjob_checkpoint::ids::{Epoch, Generation};
use streamjob_checkpoint::planted::{self, Bug};
use streamjob_checkpoint::protocol::Commit;
use streamjob_checkpoint::retry::Pauses;

use super::Ending;
use super::event::{End, Failure, Input, Note, Output, Setup};
use super::savepoints::Savepoints;
use super::step::{Appending, Out, Publishing, Report, Step};
use crate::runtime::messages::{FailureKind, ToCoordinator, ToWorker};
use crate::runtime::stop::Stop;

/// The longest from the start to the first barrier: whoever waits for results has waited for the start already.
const FIRST_INTERVAL: Duration = Duration::from_millis(500);
/// How long workers have to register.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(60);

/// The coordinator, as a state machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Coordinator {
    pub(super) setup: Setup,
    pub(super) workers: Vec<Worker>,
    /// The last committed one.
    pub(super) checkpoint: Box<Checkpoint>,
    /// The greatest epoch number that was used, abandoned ones included.
    pub(super) last_epoch: Epoch,
    pub(super) step: Step,
    pub(super) savepoints: Savepoints,
    /// When the interval is over.
    pub(super) next_barrier: Duration,
    /// No barrier before that, whoever wants one: the last epoch was abandoned.
    pub(super) not_before: Duration,
    pub(super) abandoned_in_a_row: u32,
    /// A worker has much output that waits to be committed.
    pub(super) early: bool,
    pub(super) stopping: Option<Stop>,
    sweeping: bool,
    /// Of the input that is being dealt with.
    pub(super) now: Duration,
    pub(super) outputs: Vec<Output>,
}

/// What is known of a worker.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Worker {
    slots: Option<u32>,
    pub(super) checked: bool,
    pub(super) drained: bool,
}

impl Coordinator {
    /// One that waits for its workers.
    pub fn new(setup: Setup, now: Duration) -> Self {
        assert!(setup.workers > 0, "a job has a worker");
        assert!(setup.checkpoint.epoch <= setup.last_epoch, "an epoch that is committed was used");
        Self {
            workers: vec![Worker::default(); setup.workers as usize],
            checkpoint: setup.checkpoint.clone(),
            last_epoch: setup.last_epoch,
            step: Step::Registering { until: now + REGISTER_TIMEOUT },
            savepoints: Savepoints::default(),
            next_barrier: now + setup.interval.min(FIRST_INTERVAL),
            not_before: now,
            abandoned_in_a_row: 0,
            early: false,
            stopping: None,
            sweeping: false,
            now,
            outputs: Vec::new(),
            setup,
        }
    }

    /// Deals with an input at `now`, time since any start. Returns what is to be done, in order.
    pub fn on(&mut self, input: Input, now: Duration) -> Vec<Output> {
        if self.is_over() {
            return Vec::new();
        }
        let answers_question = matches!(input, Input::Leads | Input::Fenced { .. });
        if matches!(self.step, Step::Failing(_)) && !answers_question {
            // Whatever it is, it changes nothing any more.
            return Vec::new();
        }
        assert!(self.now <= now, "time goes on: {:?} then {now:?}", self.now);
        self.now = now;
        match input {
            Input::Worker { worker, generation, message } => self.on_message(worker, generation, message),
            Input::WorkerGone { worker, cause } => self.on_gone(worker, &cause),
            Input::Appended => self.on_appended(),
            Input::Unresolved { cause } => self.on_unresolved(cause),
            Input::Late => self.on_late(),
            Input::Refused { cause } => self.protocol(format!("the log refused a record: {cause}")),
            Input::Broken { reason } => self.fail(Failure { reason, may_pass: false }),
            Input::Fenced { by } => self.end(End::Fenced { by }),
            Input::Concluded(result) => self.on_concluded(result),
            Input::Leads => self.on_leads(),
            Input::SavepointAsked { id } => self.on_savepoint_asked(id),
            Input::SavepointTaken { id, result } => {
                let answer = self.savepoints.on_taken(id, result);
                self.outputs.push(answer);
            }
            Input::Swept => self.sweeping = false,
            Input::Stop(stop) => self.stopping = stop,
            Input::Tick => {}
        }
        while self.advance() {}
        std::mem::take(&mut self.outputs)
    }

    /// When it wants a [`Input::Tick`] at the latest, if nothing else comes.
    pub fn deadline(&self) -> Option<Duration> {
        let over = self.stopping.as_ref().and_then(Stop::until);
        let next = match &self.step {
            Step::Registering { until } => Some(*until),
            Step::Idle if self.wants_barrier() => Some(self.not_before),
            Step::Idle => Some(self.next_barrier.max(self.not_before)),
            Step::Collecting(epoch) => Some(epoch.since + self.setup.timeout),
            Step::Appending(append) => append.again_at,
            Step::Publishing(_)
            | Step::Concluding { .. }
            | Step::Closing { .. }
            | Step::Failing(_)
            | Step::Over => None,
        };
        next.into_iter().chain(over).min()
    }

    /// Whether it has come to its end.
    pub fn is_over(&self) -> bool {
        matches!(self.step, Step::Over)
    }

    fn on_message(&mut self, worker: u32, generation: Generation, message: ToCoordinator) {
        if generation != self.setup.generation && !planted::is(Bug::StaleGenerationAck) {
            return self.note(Note::Ignored { worker, generation });
        }
        let known = &mut self.workers[worker as usize];
        let expected = match &message {
            ToCoordinator::Failed { .. } => true,
            ToCoordinator::Registered { .. } => known.slots.is_none(),
            ToCoordinator::Checked
            | ToCoordinator::Acknowledged { .. }
            | ToCoordinator::UploadFailed { .. }
            | ToCoordinator::OutboxFull
            | ToCoordinator::Published { .. }
            | ToCoordinator::Counted(_)
            | ToCoordinator::Drained => known.slots.is_some(),
        };
        if !expected {
            let registered = if known.slots.is_some() { "has" } else { "has not" };
            return self.protocol(format!("worker {worker} {registered} registered and says {message:?}"));
        }
        match message {
            ToCoordinator::Failed { kind, reason } => self.on_failed(worker, kind, reason),
            ToCoordinator::Registered { slots } => known.slots = Some(slots),
            ToCoordinator::Checked => known.checked = true,
            ToCoordinator::Drained => known.drained = true,
            ToCoordinator::Counted(figures) => self.note(Note::Counted(figures)),
            ToCoordinator::OutboxFull => self.early = true,
            ToCoordinator::Acknowledged { epoch, report, times } => {
                self.on_acknowledged(worker, epoch, Report { report, times, at: self.now });
            }
            ToCoordinator::UploadFailed { epoch, cause } => {
                if self.is_current(worker, epoch) {
                    self.abandon(format!("worker {worker} could not store its part: {cause}"));
                }
            }
            ToCoordinator::Published { lineage, epoch, files, progress } => {
                self.on_published(worker, (lineage, epoch), (files, progress));
            }
        }
    }

    fn on_savepoint_asked(&mut self, id: String) {
        self.outputs.extend(self.savepoints.ask(id));
        let no_more_epochs = match &self.step {
            Step::Closing { .. } => true,
            Step::Appending(appending) => appending.epoch.is_none(),
            Step::Registering { .. }
            | Step::Idle
            | Step::Collecting(_)
            | Step::Publishing(_)
            | Step::Concluding { .. }
            | Step::Failing(_)
            | Step::Over => false,
        };
        if no_more_epochs {
            self.outputs.extend(self.savepoints.on_last());
        }
    }

    fn on_gone(&mut self, worker: u32, cause: &str) {
        let reason = format!("worker {worker} has gone: {cause}");
        self.fail(Failure { reason, may_pass: true });
    }

    fn on_failed(&mut self, worker: u32, kind: FailureKind, reason: String) {
        let may_pass = match kind {
            FailureKind::OutputClosed => return self.end(End::OutputClosed { reason }),
            FailureKind::MayPass => true,
            FailureKind::Error => false,
        };
        let alone = self.setup.workers == 1;
        let reason = if alone { reason } else { format!("worker {worker}: {reason}") };
        self.fail(Failure { reason, may_pass });
    }

    /// One step on, if the time for it has come.
    fn advance(&mut self) -> bool {
        if self.is_out_of_time() {
            self.end(End::OutOfTime);
        }
        match &self.step {
            Step::Registering { until } => {
                let slots: Option<u32> = self.workers.iter().map(|worker| worker.slots).sum();
                match slots {
                    Some(slots) => self.start(slots),
                    None if self.now >= *until => {
                        self.fail(Failure { reason: self.silent(), may_pass: true })
                    }
                    None => return false,
                }
            }
            Step::Idle => {
                let due = self.wants_barrier() || self.now >= self.next_barrier;
                if !due || self.now < self.not_before {
                    return false;
                }
                self.begin_epoch();
            }
            Step::Collecting(collecting) => {
                let checked = self.workers.iter().all(|worker| worker.checked);
                if checked && let Some(reports) = collecting.complete() {
                    self.commit(reports);
                } else if self.now >= collecting.since + self.setup.timeout {
                    self.abandon(self.guilty(collecting));
                } else {
                    return false;
                }
            }
            Step::Appending(appending) => {
                if appending.again_at.is_none_or(|at| self.now < at) {
                    return false;
                }
                self.append(appending.clone());
            }
            Step::Publishing(publishing) => match publishing.files() {
                Some(out) => self.conclude(out),
                None => return false,
            },
            Step::Closing { ending } => {
                if self.savepoints.copy() {
                    return false;
                }
                self.close(*ending);
            }
            Step::Concluding { .. } | Step::Failing(_) | Step::Over => return false,
        }
        true
    }

    fn start(&mut self, slots: u32) {
        if slots != self.setup.parallelism {
            let wanted = self.setup.parallelism;
            return self.protocol(format!("workers have {slots} slots, the job has {wanted}"));
        }
        let Setup { lineage, formerly, progress_from, inherited, .. } = &self.setup;
        let (lineage, progress_from) = (*lineage, *progress_from);
        let (formerly, inherited) = (formerly.clone(), inherited.clone());
        self.step = match &inherited {
            Some(publication) => Step::Publishing(Publishing::of(publication, self.workers.len(), None)),
            None => Step::Idle,
        };
        let (checkpoint, last_epoch) = (self.checkpoint.clone(), self.last_epoch);
        let start = ToWorker::Start { lineage, formerly, progress_from, checkpoint, last_epoch, inherited };
        self.tell_all(&start);
    }

    fn wants_barrier(&self) -> bool {
        self.early || self.savepoints.wait() || self.ending().is_some()
    }

    fn on_unresolved(&mut self, cause: String) {
        let Step::Appending(appending) = &mut self.step else {
            return self.protocol("an append that nobody wanted is unresolved".to_owned());
        };
        appending.tries += 1;
        let pause = Pauses::OF_A_CALL.after(appending.tries);
        appending.again_at = Some(self.now + pause);
        self.note(Note::Unresolved { cause, pause });
    }

    fn on_late(&mut self) {
        match self.step {
            Step::Appending(_) => self.end(End::OutOfTime),
            Step::Registering { .. }
            | Step::Idle
            | Step::Collecting(_)
            | Step::Publishing(_)
            | Step::Concluding { .. }
            | Step::Closing { .. }
            | Step::Failing(_)
            | Step::Over => self.protocol("a record is late that nobody wanted".to_owned()),
        }
    }

    pub(super) fn append(&mut self, appending: Appending) {
        self.outputs.push(Output::Append { commit: appending.commit.clone(), until: appending.until });
        self.step = Step::Appending(Appending { again_at: None, ..appending });
    }

    fn on_appended(&mut self) {
        let Step::Appending(Appending { commit, epoch, .. }) = &self.step else {
            return self.protocol("a record is in the log that nobody wanted".to_owned());
        };
        match (commit.clone(), epoch.clone()) {
            (Commit::Epoch(checkpoint), Some(epoch)) => {
                self.abandoned_in_a_row = 0;
                self.on_committed(checkpoint, *epoch);
            }
            (Commit::Epoch(_), None) => self.protocol("an epoch came from nowhere".to_owned()),
            (Commit::Final { finished, .. }, _) => {
                let ending = if finished { Ending::Finished } else { Ending::Stopped };
                self.end(End::Done(ending));
            }
        }
    }

    fn conclude(&mut self, (files, progress): Out) {
        if let Step::Publishing(Publishing { lineage, epoch, ending, .. }) = self.step {
            self.step = Step::Concluding { epoch, ending };
            self.outputs.push(Output::Conclude { lineage, epoch, files, progress });
        }
    }

    fn on_concluded(&mut self, result: Result<(), String>) {
        let Step::Concluding { epoch, ending } = self.step else {
            return self.protocol("an epoch is concluded that nobody wanted".to_owned());
        };
        if let Err(reason) = result {
            return self.fail(Failure { reason, may_pass: false });
        }
        self.note(Note::Published { epoch });
        let copies = self.savepoints.on_published(epoch);
        self.outputs.extend(copies);
        self.step = match ending {
            Some(ending) => Step::Closing { ending },
            None => Step::Idle,
        };
        // Final need not wait for a sweep that the next start makes as well.
        if ending.is_none() && !std::mem::replace(&mut self.sweeping, true) {
            self.outputs.push(Output::Sweep);
        }
    }

    pub(super) fn tell_all(&mut self, message: &ToWorker) {
        let workers = 0..self.setup.workers;
        self.outputs.extend(workers.map(|worker| Output::Tell { worker, message: message.clone() }));
    }

    pub(super) fn note(&mut self, note: Note) {
        self.outputs.push(Output::Note(note));
    }

    fn silent(&self) -> String {
        let silent: Vec<String> = (0..self.workers.len())
            .filter(|&worker| self.workers[worker].slots.is_none())
            .map(|worker| worker.to_string())
            .collect();
        format!(
            "worker {} has not registered within {} s; look for its last words above",
            silent.join(", "),
            REGISTER_TIMEOUT.as_secs()
        )
    }
}
