//! Runs a job: one attempt after the other, until it ends or no other attempt would fare better.
//!
//! Owns: the two roles of an attempt, in one process or two; the pause before the next attempt; that a hand-over which takes too
//! long is followed by one.
//! Never: takes a failure for passing by itself: each error says that of itself.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::unbounded;
use streamjob_checkpoint::ids::{Epoch, Generation};
use streamjob_checkpoint::log::LogError;
use streamjob_checkpoint::protocol::Refusal;
use streamjob_checkpoint::record::Owner;
use streamjob_checkpoint::retry::{Passing, with_causes};
use streamjob_plan::Plan;

use super::coordinator::{self, CoordinatorSetup};
use super::job::{Begun, Inputs, Started, State, start_again};
use super::process::WorkerProcess;
use super::stop::HandOver;
use super::transport::link;
use super::worker::{self, WorkerSetup, wiring};
use super::{Ending, Options, RunError, StopFlag};
use crate::metrics::{JobMetrics, Phase};
use crate::pipeline::clock::Clock;

/// The longest that a request to stop is not noticed in a pause.
const STOP_POLL: Duration = Duration::from_millis(50);

/// A job that is ready to run.
pub struct Job {
    /// What it does.
    pub plan: Arc<Plan>,
    /// What it reads.
    pub inputs: Arc<dyn Inputs>,
    /// Where its state is.
    pub state: State,
    /// Where it begins.
    pub begun: Begun,
    /// How it is run.
    pub options: Options,
    /// What it counts.
    pub metrics: Arc<JobMetrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ends it early.
    pub stop: StopFlag,
}

/// A job between its attempts.
struct Attempts {
    plan: Arc<Plan>,
    inputs: Arc<dyn Inputs>,
    state: State,
    options: Options,
    metrics: Arc<JobMetrics>,
    clock: Arc<dyn Clock>,
    stop: StopFlag,
}

impl Job {
    /// Runs the job to its end, on threads of its own.
    pub fn run(self) -> Result<Ending, RunError> {
        self.run_with(run_in_threads)
    }

    /// Runs the job to its end, its slots in a process of their own: this program, which will call
    /// [`inherited_link`](super::inherited_link). A process that ends early is followed by another.
    pub fn run_with_process(
        self,
        program: impl Fn(Generation) -> std::io::Result<Command>,
    ) -> Result<Ending, RunError> {
        self.run_with(|_worker, coordinator| {
            let (to_coordinator, heard) = unbounded();
            let generation = coordinator.permit.generation();
            let process = program(generation)
                .and_then(|program| WorkerProcess::start(program, generation, to_coordinator));
            let (process, link) = process.map_err(|source| RunError::WorkerProcess { source })?;
            let ending = coordinator::run(coordinator, link, heard);
            process.end().map_err(|source| RunError::WorkerProcess { source })?;
            ending
        })
    }

    fn run_with(
        self,
        roles: impl Fn(WorkerSetup, CoordinatorSetup) -> Result<Ending, RunError>,
    ) -> Result<Ending, RunError> {
        let Self { plan, inputs, state, begun, options, metrics, clock, stop } = self;
        let attempts = Attempts { plan, inputs, state, options, metrics, clock, stop };
        let ending = attempts.run(begun, roles);
        attempts.metrics.set_phase(if ending.is_ok() { Phase::Finished } else { Phase::Failed });
        ending
    }
}

fn run_in_threads(worker: WorkerSetup, coordinator: CoordinatorSetup) -> Result<Ending, RunError> {
    let (to_coordinator, heard) = unbounded();
    let (coordinator_link, worker_link) = link(coordinator.permit.generation(), 0, to_coordinator);
    let worker = std::thread::Builder::new()
        .name("worker".to_owned())
        .spawn(move || worker::run(worker, &worker_link))
        .map_err(|source| RunError::Thread { thread: "worker".to_owned(), source })?;
    let ending = coordinator::run(coordinator, coordinator_link, heard);
    let ran = worker.join().expect("panics are caught on the threads of a worker");
    match (ending, ran) {
        // What the worker says is the cause, unless it failed because another one had taken over.
        (Err(RunError::Worker { .. }), Err(cause)) => Err(cause),
        (ending, _) => ending,
    }
}

impl Attempts {
    fn run(
        &self,
        mut begun: Begun,
        roles: impl Fn(WorkerSetup, CoordinatorSetup) -> Result<Ending, RunError>,
    ) -> Result<Ending, RunError> {
        let mut failures = 0;
        let owner = begun.owner().clone();
        loop {
            self.give_up_late_hand_over();
            let (generation, from) = (begun.generation(), begun.checkpoint.epoch);
            self.metrics.attempts.fetch_add(1, Ordering::Relaxed);
            self.metrics.standing.begin(
                generation,
                begun.resumed.map(|epoch| (epoch, begun.resumed_from)),
                begun.head(),
            );
            self.metrics.set_phase(Phase::Running);
            let (worker, coordinator) = self.setups(begun);
            match roles(worker, coordinator) {
                Err(error) if error.may_pass() && !self.stop.is_set() => {
                    failures = if self.has_committed_since(from) { 1 } else { failures + 1 };
                    if !self.pause_after(&error, failures) {
                        // No last checkpoint can be taken: whoever starts the job again finds the one before.
                        return Err(error);
                    }
                }
                Ok(Ending::OutOfTime) if !self.stop.is_set() => {}
                ended => return ended,
            }
            match self.begin_again((&owner, generation), &mut failures) {
                Ok(Started::Finished(_)) => return Ok(Ending::Finished),
                Ok(Started::Begun(again)) => begun = *again,
                // What was not known when its time was over has come true.
                Err(RunError::Log(LogError::Refused(Refusal::Ended { .. }))) => return Ok(Ending::Stopped),
                Err(error) => return Err(error),
            }
            self.metrics.grow_partitions(begun.partition_names());
            tracing::info!(attempt = begun.generation().attempt, "{}", begun.beginning);
        }
    }

    /// If its record may have been written, nobody knew before the log was claimed again whether the hand-over had come true.
    fn give_up_late_hand_over(&self) {
        if let Some(late) = self.stop.resume(self.clock.elapsed()) {
            warn_of_late(&late);
        }
    }

    /// Claims the state for the next attempt; again, if that fails with what may pass.
    fn begin_again(
        &self,
        (owner, mut failed): (&Owner, Generation),
        failures: &mut u32,
    ) -> Result<Started, RunError> {
        loop {
            match start_again((owner, failed), &self.state, &self.plan, (&*self.inputs, &*self.clock)) {
                Err(error) if error.may_pass() && !self.stop.is_set() => {
                    *failures += 1;
                    if !self.pause_after(&error, *failures) {
                        return Err(error);
                    }
                    // It may have claimed the log before it failed.
                    failed.attempt += 1;
                }
                started => return started,
            }
        }
    }

    fn setups(&self, begun: Begun) -> (WorkerSetup, CoordinatorSetup) {
        let runtime = self.state.runtime().handle().clone();
        let worker = WorkerSetup {
            plan: Arc::clone(&self.plan),
            inputs: Arc::clone(&self.inputs),
            options: self.options.clone(),
            store: self.state.store.clone(),
            metrics: Arc::clone(&self.metrics),
            tells_counts: false,
            clock: Arc::clone(&self.clock),
            runtime: runtime.clone(),
        };
        let coordinator = CoordinatorSetup {
            folders: wiring::folders(&self.plan),
            control: self.options.control.clone(),
            desk: self.options.desk.clone(),
            plan: Arc::clone(&self.plan),
            log: self.state.log.clone(),
            store: self.state.store.clone(),
            permit: begun.permit,
            lineage: begun.lineage,
            checkpoint: begun.checkpoint,
            inherited: begun.inherited,
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
            stop: self.stop.clone(),
            runtime,
        };
        (worker, coordinator)
    }

    fn has_committed_since(&self, epoch: Epoch) -> bool {
        self.metrics.checkpoints.last().is_some_and(|last| last.epoch > epoch.0)
    }

    /// Whether there is to be another attempt.
    fn pause_after(&self, error: &RunError, failures: u32) -> bool {
        let pause = self.options.pauses.after(failures);
        self.metrics.set_phase(Phase::Starting);
        if let Some(desk) = &self.options.desk {
            desk.failed(Some(error));
        }
        tracing::warn!(
            cause = with_causes(error),
            pause_ms = pause.as_millis() as u64,
            "the attempt has failed; another one goes on from the last checkpoint"
        );
        let until = self.clock.elapsed() + pause;
        while !self.stop.is_set() {
            let left = until.saturating_sub(self.clock.elapsed());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(STOP_POLL));
        }
        false
    }
}

/// Says that a hand-over is given up.
pub fn warn_of_late(late: &HandOver) {
    let operation = &late.operation;
    tracing::warn!(operation, "the hand-over was not complete in time; the job goes on");
}
