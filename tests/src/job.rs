//! Runs the command line on a manifest in a folder of its own, as a user would.
//!
//! Owns: the folder, and finding the built program.
//! Never: looks inside the process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a manifest and its input.
pub struct JobFolder {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl JobFolder {
    /// An empty folder with this manifest as `job.yaml`.
    pub fn new(manifest: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("job.yaml"), manifest)?;
        Ok(Self { folder, environment: Vec::new() })
    }

    /// The same, with more variables for all that is run in it.
    pub fn with_environment<K: Into<String>, V: Into<String>>(
        self,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self {
            environment: environment.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            ..self
        }
    }

    /// These variables.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes an input file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
        fs::write(self.path().join(name), content).with_context(|| format!("cannot write {name}"))
    }

    /// `streamjob run job.yaml` with more arguments, to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(arguments).output()?)
    }

    /// The same, which must end with exit code 0.
    pub fn run_well(&self, arguments: &[&str]) -> Result<()> {
        let output = self.run(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "streamjob run ended with {}:\n{said}", output.status);
        Ok(())
    }

    /// Starts it and does not wait.
    pub fn start(&self, arguments: &[&str]) -> Result<Child> {
        Ok(self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(streamjob());
        command.arg("run").arg(self.path().join("job.yaml")).args(arguments);
        command.stdin(Stdio::null()).envs(self.environment());
        command
    }

    /// All rows of the JSON-lines files in a folder under this one, file by file in the order of epoch and slot.
    pub fn rows(&self, folder: &str) -> Result<Vec<Value>> {
        let mut files = published(&self.path().join(folder))?;
        files.sort_by_key(|file| epoch_and_slot(file));
        let mut rows = Vec::new();
        for file in files {
            let text = fs::read_to_string(&file)?;
            for line in text.lines() {
                rows.push(serde_json::from_str(line).with_context(|| format!("{}: {line}", file.display()))?);
            }
        }
        Ok(rows)
    }
}

/// The built program; `cargo build --bin streamjob` makes it. `STREAMJOB_PROGRAM` names another one.
pub fn streamjob() -> PathBuf {
    std::env::var_os("STREAMJOB_PROGRAM").map_or_else(|| built("streamjob"), PathBuf::from)
}

/// A program of the workspace, built beside this one.
pub fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test program knows its own path");
    let built = test.parent().and_then(Path::parent).map(|folder| folder.join(name));
    let path = built.expect("test programs lie in target/<profile>/deps");
    assert!(path.exists(), "{} is missing: run `cargo build --bin {name}` first", path.display());
    path
}

fn published(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    let paths = entries.into_iter().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect())
}

/// Names are `<run>-<epoch>-<slot>.jsonl`.
fn epoch_and_slot(file: &Path) -> (u64, u64) {
    let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut parts = name.rsplitn(3, '-').map(|part| part.parse().unwrap_or(0));
    let (slot, epoch) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    (epoch, slot)
}
