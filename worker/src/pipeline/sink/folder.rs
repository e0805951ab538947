//! The folder of a files target, as a whole.
//!
//! Owns: whose folder it is, and the `_epoch-<n>.json` that says an epoch is complete.
//! Never: touches a file that another run has written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use streamjob_checkpoint::fail_point;

use super::{PublishedFile, SinkError};

const PART_SUFFIX: &str = ".part";

/// What `_epoch-<n>.json` holds.
#[derive(Debug, Serialize)]
struct EpochManifest<'a> {
    run: &'a str,
    epoch: u64,
    rows: u64,
    files: &'a [PublishedFile],
}

#[derive(Debug, Deserialize)]
struct ManifestOwner {
    run: String,
}

/// Whose a file in a folder is.
#[derive(Debug, Eq, PartialEq)]
enum Owner {
    /// Written by this run, under its final name.
    Ours,
    /// A temporary file of this run: what is left of a process that died.
    OursUnfinished,
    /// Output of another run or another program.
    Foreign,
    /// Nothing that would be taken for output.
    Nobody,
}

/// Makes the folder this run's: creates it, refuses it if it holds output of another run, removes what this
/// run has left unfinished. `formerly`: runs that this one goes on from, whose output may stay.
///
/// Only files that a reader of the folder would take for output count: JSON lines, CSV, `_epoch-<n>.json` and
/// hidden temporary files, whose writer may still be at work.
pub fn claim_folder(folder: &Path, run: &str, formerly: &[String]) -> Result<(), SinkError> {
    let list = |error| SinkError::io("list folder", folder)(error);
    let runs: Vec<&str> = formerly.iter().map(String::as_str).chain([run]).collect();
    fs::create_dir_all(folder).map_err(SinkError::io("create folder", folder))?;
    for entry in fs::read_dir(folder).map_err(list)? {
        let path = entry.map_err(list)?.path();
        match owner(&path, &runs) {
            Owner::Ours | Owner::Nobody => {}
            Owner::OursUnfinished => fs::remove_file(&path).map_err(SinkError::io("remove", &path))?,
            Owner::Foreign => {
                return Err(SinkError::ForeignFolder { folder: folder.to_owned(), file: file_name(&path) });
            }
        }
    }
    try_writing(folder, run)
}

/// Whether a folder, which may not be there, has output of this run, finished or not.
pub fn holds_output_of(folder: &Path, run: &str) -> bool {
    let is_its = |path: &Path| matches!(owner(path, &[run]), Owner::Ours | Owner::OursUnfinished);
    fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(|entry| is_its(&entry.path())))
}

/// The newest output of a run in a folder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewestOutput {
    run: String,
    epoch: u64,
    folder: PathBuf,
    file: String,
}

impl NewestOutput {
    /// Of each run that a folder has output of; there may be no folder.
    pub fn in_folder(folder: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let files = entries.flatten().map(|entry| file_name(&entry.path()));
        let output = files.filter_map(|file| {
            // `<run>-<epoch>-<slot>.<extension>`
            let mut parts = file.splitn(3, '-');
            let (run, epoch) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
            Some(Self { run, epoch, folder: folder.to_owned(), file })
        });
        let mut newest: BTreeMap<String, Self> = BTreeMap::new();
        for output in output {
            let known = newest.entry(output.run.clone()).or_insert_with(|| output.clone());
            if known.epoch < output.epoch {
                *known = output;
            }
        }
        newest.into_values().collect()
    }

    /// Its epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Refuses a state whose log must have lost records, for it does not know of this output. `newest` is the newest
    /// epoch of the run in the log; read it after this was found, for a process that is taken over may still publish.
    pub fn check_known(self, run: &str, newest: Option<u64>) -> Result<(), SinkError> {
        let Self { run: of, epoch, folder, file } = self;
        if of != run || Some(epoch) <= newest {
            return Ok(());
        }
        let newest = newest.map_or("no epoch".to_owned(), |newest| format!("epoch {newest}"));
        Err(SinkError::OlderThanOutput { folder, file, epoch, newest })
    }
}

/// Says that an epoch is complete: writes `_epoch-<n>.json`, which names its files. To be called once all slots
/// have published, so that a manifest that is there after a crash names files that are there. An epoch without files gets none. Writing it again changes nothing.
pub fn write_epoch_manifest(
    folder: &Path,
    run: &str,
    epoch: u64,
    files: &[PublishedFile],
) -> Result<(), SinkError> {
    if files.is_empty() {
        return Ok(());
    }
    let rows = files.iter().map(|file| file.rows).sum();
    let manifest = EpochManifest { run, epoch, rows, files };
    let mut text = serde_json::to_vec_pretty(&manifest).expect("names and numbers are JSON");
    text.push(b'\n');
    let part = folder.join(format!(".{run}-epoch-{epoch}.json{PART_SUFFIX}"));
    fail_point::hit("publish.manifest.before");
    write_synced(&part, &text)?;
    fs::rename(&part, folder.join(format!("_epoch-{epoch}.json"))).map_err(SinkError::io("rename", &part))?;
    sync_folder(folder)?;
    fail_point::hit("publish.manifest.after");
    Ok(())
}

/// The name of the temporary file of an epoch and slot, as this writer calls it.
pub(super) fn part_name(run: &str, writer: &str, (epoch, slot): (u64, u32)) -> String {
    format!(".{run}-{writer}-{epoch}-{slot}{PART_SUFFIX}")
}

/// Makes names in the folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), SinkError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(SinkError::io("sync folder", folder))
}

/// Finds out before the first row whether files can be written there.
fn try_writing(folder: &Path, run: &str) -> Result<(), SinkError> {
    let part = folder.join(format!(".{run}-claim{PART_SUFFIX}"));
    write_synced(&part, run.as_bytes())?;
    fs::remove_file(&part).map_err(SinkError::io("remove", &part))
}

/// Writes a small file; what cannot be written whole is removed.
fn write_synced(path: &Path, text: &[u8]) -> Result<(), SinkError> {
    let mut file = File::create(path).map_err(SinkError::io("create", path))?;
    file.write_all(text).and_then(|()| file.sync_all()).map_err(|error| {
        // The first error is the one to report; a hidden file that stays is removed with the next claim.
        drop(fs::remove_file(path));
        SinkError::io("write", path)(error)
    })
}

/// `runs`: those that count as ours.
fn owner(path: &Path, runs: &[&str]) -> Owner {
    let name = file_name(path);
    if name.ends_with(PART_SUFFIX) && name.starts_with('.') {
        let ours = runs.iter().any(|run| name[1..].starts_with(&format!("{run}-")));
        return if ours { Owner::OursUnfinished } else { Owner::Foreign };
    }
    let ours = if name.starts_with("_epoch-") && name.ends_with(".json") {
        fs::read(path).is_ok_and(|text| {
            serde_json::from_slice(&text).is_ok_and(|owner: ManifestOwner| runs.contains(&owner.run.as_str()))
        })
    } else if name.ends_with(".jsonl") || name.ends_with(".csv") {
        runs.iter().any(|run| name.starts_with(&format!("{run}-")))
    } else {
        return Owner::Nobody;
    };
    if ours { Owner::Ours } else { Owner::Foreign }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
