//! The worker on a cluster: what the operator starts, watches and asks.
//!
//! Owns: the program `streamjob-worker`: its arguments, servers, main loop, and what it leaves behind when it ends.
//! Never: talks to Kubernetes: it knows files, its store, Kafka, and who asks it.

mod args;
mod check;
mod http;
mod hub;
mod janitor;
mod job;
mod memory;
mod reasons;
mod run;
mod savepoints;
mod setup;
mod termination;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use streamjob_crds::worker::Termination;
use streamjob_crds::{LogFormat, Reason};

use args::{Args, Command, JobArgs, TERMINATION_LOG};
use setup::Setup;
use termination::{failure, leave};

use crate::cli::{self, leave_memory_out_of_core_files, logs};
use crate::progress::Screen;

/// Does what the command line says.
pub fn main() -> ExitCode {
    leave_memory_out_of_core_files();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return not_understood(&error),
    };
    let about = args.command.job().clone();
    match start(&about) {
        Err(termination) => leave(&termination, &about.termination_log),
        Ok(setup) => match args.command {
            Command::Run(args) => run::run(args, setup),
            Command::Check(args) => ended(check::check(&args, &setup), &about),
            Command::Janitor(args) => ended(janitor::clean(&args, &setup), &about),
        },
    }
}

impl Command {
    fn job(&self) -> &JobArgs {
        match self {
            Self::Run(args) => &args.job,
            Self::Check(args) => &args.job,
            Self::Janitor(args) => &args.job,
        }
    }
}

/// Logs first, so that whatever is wrong with the rest is in them.
fn start(args: &JobArgs) -> Result<Setup, Termination> {
    let loaded = setup::load(args);
    let (filter, format) = loaded.as_ref().map_or((None, LogFormat::Json), setup::Loaded::logs);
    let format = match format {
        LogFormat::Json => cli::LogFormat::Json,
        LogFormat::Text => cli::LogFormat::Text,
    };
    if let Err(error) = logs::start(filter.as_deref(), format, Screen::new()) {
        return Err(failure(
            Reason::ConfigurationInvalid,
            format!("spec.observability.logFilter cannot be read: {error}"),
            false,
        ));
    }
    loaded?.compile(args)
}

fn ended(done: Result<(), Termination>, args: &JobArgs) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(termination) => leave(&termination, &args.termination_log),
    }
}

/// Help and version are no failures. What is one is left for the operator, if it is seen where.
fn not_understood(error: &clap::Error) -> ExitCode {
    // Nobody may read it any more.
    drop(error.print());
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let words = std::env::args();
    let mut named = words.filter_map(|word| word.strip_prefix("--termination-log=").map(PathBuf::from));
    let file = named.next().unwrap_or_else(|| PathBuf::from(TERMINATION_LOG));
    leave(&failure(Reason::ConfigurationInvalid, error.to_string(), false), &file)
}
