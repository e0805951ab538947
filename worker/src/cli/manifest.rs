//! From a manifest's path to a plan.
//!
//! Owns: which folder relative paths are relative to; mistakes that carry line and column whoever found them.
//! Never: prints.

use std::path::{Path, PathBuf};

use streamjob_crds::{Manifest, ManifestErrors};
use streamjob_plan::Plan;

/// Reads, checks and compiles a manifest. The error holds everything that is wrong with it.
pub(super) fn compile(path: &Path) -> Result<Plan, ManifestErrors> {
    let manifest = Manifest::load(path)?;
    streamjob_plan::compile(&manifest.job, &folder(path)).map_err(|errors| manifest.locate(&errors.0))
}

/// The absolute folder of a file that could be read.
fn folder(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).expect("the path was just read from, so it is not empty");
    path.parent().expect("a file is in a folder").to_owned()
}
