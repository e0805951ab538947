//! Nothing is left open, and no line names a machine, a registry or where the work was done.
//!
//! Owns: the words that may not stand in the repository.
//! Never: holds them in one piece, or it would find itself.

use super::tree::{Tree, Violation};

/// What is searched, where (all files or Rust only), and why.
struct Word {
    text: &'static str,
    only_rust: bool,
    why: &'static str,
}

const OPEN: &str = "is left open: finish it or remove it";
const REGISTRY: &str = "names a registry: leave that to the settings of apt, cargo, pip, go and maven";
const MACHINE: &str = "names a path that only one machine has";

const WORDS: &[Word] = &[
    rust(concat!("tod", "o!("), OPEN),
    rust(concat!("unimpl", "emented!("), OPEN),
    rust(
        concat!("#[ign", "ore"),
        "a test that never runs proves nothing: make it fit, or run it in `make test-long`",
    ),
    any(concat!("FIX", "ME"), OPEN),
    any(concat!("XX", "X "), OPEN),
    any(concat!("/ro", "ot/"), MACHINE),
    any(concat!("/wo", "rk/"), MACHINE),
    any(concat!("/fa", "rm/"), MACHINE),
    any(concat!("/ho", "me/"), MACHINE),
    any(concat!("/Us", "ers/"), MACHINE),
    any(concat!("../sh", "ared"), MACHINE),
    any(concat!("crates", ".io"), REGISTRY),
    any(concat!("pypi", ".org"), REGISTRY),
    any(concat!("python", "hosted"), REGISTRY),
    any(concat!("proxy.go", "lang"), REGISTRY),
    any(concat!("repo1.ma", "ven"), REGISTRY),
    any(concat!("npm", "js"), REGISTRY),
    any(concat!("deb.deb", "ian"), REGISTRY),
    any(concat!("gh", "cr.io"), REGISTRY),
    any(concat!("dock", "er.io"), REGISTRY),
    any(concat!("qu", "ay.io"), REGISTRY),
];

const fn rust(text: &'static str, why: &'static str) -> Word {
    Word { text, only_rust: true, why }
}

const fn any(text: &'static str, why: &'static str) -> Word {
    Word { text, only_rust: false, why }
}

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.files() {
        let is_rust = file.path.ends_with(".rs");
        for (number, line) in file.text.lines().enumerate() {
            let words = WORDS.iter().filter(|word| (is_rust || !word.only_rust) && line.contains(word.text));
            violations.extend(
                words.map(|word| file.violation(number + 1, format!("`{}` {}", word.text, word.why))),
            );
            if names_a_ticket(line) {
                violations.push(file.violation(number + 1, "names a ticket: say what it is about instead"));
            }
        }
    }
    violations
}

/// The word and a number, with or without `#`: whoever reads the code may not have the tracker.
fn names_a_ticket(line: &str) -> bool {
    let lower = line.to_lowercase();
    let mut after = lower.match_indices(concat!("iss", "ue ")).map(|(at, word)| &lower[at + word.len()..]);
    after.any(|rest| rest.trim_start_matches('#').starts_with(|first: char| first.is_ascii_digit()))
}

#[test]
fn every_word_is_reported_where_it_counts() {
    for word in WORDS {
        let line = format!("// see {} there\n", word.text);
        let in_text = usize::from(!word.only_rust);

        let found = [
            check(&Tree::planted("core/src/a.rs", &line)).len(),
            check(&Tree::planted("core/README.md", &line)).len(),
        ];

        assert_eq!(found, [1, in_text], "{}", word.text);
    }
}

#[test]
fn a_ticket_is_reported_and_the_plain_word_is_not() {
    let planted = Tree::planted("core/src/a.rs", concat!("// fixes iss", "ue #12\n// an issue of trust\n"));

    let found = check(&planted);

    assert_eq!(found.len(), 1, "{found:?}");
}
