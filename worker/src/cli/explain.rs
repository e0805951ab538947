//! `streamjob explain`: what would this job do?
//!
//! Owns: nothing; the plan explains itself.
//! Never: opens what the manifest names.

use std::io::Write;

use super::args::ExplainArgs;
use super::manifest::compile;
use super::{Exit, printed};

/// Prints the operators, their columns and types.
pub(super) fn explain(args: &ExplainArgs, out: &mut impl Write, err: &mut impl Write) -> Exit {
    match compile(&args.manifest) {
        Ok(plan) => printed(writeln!(out, "{}", streamjob_plan::explain(&plan).trim_end())),
        Err(mistakes) => match writeln!(err, "{mistakes}") {
            Ok(()) => Exit::Mistake,
            Err(_) => Exit::Failed,
        },
    }
}
