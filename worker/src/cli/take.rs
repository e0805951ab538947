//! `streamjob savepoint take`: asks the running job for a savepoint.
//!
//! Owns: what is said while it waits, and when nobody listens.
//! Never: copies anything: the running job does.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use streamjob_checkpoint::retry::with_causes;
use streamjob_plan::Plan;
use thiserror::Error;

use super::args::TakeArgs;
use super::{Exit, control, manifest, print};
use crate::runtime::control::{Line, Request, ask};

/// Why there is no savepoint.
#[derive(Debug, Error)]
enum TakeError {
    #[error(
        "{job} is not running: nothing listens at {socket}; start it with `streamjob run {manifest}` and take the savepoint \
         then (while it is not running, its last checkpoint stays as it is: run again, it goes on from there)"
    )]
    NotRunning { job: String, socket: String, manifest: String },
    #[error("not allowed to ask {job} at {socket}: only the user who runs the job may")]
    Denied { job: String, socket: String },
    #[error(
        "{job} stopped answering: it has ended, or is stuck; see its log, and `streamjob savepoint list {manifest}`"
    )]
    Silent { job: String, manifest: String, source: io::Error },
    #[error("no savepoint of {job}: {reason}")]
    Failed { job: String, reason: String },
}

/// What `savepoint take --json` prints.
#[derive(Serialize)]
struct Taken<'a> {
    job: &'a str,
    id: &'a str,
    location: &'a str,
    /// It was there before.
    already: bool,
}

/// Asks, waits, and prints where the savepoint lies.
pub(super) fn take(args: &TakeArgs, out: &mut impl Write, err: &mut impl Write) -> Exit {
    let plan = match manifest::compile(&args.manifest) {
        Ok(plan) => plan,
        Err(mistakes) => {
            // Nobody to tell is no other mistake.
            drop(writeln!(err, "{mistakes}"));
            return Exit::Mistake;
        }
    };
    let id = args.id.clone().unwrap_or_else(new_id);
    match wait(&plan, &args.manifest, &id, err) {
        Ok((location, already)) => {
            if already {
                let what = "was there already, and nothing was taken: give another --id for a new one";
                drop(writeln!(err, "savepoint {id} {what}"));
            }
            let taken = Taken { job: &plan.job, id: &id, location: &location, already };
            print(out, args.json, &taken, &format_args!("{location}\n"))
        }
        Err(error) => {
            drop(writeln!(err, "{}", with_causes(&error)));
            Exit::Failed
        }
    }
}

/// Of the wall clock, so that ids are in the order of time: `20260131T080000Z`.
fn new_id() -> String {
    jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Where it is, and whether it was there before.
fn wait(plan: &Plan, manifest: &Path, id: &str, err: &mut impl Write) -> Result<(String, bool), TakeError> {
    let job = plan.job.clone();
    let manifest = manifest.display().to_string();
    let socket = control::socket(plan).display().to_string();
    let lines = match ask(&control::folder(plan), &Request::Savepoint { id: id.to_owned() }) {
        Ok(lines) => lines,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(TakeError::Denied { job, socket });
        }
        Err(_nobody) => return Err(TakeError::NotRunning { job, socket, manifest }),
    };
    // What is taken now is told of before it is done.
    let mut already = true;
    for line in lines {
        let said = match line {
            Ok(Line::Done { location }) => return Ok((location, already)),
            Ok(Line::Failed { reason }) => return Err(TakeError::Failed { job, reason }),
            Ok(Line::Waiting) => continue,
            Ok(Line::Barrier { epoch }) => format!("taking checkpoint {epoch}"),
            Ok(Line::Committed { epoch }) => {
                format!("checkpoint {epoch} is committed; its output is being published")
            }
            Ok(Line::Again { cause }) => format!("the checkpoint was given up, another one follows: {cause}"),
            Ok(Line::Copying { epoch }) => format!("copying checkpoint {epoch}"),
            Err(source) => return Err(TakeError::Silent { job, manifest, source }),
        };
        already = false;
        // Progress that nobody reads is none.
        drop(writeln!(err, "{said}"));
    }
    Err(TakeError::Silent { job, manifest, source: io::ErrorKind::UnexpectedEof.into() })
}
