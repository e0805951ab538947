//! `streamjob completions`: what a shell needs to complete our commands.
//!
//! Owns: nothing; clap writes them.
//! Never: installs them.

use std::io::Write;

use clap::CommandFactory;

use super::args::{Args, CompletionsArgs};
use super::{Exit, printed};

/// Prints the completions for a shell.
pub(super) fn print(args: &CompletionsArgs, out: &mut impl Write) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "streamjob", &mut text);
    printed(out.write_all(&text))
}
