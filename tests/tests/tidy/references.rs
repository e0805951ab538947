//! Every document that a file names exists: readers follow links.
//!
//! Owns: how links in Markdown and names such as STYLE.md in any text are resolved.
//! Never: follows a link to the web.

use std::path::{Path, PathBuf};

use super::tree::{SourceFile, Tree, Violation};

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate lies in the repository");
    let mut violations = Vec::new();
    for file in tree.files() {
        for (number, line) in file.text.lines().enumerate() {
            for name in documents(line).filter(|name| !exists(tree, name)) {
                violations.push(
                    file.violation(number + 1, format!("names `{name}`, which is not in the repository")),
                );
            }
            for link in links(file, line).filter(|link| !root.join(folder(file)).join(link).exists()) {
                violations
                    .push(file.violation(number + 1, format!("links to `{link}`, which does not exist")));
            }
        }
    }
    violations
}

/// Words such as `STYLE.md`: documents are written in capitals.
fn documents(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')));
    let words = words.map(|word| word.trim_end_matches('.'));
    words.filter(|word| {
        let stem = word.strip_suffix(".md").unwrap_or_default();
        stem.len() > 1 && stem.chars().all(|c| c.is_ascii_uppercase() || matches!(c, '_' | '-'))
    })
}

fn exists(tree: &Tree, document: &str) -> bool {
    tree.files().any(|file| file.path.rsplit('/').next() == Some(document))
}

/// Targets of `[text](target)` in Markdown, without anchors; links to the web are left out.
fn links<'a>(file: &SourceFile, line: &'a str) -> impl Iterator<Item = &'a str> {
    let is_markdown = file.path.ends_with(".md");
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.map(|target| target.split('#').next().unwrap_or_default());
    targets.filter(move |target| is_markdown && !target.is_empty() && !target.contains("://"))
}

fn folder(file: &SourceFile) -> PathBuf {
    Path::new(&file.path).parent().map(Path::to_owned).unwrap_or_default()
}

#[test]
fn a_document_that_does_not_exist_is_reported() {
    let planted = Tree::planted("core/src/a.rs", concat!("//! As NOWH", "ERE.", "md says, and A.md."));

    let found = check(&planted);

    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_broken_link_is_reported_and_a_web_link_is_not() {
    let planted = Tree::planted(
        "README.md",
        "[a](nowhere/at/all) [b](https://example.com/x) [c](#here) [d](Cargo.toml)",
    );

    let found = check(&planted);

    assert_eq!(found.len(), 1, "{found:?}");
}
