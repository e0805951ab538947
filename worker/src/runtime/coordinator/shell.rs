//! The thread around the coordinator's state machine.
//!
//! Owns: what is heard, in one order; the links to the workers.
//! Never: decides, or waits for anything but the next input.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use streamjob_checkpoint::checkpoint::Checkpoint;
use streamjob_checkpoint::fail_point;
use streamjob_checkpoint::ids::Lineage;
use streamjob_checkpoint::log::Log;
use streamjob_checkpoint::protocol::CommitPermit;
use streamjob_checkpoint::store::StateStore;
use streamjob_plan::Plan;
use tokio::runtime::Handle;

use super::Ending;
use super::effects::Effects;
use super::event::{Answer, End, Failure, Input, Output, Setup};
use super::state::Coordinator;
use super::status::Status;
use crate::metrics::{JobMetrics, Phase};
use crate::pipeline::clock::Clock;
use crate::pipeline::sink::{Folder, Target};
use crate::runtime::control::{Answers, Control, Line, Request};
use crate::runtime::desk::Asked;
use crate::runtime::messages::{Publication, ToWorker};
use crate::runtime::transport::{CoordinatorLink, FromWorker, Heard};
use crate::runtime::{Desk, RunError, StopFlag};

/// The longest that a request to stop is not noticed.
const STOP_POLL: Duration = Duration::from_millis(50);
/// How many answers wait for the coordinator at most; fewer are ever under way.
const ANSWERS_MAX: usize = 256;

/// What a coordinator is made from.
pub struct CoordinatorSetup {
    /// What the job does.
    pub plan: Arc<Plan>,
    /// The log, which the job has claimed.
    pub log: Log,
    /// Where its objects are.
    pub store: StateStore,
    /// The right to write the log.
    pub permit: CommitPermit,
    /// The life of the state.
    pub lineage: Lineage,
    /// What the job goes on from.
    pub checkpoint: Box<Checkpoint>,
    /// Output that is committed and perhaps not published.
    pub inherited: Option<Publication>,
    /// The targets that are folders.
    pub folders: BTreeMap<Target, Folder>,
    /// What is known of the job.
    pub metrics: Arc<JobMetrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Someone wants the job to stop.
    pub stop: StopFlag,
    /// What the store's calls run on.
    pub runtime: Handle,
    /// The folder of the control socket; `None`: there is none.
    pub control: Option<PathBuf>,
    /// Another way to be asked; `None`: there is none.
    pub desk: Option<Arc<Desk>>,
}

/// Runs a job to its end. The worker has been told to exit when it returns.
pub fn run(
    setup: CoordinatorSetup,
    link: CoordinatorLink,
    heard: Receiver<FromWorker>,
) -> Result<Ending, RunError> {
    let machine = Coordinator::new(facts(&setup), setup.clock.elapsed());
    let CoordinatorSetup { metrics, clock, stop, .. } = &setup;
    let (metrics, clock, stop) = (Arc::clone(metrics), Arc::clone(clock), stop.clone());
    let (answers, answered) = bounded(ANSWERS_MAX);
    let (asks, asked) = bounded(ANSWERS_MAX);
    let desk = setup.desk.clone();
    if let Some(desk) = &desk {
        desk.open(asks.clone());
        desk.failed(None);
    }
    let control = setup.control.as_deref().and_then(|folder| listen(folder, asks));
    let effects = Effects::new(setup, answers);
    let status = Status::new(Arc::clone(&metrics), Arc::clone(&clock));
    let shell = Shell {
        machine,
        links: vec![link],
        effects,
        status,
        hearing: Hearing { heard, answered, asked },
        waiting: BTreeMap::new(),
        metrics,
        clock,
        stop,
        stop_seen: 0,
    };
    let (known, stop) = (Arc::clone(&shell.metrics), shell.stop.clone());
    let end = shell.run();
    known.standing.at_rest();
    if matches!(end, End::OutOfTime) && !stop.is_set() {
        // What is left of the attempt may take long to end, if it waits for Kafka.
        known.set_phase(Phase::Starting);
    }
    if let Some(desk) = desk {
        desk.close();
    }
    drop(control);
    match end {
        End::Done(ending) => Ok(ending),
        End::OutOfTime => Ok(Ending::OutOfTime),
        End::Fenced { by } => Err(RunError::Fenced { by }),
        End::OutputClosed { reason } => Err(RunError::Worker { reason, may_pass: false }),
        End::Failed(Failure { reason, may_pass }) => Err(RunError::Worker { reason, may_pass }),
        End::Protocol { what } => Err(RunError::Protocol { what }),
    }
}

/// Without its socket a job runs as well; only savepoints cannot be taken.
fn listen(folder: &Path, asks: Sender<Asked>) -> Option<Control> {
    let listening = Control::listen(folder, move |request, answers| {
        let Request::Savepoint { id } = request;
        // One that finds no room is told that the job has ended, and asks again.
        let _full = asks.try_send(Asked { id, answers });
    });
    let warn = |error: &std::io::Error| {
        tracing::warn!(folder = %folder.display(), %error, "no control socket: savepoints cannot be taken while the job runs");
    };
    listening.inspect_err(warn).ok()
}

fn facts(setup: &CoordinatorSetup) -> Setup {
    let state = &setup.plan.state;
    let checkpoint = setup.checkpoint.clone();
    Setup {
        generation: setup.permit.generation(),
        lineage: setup.lineage,
        formerly: setup.permit.head().record.formerly.clone(),
        progress_from: setup.permit.head().record.progress_from,
        workers: 1,
        parallelism: setup.plan.parallelism,
        interval: Duration::from_millis(state.interval_ms),
        timeout: Duration::from_millis(state.timeout_ms),
        last_epoch: setup.permit.last_epoch().unwrap_or_default().max(checkpoint.epoch),
        checkpoint,
        inherited: setup.inherited.clone(),
    }
}

struct Shell {
    machine: Coordinator,
    links: Vec<CoordinatorLink>,
    effects: Effects,
    status: Status,
    hearing: Hearing,
    /// Who waits for which savepoint.
    waiting: BTreeMap<String, Vec<Answers>>,
    metrics: Arc<JobMetrics>,
    clock: Arc<dyn Clock>,
    stop: StopFlag,
    /// The version of what the machine was told of it.
    stop_seen: u64,
}

/// All that can be heard.
struct Hearing {
    heard: Receiver<FromWorker>,
    answered: Receiver<Input>,
    asked: Receiver<Asked>,
}

impl Shell {
    fn run(mut self) -> End {
        loop {
            let input = self.next();
            let now = self.clock.elapsed();
            self.metrics.standing.turned(now);
            fail_point::hit("coordinator.turn");
            for output in self.machine.on(input, now) {
                if let Some(end) = self.carry_out(output) {
                    self.effects.finish();
                    return end;
                }
            }
        }
    }

    /// Waits for whatever comes next.
    fn next(&mut self) -> Input {
        let version = self.stop.version();
        if self.stop_seen != version {
            self.stop_seen = version;
            let stop = self.stop.stop();
            if stop.is_some() {
                self.metrics.set_phase(Phase::Stopping);
            }
            return Input::Stop(stop);
        }
        let now = self.clock.elapsed();
        let wait = self.machine.deadline().map_or(STOP_POLL, |deadline| deadline.saturating_sub(now));
        let Hearing { heard, answered, asked } = &self.hearing;
        select! {
            recv(answered) -> input => input.expect("the effects hold a sender"),
            recv(heard) -> from => from.map_or_else(|_| nobody_left(), input_of),
            recv(asked) -> asked => self.on_asked(asked.ok()),
            default(wait.min(STOP_POLL)) => Input::Tick,
        }
    }

    fn on_asked(&mut self, asked: Option<Asked>) -> Input {
        let Some(Asked { id, answers }) = asked else {
            // There is no socket: do not wake up for it again.
            self.hearing.asked = crossbeam_channel::never();
            return Input::Tick;
        };
        self.waiting.entry(id.clone()).or_default().push(answers);
        self.effects.find_savepoint(id);
        Input::Tick
    }

    fn carry_out(&mut self, output: Output) -> Option<End> {
        match output {
            Output::Tell { worker, message } => {
                if matches!(message, ToWorker::Start { .. }) {
                    self.metrics.standing.runs(self.clock.now_ms());
                }
                // A worker that has gone is heard of.
                let _gone = self.links[worker as usize].send(message);
            }
            Output::Append { commit, until } => self.effects.append(commit, until),
            Output::Conclude { lineage, epoch, files, progress } => {
                self.effects.conclude((lineage, epoch), files, progress);
            }
            Output::Sweep => self.effects.sweep(),
            Output::TakeSavepoint { id, epoch } => self.effects.take_savepoint(id, epoch),
            Output::AskWhoLeads => self.effects.ask_who_leads(),
            Output::Answer { id, answer } => self.answer(&id, &answer),
            Output::Note(note) => self.status.on(note),
            Output::End(end) => return Some(end),
        }
        None
    }

    fn answer(&mut self, id: &str, answer: &Answer) {
        tracing::debug!(id, ?answer, "savepoint");
        let line = line_of(answer);
        if let Some(waiting) = self.waiting.get_mut(id) {
            waiting.retain(|answers| answers.send(line.clone()));
        }
        if line.is_last() {
            self.waiting.remove(id);
        }
    }
}

fn line_of(answer: &Answer) -> Line {
    match answer.clone() {
        Answer::Barrier { epoch } => Line::Barrier { epoch },
        Answer::Committed { epoch } => Line::Committed { epoch },
        Answer::Copying { epoch } => Line::Copying { epoch },
        Answer::Again { cause } => Line::Again { cause },
        Answer::Done { location } => Line::Done { location },
        Answer::Failed { reason } => Line::Failed { reason },
    }
}

fn input_of(from: FromWorker) -> Input {
    let FromWorker { worker, heard } = from;
    match heard {
        Heard::Message(envelope) => {
            Input::Worker { worker, generation: envelope.generation, message: envelope.message }
        }
        Heard::Gone { cause } => Input::WorkerGone { worker, cause },
    }
}

fn nobody_left() -> Input {
    Input::WorkerGone { worker: 0, cause: "no link is left".to_owned() }
}
