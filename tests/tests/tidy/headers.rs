//! Every Rust file opens with what it is, what it owns and what it never does.
//!
//! Owns: the rule for file headers.
//! Never: judges the wording.

use super::tree::{SourceFile, Tree, Violation};

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    tree.rust_files().filter_map(violation).collect()
}

fn violation(file: &SourceFile) -> Option<Violation> {
    let header: Vec<&str> =
        file.text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    if header.first().is_none_or(|line| line.is_empty()) {
        return Some(file.violation(1, "begins without `//!` and a sentence that says what the file is"));
    }
    // Test modules belong to the file beside them; a sentence is enough.
    if file.path.ends_with("/tests.rs") {
        return None;
    }
    let missing: Vec<&str> = ["Owns:", "Never:"]
        .into_iter()
        .filter(|word| !header.iter().any(|line| line.starts_with(word)))
        .collect();
    let what = format!("the header has no line `//! {} …`", missing.first()?);
    Some(file.violation(1, what))
}

#[test]
fn a_file_without_a_header_is_reported() {
    let planted = Tree::planted("core/src/a.rs", "use std::fmt;\n");

    let found = check(&planted);

    assert_eq!(found.len(), 1);
}

#[test]
fn a_header_that_does_not_say_never_is_reported() {
    let planted = Tree::planted("core/src/a.rs", "//! A thing.\n//!\n//! Owns: it.\n\nuse std::fmt;\n");

    let found = check(&planted);

    assert!(found[0].to_string().contains("Never:"), "{}", found[0]);
}

#[test]
fn a_whole_header_is_fine() {
    let planted = Tree::planted("core/src/a.rs", "//! A thing.\n//!\n//! Owns: it.\n//! Never: else.\n");

    let found = check(&planted);

    assert_eq!(found, []);
}
