//! Which crate may import which, and that no stage of the pipeline imports another.
//!
//! Owns: the table of allowed arrows; ARCHITECTURE.md tells the same to people.
//! Never: looks at what a crate does with an import.

use std::process::Command;

use syn::visit::{self, Visit};

use super::tree::{SourceFile, Tree, Violation};

/// A crate of the workspace and the crates of the workspace that it may import.
const CRATES: &[(&str, &[&str])] = &[
    ("streamjob-crds", &[]),
    ("streamjob-core", &[]),
    ("streamjob-checkpoint", &["streamjob-core"]),
    ("streamjob-plan", &["streamjob-core", "streamjob-crds"]),
    ("streamjob-fetch", &[]),
    (
        "streamjob-worker",
        &["streamjob-core", "streamjob-checkpoint", "streamjob-plan", "streamjob-crds", "streamjob-fetch"],
    ),
    ("streamjob-operator", &["streamjob-crds", "streamjob-plan"]),
    (
        "streamjob-tests",
        &[
            "streamjob-core",
            "streamjob-checkpoint",
            "streamjob-crds",
            "streamjob-plan",
            "streamjob-operator",
            "streamjob-worker",
        ],
    ),
];

/// Crates from outside that only these crates of ours may import.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("datafusion", &["streamjob-plan"]),
    ("tokio", &["streamjob-checkpoint", "streamjob-operator", "streamjob-worker", "streamjob-tests"]),
    ("object_store", &["streamjob-checkpoint", "streamjob-worker", "streamjob-tests"]),
    ("axum", &["streamjob-operator", "streamjob-worker", "streamjob-tests"]),
    ("clap", &["streamjob-operator", "streamjob-worker", "streamjob-tests"]),
    ("anyhow", &["streamjob-operator", "streamjob-worker", "streamjob-tests"]),
    // The API's crate takes the derive and the types, never the client.
    ("kube", &["streamjob-crds", "streamjob-operator", "streamjob-tests"]),
];

/// The stages of `pipeline/`. What else lies there is vocabulary that all stages share, and imports none of them.
const STAGES: &[&str] =
    &["source", "decode", "transform", "preaggregate", "exchange", "window", "encode", "sink"];

/// Arrows between stages that exist on purpose, each with its reason.
const STAGE_ARROWS: &[(&str, &str)] = &[
    // A reader hands out decoded rows: they are decoded in place, in the reader's own buffer.
    ("source", "decode"),
    // A sink hands its files encoded rows.
    ("sink", "encode"),
];

/// A crate of the workspace and all it depends on.
pub(super) struct Member {
    name: String,
    dependencies: Vec<String>,
}

/// The members as cargo sees them.
pub(super) fn members() -> Vec<Member> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .output()
        .expect("cargo runs this test, so it can be run");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let names = |value: &serde_json::Value| -> Vec<String> {
        let list = value.as_array().expect("a list of dependencies").iter();
        list.map(|entry| entry["name"].as_str().expect("every package has a name").to_owned()).collect()
    };
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages
        .iter()
        .map(|package| Member {
            name: package["name"].as_str().expect("every package has a name").to_owned(),
            dependencies: names(&package["dependencies"]),
        })
        .collect()
}

pub(super) fn check_crates(members: &[Member]) -> Vec<Violation> {
    let file = SourceFile { path: "Cargo.toml".to_owned(), text: String::new() };
    let mut violations = Vec::new();
    for member in members {
        let name = &member.name;
        let Some((_, allowed)) = CRATES.iter().find(|(known, _)| known == name) else {
            let what =
                format!("{name} is new: say what it may import in tidy/arrows.rs and in ARCHITECTURE.md");
            violations.push(file.violation(1, what));
            continue;
        };
        for dependency in &member.dependencies {
            let ours = dependency.starts_with("streamjob-");
            let outside = OUTSIDE.iter().find(|(begin, _)| dependency.starts_with(begin));
            let refused = (ours && !allowed.contains(&dependency.as_str()))
                || outside.is_some_and(|(_, importers)| !importers.contains(&name.as_str()));
            if refused {
                let what = format!("{name} may not import {dependency}: see the arrows in ARCHITECTURE.md");
                violations.push(file.violation(1, what));
            }
        }
    }
    violations
}

const PIPELINE: &str = "worker/src/pipeline/";

/// `durability/` takes and gives frozen state and bytes; it knows no stage, and not what runs it.
const DURABILITY: &str = "worker/src/durability/";

pub(super) fn check_durability(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust_files().filter(|file| file.path.starts_with(DURABILITY)) {
        let mut paths = Paths { module: module_of(&file.path), found: Vec::new() };
        paths.visit_file(&file.syntax());
        for (path, line) in paths.found {
            let top = path.first().map_or("", String::as_str);
            if matches!(top, "pipeline" | "runtime" | "admin" | "cli") {
                violations.push(
                    file.violation(line, format!("`durability` imports `{top}`; runtime connects them")),
                );
            }
        }
    }
    violations
}

/// Stages of `pipeline/` import neither each other nor what runs them.
pub(super) fn check_stages(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in tree.rust_files() {
        let Some(own) = module_in_pipeline(&file.path) else { continue };
        let mut paths = Paths { module: module_of(&file.path), found: Vec::new() };
        paths.visit_file(&file.syntax());
        for (path, line) in paths.found {
            let Some(target) = refused_target(&path, own) else { continue };
            let what =
                format!("`pipeline/{own}` imports `{target}`; only runtime/wiring knows several stages");
            violations.push(file.violation(line, what));
        }
    }
    violations.dedup();
    violations
}

fn refused_target<'a>(path: &'a [String], own: &str) -> Option<&'a str> {
    let top = path.first()?.as_str();
    if matches!(top, "runtime" | "durability" | "admin") {
        return Some(top);
    }
    let target = path.get(1)?.as_str();
    let foreign = top == "pipeline" && target != own && STAGES.contains(&target);
    (foreign && !STAGE_ARROWS.contains(&(own, target))).then_some(target)
}

/// `worker/src/pipeline/sink/files.rs` lies in `sink`; `pipeline/mod.rs`, which declares them all, in none.
fn module_in_pipeline(path: &str) -> Option<&str> {
    let module = path.strip_prefix(PIPELINE)?.split('/').next()?.trim_end_matches(".rs");
    (module != "mod" && module != "tests").then_some(module)
}

/// The module that a file of the worker is, from the crate's root.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.trim_start_matches("worker/src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inside.split('/').map(str::to_owned).collect()
}

/// All paths into this crate, from its root, with the line they stand on.
struct Paths {
    module: Vec<String>,
    found: Vec<(Vec<String>, usize)>,
}

impl Paths {
    fn add(&mut self, segments: &[String], line: usize) {
        let mut path = match segments.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            _ => return,
        };
        for segment in segments {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => {
                    path.pop();
                }
                name => path.push(name.to_owned()),
            }
        }
        self.found.push((path, line));
    }

    fn add_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_use(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.add(&with(&name.ident), name.ident.span().start().line),
            syn::UseTree::Rename(name) => self.add(&with(&name.ident), name.ident.span().start().line),
            syn::UseTree::Glob(glob) => self.add(before, glob.star_token.spans[0].start().line),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.add_use(item, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments, path.segments[0].ident.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }
}

#[cfg(test)]
fn member(name: &str, dependencies: &[&str]) -> Member {
    Member { name: name.to_owned(), dependencies: dependencies.iter().map(|&name| name.to_owned()).collect() }
}

#[test]
fn an_arrow_against_the_table_is_reported() {
    let planted = [
        member("streamjob-core", &["arrow", "streamjob-crds"]),
        member("streamjob-worker", &["datafusion-sql"]),
    ];

    let found = check_crates(&planted);

    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_crate_that_is_not_in_the_table_is_reported() {
    let found = check_crates(&[member("streamjob-extra", &[])]);

    assert!(found[0].to_string().contains("streamjob-extra is new"), "{}", found[0]);
}

#[test]
fn a_stage_that_imports_another_is_reported_however_it_is_spelt() {
    let spellings = [
        "use crate::pipeline::sink::Sink;",
        "use crate::pipeline::{sink::Sink, Batch};",
        "use super::super::sink;",
        "fn f() { crate::pipeline::sink::open(); }",
        "mod tests { use super::super::super::sink::Sink; }",
        "use crate::runtime::Clock;",
    ];
    for spelling in spellings {
        let planted = Tree::planted("worker/src/pipeline/sink/mod.rs", "use super::Batch;")
            .and("worker/src/pipeline/source/files.rs", spelling);

        let found = check_stages(&planted);

        assert_eq!(found.len(), 1, "{spelling}: {found:?}");
    }
}

#[test]
fn a_stage_may_import_itself_and_what_all_stages_share() {
    let planted =
        Tree::planted("worker/src/pipeline/sink/mod.rs", "use super::Batch; use self::files::Files;")
            .and("worker/src/pipeline/sink/files.rs", "use super::Sink; use crate::pipeline::Batch;");

    let found = check_stages(&planted);

    assert_eq!(found, []);
}
