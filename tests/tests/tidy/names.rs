//! One word per idea: a module is named after what it is about.
//!
//! Owns: the names that say nothing.
//! Never: looks at names of functions and types.

use super::tree::{Tree, Violation};

const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "manager", "managers", "helper", "helpers", "misc", "shared", "base", "stuff",
];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust_files() {
        for part in file.path.trim_end_matches(".rs").split('/') {
            violations.extend(is_empty(part).then(|| file.violation(1, what(part))));
        }
        for (number, line) in file.text.lines().enumerate() {
            let declared = line.trim().trim_start_matches("pub ").strip_prefix("mod ");
            let name = declared.and_then(|rest| rest.strip_suffix(" {"));
            violations.extend(
                name.filter(|name| is_empty(name)).map(|name| file.violation(number + 1, what(name))),
            );
        }
    }
    violations
}

fn is_empty(name: &str) -> bool {
    let mut words = name.split('_');
    EMPTY_NAMES.contains(&name) || words.any(|word| matches!(word, "utils" | "util" | "helpers" | "manager"))
}

fn what(name: &str) -> String {
    format!("`{name}` says nothing: name the module after the idea it owns")
}

#[test]
fn a_file_folder_or_module_with_an_empty_name_is_reported() {
    let planted = Tree::planted("core/src/utils.rs", "")
        .and("core/src/common/a.rs", "")
        .and("core/src/b.rs", "mod helpers {\n}\n")
        .and("core/src/time_utils.rs", "");

    let found = check(&planted);

    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn other_names_are_fine() {
    let planted = Tree::planted("core/src/watermark.rs", "mod tests {\n}\n");

    let found = check(&planted);

    assert_eq!(found, []);
}
