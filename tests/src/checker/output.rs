//! What was published.
//!
//! Owns: that only files which an `_epoch-<n>.json` names count, and that these are as it says.
//! Never: judges a row.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::input::{Columns, Input, InputRow};
use super::{Aggregate, Difference, Kind};

/// All results and late rows.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// The folder `out`.
    pub results: Vec<ResultRow>,
    /// The folder `late`.
    pub late: Vec<LateRow>,
}

/// A result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResultRow {
    /// The epoch that published it.
    pub epoch: u64,
    /// Its key.
    pub key: Option<String>,
    /// Where the window begins.
    pub start_ms: i64,
    /// Where it ends.
    pub end_ms: i64,
    /// What it says.
    pub aggregate: Aggregate,
}

/// A late row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LateRow {
    /// The epoch that published it.
    pub epoch: u64,
    /// Its id.
    pub id: u64,
    key: Option<String>,
    sequence: u64,
    at_ms: i64,
    value: i64,
}

#[derive(Debug, Deserialize)]
struct ResultColumns {
    key: Option<String>,
    window_start: i64,
    window_end: i64,
    rows: i64,
    total: i64,
    least: u64,
    greatest: u64,
}

#[derive(Debug, Deserialize)]
struct EpochManifest {
    run: String,
    epoch: u64,
    rows: u64,
    files: Vec<FileEntry>,
}

#[derive(Debug, Deserialize)]
struct FileEntry {
    name: String,
    rows: u64,
    bytes: u64,
}

impl LateRow {
    /// The late output's form of an input row.
    pub fn of(row: &InputRow, input: &Input, epoch: u64) -> Self {
        let InputRow { id, sequence, at_ms, value, .. } = *row;
        Self { epoch, id, key: input.name_of(row.key).clone(), sequence, at_ms, value }
    }

    /// Whether it is this row of the input.
    pub(super) fn is(&self, row: &InputRow, input: &Input) -> bool {
        *self == Self::of(row, input, self.epoch)
    }
}

impl Published {
    /// Reads the folders `out` and `late` of a folder. Files that do not agree with what names them are differences.
    pub fn read(folder: &Path, found: &mut Vec<Difference>) -> Result<Self> {
        let (results, late) = (lines_of(&folder.join("out"), found)?, lines_of(&folder.join("late"), found)?);
        Ok(Self::of_lines(&results, &late, found))
    }

    /// Of results and late rows, each with its epoch.
    pub fn of_lines(results: &[(u64, String)], late: &[(u64, String)], found: &mut Vec<Difference>) -> Self {
        let mut published = Self::default();
        for (epoch, line) in results {
            let epoch = *epoch;
            let Some(columns) = columns_of::<ResultColumns>(line, epoch, found) else { continue };
            let ResultColumns { key, window_start, window_end, rows, total, least, greatest } = columns;
            let aggregate = Aggregate { rows, total, least, greatest };
            let row = ResultRow { epoch, key, start_ms: window_start, end_ms: window_end, aggregate };
            published.results.push(row);
        }
        for (epoch, line) in late {
            let epoch = *epoch;
            let Some(columns) = columns_of::<Columns>(line, epoch, found) else { continue };
            let Columns { id, key, seq, ts, value } = columns;
            published.late.push(LateRow { epoch, id, key, sequence: seq, at_ms: ts, value });
        }
        published
    }
}

/// The files of a folder that a reader may take for output, with their contents: to see that none ever changes.
pub fn file_hashes(folder: &Path) -> Result<BTreeMap<PathBuf, u128>> {
    let mut hashes = BTreeMap::new();
    for file in visible_files(folder)? {
        hashes.insert(file.clone(), streamjob_checkpoint::ids::Hash::of(&fs::read(&file)?).0);
    }
    Ok(hashes)
}

fn columns_of<T: DeserializeOwned>(line: &str, epoch: u64, found: &mut Vec<Difference>) -> Option<T> {
    match serde_json::from_str(line) {
        Ok(columns) => Some(columns),
        Err(error) => {
            let what = format!("`{line}` is no row of this job: {error}");
            found.push(Difference::new(Kind::Foreign, what).in_epochs([epoch]));
            None
        }
    }
}

/// The lines of all files that manifests name, each with its epoch.
fn lines_of(folder: &Path, found: &mut Vec<Difference>) -> Result<Vec<(u64, String)>> {
    let mut lines = Vec::new();
    let mut named: BTreeMap<String, u64> = BTreeMap::new();
    let (manifests, files): (Vec<_>, Vec<_>) =
        visible_files(folder)?.into_iter().partition(|file| name(file).starts_with("_epoch-"));
    let mut runs: Vec<String> = Vec::new();
    for path in manifests {
        let bytes = fs::read(&path)?;
        let manifest: EpochManifest =
            serde_json::from_slice(&bytes).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        if name(&path) != format!("_epoch-{}.json", manifest.epoch) {
            found.push(Difference::new(
                Kind::Files,
                format!("{} says epoch {}", path.display(), manifest.epoch),
            ));
        }
        runs.push(manifest.run);
        let sum: u64 = manifest.files.iter().map(|file| file.rows).sum();
        if sum != manifest.rows {
            found.push(Difference::new(
                Kind::Files,
                format!("{}: {sum} rows, not {}", path.display(), manifest.rows),
            ));
        }
        for entry in manifest.files {
            if let Some(other) = named.insert(entry.name.clone(), manifest.epoch) {
                let what = format!("{} is named by epochs {other} and {}", entry.name, manifest.epoch);
                found.push(Difference::new(Kind::Files, what).in_epochs([other, manifest.epoch]));
                continue;
            }
            lines.extend(
                read_file(folder, &entry, manifest.epoch, found)
                    .into_iter()
                    .map(|line| (manifest.epoch, line)),
            );
        }
    }
    runs.dedup();
    if runs.len() > 1 {
        found.push(Difference::new(Kind::Lives, format!("{} has output of {runs:?}", folder.display())));
    }
    for file in files.iter().filter(|file| !named.contains_key(&name(file))) {
        found.push(Difference::new(Kind::Files, format!("no epoch names {}", file.display())));
    }
    Ok(lines)
}

fn read_file(folder: &Path, entry: &FileEntry, epoch: u64, found: &mut Vec<Difference>) -> Vec<String> {
    let path = folder.join(&entry.name);
    let difference = |what: String| Difference::new(Kind::Files, what).in_epochs([epoch]);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            found.push(difference(format!("{}, which epoch {epoch} names: {error}", path.display())));
            return Vec::new();
        }
    };
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if (lines.len() as u64, text.len() as u64) != (entry.rows, entry.bytes) {
        let has = (lines.len(), text.len());
        found.push(difference(format!(
            "{} has {has:?} rows and bytes, {entry:?} says otherwise",
            path.display()
        )));
    }
    lines
}

/// Everything that is not hidden, sorted.
fn visible_files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files = entries.collect::<Result<Vec<_>>>()?;
    files.retain(|file| !name(file).starts_with('.'));
    files.sort();
    Ok(files)
}

fn name(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
