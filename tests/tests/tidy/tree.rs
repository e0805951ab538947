//! The files of the repository, as the rules see them.
//!
//! Owns: which files count; reading them.
//! Never: judges one.

use std::fmt;
use std::path::Path;

/// The text files of the repository, sorted by path.
pub(super) struct Tree {
    files: Vec<SourceFile>,
}

/// A text file.
pub(super) struct SourceFile {
    /// From the root of the repository, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// A broken rule.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Violation {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

impl Tree {
    /// Everything in the repository but build products, hidden folders and data.
    pub(super) fn of_this_repository() -> Self {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate lies in the repository");
        let mut files = Vec::new();
        collect(root, root, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(files.len() > 20, "the tree is read: {} files found under {}", files.len(), root.display());
        Self { files }
    }

    /// A tree made of one file, to plant a violation in.
    pub(super) fn planted(path: &str, text: &str) -> Self {
        Self { files: vec![SourceFile { path: path.to_owned(), text: text.to_owned() }] }
    }

    /// The same with one file more.
    pub(super) fn and(mut self, path: &str, text: &str) -> Self {
        self.files.push(SourceFile { path: path.to_owned(), text: text.to_owned() });
        self
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    pub(super) fn rust_files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }
}

impl SourceFile {
    /// The syntax tree.
    pub(super) fn syntax(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|error| panic!("{} is not Rust: {error}", self.path))
    }

    /// Only tests are in it.
    pub(super) fn is_test(&self) -> bool {
        self.path.starts_with("tests/tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
    }

    pub(super) fn violation(&self, line: usize, what: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, what: what.into() }
    }
}

/// True for `#[cfg(test)]`.
pub(super) fn is_cfg_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|argument| argument.is_ident("test"))
    })
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder that could be opened can be listed").path();
        let name = path.file_name().expect("entries have names").to_string_lossy().into_owned();
        if path.is_dir() {
            if !is_skipped(&name) {
                collect(root, &path, files);
            }
        } else if is_text(&name) {
            let relative =
                path.strip_prefix(root).expect("found under the root").to_string_lossy().replace('\\', "/");
            // Files that vanish meanwhile belong to someone who is at work here.
            if let Ok(text) = std::fs::read_to_string(&path) {
                files.push(SourceFile { path: relative, text });
            }
        }
    }
}

fn is_skipped(folder: &str) -> bool {
    matches!(folder, "target" | "data" | "out" | "late" | "snapshots" | "proptest-regressions")
        || (folder.starts_with('.') && folder != ".ci" && folder != ".github")
}

fn is_text(name: &str) -> bool {
    let known = [".rs", ".md", ".toml", ".yaml", ".yml", ".py", ".sh"];
    known.iter().any(|ending| name.ends_with(ending))
        || matches!(name, "Makefile" | "setup" | "run" | "demo" | "fetch" | "Dockerfile")
}
