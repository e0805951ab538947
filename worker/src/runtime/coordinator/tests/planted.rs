//! Bugs planted in the coordinator turn its tests red.
//!
//! Owns: which test catches which bug.
//! Never: plants one in this process: the other tests run in it, too.

use std::process::Command;

/// A bug, and the test beside this one that catches it.
const CAUGHT_BY: [(&str, &str); 2] = [
    ("stale-generation-ack", "an_answer_of_another_attempt_counts_for_nothing"),
    (
        "publish-before-commit",
        "an_epoch_is_committed_then_published_then_listed_and_only_then_the_next_begins",
    ),
];

/// Whether a test passes with a planted bug, or none.
fn passes(test: &str, bug: &str) -> bool {
    let tests = module_path!().trim_end_matches("::planted");
    let (_, tests) = tests.split_once("::").expect("a module lies in a crate");
    let program = std::env::current_exe().expect("a test program knows its own path");
    let mut command = Command::new(program);
    command.args(["--exact", &format!("{tests}::{test}")]).env("STREAMJOB_PLANTED_BUG", bug);
    let output = command.output().expect("it can be started again");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("running 1 test"), "{test}: {said}");
    output.status.success()
}

#[test]
fn bugs_planted_in_the_coordinator_are_caught() {
    for (bug, test) in CAUGHT_BY {
        assert!(passes(test, ""), "{test} without a bug");

        assert!(!passes(test, bug), "{test} does not catch {bug}");
    }
}
