//! `streamjob checkpoints`: what a job can go back to.
//!
//! Owns: nothing; the log and its objects are read.
//! Never: writes anything, or disturbs a running job.

pub(super) mod detail;
pub(super) mod view;

#[cfg(test)]
mod tests;

use std::io::Write;

use serde::Serialize;
use streamjob_checkpoint::checkpoint::Checkpoint;
use streamjob_checkpoint::ids::Seq;
use streamjob_checkpoint::record::Record;
use streamjob_checkpoint::store::StateStore;
use streamjob_checkpoint::verify;

use super::args::{CheckpointsCommand, ListArgs, ShowArgs, VerifyCheckpointsArgs};
use super::damage::{Found, Read, Report};
use super::state::{JobState, StateError, now_ms};
use super::{Exit, control, ended, print};
use detail::Detail;
use view::{ForPeople, Listing, restorable};

/// Does what the command says.
pub(super) fn checkpoints(command: &CheckpointsCommand, out: &mut impl Write, err: &mut impl Write) -> Exit {
    let done = match command {
        CheckpointsCommand::List(args) => list(args, out),
        CheckpointsCommand::Show(args) => show(args, out),
        CheckpointsCommand::Verify(args) => verify_checkpoints(args, out),
    };
    ended(done, err)
}

fn list(args: &ListArgs, out: &mut impl Write) -> Result<Exit, StateError> {
    let state = JobState::open(&args.manifest)?;
    let stored = state.records()?;
    let records: Vec<&Record> = stored.iter().map(|stored| &stored.record).collect();
    let running = state.plan.as_ref().and_then(control::is_running);
    let listing = Listing::of(&state.job, state.store.shown().to_owned(), &records, running);
    let listing = listing.expect("a log that could be read has a head");
    Ok(print(out, args.json, &listing, &ForPeople { listing: &listing, now_ms: now_ms() }))
}

/// What `checkpoints show --json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    job: &'a str,
    state: &'a str,
    record: &'a Record,
}

fn show(args: &ShowArgs, out: &mut impl Write) -> Result<Exit, StateError> {
    let state = JobState::open(&args.manifest)?;
    let point = state.checkpoint(args.epoch)?;
    let record = point.record.as_ref().expect("a checkpoint is in a record");
    let shown = Shown { job: &state.job, state: state.store.shown(), record };
    let detail = Detail { record, checkpoint: &point.checkpoint, now_ms: now_ms() };
    Ok(print(out, args.json, &shown, &detail))
}

fn verify_checkpoints(args: &VerifyCheckpointsArgs, out: &mut impl Write) -> Result<Exit, StateError> {
    let state = JobState::open(&args.manifest)?;
    let report = match args.epoch {
        Some(epoch) => {
            let point = state.checkpoint(Some(epoch))?;
            let read = state.wait(read(&point.store, &point.checkpoint))?;
            Report::of_checkpoints(&state.job, state.store.shown().to_owned(), Vec::new(), vec![read])
        }
        None => state.wait(verify_all(&state))?,
    };
    let printed = print(out, args.json, &report, &report);
    Ok(if report.whole { printed } else { Exit::Failed })
}

/// Reads the whole log, and all that its checkpoints name.
async fn verify_all(state: &JobState) -> Result<Report, StateError> {
    let mut log = verify_log(state).await?;
    let stored = match state.log.records().await {
        Ok(stored) => stored,
        Err(error) => {
            if log.is_empty() {
                log.push(Found { object: "log".to_owned(), what: error.to_string() });
            }
            Vec::new()
        }
    };
    let records: Vec<&Record> = stored.iter().map(|stored| &stored.record).collect();
    let mut reads: Vec<Read> = Vec::new();
    for record in restorable(&records) {
        let checkpoint = record.checkpoint().expect("a record that can be gone back to has a checkpoint");
        // The Final of an epoch names what its Epoch names.
        if reads.last().is_some_and(|last| last.epoch == Some(checkpoint.epoch)) {
            continue;
        }
        let read = read(&state.store, checkpoint).await?;
        let collected = !read.damaged.is_empty() && is_collected(state, record.seq).await?;
        if !collected {
            reads.push(read);
        }
    }
    Ok(Report::of_checkpoints(&state.job, state.store.shown().to_owned(), log, reads))
}

/// Records that are listed and cannot be read.
async fn verify_log(state: &JobState) -> Result<Vec<Found>, StateError> {
    let mut damaged = Vec::new();
    for listed in state.store.list("log", None).await? {
        let Some(seq) = seq_of(&listed.name) else { continue };
        let Err(error) = state.log.read(seq).await else { continue };
        // A running job may have deleted it since it was listed.
        if !is_collected(state, seq).await? {
            damaged.push(Found { object: listed.name, what: error.to_string() });
        }
    }
    Ok(damaged)
}

/// Reads all that a checkpoint names.
pub(super) async fn read(store: &StateStore, checkpoint: &Checkpoint) -> Result<Read, StateError> {
    let damaged = verify::verify(store, checkpoint).await?;
    Ok(Read {
        epoch: Some(checkpoint.epoch),
        savepoint: None,
        objects: checkpoint.objects.len(),
        bytes: checkpoint.objects.iter().map(|object| object.bytes).sum(),
        damaged: damaged
            .into_iter()
            .map(|damage| Found { object: damage.object, what: damage.what })
            .collect(),
    })
}

/// A running job deletes a record first, then what only that record named.
async fn is_collected(state: &JobState, seq: Seq) -> Result<bool, StateError> {
    Ok(state.store.size(&record_name(seq)).await?.is_none())
}

fn record_name(seq: Seq) -> String {
    format!("log/{:020}.json", seq.0)
}

fn seq_of(name: &str) -> Option<Seq> {
    let digits = name.strip_prefix("log/")?.strip_suffix(".json")?;
    digits.parse().ok().map(Seq)
}
