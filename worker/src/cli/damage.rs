//! What reading everything has shown, and what to do about it.
//!
//! Owns: the report of `checkpoints verify` and `savepoint verify`, and its remedies.
//! Never: reads a store.

use std::fmt;

use serde::Serialize;
use streamjob_checkpoint::ids::Epoch;

use super::table::Table;
use crate::progress::format::{bytes, count};

/// Everything that was read.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// The job.
    pub(super) job: String,
    /// Where it was read.
    pub(super) state: String,
    /// Whether all of it is whole.
    pub(super) whole: bool,
    /// Records of the log that cannot be read.
    pub(super) log: Vec<Found>,
    /// Checkpoints or savepoints, oldest first.
    pub(super) read: Vec<Read>,
    /// What to do; absent if there is nothing to do.
    pub(super) remedy: Option<String>,
}

/// One checkpoint or savepoint.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Read {
    /// Its epoch.
    pub(super) epoch: Option<Epoch>,
    /// Of a savepoint: where it lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) savepoint: Option<String>,
    /// Objects that were read.
    pub(super) objects: usize,
    /// Bytes that were read.
    pub(super) bytes: u64,
    /// What is damaged.
    pub(super) damaged: Vec<Found>,
}

/// Something that is damaged.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    /// The object.
    pub(super) object: String,
    /// What is wrong with it.
    pub(super) what: String,
}

impl Report {
    /// What was read of a job's checkpoints.
    pub(super) fn of_checkpoints(job: &str, state: String, log: Vec<Found>, read: Vec<Read>) -> Self {
        let whole = log.is_empty() && read.iter().all(Read::is_whole);
        let remedy = (!whole).then(|| remedy_for_checkpoints(&log, &read));
        Self { job: job.to_owned(), state, whole, log, read, remedy }
    }

    /// What was read of savepoints.
    pub(super) fn of_savepoints(job: &str, state: String, read: Vec<Read>) -> Self {
        let whole = read.iter().all(Read::is_whole);
        let remedy = (!whole).then(|| {
            "a damaged savepoint cannot be restored: copy it again from where it was copied, or delete its folder and \
             take a new one with `streamjob savepoint take`"
                .to_owned()
        });
        Self { job: job.to_owned(), state, whole, log: Vec::new(), read, remedy }
    }
}

impl Read {
    fn is_whole(&self) -> bool {
        self.damaged.is_empty()
    }

    fn name(&self) -> String {
        match (&self.savepoint, self.epoch) {
            (Some(place), _) => format!("savepoint {place}"),
            (None, Some(epoch)) => format!("epoch {epoch}"),
            (None, None) => "unknown".to_owned(),
        }
    }
}

fn remedy_for_checkpoints(log: &[Found], read: &[Read]) -> String {
    let newest_is_whole = read.last().is_some_and(Read::is_whole);
    if !log.is_empty() {
        return "the log itself is damaged: put the named records back from a copy of the state folder; without one, \
                restore a savepoint from elsewhere with `streamjob run MANIFEST --fresh --discard-state`, then `--from FOLDER`"
            .to_owned();
    }
    if newest_is_whole {
        return "the newest checkpoint is whole, so the job is not affected; the damaged ones cannot be gone back to, and are \
                deleted in their time"
            .to_owned();
    }
    match read.iter().rev().find(|read| read.is_whole()).and_then(|read| read.epoch) {
        Some(epoch) => format!(
            "put the named objects back from a copy of the state folder, or go back to the newest whole checkpoint with \
             `streamjob run MANIFEST --from {epoch}`: what was put out after it is put out again"
        ),
        None => "put the named objects back from a copy of the state folder, or go back to a savepoint (`streamjob savepoint \
                 list MANIFEST`, `streamjob run MANIFEST --from SAVEPOINT`), or begin with nothing with `streamjob run \
                 MANIFEST --fresh --discard-state`"
            .to_owned(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["", "", "#objects", "#bytes"]);
        for read in &self.read {
            let state = if read.is_whole() { "whole" } else { "damaged" };
            table.row([read.name(), state.to_owned(), count(read.objects as u64), bytes(read.bytes)]);
        }
        if table.is_empty() {
            writeln!(f, "{}: nothing to read in {}", self.job, self.state)?;
        } else {
            write!(f, "{table}")?;
        }
        for found in &self.log {
            writeln!(f, "damaged: {}: {}", found.object, found.what)?;
        }
        let mut told: Vec<&Found> = Vec::new();
        for found in self.read.iter().flat_map(|read| &read.damaged) {
            // Checkpoints share objects: each is told once.
            if !told.contains(&found) {
                writeln!(f, "damaged: {}: {}", found.object, found.what)?;
                told.push(found);
            }
        }
        self.remedy.as_ref().map_or(Ok(()), |remedy| writeln!(f, "{remedy}"))
    }
}
