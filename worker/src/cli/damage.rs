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
        return "the log itself is damaged: put the named records back from a copy of the state folder; without one, move the \
                folder away and begin with a savepoint of it, `streamjob run MANIFEST --from MOVED/savepoints/ID`, or with \
                nothing"
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(epoch: u64, damaged: &[&str]) -> Read {
        let found = |object: &&str| Found { object: (*object).to_owned(), what: "is cut off".to_owned() };
        Read {
            epoch: Some(Epoch(epoch)),
            savepoint: None,
            objects: 2,
            bytes: 20_000,
            damaged: damaged.iter().map(found).collect(),
        }
    }

    fn report(log: Vec<Found>, read: Vec<Read>) -> String {
        Report::of_checkpoints("clicks", "/state/clicks".to_owned(), log, read).to_string()
    }

    #[test]
    fn whole_checkpoints_need_no_words() {
        let text = report(Vec::new(), vec![read(7, &[]), read(8, &[])]);

        let expected = "                objects    bytes\nepoch 7  whole        2  20.0 kB\nepoch 8  whole        2  20.0 kB\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_object_that_checkpoints_share_is_named_once_and_the_newest_whole_one_is_the_remedy() {
        let text = report(Vec::new(), vec![read(6, &[]), read(7, &["a"]), read(8, &["a"])]);

        assert_eq!(text.matches("damaged: a: is cut off\n").count(), 1, "{text}");
        assert!(text.contains("`streamjob run MANIFEST --from 6`"), "{text}");
    }

    #[test]
    fn damage_of_old_checkpoints_does_not_affect_the_job() {
        let text = report(Vec::new(), vec![read(7, &["a"]), read(8, &[])]);

        assert!(text.contains("the newest checkpoint is whole, so the job is not affected"), "{text}");
    }

    #[test]
    fn without_a_whole_checkpoint_a_savepoint_is_the_remedy() {
        let text = report(Vec::new(), vec![read(8, &["a", "b"])]);

        assert!(text.contains("damaged: a: ") && text.contains("damaged: b: "), "{text}");
        assert!(text.contains("`streamjob savepoint list MANIFEST`"), "{text}");
    }

    #[test]
    fn a_damaged_log_is_told_apart() {
        let found = Found { object: "log/3.json".to_owned(), what: "its hash does not fit".to_owned() };

        let text = report(vec![found], vec![read(8, &[])]);

        assert!(
            text.contains("damaged: log/3.json: its hash does not fit\nthe log itself is damaged"),
            "{text}"
        );
    }
}
