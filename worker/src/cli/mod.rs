//! The command line: `streamjob run`, `validate`, `explain`, `completions`.
//!
//! Owns: what is printed where, and the exit codes.
//! Never: knows how a job is run.

mod args;
mod completions;
mod explain;
mod logs;
mod manifest;
mod run;
mod signals;
mod validate;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use signals::Signal;

/// How a command ended; see the exit codes in `streamjob --help`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Exit {
    /// All was done; or nobody reads standard output any more.
    Done,
    /// The job failed.
    Failed,
    /// The manifest has mistakes. Mistakes on the command line end with the same code.
    Mistake,
    /// Stopped cleanly by a signal.
    Stopped(Signal),
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let exit = match &args.command {
        Command::Run(args) => run::run(args),
        Command::Validate(args) => validate::validate(args, &mut std::io::stdout(), &mut std::io::stderr()),
        Command::Explain(args) => explain::explain(args, &mut std::io::stdout(), &mut std::io::stderr()),
        Command::Completions(args) => completions::print(args, &mut std::io::stdout()),
    };
    exit.into()
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Mistake => Self::from(2),
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

#[cfg(test)]
mod tests;
