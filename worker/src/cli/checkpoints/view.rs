//! What a job's checkpoints look like.
//!
//! Owns: what a line about a checkpoint says, to people and to machines.
//! Never: reads a store.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use streamjob_checkpoint::checkpoint::{Checkpoint, OperatorState};
use streamjob_checkpoint::ids::{Epoch, Lineage, Seq};
use streamjob_checkpoint::record::{Body, Record};

use crate::cli::table::Table;
use crate::progress::format::{bytes, count, duration, instant};

/// The checkpoints of a job, oldest first.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct Listing {
    /// The job.
    pub(in crate::cli) job: String,
    /// Where its state lies.
    pub(in crate::cli) state: String,
    /// The life of the state.
    pub(in crate::cli) lineage: Lineage,
    /// How the job stands.
    pub(in crate::cli) status: Status,
    /// When the last record was written, by the writer's clock.
    pub(in crate::cli) written_at_ms: i64,
    /// The epoch that a start goes on from; absent before epoch 0, and after a restore.
    pub(in crate::cli) begins_at: Option<Epoch>,
    /// What a start goes on from when that was asked for: `epoch 12`, a savepoint's location.
    pub(in crate::cli) restored: Option<String>,
    /// Those that `--from` takes.
    pub(in crate::cli) checkpoints: Vec<Entry>,
}

/// How a job stands, as its log and its socket say.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) enum Status {
    /// It answers.
    Running,
    /// It ended without saying so.
    NotRunning,
    /// It has not ended, and from here nobody can tell whether it runs: elsewhere it may.
    Unknown,
    /// It was stopped cleanly.
    Stopped,
    /// All input is read.
    Finished,
    /// Its state was given up, and nothing has begun since.
    Deleted,
}

/// One checkpoint.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct Entry {
    /// Its number.
    pub(in crate::cli) epoch: Epoch,
    /// Where its record stands in the log.
    pub(in crate::cli) record: Seq,
    /// Who wrote it: incarnation and attempt.
    pub(in crate::cli) generation: String,
    /// When, by the writer's clock.
    pub(in crate::cli) at_ms: i64,
    /// The lowest watermark; absent before there is one.
    pub(in crate::cli) watermark_ms: Option<i64>,
    /// Windows with state.
    pub(in crate::cli) windows: usize,
    /// States of keys; a key counts once in each block that it is in.
    pub(in crate::cli) states: u64,
    /// Objects that it needs.
    pub(in crate::cli) objects: usize,
    /// Their length.
    pub(in crate::cli) bytes: u64,
    /// Output rows that it wants published.
    pub(in crate::cli) outbox_rows: u64,
    /// Records read since the lineage began.
    pub(in crate::cli) rows_in: u64,
    /// Results since the lineage began.
    pub(in crate::cli) rows_out: u64,
}

impl Listing {
    /// What the records of a log say, the last of which is its head. `running`: `None` where nobody can tell.
    pub(in crate::cli) fn of(
        job: &str,
        state: String,
        records: &[&Record],
        running: Option<bool>,
    ) -> Option<Self> {
        let head = records.last()?;
        let begins = records.iter().find(|record| record.seq == head.begins_at);
        let restored =
            begins.filter(|record| matches!(record.body, Body::Genesis { .. } | Body::Claim { .. }));
        let restored = restored.filter(|record| record.checkpoint().is_some());
        Some(Self {
            job: job.to_owned(),
            state,
            lineage: head.lineage,
            status: Status::of(head, running),
            written_at_ms: head.at_ms,
            begins_at: begins
                .filter(|_| restored.is_none())
                .and_then(|record| Some(record.checkpoint()?.epoch)),
            restored: restored
                .map(|record| record.restore.as_ref().map_or_else(String::new, |r| r.from.clone())),
            checkpoints: entries(records),
        })
    }
}

/// The checkpoints that a start can be told to go back to, each epoch once.
fn entries(records: &[&Record]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for record in restorable(records) {
        let Some(checkpoint) = record.checkpoint() else { continue };
        // A Final repeats the last Epoch, without its outbox.
        if entries.last().is_none_or(|last| last.epoch < checkpoint.epoch) {
            entries.push(Entry::of(record, checkpoint));
        }
    }
    entries
}

/// The records that name a checkpoint by an epoch, in their order: those of the newest lineage and of the ones that it
/// goes on from, among which no epoch's number comes twice.
pub(in crate::cli) fn restorable<'a>(records: &[&'a Record]) -> impl Iterator<Item = &'a Record> {
    let head = records.last().map(|head| head.seq);
    let begins_anew = |record: &&Record| match &record.body {
        Body::Genesis { base } => base.is_none(),
        // What the head has given up can still be gone back to.
        Body::Deleted => Some(record.seq) != head,
        Body::Claim { .. } | Body::Epoch { .. } | Body::Final { .. } => false,
    };
    let from = records.iter().rposition(begins_anew).unwrap_or(0);
    records[from..].iter().copied().filter(|record| match &record.body {
        Body::Epoch { .. } | Body::Final { .. } => true,
        Body::Genesis { .. } | Body::Claim { .. } | Body::Deleted => false,
    })
}

impl Status {
    fn of(head: &Record, running: Option<bool>) -> Self {
        match &head.body {
            Body::Final { finished: true, .. } => Self::Finished,
            Body::Final { finished: false, .. } => Self::Stopped,
            Body::Deleted => Self::Deleted,
            Body::Genesis { .. } | Body::Claim { .. } | Body::Epoch { .. } => match running {
                Some(true) => Self::Running,
                Some(false) => Self::NotRunning,
                None => Self::Unknown,
            },
        }
    }
}

impl Entry {
    fn of(record: &Record, checkpoint: &Checkpoint) -> Self {
        Self {
            epoch: checkpoint.epoch,
            record: record.seq,
            generation: record.generation.to_string(),
            at_ms: record.at_ms,
            watermark_ms: watermark(&checkpoint.operators),
            windows: checkpoint.slices.len(),
            states: states(checkpoint),
            objects: checkpoint.objects.len(),
            bytes: checkpoint.objects.iter().map(|object| object.bytes).sum(),
            outbox_rows: outbox_rows(checkpoint),
            rows_in: checkpoint.counters.rows_in,
            rows_out: checkpoint.counters.rows_out,
        }
    }
}

/// States of keys in all windows.
pub(in crate::cli) fn states(checkpoint: &Checkpoint) -> u64 {
    checkpoint.slices.iter().flat_map(|slice| &slice.blocks).map(|block| block.keys).sum()
}

/// Rows that a checkpoint wants published.
pub(in crate::cli) fn outbox_rows(checkpoint: &Checkpoint) -> u64 {
    checkpoint.outbox.iter().flat_map(|object| &object.parts).map(|part| part.rows).sum()
}

/// The lowest of all slots; absent as long as one of them has none.
pub(in crate::cli) fn watermark(operators: &[OperatorState]) -> Option<i64> {
    let lowest = operators.iter().map(|operator| operator.watermark_ms).min();
    lowest.flatten()
}

/// A watermark in words.
pub(in crate::cli) fn watermark_text(watermark_ms: Option<i64>) -> String {
    watermark_ms.map_or_else(|| "none yet".to_owned(), instant)
}

/// `12.3s ago`; clocks that disagree give `just now`.
pub(in crate::cli) fn ago(at_ms: i64, now_ms: i64) -> String {
    match u64::try_from(now_ms.saturating_sub(at_ms)) {
        Ok(past @ 1..) => format!("{} ago", duration(Duration::from_millis(past))),
        Ok(0) | Err(_) => "just now".to_owned(),
    }
}

/// A listing for people, at a moment.
pub(in crate::cli) struct ForPeople<'a> {
    pub(in crate::cli) listing: &'a Listing,
    pub(in crate::cli) now_ms: i64,
}

impl fmt::Display for ForPeople<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listing = self.listing;
        writeln!(f, "{}: {}", listing.job, listing.standing(self.now_ms))?;
        writeln!(f, "state in {}", listing.state)?;
        if listing.checkpoints.is_empty() {
            return writeln!(f, "no checkpoint yet");
        }
        let headings =
            ["#epoch", "committed", "", "watermark", "#windows", "#states", "#size", "#rows in", "#rows out"];
        let mut table = Table::new(&headings);
        for entry in &listing.checkpoints {
            table.row([
                entry.epoch.to_string(),
                instant(entry.at_ms),
                ago(entry.at_ms, self.now_ms),
                watermark_text(entry.watermark_ms),
                count(entry.windows as u64),
                count(entry.states),
                bytes(entry.bytes),
                count(entry.rows_in),
                count(entry.rows_out),
            ]);
        }
        write!(f, "{table}")
    }
}

impl Listing {
    /// How the job stands, and what running it would do.
    fn standing(&self, now_ms: i64) -> String {
        let from = match (&self.restored, self.begins_at) {
            (Some(restored), _) => format!("goes on from {restored}, which was restored"),
            (None, Some(epoch)) => format!("goes on from epoch {epoch}"),
            (None, None) => "begins at the start of its input".to_owned(),
        };
        match self.status {
            Status::Running => "running".to_owned(),
            Status::NotRunning => format!("not running; run again, it {from}"),
            Status::Unknown => {
                format!("last written {}; a start {from}", ago(self.written_at_ms, now_ms))
            }
            Status::Stopped => format!("stopped; run again, it {from}"),
            Status::Finished => "finished: all its input is read".to_owned(),
            Status::Deleted => "its state was given up; run again, it begins with nothing".to_owned(),
        }
    }
}
