//! 400 lines a file, 70 a function, 5 parameters; what is larger today is listed and may only shrink.
//!
//! Owns: the limits, and how the list of exceptions (`tests/tests/tidy/larger.txt`) is read.
//! Never: writes that list.

use std::collections::BTreeMap;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::tree::{SourceFile, Tree, Violation};

const LARGER: &str = include_str!("larger.txt");
const LINES_OF_A_FILE: usize = 400;
const LINES_OF_A_FUNCTION: usize = 70;
const PARAMETERS: usize = 5;

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    check_against(tree, LARGER)
}

fn check_against(tree: &Tree, larger: &str) -> Vec<Violation> {
    let mut exceptions = read_exceptions(larger);
    let mut violations = Vec::new();
    for file in tree.rust_files() {
        for size in sizes_of(file) {
            let allowed = exceptions.remove(&size.name(file));
            violations.extend(size.violation(file, allowed));
        }
    }
    let list = SourceFile { path: "tests/tests/tidy/larger.txt".to_owned(), text: String::new() };
    for (name, _) in exceptions {
        violations.push(list.violation(1, format!("`{name}` is small now or gone: remove its line")));
    }
    violations
}

/// Something that is larger than its limit.
struct Size {
    kind: &'static str,
    item: String,
    line: usize,
    found: usize,
    limit: usize,
}

impl Size {
    fn name(&self, file: &SourceFile) -> String {
        let item = if self.item.is_empty() { String::new() } else { format!("::{}", self.item) };
        format!("{} {}{item}", self.kind, file.path)
    }

    fn violation(&self, file: &SourceFile, allowed: Option<usize>) -> Option<Violation> {
        let Self { kind, item, line, found, limit } = self;
        let subject = if item.is_empty() { "the file".to_owned() } else { format!("`{item}`") };
        let what = match allowed {
            Some(allowed) if allowed == *found => return None,
            Some(allowed) if allowed > *found => {
                format!("{subject} shrank to {found} {kind}: write that into larger.txt, so that it stays")
            }
            Some(allowed) => {
                format!("{subject} grew from {allowed} to {found} {kind}; exceptions only shrink")
            }
            None => format!(
                "{subject} has {found} {kind}, the limit is {limit}: find the idea that wants its own name"
            ),
        };
        Some(file.violation(*line, what))
    }
}

/// `kind path[::item] size`, one a line; `#` begins a comment.
fn read_exceptions(text: &str) -> BTreeMap<String, usize> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, size) =
                line.rsplit_once(' ').unwrap_or_else(|| panic!("larger.txt: no size in `{line}`"));
            let size =
                size.parse().unwrap_or_else(|_| panic!("larger.txt: `{size}` is not a number in `{line}`"));
            (name.to_owned(), size)
        })
        .collect()
}

fn sizes_of(file: &SourceFile) -> Vec<Size> {
    let mut found = Functions { sizes: Vec::new() };
    found.visit_file(&file.syntax());
    let lines = file.text.lines().count();
    if lines > LINES_OF_A_FILE {
        let limit = LINES_OF_A_FILE;
        found.sizes.push(Size { kind: "lines", item: String::new(), line: 1, found: lines, limit });
    }
    found.sizes
}

/// Functions and methods that are too large.
struct Functions {
    sizes: Vec<Size>,
}

impl Functions {
    fn measure(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let line = signature.span().start().line;
        let item = signature.ident.to_string();
        let lines = body.span().end().line - line + 1;
        if lines > LINES_OF_A_FUNCTION {
            let limit = LINES_OF_A_FUNCTION;
            self.sizes.push(Size { kind: "lines", item: item.clone(), line, found: lines, limit });
        }
        let parameters =
            signature.inputs.iter().filter(|input| matches!(input, syn::FnArg::Typed(_))).count();
        if parameters > PARAMETERS {
            self.sizes.push(Size { kind: "parameters", item, line, found: parameters, limit: PARAMETERS });
        }
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, method: &'ast syn::ImplItemFn) {
        self.measure(&method.sig, &method.block);
        visit::visit_impl_item_fn(self, method);
    }

    fn visit_trait_item_fn(&mut self, method: &'ast syn::TraitItemFn) {
        if let Some(body) = &method.default {
            self.measure(&method.sig, body);
        }
        visit::visit_trait_item_fn(self, method);
    }
}

#[cfg(test)]
fn function_of(lines: usize) -> String {
    format!("fn long() {{\n{}}}\n", "    work();\n".repeat(lines - 2))
}

#[test]
fn a_long_function_is_reported_with_its_length() {
    let planted = Tree::planted("core/src/a.rs", &function_of(71));

    let found = check_against(&planted, "");

    assert!(found[0].to_string().contains("`long` has 71 lines"), "{}", found[0]);
}

#[test]
fn a_function_of_70_lines_and_5_parameters_beside_self_is_fine() {
    let planted = Tree::planted("core/src/a.rs", &function_of(70))
        .and("core/src/b.rs", "impl A { fn f(&self, a: u8, b: u8, c: u8, d: u8, e: u8) {} }");

    let found = check_against(&planted, "");

    assert_eq!(found, []);
}

#[test]
fn a_sixth_parameter_and_a_long_file_are_reported() {
    let planted = Tree::planted("core/src/a.rs", &"\n".repeat(401))
        .and("core/src/b.rs", "fn f(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {}");

    let found = check_against(&planted, "");

    assert_eq!(found.len(), 2);
}

#[test]
fn an_exception_may_neither_grow_nor_linger() {
    let planted = Tree::planted("core/src/a.rs", &function_of(80));

    let same = check_against(&planted, "lines core/src/a.rs::long 80");
    let grown = check_against(&planted, "lines core/src/a.rs::long 79");
    let shrunk = check_against(&planted, "lines core/src/a.rs::long 81");
    let gone = check_against(&planted, "lines core/src/a.rs::long 80\nlines core/src/b.rs 500");

    assert_eq!(same, []);
    assert!(grown[0].to_string().contains("only shrink"), "{}", grown[0]);
    assert!(shrunk[0].to_string().contains("shrank to 80"), "{}", shrunk[0]);
    assert!(gone[0].to_string().contains("remove its line"), "{}", gone[0]);
}
