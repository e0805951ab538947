//! The examples are right: what users copy must work.
//!
//! Owns: reading and compiling every manifest in `examples/`.
//! Never: runs one; `make test` runs the flights and compares them with DuckDB.

use std::fs;
use std::path::{Path, PathBuf};

use streamjob_crds::{Manifest, Place};

#[test]
fn every_example_compiles() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let manifests = manifests_in(&examples);
    assert!(manifests.len() >= 4, "the examples are found: {manifests:?}");

    for manifest in manifests {
        let place = if manifest.ends_with("cluster.yaml") { Place::Cluster } else { Place::Machine };
        let mut job = Manifest::load_for(&manifest, place).unwrap_or_else(|error| panic!("{error}")).job;
        if place == Place::Cluster {
            job.spec = job.spec.in_pod();
        }
        let folder = manifest.parent().expect("a manifest lies in a folder");

        let plan = streamjob_plan::compile(&job, folder);

        assert!(plan.is_ok(), "{}: {}", manifest.display(), plan.expect_err("it is an error"));
    }
}

fn manifests_in(examples: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).expect("examples can be listed").flatten();
    let folders = entries(examples).map(|entry| entry.path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| entries(&folder)).map(|entry| entry.path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect()
}
