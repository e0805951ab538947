//! `streamjob run`: a job on this machine, to its end.
//!
//! Owns: the order of starting and ending: logs, manifest, input, signals, admin server, progress, job, summary.
//! Never: touches a row.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use streamjob_checkpoint::log::LogError;
use streamjob_checkpoint::protocol::Refusal;
use streamjob_checkpoint::retry::with_causes;
use streamjob_plan::{Plan, SinkKind};
use thiserror::Error;
use tracing::{error, info};

use super::Exit;
use super::args::{LogFormat, RunArgs};
use super::begin::begin_at;
use super::signals::Signals;
use super::state::StateError;
use super::{control, logs, manifest, worker};
use crate::admin::{Admin, AdminError};
use crate::metrics::JobMetrics;
use crate::outages::Outages;
use crate::pipeline::clock::{Clock, SystemClock};
use crate::progress::{Display, Progress, Screen, Summary, Usage};
use crate::runtime::{self, Ending, Inputs, Job, Options, RunError, SourceInputs, Started, State, StopFlag};

/// Why a job ended early.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Job(#[from] RunError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("cannot start a thread beside the job: {0}; raise the limit of threads or end other programs")]
    Thread(#[from] std::io::Error),
}

/// Runs a job and says how it went.
pub(super) fn run(args: &RunArgs) -> Exit {
    let screen = Screen::new();
    if let Err(error) = logs::start(args.log.as_deref(), args.log_format, screen.clone()) {
        logs::say(format_args!(
            "the log filter cannot be read: {error}; write `--log info` or `--log streamjob_worker=debug`"
        ));
        return Exit::Mistake;
    }
    let plan = match manifest::compile(&args.manifest) {
        Ok(plan) => plan,
        Err(mistakes) => {
            logs::say(mistakes);
            return Exit::Mistake;
        }
    };
    match run_plan(plan, args, screen) {
        Ok(exit) => exit,
        Err(Failure::Job(RunError::Sink(error))) if error.is_clean_stop() => {
            info!(reason = %error, "stopped");
            Exit::Done
        }
        Err(failure) => {
            error!("{}", with_causes(&failure));
            failure.exit()
        }
    }
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Job(RunError::Fenced { .. } | RunError::Log(LogError::Refused(Refusal::Fenced { .. }))) => {
                Exit::Fenced
            }
            Self::State(error) => error.exit(),
            Self::Job(_) | Self::Admin(_) | Self::Thread(_) => Exit::Failed,
        }
    }
}

fn run_plan(plan: Plan, args: &RunArgs, screen: Screen) -> Result<Exit, Failure> {
    let started = Instant::now();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let plan = Arc::new(plan);
    let outages = Outages::default();
    let inputs = SourceInputs::new(Arc::clone(&plan), Arc::clone(&clock)).with_outages(&outages);
    let inputs: Arc<dyn Inputs> = Arc::new(inputs);
    let metrics = JobMetrics::new(&plan.job, plan.parallelism, Vec::new()).with_outages(outages.clone());
    let metrics = Arc::new(metrics);
    let (stop, waiting) = (StopFlag::default(), Arc::new(AtomicBool::new(true)));
    let signals = watch_signals(&stop, &waiting)?;
    // Whoever waits for a store or for brokers can be asked for what, and be stopped.
    let admin =
        args.admin.as_deref().map(|address| Admin::start(address, Arc::clone(&metrics))).transpose()?;
    if let Some(admin) = &admin {
        info!(admin = admin.address().to_string(), "metrics are served");
    }
    let begin = begin_at(args, &plan)?;
    let state = State::open_noting(&plan, outages)?;
    let begun = match runtime::start(&state, &plan, &*inputs, begin, &*clock)? {
        Started::Begun(begun) => *begun,
        Started::Finished(last) => {
            info!(
                job = plan.job,
                record = %last.record.seq,
                "already finished: all input was read; go back with --from, or begin anew with --fresh --discard-state"
            );
            return Ok(Exit::Done);
        }
    };
    info!(job = plan.job, "{}", begun.beginning);
    metrics.grow_partitions(begun.partition_names());
    waiting.store(false, Ordering::SeqCst);
    let before = begun.checkpoint().counters;
    let progress = Progress::start(Arc::clone(&metrics), display(&plan, args, screen))?;
    info!(
        job = plan.job,
        slots = plan.parallelism,
        partitions = metrics.partitions().len(),
        batch_rows = args.batch_rows,
        admin = admin.as_ref().map(|admin| admin.address().to_string()),
        "started"
    );
    let control = Some(control::folder(&plan));
    let (batch_rows, unpublished_bytes_max) = (args.batch_rows, args.unpublished_bytes);
    let options = Options { batch_rows, unpublished_bytes_max, control, ..Options::default() };
    let program = |generation| worker::command(args, generation, metrics.partitions().len());
    let job = Job { plan, inputs, state, begun, options, metrics: Arc::clone(&metrics), clock, stop };
    let ending = if args.worker_process { job.run_with_process(program) } else { job.run() };
    progress.stop();
    // Of a job that could not begin there is nothing to sum up.
    if ending.is_ok() || metrics.sum(|slot| &slot.rows_in) > 0 {
        let summary = Summary::of(&metrics, started.elapsed(), Usage::now()).after(&before);
        match args.log_format {
            LogFormat::Text => logs::say(&summary),
            LogFormat::Json => summary.log(),
        }
    }
    Ok(match ending? {
        Ending::Finished => Exit::Done,
        // The last two are for who was asked to leave within a time, as pods are.
        Ending::Stopped | Ending::Left | Ending::OutOfTime => {
            signals.received().map_or(Exit::Done, Exit::Stopped)
        }
    })
}

/// The first signal stops the job cleanly; while it waits to begin there is nothing to be clean about.
fn watch_signals(stop: &StopFlag, waiting: &Arc<AtomicBool>) -> std::io::Result<Signals> {
    let (stop, waiting) = (stop.clone(), Arc::clone(waiting));
    Signals::watch(move |signal| {
        if waiting.load(Ordering::SeqCst) {
            info!(?signal, "stopped before the job has begun");
            std::process::exit(i32::from(signal.exit_code()));
        }
        stop.set();
    })
}

/// A live block for people who watch; not where rows would run through it.
fn display(plan: &Plan, args: &RunArgs, screen: Screen) -> Display {
    let rows_on_screen = match plan.sink.kind {
        SinkKind::Stdout => std::io::stdout().is_terminal(),
        SinkKind::Files { .. } | SinkKind::Kafka { .. } | SinkKind::Blackhole => false,
    };
    let text = match args.log_format {
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    if text && std::io::stderr().is_terminal() && !rows_on_screen {
        Display::Live(screen)
    } else {
        Display::Lines
    }
}
