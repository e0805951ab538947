//! `streamjob-worker run`: a pod from its start to SIGTERM.
//!
//! Owns: the process's main loop: it watches memory, the job's thread, the time of a hand-over and what is left after SIGTERM.
//! Never: waits for the store or Kafka: the job's thread does.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use streamjob_crds::Reason;
use streamjob_crds::worker::Termination;

use super::args::RunArgs;
use super::hub::Hub;
use super::job::{Outcome, PodJob};
use super::memory::{Budget, used};
use super::setup::Setup;
use super::termination::{failure, leave};
use super::token::{Expected, Tokens};
use super::{http, reasons};
use crate::admin::Server;
use crate::cli::signals::Signals;
use crate::metrics::JobMetrics;
use crate::pipeline::clock::{Clock, SystemClock};
use crate::runtime::{Desk, Options, State, StopFlag};

/// How often the main loop looks.
const TURN: Duration = Duration::from_millis(50);
/// Of the grace period, what is left for the process to end in.
const TO_EXIT: Duration = Duration::from_millis(1_500);

/// What ends with the process.
struct Pod {
    hub: Arc<Hub>,
    outcomes: Receiver<Result<Outcome, Termination>>,
    job: Option<JoinHandle<()>>,
    budget: Option<Budget>,
    _servers: (Server, Server),
    _signals: Signals,
}

/// Runs a pod. Gives the exit code.
pub(super) fn run(args: Box<RunArgs>, setup: Setup) -> ExitCode {
    let file = args.job.termination_log.clone();
    let ended = match Pod::start(args, setup) {
        Ok(mut pod) => pod.serve(),
        Err(termination) => Err(termination),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(termination) => leave(&termination, &file),
    }
}

impl Pod {
    fn start(args: Box<RunArgs>, setup: Setup) -> Result<Self, Termination> {
        let tokens = tokens(&args)?;
        let state = State::over(setup.store()?).map_err(|error| reasons::of_run(&error))?;
        // What calls run on stays until the process ends: whoever waits for a store then is not waited for.
        let calls: &'static State = Box::leak(Box::new(state.clone()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let metrics = JobMetrics::new(&setup.plan.job, setup.plan.parallelism, []);
        let budget = Budget::of(&args.cgroup);
        let hub = Arc::new(Hub {
            incarnation: args.incarnation,
            pod_uid: std::env::var("POD_UID").ok().filter(|uid| !uid.is_empty()),
            started_ms: clock.now_ms(),
            metrics: Arc::new(metrics.with_outages(state.outages.clone())),
            clock,
            stop: StopFlag::default(),
            desk: Arc::new(Desk::default()),
            store: state.store.clone(),
            calls: calls.runtime().handle().clone(),
            book: Default::default(),
        });
        let failures = Arc::clone(&hub);
        hub.desk.on_failure(move |error| failures.failed(error.map(reasons::of_run)));
        let servers = (
            http::admin(&args.admin, &hub, Duration::from_secs(args.stuck_seconds))?,
            http::control(&args.control, &hub, tokens)?,
        );
        let signals = watch(&hub, Duration::from_secs(args.grace))?;
        tracing::info!(
            job = setup.plan.job,
            incarnation = args.incarnation,
            state = setup.plan.state.id,
            slots = setup.plan.parallelism,
            memory_limit = budget.map(|budget| budget.limit),
            "starting"
        );
        let otherwise = Options::default().unpublished_bytes_max;
        let unpublished_bytes_max =
            budget.map_or(otherwise, |budget| budget.unpublished_bytes_max(otherwise));
        let job = PodJob { args, setup, state, hub: Arc::clone(&hub), unpublished_bytes_max };
        let (outcome, outcomes) = bounded(1);
        let job = std::thread::Builder::new()
            .name("job".to_owned())
            .spawn(move || {
                let ran = std::panic::catch_unwind(AssertUnwindSafe(|| job.run()));
                let ran = ran.unwrap_or_else(|_| {
                    Err(failure(Reason::Internal, "the job panicked; the worker's log says where", true))
                });
                // The main loop may have ended before.
                drop(outcome.send(ran));
            })
            .map_err(|error| failure(Reason::Internal, format!("cannot start a thread: {error}"), true))?;
        Ok(Self { hub, outcomes, job: Some(job), budget, _servers: servers, _signals: signals })
    }

    /// Until the process is to end.
    fn serve(&mut self) -> Result<(), Termination> {
        loop {
            match self.outcomes.recv_timeout(TURN) {
                Ok(Ok(Outcome::Ended(ended))) => {
                    tracing::info!(?ended, "the incarnation has ended; waiting to be torn down");
                    self.hub.end(ended);
                }
                Ok(Ok(Outcome::Left)) => return Ok(()),
                Ok(Err(termination)) if self.hub.stop.leaves() => {
                    // Whoever asked does not wait for a reason; the next process will meet it again.
                    tracing::warn!(reason = termination.reason.as_str(), "{}", termination.message);
                    return Ok(());
                }
                Ok(Err(termination)) => return Err(termination),
                Err(RecvTimeoutError::Timeout) => {}
                // After its end the channel stays silent.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TURN),
            }
            self.check_memory()?;
            self.hub.give_up_late();
            if self.may_leave() {
                return Ok(());
            }
        }
    }

    /// Whether nothing is left to be done before the process ends.
    fn may_leave(&self) -> bool {
        if !self.hub.stop.leaves() {
            return false;
        }
        let has_dataflow = self.hub.metrics.standing.is_turning();
        let late =
            self.hub.stop.leave_until().is_some_and(|until| self.hub.clock.elapsed() >= until + TO_EXIT / 2);
        self.hub.has_ended() || !has_dataflow || late
    }

    fn check_memory(&self) -> Result<(), Termination> {
        let Some(budget) = self.budget else { return Ok(()) };
        match used() {
            Some(bytes) if bytes >= budget.bytes_max() => Err(over_budget(bytes, budget, &self.hub.metrics)),
            Some(_) | None => Ok(()),
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // It may wait for a store that is away, for ever; the process ends without it, as in a crash.
        if let Some(job) = self.job.take().filter(JoinHandle::is_finished)
            && job.join().is_err()
        {
            tracing::error!("the thread of the job panicked");
        }
    }
}

fn over_budget(bytes: u64, budget: Budget, metrics: &JobMetrics) -> Termination {
    let keys = metrics.sum(|slot| &slot.keys);
    let state = metrics.sum(|slot| &slot.state_bytes);
    let unpublished = metrics.unpublished_bytes.load(std::sync::atomic::Ordering::Relaxed);
    failure(
        Reason::StateOverBudget,
        format!(
            "spec.workers.resources.limits.memory: {bytes} of {} bytes are used: {keys} keys in {} open windows take {state} \
             bytes, output that is not published {unpublished}; give workers more memory, or fewer keys: smaller windows, less \
             lateness, more parallelism with fewer slots in each",
            budget.limit,
            metrics.sum(|slot| &slot.open_windows)
        ),
        false,
    )
}

fn tokens(args: &RunArgs) -> Result<Tokens, Termination> {
    let expected = Expected {
        issuer: args.token_issuer.clone(),
        subject: args.token_subject.clone(),
        audience: args.token_audience.clone(),
    };
    Tokens::new(&args.token_keys, expected)
        .map_err(|error| failure(Reason::ConfigurationInvalid, error.to_string(), false))
}

/// SIGTERM asks the job to leave within the grace period.
fn watch(hub: &Arc<Hub>, grace: Duration) -> Result<Signals, Termination> {
    let hub = Arc::clone(hub);
    let leave = move |_signal| {
        let time = grace.saturating_sub(TO_EXIT).max(grace / 2);
        hub.stop.leave(hub.clock.elapsed() + time);
    };
    Signals::watch(leave)
        .map_err(|error| failure(Reason::Internal, format!("cannot watch for signals: {error}"), true))
}
