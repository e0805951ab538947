//! `streamjob validate`: is there anything wrong with these manifests?
//!
//! Owns: one line for each manifest without mistakes, one for each mistake, one for what has no effect here, one for each
//! pattern that matches no file now.
//! Never: opens what a manifest names.

use std::io::Write;
use std::path::Path;

use streamjob_crds::{Manifest, Place, notes};
use streamjob_plan::{Plan, SourceKind};

use super::args::ValidateArgs;
use super::manifest::compile_for;
use super::{Exit, printed};
use crate::pipeline::source;

/// Files may come until the job starts: no mistake, but worth a word.
fn warn(manifest: &Path, plan: &Plan, err: &mut impl Write) -> std::io::Result<()> {
    let SourceKind::Files(files) = &plan.source.kind else { return Ok(()) };
    for pattern in &files.patterns {
        if let Err(why) = source::matches_files(pattern) {
            let manifest = manifest.display();
            writeln!(
                err,
                "{manifest}: warning: spec.pipeline.source.files.urls: {why}; `streamjob run` would fail"
            )?;
        }
    }
    Ok(())
}

/// Checks all manifests, whatever is wrong with the first ones.
pub(super) fn validate(args: &ValidateArgs, out: &mut impl Write, err: &mut impl Write) -> Exit {
    let place = if args.cluster { Place::Cluster } else { Place::Machine };
    let mut exit = Exit::Done;
    for path in &args.manifests {
        let result = match compile_for(path, place) {
            Ok((manifest, plan)) => {
                let told = good(path, &manifest, place, out);
                told.and_then(|()| if args.cluster { Ok(()) } else { warn(path, &plan, err) })
            }
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

fn good(path: &Path, manifest: &Manifest, place: Place, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{}: ok", path.display())?;
    let notes = notes(&manifest.job);
    if place == Place::Machine && !notes.is_empty() {
        writeln!(out, "{}", manifest.locate(&notes))?;
    }
    Ok(())
}
