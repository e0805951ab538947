//! The first line of a run: from where it goes on.
//!
//! Owns: its words.
//! Never: decides where that is.

use std::time::Duration;

use streamjob_checkpoint::checkpoint::Checkpoint;
use streamjob_checkpoint::ids::Epoch;
use streamjob_checkpoint::protocol::{BeginAt, Begun};

use super::format::{count, duration, instant};

/// Says with what a job begins that was asked to begin like this.
pub fn beginning(asked: &BeginAt, begun: &Begun, now_ms: i64) -> String {
    let committed_ms = begun.head_was.as_ref().map(|head| &head.record);
    let committed_ms =
        committed_ms.filter(|record| record.seq == begun.resumed_from).map(|record| record.at_ms);
    let given_up = begun.head_was.as_ref().and_then(|head| head.record.last_epoch);
    let inherited = begun.inherited.as_ref().and_then(|record| record.record.last_epoch);
    let Some(checkpoint) = begun.checkpoint.as_deref() else { return with_nothing(asked, given_up) };
    let age = committed_ms.map(|at| Duration::from_millis(u64::try_from(now_ms - at).unwrap_or(0)));
    let publishes = match inherited {
        Some(epoch) => format!("; the output of epoch {epoch} comes first"),
        None => String::new(),
    };
    format!("{}{publishes}", from(asked, checkpoint, age))
}

fn with_nothing(asked: &BeginAt, given_up: Option<Epoch>) -> String {
    let nothing = "begins with nothing, at the start of its input";
    match (asked, given_up) {
        (BeginAt::Nothing { .. }, Some(epoch)) => {
            format!("{nothing}; its state up to epoch {epoch} is given up")
        }
        (BeginAt::Nothing { .. } | BeginAt::Latest | BeginAt::From { .. }, _) => nothing.to_owned(),
    }
}

fn from(asked: &BeginAt, checkpoint: &Checkpoint, age: Option<Duration>) -> String {
    let point = match asked {
        BeginAt::From { request, .. } => {
            format!("goes back to {}: what was put out after it is put out again", request.from)
        }
        BeginAt::Latest | BeginAt::Nothing { .. } => match age {
            Some(age) => format!("goes on from epoch {}, {} old", checkpoint.epoch, duration(age)),
            None => format!("goes on from epoch {}", checkpoint.epoch),
        },
    };
    let watermarks = checkpoint.operators.iter().map(|operator| operator.watermark_ms).min();
    let watermark = watermarks
        .flatten()
        .map_or_else(|| "no watermark yet".to_owned(), |at| format!("watermark {}", instant(at)));
    format!(
        "{point}; {} rows read, {watermark}, {} open windows",
        count(checkpoint.counters.rows_in),
        count(checkpoint.slices.len() as u64)
    )
}
