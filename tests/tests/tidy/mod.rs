//! Keeps the rules of STYLE.md that a program can keep.
//!
//! Owns: which rule looks at which files. Each rule lives in a module of its own, beside a test that it sees a planted
//! violation.
//! Never: repeats what rustc and clippy already refuse (undocumented public items, `_ =>` over our enums).

mod arrows;
mod headers;
mod names;
mod purity;
mod references;
mod sizes;
mod tasks;
mod tree;
mod words;

use tree::{Tree, Violation};

/// Fails with every violation at once, sorted, each on a line that an editor can jump to.
fn report(mut violations: Vec<Violation>) {
    violations.sort();
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} violations of STYLE.md:\n  {}\n", lines.len(), lines.join("\n  "));
}

#[test]
fn every_file_says_what_it_owns_and_what_it_never_does() {
    report(headers::check(&Tree::of_this_repository()));
}

#[test]
fn files_functions_and_parameter_lists_stay_small() {
    report(sizes::check(&Tree::of_this_repository()));
}

#[test]
fn crates_and_stages_import_only_what_they_may() {
    let tree = Tree::of_this_repository();
    let mut violations = arrows::check_crates(&arrows::members());
    violations.extend(arrows::check_stages(&tree));
    violations.extend(arrows::check_durability(&tree));
    report(violations);
}

#[test]
fn the_core_does_no_io_and_reads_no_clock() {
    report(purity::check(&Tree::of_this_repository()));
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    report(names::check(&Tree::of_this_repository()));
}

#[test]
fn nothing_is_left_open_and_no_line_names_a_machine_or_a_registry() {
    report(words::check(&Tree::of_this_repository()));
}

#[test]
fn every_document_that_is_named_exists() {
    report(references::check(&Tree::of_this_repository()));
}

#[test]
fn no_task_is_started_and_forgotten() {
    report(tasks::check(&Tree::of_this_repository()));
}
