//! Finds out whether a job runs.
//!
//! Owns: where its socket is.
//! Never: asks it for anything that would change it.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use streamjob_plan::Plan;

/// Where a running job listens.
pub(super) fn socket(plan: &Plan) -> PathBuf {
    plan.manifest_folder.join(".streamjob").join(&plan.job).join("control.sock")
}

/// Whether a job of this manifest runs on this machine: it listens.
pub(super) fn is_running(plan: &Plan) -> bool {
    UnixStream::connect(socket(plan)).is_ok()
}
