//! The core decides and computes; others read, write and look at the clock.
//!
//! Owns: which parts of the standard library the core may not name.
//! Never: looks at tests.

use syn::visit::{self, Visit};

use super::tree::{Tree, Violation, is_cfg_test};

const PURE: &[&str] = &["worker/core/src/"];
const IMPURE: &[&str] = &["fs", "net", "thread", "process", "env", "io"];
const CLOCKS: &[&str] = &["Instant", "SystemTime"];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let pure = tree.rust_files().filter(|file| PURE.iter().any(|begin| file.path.starts_with(begin)));
    let mut violations = Vec::new();
    for file in pure.filter(|file| !file.is_test()) {
        let mut seen = Seen { found: Vec::new() };
        seen.visit_file(&file.syntax());
        let found = seen.found.into_iter();
        violations.extend(found.map(|(line, name)| {
            file.violation(
                line,
                format!("names `{name}`: this crate does no I/O and reads no clock; take it as an argument"),
            )
        }));
    }
    violations
}

struct Seen {
    found: Vec<(usize, String)>,
}

impl Seen {
    fn judge(&mut self, first: &str, second: &syn::Ident) {
        let name = second.to_string();
        let impure = first == "std" && IMPURE.contains(&name.as_str());
        if impure || CLOCKS.contains(&name.as_str()) {
            self.found.push((second.span().start().line, format!("{first}::{name}")));
        }
    }

    fn judge_use(&mut self, first: &str, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                self.judge(first, &path.ident);
                self.judge_use(&path.ident.to_string(), &path.tree);
            }
            syn::UseTree::Name(name) => self.judge(first, &name.ident),
            syn::UseTree::Rename(name) => self.judge(first, &name.ident),
            syn::UseTree::Glob(_) => {}
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.judge_use(first, item)),
        }
    }
}

impl<'ast> Visit<'ast> for Seen {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_cfg_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.judge_use("", &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let pairs = path.segments.iter().zip(path.segments.iter().skip(1));
        pairs.for_each(|(first, second)| self.judge(&first.ident.to_string(), &second.ident));
        visit::visit_path(self, path);
    }
}

#[test]
fn a_core_that_opens_a_file_or_reads_the_clock_is_reported() {
    let spellings = [
        "use std::fs::File;",
        "use std::{fmt, net};",
        "fn f() { std::thread::yield_now(); }",
        "use std::time::Instant;",
        "fn f() -> u64 { std::time::SystemTime::now() }",
    ];
    for spelling in spellings {
        let found = check(&Tree::planted("worker/core/src/a.rs", spelling));

        assert_eq!(found.len(), 1, "{spelling}: {found:?}");
    }
}

#[test]
fn tests_of_the_core_and_other_crates_may() {
    let planted = Tree::planted("worker/core/src/a.rs", "#[cfg(test)] mod tests { use std::time::Instant; }")
        .and("worker/src/b.rs", "use std::fs;");

    let found = check(&planted);

    assert_eq!(found, []);
}
