//! Where a running job listens.
//!
//! Owns: the folder of its socket.
//! Never: asks it for anything.

use std::path::PathBuf;

use streamjob_plan::Plan;

use crate::runtime::control;

/// The job's folder beside the manifest.
pub(super) fn folder(plan: &Plan) -> PathBuf {
    plan.manifest_folder.join(".streamjob").join(&plan.job)
}

/// The socket, for messages.
pub(super) fn socket(plan: &Plan) -> PathBuf {
    folder(plan).join("control.sock")
}

/// Whether a job of this manifest runs: here it listens. `None`: it does not, but its state is in a store, and then it
/// may run elsewhere.
pub(super) fn is_running(plan: &Plan) -> Option<bool> {
    let listens = control::is_listening(&folder(plan));
    (listens || plan.state.location.folder().is_some()).then_some(listens)
}
