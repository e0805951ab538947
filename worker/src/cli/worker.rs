//! `streamjob worker`: the worker role alone, for a coordinator in another process.
//!
//! Owns: its command line, on both ends.
//! Never: is started by people.

use std::io;
use std::process::Command;
use std::sync::Arc;

use streamjob_checkpoint::ids::Generation;
use streamjob_checkpoint::retry::with_causes;
use tracing::error;

use super::args::{LogFormat, RunArgs, WorkerArgs};
use super::{Exit, logs, manifest};
use crate::metrics::JobMetrics;
use crate::pipeline::clock::{Clock, SystemClock};
use crate::progress::Screen;
use crate::runtime::{Options, RunError, SourceInputs, State, WorkerSetup, inherited_link, run_worker};

/// How this program is started as a worker of the job that these arguments run.
pub(super) fn command(run: &RunArgs, generation: Generation, partitions: usize) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("worker").arg(&run.manifest);
    command.arg("--incarnation").arg(generation.incarnation.to_string());
    command.arg("--attempt").arg(generation.attempt.to_string());
    command.arg("--partitions").arg(partitions.to_string());
    command.arg("--batch-rows").arg(run.batch_rows.to_string());
    if let Some(filter) = &run.log {
        command.arg("--log").arg(filter);
    }
    let format = match run.log_format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    command.arg("--log-format").arg(format);
    Ok(command)
}

/// Does what the coordinator says, until it says exit or is gone.
pub(super) fn worker(args: &WorkerArgs) -> Exit {
    if let Err(error) = logs::start(args.log.as_deref(), args.log_format, Screen::new()) {
        logs::say(format_args!("the log filter cannot be read: {error}"));
        return Exit::Mistake;
    }
    let plan = match manifest::compile(&args.manifest) {
        Ok(plan) => Arc::new(plan),
        Err(mistakes) => {
            logs::say(mistakes);
            return Exit::Mistake;
        }
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let generation = Generation { incarnation: args.incarnation, attempt: args.attempt };
    let names = (0..args.partitions).map(|id| format!("partition-{id}"));
    let metrics = Arc::new(JobMetrics::new(&plan.job, plan.parallelism, names));
    let served = || -> Result<(), RunError> {
        let outages = metrics.outages.clone();
        let state = State::open_noting(&plan, outages.clone())?;
        let link = inherited_link(generation)
            .map_err(|source| RunError::Thread { thread: "link".to_owned(), source })?;
        let setup = WorkerSetup {
            inputs: Arc::new(SourceInputs::new(Arc::clone(&plan), Arc::clone(&clock)).with_outages(&outages)),
            plan: Arc::clone(&plan),
            options: Options { batch_rows: args.batch_rows, ..Options::default() },
            store: state.store.clone(),
            metrics,
            tells_counts: true,
            clock: Arc::clone(&clock),
            runtime: state.runtime().handle().clone(),
        };
        run_worker(setup, &link)
    };
    match served() {
        Ok(()) => Exit::Done,
        Err(failure) => {
            // The coordinator was told, and says what it means.
            error!("worker: {}", with_causes(&failure));
            Exit::Failed
        }
    }
}
