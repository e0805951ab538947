//! Listings and details of made-up records.
//!
//! Owns: golden texts.
//! Never: opens a store.

use std::collections::BTreeMap;

use streamjob_checkpoint::checkpoint::*;
use streamjob_checkpoint::ids::*;
use streamjob_checkpoint::record::*;

use super::detail::Detail;
use super::view::{ForPeople, Listing};

/// 2026-01-01T00:00:00Z.
const MIDNIGHT_MS: i64 = 1_767_225_600_000;

pub(in crate::cli) fn checkpoint(epoch: u64) -> Checkpoint {
    let block = Block {
        object: "data/1-1/1.state.arrow".to_owned(),
        offset: 64,
        bytes: 12_000,
        hash: Hash(7),
        keys: 1_000,
        input_rows: 5_000,
        kind: BlockKind::Delta,
        groups: Groups::ALL,
    };
    let share = Share { groups: Groups::ALL, input_rows: 5_000, emitted: Emitted::Nothing };
    let part = OutboxPart { slot: 0, target: "results".to_owned(), rows: 12, bytes: 340 };
    let position = SourcePosition::File { file: 0, byte: 123_456, line: 1_001, record: 1_000 };
    let file = FileIdentity { path: "/in/a.csv".to_owned(), bytes: 500_000, ends: Hash(1) };
    Checkpoint {
        epoch: Epoch(epoch),
        parallelism: 1,
        fingerprint: BTreeMap::from([("spec.pipeline.keyBy".to_owned(), "page String".to_owned())]),
        spec_hash: Hash(3),
        partitions: vec![PartitionState {
            name: "a.csv".to_owned(),
            files: vec![file],
            topic: None,
            position,
            max_timestamp_ms: Some(MIDNIGHT_MS),
            status: PartitionStatus::Active,
        }],
        operators: vec![OperatorState {
            groups: Groups::ALL,
            watermark_ms: Some(MIDNIGHT_MS - 1_000),
            behind: vec![],
        }],
        slices: vec![SliceState { end_ms: MIDNIGHT_MS + 10_000, shares: vec![share], blocks: vec![block] }],
        outbox: vec![OutboxObject { object: "data/1-1/1.outbox.arrow".to_owned(), parts: vec![part] }],
        objects: vec![
            Object { name: "data/1-1/1.outbox.arrow".to_owned(), bytes: 500, hash: Hash(2) },
            Object { name: "data/1-1/1.state.arrow".to_owned(), bytes: 12_100, hash: Hash(1) },
        ],
        counters: Counters { rows_in: 1_000, rows_out: 12, late: 0, bad: 1 },
    }
}

pub(in crate::cli) fn record(seq: u64, body: Body) -> Record {
    Record {
        seq: Seq(seq),
        previous: None,
        generation: Generation { incarnation: 1, attempt: 1 },
        writer: WriterId(5),
        at_ms: MIDNIGHT_MS + 1_000 * seq as i64,
        lineage: Lineage(9),
        formerly: Vec::new(),
        owner: Owner {
            cluster: "local".to_owned(),
            namespace: "/jobs".to_owned(),
            name: "clicks".to_owned(),
        },
        sink: BTreeMap::new(),
        last_epoch: None,
        begins_at: Seq(seq),
        unpublished: None,
        progress_from: None,
        restore: None,
        operation: None,
        body,
    }
}

fn epoch(seq: u64, epoch: u64) -> Record {
    record(seq, Body::Epoch { checkpoint: Box::new(checkpoint(epoch)) })
}

fn listing(records: &[Record], running: impl Into<Option<bool>>) -> Listing {
    let records: Vec<_> = records.iter().collect();
    Listing::of("clicks", "/jobs/.streamjob/clicks".to_owned(), &records, running.into())
        .expect("a log with a head")
}

#[test]
fn a_list_says_how_the_job_stands_and_what_each_checkpoint_holds() {
    let listing = listing(&[epoch(2, 1), epoch(3, 2)], false);

    let text = ForPeople { listing: &listing, now_ms: MIDNIGHT_MS + 10_000 }.to_string();

    let expected = "\
clicks: not running; run again, it goes on from epoch 2
state in /jobs/.streamjob/clicks
epoch  committed                       watermark             windows  states     size  rows in  rows out
    1  2026-01-01T00:00:02Z  8.0s ago  2025-12-31T23:59:59Z        1   1,000  12.6 kB    1,000        12
    2  2026-01-01T00:00:03Z  7.0s ago  2025-12-31T23:59:59Z        1   1,000  12.6 kB    1,000        12
";
    assert_eq!(text, expected);
}

#[test]
fn of_a_job_that_may_run_elsewhere_is_said_when_it_last_wrote_and_nothing_of_running() {
    let listing = listing(&[epoch(2, 1), epoch(3, 2)], None);

    let text = ForPeople { listing: &listing, now_ms: MIDNIGHT_MS + 10_000 }.to_string();

    assert!(text.starts_with("clicks: last written 7.0s ago; a start goes on from epoch 2\n"), "{text}");
}

#[test]
fn the_last_record_of_a_finished_job_is_no_second_checkpoint() {
    let end = Body::Final { checkpoint: Box::new(checkpoint(2)), finished: true };

    let listing = listing(&[epoch(2, 1), epoch(3, 2), record(4, end)], false);

    let epochs: Vec<_> = listing.checkpoints.iter().map(|entry| (entry.epoch.0, entry.record.0)).collect();
    assert_eq!(epochs, [(1, 2), (2, 3)]);
    let text = ForPeople { listing: &listing, now_ms: 0 }.to_string();
    assert!(text.starts_with("clicks: finished: all its input is read\n"), "{text}");
}

#[test]
fn checkpoints_of_the_life_before_a_restore_are_listed_and_those_of_a_life_before_nothing_are_not() {
    let mut records = vec![epoch(2, 1), record(3, Body::Deleted), record(4, Body::Genesis { base: None })];
    records.extend([epoch(5, 2), epoch(6, 3)]);
    records.push(record(7, Body::Genesis { base: Some(Box::new(checkpoint(2))) }));
    records.push(epoch(8, 4));
    records.iter_mut().for_each(|record| record.lineage = Lineage(u128::from(record.seq.0 / 4)));

    let listing = listing(&records, true);

    let epochs: Vec<_> = listing.checkpoints.iter().map(|entry| (entry.epoch.0, entry.record.0)).collect();
    assert_eq!(epochs, [(2, 5), (3, 6), (4, 8)]);
}

#[test]
fn checkpoints_of_a_life_that_was_given_up_are_not_listed() {
    let mut old = epoch(2, 7);
    old.lineage = Lineage(1);

    let listing = listing(&[old, record(3, Body::Genesis { base: None })], true);

    assert!(listing.checkpoints.is_empty());
    let text = ForPeople { listing: &listing, now_ms: 0 }.to_string();
    assert_eq!(text, "clicks: running\nstate in /jobs/.streamjob/clicks\nno checkpoint yet\n");
}

#[test]
fn a_job_that_was_restored_says_from_what_it_goes_on() {
    let mut claim = record(4, Body::Claim { base: Some(Box::new(checkpoint(1))) });
    claim.restore = Some(Restore { id: "1".to_owned(), from: "epoch 1".to_owned() });

    let listing = listing(&[epoch(2, 1), epoch(3, 2), claim], false);

    let text = ForPeople { listing: &listing, now_ms: 0 }.to_string();
    let expected = "clicks: not running; run again, it goes on from epoch 1, which was restored\n";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_checkpoint_is_shown_with_positions_watermarks_windows_and_objects() {
    let record = epoch(3, 2);
    let checkpoint = record.checkpoint().expect("an epoch has one");

    let text = Detail { record: &record, checkpoint, now_ms: MIDNIGHT_MS + 10_000 }.to_string();

    let expected = "\
checkpoint 2 of clicks
committed   2026-01-01T00:00:03Z (7.0s ago)
record      00000000000000000003 of generation 1-1
lineage     00000000000000000000000000000009
size        12.6 kB in 2 objects
rows        1,000 in, 12 out
late, bad   0, 1

input
id  partition  status  position                  latest row
 0  a.csv      active  line 1,001, byte 123,456  2026-01-01T00:00:00Z

slots
slot  key groups  watermark             behind it
   0  0 to 65535  2025-12-31T23:59:59Z

windows
ends                  results  rows in  blocks  states     size
2026-01-01T00:00:10Z  not yet    5,000       1   1,000  12.0 kB

output to publish
slot  target   rows  bytes  object
   0  results    12    340  data/1-1/1.outbox.arrow

objects
name                      bytes  hash
data/1-1/1.outbox.arrow     500  00000000000000000000000000000002
data/1-1/1.state.arrow   12,100  00000000000000000000000000000001

fingerprint (a run with another value is refused)
field                value
spec.pipeline.keyBy  page String
";
    assert_eq!(text, expected);
}
