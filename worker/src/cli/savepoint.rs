//! `streamjob savepoint`: copies of a checkpoint that are kept.
//!
//! Owns: what is printed of them.
//! Never: copies anything itself: the running job does.

use std::fmt;
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use streamjob_checkpoint::ids::{Epoch, Lineage};
use streamjob_checkpoint::savepoint::{self, Found as Listed, Savepoint, SavepointError};

use super::args::{ListArgs, RestorePoint, SavepointCommand, VerifySavepointsArgs};
use super::checkpoints::read;
use super::checkpoints::view::{ago, watermark, watermark_text};
use super::damage::{Found, Read, Report};
use super::state::{JobState, StateError, now_ms};
use super::table::Table;
use super::{Exit, ended, print, take};
use crate::progress::format::{bytes, count, instant};

/// Does what the command says.
pub(super) fn savepoint(command: &SavepointCommand, out: &mut impl Write, err: &mut impl Write) -> Exit {
    match command {
        SavepointCommand::Take(args) => take::take(args, out, err),
        SavepointCommand::List(args) => ended(list(args, out), err),
        SavepointCommand::Verify(args) => ended(verify(args, out), err),
    }
}

/// The savepoints of a job.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listing {
    pub(super) job: String,
    pub(super) state: String,
    pub(super) savepoints: Vec<Entry>,
}

/// A savepoint, or what is left of one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) location: String,
    #[serde(flatten)]
    pub(super) content: Content,
}

/// What a savepoint holds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", untagged)]
pub(super) enum Content {
    /// It can be gone back to.
    Whole {
        epoch: Epoch,
        lineage: Lineage,
        at_ms: i64,
        watermark_ms: Option<i64>,
        windows: usize,
        bytes: u64,
        rows_in: u64,
    },
    /// It cannot be read.
    Unreadable { problem: String },
}

fn list(args: &ListArgs, out: &mut impl Write) -> Result<Exit, StateError> {
    let state = JobState::open(&args.manifest)?;
    let found = state.wait(savepoint::list(&state.store))?;
    let savepoints = found.into_iter().map(Entry::of).collect();
    let listing = Listing { job: state.job.clone(), state: state.store.shown().to_owned(), savepoints };
    let people = ForPeople { listing: &listing, now_ms: now_ms() };
    Ok(print(out, args.json, &listing, &people))
}

fn verify(args: &VerifySavepointsArgs, out: &mut impl Write) -> Result<Exit, StateError> {
    let state = JobState::open(&args.manifest)?;
    let reads = match &args.savepoint {
        Some(named) => {
            let point = state.find(Some(&RestorePoint::Savepoint(named.clone())))?;
            let mut read = state.wait(read(&point.store, &point.checkpoint))?;
            read.savepoint = Some(named.clone());
            vec![read]
        }
        None => state.wait(verify_all(&state))?,
    };
    let report = Report::of_savepoints(&state.job, state.store.shown().to_owned(), reads);
    let printed = print(out, args.json, &report, &report);
    Ok(if report.whole { printed } else { Exit::Failed })
}

async fn verify_all(state: &JobState) -> Result<Vec<Read>, StateError> {
    let mut reads = Vec::new();
    for listed in savepoint::list(&state.store).await? {
        reads.push(match &listed.savepoint {
            Ok(opened) => {
                let store = savepoint::folder(&state.store, &listed.id)?;
                Read { savepoint: Some(listed.id.clone()), ..read(&store, &opened.checkpoint).await? }
            }
            Err(error) => unreadable(&listed, error),
        });
    }
    Ok(reads)
}

fn unreadable(listed: &Listed, error: &SavepointError) -> Read {
    let what = Found { object: listed.location.clone(), what: error.to_string() };
    Read { epoch: None, savepoint: Some(listed.id.clone()), objects: 0, bytes: 0, damaged: vec![what] }
}

impl Entry {
    fn of(listed: Listed) -> Self {
        let content = match &listed.savepoint {
            Ok(savepoint) => Content::of(savepoint),
            Err(error) => Content::Unreadable { problem: error.to_string() },
        };
        Self { id: listed.id, location: listed.location, content }
    }
}

impl Content {
    fn of(savepoint: &Savepoint) -> Self {
        let checkpoint = &savepoint.checkpoint;
        Self::Whole {
            epoch: checkpoint.epoch,
            lineage: savepoint.lineage,
            at_ms: savepoint.at_ms,
            watermark_ms: watermark(&checkpoint.operators),
            windows: checkpoint.slices.len(),
            bytes: checkpoint.objects.iter().map(|object| object.bytes).sum(),
            rows_in: checkpoint.counters.rows_in,
        }
    }
}

/// The savepoints of a job, at a moment.
pub(super) struct ForPeople<'a> {
    pub(super) listing: &'a Listing,
    pub(super) now_ms: i64,
}

impl fmt::Display for ForPeople<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listing = self.listing;
        if listing.savepoints.is_empty() {
            return writeln!(
                f,
                "{}: no savepoint yet; `streamjob savepoint take` takes one of the running job",
                listing.job
            );
        }
        let mut table =
            Table::new(&["id", "#epoch", "taken", "", "watermark", "#windows", "#size", "#rows in"]);
        for entry in &listing.savepoints {
            if let Content::Whole { epoch, at_ms, watermark_ms, windows, bytes: size, rows_in, .. } =
                &entry.content
            {
                table.row([
                    entry.id.clone(),
                    epoch.to_string(),
                    instant(*at_ms),
                    ago(*at_ms, self.now_ms),
                    watermark_text(*watermark_ms),
                    count(*windows as u64),
                    bytes(*size),
                    count(*rows_in),
                ]);
            }
        }
        if !table.is_empty() {
            writeln!(
                f,
                "{}: savepoints in {}",
                listing.job,
                Path::new(&listing.state).join("savepoints").display()
            )?;
            write!(f, "{table}")?;
        }
        for entry in &listing.savepoints {
            if let Content::Unreadable { problem } = &entry.content {
                writeln!(f, "{}: {problem}", entry.id)?;
            }
        }
        Ok(())
    }
}
