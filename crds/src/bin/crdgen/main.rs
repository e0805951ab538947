//! Writes what is made from the API's types: the chart of the definitions, and the reference.
//!
//! Owns: which file holds what; `--check` compares instead of writing.
//! Never: decides what is in a definition; the library does.

mod chart;
#[cfg(test)]
mod tests;
mod yaml;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let check = env::args().any(|argument| argument == "--check");
    let mut stale = false;
    for (path, text) in files() {
        let path = root.join(path);
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        if check {
            eprintln!("{} is not what the types say: run `make generate`", path.display());
            stale = true;
        } else if let Err(error) = fs::write(&path, text) {
            eprintln!("cannot write {}: {error}", path.display());
            return ExitCode::FAILURE;
        } else {
            println!("wrote {}", path.display());
        }
    }
    if stale { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Every file, relative to the root of the project, with its text.
fn files() -> Vec<(PathBuf, String)> {
    let templates = Path::new("charts/streamjob-crds/templates");
    let mut files: Vec<(PathBuf, String)> = streamjob_crds::definitions()
        .iter()
        .map(|definition| (templates.join(chart::file_name(definition)), chart::template(definition)))
        .collect();
    files.push((Path::new("docs/api.md").to_owned(), streamjob_crds::reference()));
    files
}
