//! `streamjob validate`: is there anything wrong with these manifests?
//!
//! Owns: one line for each manifest without mistakes, one for each mistake.
//! Never: opens what a manifest names.

use std::io::Write;

use super::args::ValidateArgs;
use super::manifest::compile;
use super::{Exit, printed};

/// Checks all manifests, whatever is wrong with the first ones.
pub(super) fn validate(args: &ValidateArgs, out: &mut impl Write, err: &mut impl Write) -> Exit {
    let mut exit = Exit::Done;
    for manifest in &args.manifests {
        let result = match compile(manifest) {
            Ok(_) => writeln!(out, "{}: ok", manifest.display()),
            Err(mistakes) => {
                exit = Exit::Mistake;
                writeln!(err, "{mistakes}")
            }
        };
        if result.is_err() {
            return printed(result);
        }
    }
    exit
}
