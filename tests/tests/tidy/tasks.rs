//! Every thread and task has an owner that notices its end.
//!
//! Owns: how a handle that is dropped at once is recognised.
//! Never: follows a handle further than the statement that made it.

// The expressions of Rust are forty and not ours; only a few of them can be a handle.
#![allow(clippy::wildcard_enum_match_arm)]

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::tree::{Tree, Violation};

/// Receivers whose `spawn` needs no handle: they join what they started themselves.
const OWNERS: &[&str] = &["scope", "tasks"];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust_files() {
        let mut dropped = Dropped { lines: Vec::new() };
        dropped.visit_file(&file.syntax());
        violations.extend(dropped.lines.into_iter().map(|line| {
            file.violation(line, "starts a thread, task or process and drops its handle: keep it and join it")
        }));
    }
    violations
}

struct Dropped {
    lines: Vec<usize>,
}

impl<'ast> Visit<'ast> for Dropped {
    fn visit_stmt(&mut self, statement: &'ast syn::Stmt) {
        let dropped = match statement {
            syn::Stmt::Expr(value, Some(_)) => Some(value),
            syn::Stmt::Local(local) if matches!(local.pat, syn::Pat::Wild(_)) => {
                local.init.as_ref().map(|init| init.expr.as_ref())
            }
            syn::Stmt::Local(_) | syn::Stmt::Item(_) | syn::Stmt::Expr(..) | syn::Stmt::Macro(_) => None,
        };
        if dropped.is_some_and(spawns) {
            self.lines.push(statement.span().start().line);
        }
        visit::visit_stmt(self, statement);
    }
}

/// The value of the expression is a fresh handle.
fn spawns(value: &syn::Expr) -> bool {
    match value {
        syn::Expr::Try(inner) => spawns(&inner.expr),
        syn::Expr::MethodCall(call)
            if matches!(call.method.to_string().as_str(), "expect" | "unwrap" | "ok") =>
        {
            spawns(&call.receiver)
        }
        syn::Expr::MethodCall(call) => is_spawn(&call.method) && !is_owner(&call.receiver),
        syn::Expr::Call(call) => match call.func.as_ref() {
            syn::Expr::Path(function) => {
                let name = &function.path.segments.last().expect("a path has a segment").ident;
                is_spawn(name) || (name == "drop" && call.args.iter().any(spawns))
            }
            _ => false,
        },
        _ => false,
    }
}

fn is_spawn(name: &syn::Ident) -> bool {
    ["spawn", "spawn_blocking", "spawn_local"].iter().any(|known| name == known)
}

fn is_owner(receiver: &syn::Expr) -> bool {
    let name = match receiver {
        syn::Expr::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        syn::Expr::Field(field) => match &field.member {
            syn::Member::Named(name) => Some(name.to_string()),
            syn::Member::Unnamed(_) => None,
        },
        _ => None,
    };
    name.is_some_and(|name| OWNERS.contains(&name.as_str()))
}

#[test]
fn a_handle_that_is_dropped_is_reported_however_it_is_dropped() {
    let spellings = [
        "std::thread::spawn(work);",
        "tokio::spawn(async {});",
        "let _ = thread::spawn(work);",
        "drop(tokio::task::spawn_blocking(work));",
        "thread::Builder::new().name(name).spawn(work).expect(\"threads can be started\");",
        "if x { runtime.spawn(work()); }",
        "Command::new(\"ls\").spawn()?;",
    ];
    for spelling in spellings {
        let found = check(&Tree::planted("worker/src/a.rs", &format!("fn f() {{ {spelling} }}")));

        assert_eq!(found.len(), 1, "{spelling}: {found:?}");
    }
}

#[test]
fn a_handle_that_is_kept_or_owned_by_a_scope_is_fine() {
    let text = "fn f() { let h = thread::spawn(work); scope.spawn(|| work()); self.tasks.spawn(work()); hs.push(thread::spawn(w)); }";

    let found = check(&Tree::planted("worker/src/a.rs", text));

    assert_eq!(found, []);
}
