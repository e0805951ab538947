//! Tests of what is written: it is as committed, and reads back as the definitions.
//!
//! Owns: the comparison with the files of the project.
//! Never: writes one.

use std::fs;
use std::path::Path;

use super::{files, yaml};

#[test]
fn what_is_committed_is_what_the_types_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");

    for (path, text) in files() {
        let found = fs::read_to_string(root.join(&path)).unwrap_or_default();
        assert!(found == text, "{} is not what the types say: run `make generate`", path.display());
    }
}

#[test]
fn a_definition_reads_back_as_it_was_written() {
    for definition in streamjob_crds::definitions() {
        let text = yaml::block(&definition, 0);

        let read: serde_json::Value = serde_yaml::from_str(&text).expect("it is YAML");

        assert_eq!(read, definition);
    }
}
