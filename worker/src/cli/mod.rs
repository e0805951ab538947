//! The command line: `streamjob run`, `validate`, `explain`, `checkpoints`, `savepoint`, `state`, `completions`.
//!
//! Owns: what is printed where, and the exit codes.
//! Never: knows how a job is run.

mod args;
mod begin;
mod checkpoints;
mod completions;
mod control;
mod damage;
mod explain;
mod export;
pub(crate) mod logs;
mod manifest;
mod run;
mod savepoint;
pub(crate) mod signals;
mod state;
mod table;
mod take;
mod validate;
mod worker;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;
use streamjob_checkpoint::retry::with_causes;

pub(crate) use args::LogFormat;
use args::{Args, Command};
use signals::Signal;
use state::StateError;

/// How a command ended; see the exit codes in `streamjob --help`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Exit {
    /// All was done; or nobody reads standard output any more.
    Done,
    /// The job failed.
    Failed,
    /// The manifest has mistakes. Mistakes on the command line end with the same code.
    Mistake,
    /// A newer start of the job has taken over.
    Fenced,
    /// Stopped cleanly by a signal.
    Stopped(Signal),
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    leave_memory_out_of_core_files();
    let args = Args::parse();
    let exit = match &args.command {
        Command::Run(args) => run::run(args),
        Command::Worker(args) => worker::worker(args),
        Command::Validate(args) => validate::validate(args, &mut std::io::stdout(), &mut std::io::stderr()),
        Command::Explain(args) => explain::explain(args, &mut std::io::stdout(), &mut std::io::stderr()),
        Command::Checkpoints(command) => {
            checkpoints::checkpoints(command, &mut std::io::stdout(), &mut std::io::stderr())
        }
        Command::Savepoint(command) => {
            savepoint::savepoint(command, &mut std::io::stdout(), &mut std::io::stderr())
        }
        Command::State(command) => export::state(command, &mut std::io::stderr()),
        Command::Completions(args) => completions::print(args, &mut std::io::stdout()),
    };
    exit.into()
}

/// Passwords and keys are in memory for as long as their clients are, and no library gives them back. Whoever wants to look
/// at a crash sets the filter of the running process from outside.
pub(crate) fn leave_memory_out_of_core_files() {
    // Without such a file there is nothing that could be told: it is the kernel's.
    let _no_filter = std::fs::write("/proc/self/coredump_filter", "0");
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Mistake => Self::from(2),
            Exit::Fenced => Self::from(3),
            Exit::Stopped(signal) => Self::from(signal.exit_code()),
        }
    }
}

/// Whether printing worked; a reader that has seen enough is no failure.
fn printed(result: std::io::Result<()>) -> Exit {
    match result {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(_) => Exit::Failed,
    }
}

/// Prints the same for machines or for people.
fn print(out: &mut impl Write, json: bool, machines: &impl Serialize, people: &impl Display) -> Exit {
    if !json {
        return printed(write!(out, "{people}"));
    }
    let text = serde_json::to_string(machines).expect("what is printed has only text for keys");
    printed(writeln!(out, "{text}"))
}

/// Says why a command that looks at a job's state could not.
fn ended(done: Result<Exit, StateError>, err: &mut impl Write) -> Exit {
    match done {
        Ok(exit) => exit,
        Err(error) => match writeln!(err, "{}", with_causes(&error)) {
            Ok(()) => error.exit(),
            Err(_closed) => Exit::Failed,
        },
    }
}

#[cfg(test)]
mod stored;
#[cfg(test)]
mod tests;
