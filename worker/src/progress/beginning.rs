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
    let given_up = begun.head_was.as_ref().and_then(|head| head.record.last_epoch);
    let inherited = begun.inherited.as_ref().filter(|stored| stored.record.lineage == begun.lineage);
    let inherited = inherited.and_then(|stored| stored.record.last_epoch);
    let Some(checkpoint) = begun.checkpoint.as_deref() else { return with_nothing(asked, given_up) };
    let age = Duration::from_millis(u64::try_from(now_ms - begun.resumed_at_ms).unwrap_or(0));
    let publishes = match inherited {
        Some(epoch) => format!("; the output of epoch {epoch} comes first"),
        None => String::new(),
    };
    let before = begun.head_was.as_ref().map(|head| &head.record.owner);
    let taken = match before.filter(|&before| *before != begun.permit.head().record.owner) {
        Some(before) => format!("; all this was {before}'s"),
        None => String::new(),
    };
    format!("{}{publishes}{taken}", from(asked, checkpoint, age))
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

fn from(asked: &BeginAt, checkpoint: &Checkpoint, age: Duration) -> String {
    let point = match asked {
        BeginAt::From { request, .. } => {
            format!("goes back to {}: what was put out after it is put out again", request.from)
        }
        BeginAt::Latest | BeginAt::Nothing { .. } => {
            format!("goes on from epoch {}, {} old", checkpoint.epoch, duration(age))
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use streamjob_checkpoint::checkpoint::{Counters, OperatorState};
    use streamjob_checkpoint::ids::{Groups, Hash};
    use streamjob_checkpoint::record::Restore;

    use super::*;

    fn checkpoint() -> Box<Checkpoint> {
        let operator =
            OperatorState { groups: Groups::ALL, watermark_ms: Some(1_767_225_600_000), behind: Vec::new() };
        Box::new(Checkpoint {
            epoch: Epoch(17),
            parallelism: 1,
            fingerprint: BTreeMap::new(),
            spec_hash: Hash(0),
            partitions: Vec::new(),
            operators: vec![operator],
            slices: Vec::new(),
            outbox: Vec::new(),
            objects: Vec::new(),
            counters: Counters { rows_in: 1_234_567, ..Counters::default() },
        })
    }

    #[test]
    fn a_run_says_which_checkpoint_it_goes_on_from_and_how_old_that_is() {
        let told = from(&BeginAt::Latest, &checkpoint(), Duration::from_secs(192));

        let expected = "goes on from epoch 17, 3m12s old; 1,234,567 rows read, watermark 2026-01-01T00:00:00Z, 0 open windows";
        assert_eq!(told, expected);
    }

    #[test]
    fn a_run_that_goes_back_says_that_output_repeats() {
        let request = Restore { id: "1".to_owned(), from: "epoch 17".to_owned() };

        let told = from(&BeginAt::From { request, checkpoint: checkpoint() }, &checkpoint(), Duration::ZERO);

        let expected =
            "goes back to epoch 17: what was put out after it is put out again; 1,234,567 rows read";
        assert!(told.starts_with(expected), "{told}");
    }

    #[test]
    fn a_run_without_a_checkpoint_begins_with_nothing_and_says_what_it_gave_up() {
        let new = with_nothing(&BeginAt::Latest, None);
        let fresh = with_nothing(&BeginAt::Nothing { discard: true, request: None }, Some(Epoch(17)));

        assert_eq!(new, "begins with nothing, at the start of its input");
        assert_eq!(fresh, format!("{new}; its state up to epoch 17 is given up"));
    }
}
