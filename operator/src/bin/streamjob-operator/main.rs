//! The operator's process.
//!
//! Owns: what the commands do, signals, exit codes.
//! Never: decides anything about a job.

#![forbid(unsafe_code)]

mod args;
mod offline;
mod run;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Args, Command};

fn main() -> ExitCode {
    // One provider of TLS in the process, before anything asks for it; it fails only if one is there.
    let _there_already = rustls::crypto::ring::default_provider().install_default();
    let done = match Args::parse().command {
        Command::Run(args) => run::run(args),
        Command::CheckConfig(args) => run::check_config(args),
        Command::Render(args) => offline::render(&args),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Args::command(),
                "streamjob-operator",
                &mut std::io::stdout(),
            );
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("streamjob-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}
