//! From a manifest's path to a plan.
//!
//! Owns: which folder relative paths are relative to; mistakes that carry line and column whoever found them.
//! Never: prints.

use std::path::{Path, PathBuf};

use streamjob_crds::{Manifest, ManifestErrors, Place};
use streamjob_plan::Plan;

/// Reads, checks and compiles a manifest. The error holds everything that is wrong with it.
pub(super) fn compile(path: &Path) -> Result<Plan, ManifestErrors> {
    compile_for(path, Place::Machine).map(|(_, plan)| plan)
}

/// The same for the place where the job is to run; with the places of its fields.
pub(super) fn compile_for(path: &Path, place: Place) -> Result<(Manifest, Plan), ManifestErrors> {
    let manifest = Manifest::load_for(path, place)?;
    let mut job = manifest.job.clone();
    if place == Place::Cluster {
        // What pods read: where it names Secrets, they find files.
        job.spec = job.spec.in_pod();
    }
    match streamjob_plan::compile(&job, &folder(path)) {
        Ok(plan) => Ok((manifest, plan)),
        Err(errors) => Err(manifest.locate(&errors.0)),
    }
}

/// The absolute folder of a file that could be read.
fn folder(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).expect("the path was just read from, so it is not empty");
    path.parent().expect("a file is in a folder").to_owned()
}
