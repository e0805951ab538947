//! Why a pod has ended, as the operator reads it.
//!
//! Owns: the one line in the termination message, and the process's exit code.
//! Never: holds a value or a key of a row, or a secret: it ends up in conditions that many can read.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use streamjob_crds::Reason;
use streamjob_crds::worker::Termination;

/// A failure that is told.
pub(super) fn failure(reason: Reason, message: impl Into<String>, retryable: bool) -> Termination {
    Termination { reason, message: one_line(message.into()), retryable, incarnation: None }
}

/// Who has taken over.
pub(super) fn fenced(by: u64, message: impl Into<String>) -> Termination {
    let incarnation = i64::try_from(by).ok();
    Termination { incarnation, ..failure(Reason::Fenced, message, false) }
}

/// Leaves the message where Kubernetes looks, and says it in the log. A file that cannot be written changes nothing.
pub(super) fn leave(termination: &Termination, file: &Path) -> ExitCode {
    tracing::error!(
        reason = termination.reason.as_str(),
        retryable = termination.retryable,
        "{}",
        termination.message
    );
    if let Err(error) = write(file, &termination.line()) {
        tracing::warn!(file = %file.display(), %error, "cannot leave the reason for Kubernetes");
    }
    exit_code(termination.reason)
}

pub(super) fn exit_code(reason: Reason) -> ExitCode {
    if reason == Reason::Fenced {
        ExitCode::from(3)
    } else if reason == Reason::ConfigurationInvalid {
        ExitCode::from(2)
    } else {
        ExitCode::from(1)
    }
}

fn write(file: &Path, line: &str) -> std::io::Result<()> {
    // The file is there in a pod, mounted: it is not replaced.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(file)?;
    file.write_all(line.as_bytes())
}

/// Messages of several lines, such as all mistakes of a manifest, become one.
fn one_line(message: String) -> String {
    if message.contains('\n') { message.lines().collect::<Vec<_>>().join("; ") } else { message }
}
