//! Tests of transitions: contradictions are refused, chains are compacted, firing goes on.
//!
//! Owns: one checkpoint and report from which all others are made.
//! Never: looks at how a transition is computed.

use std::collections::BTreeMap;

use super::{assign, due_for_compaction, next_checkpoint};
use crate::checkpoint::{
    Block, BlockKind, Checkpoint, Counters, Emitted, FileIdentity, Object, OperatorState, OutboxObject,
    OutboxPart, PartitionState, PartitionStatus, Share, SlotReport, SourcePosition, WorkerReport,
};
use crate::ids::{Epoch, Groups, Hash};

mod properties;

fn partition(id: u32) -> PartitionState {
    PartitionState {
        name: format!("generator-{id}"),
        files: Vec::new(),
        topic: None,
        position: SourcePosition::Row { row: 0, started_ms: 5 },
        max_timestamp_ms: None,
        status: PartitionStatus::Active,
    }
}

fn start(parallelism: u32) -> Checkpoint {
    let fingerprint = BTreeMap::from([("spec.pipeline.keyBy".to_owned(), "[carrier]".to_owned())]);
    Checkpoint::at_start(parallelism, fingerprint, Hash(1), (0..3).map(partition).collect())
}

fn object(epoch: Epoch) -> Object {
    Object { name: format!("data/1-1/{epoch}-0-a.state.arrow"), bytes: 100_000, hash: Hash(epoch.0.into()) }
}

fn block(epoch: Epoch, slot: u32, end_ms: i64, groups: Groups) -> Block {
    Block {
        object: object(epoch).name,
        offset: 1 + u64::from(slot) * 1_000 + end_ms as u64,
        bytes: 10,
        hash: Hash(7),
        keys: 10,
        input_rows: 0,
        kind: BlockKind::Delta,
        groups,
    }
}

/// Two slots, a window with a base and a delta each, an outbox.
fn example() -> (Checkpoint, WorkerReport) {
    let slot = |slot| {
        let groups = Groups::of_slot(slot, 2);
        let new = Block { input_rows: 10, ..block(Epoch(1), slot, 100, groups) };
        SlotReport {
            slot,
            partitions: if slot == 0 {
                (0..3).map(|id| (id, partition(id))).collect()
            } else {
                BTreeMap::new()
            },
            operator: OperatorState { groups, watermark_ms: Some(50), behind: vec![0, 2] },
            shares: vec![(100, Share { groups, input_rows: 10, emitted: Emitted::Nothing })],
            blocks: vec![(100, new)],
            counters: Counters { rows_in: 10, ..Counters::default() },
        }
    };
    let part = |slot| OutboxPart { slot, target: "results".to_owned(), rows: 1, bytes: 10 };
    let outbox = Object { name: "data/1-1/1-0-b.outbox.arrow".to_owned(), bytes: 1_000, hash: Hash(5) };
    let report = WorkerReport {
        slots: vec![slot(0), slot(1)],
        outbox: vec![OutboxObject { object: outbox.name.clone(), parts: vec![part(0), part(1)] }],
        objects: vec![object(Epoch(1)), outbox],
    };
    (start(2), report)
}

fn next(reports: &[WorkerReport]) -> Result<Checkpoint, String> {
    next_checkpoint(&example().0, Epoch(1), 2, reports).map_err(|error| error.to_string())
}

#[test]
fn a_report_that_contradicts_itself_or_the_checkpoint_before_is_refused() {
    type Change = fn(&mut WorkerReport);
    let changes: &[(&str, Change)] = &[
        ("slot 1 reported twice", |report| report.slots.push(report.slots[1].clone())),
        ("slot 1 did not report", |report| report.slots.truncate(1)),
        ("slot 2 reported, and there are 2", |report| {
            let slot = SlotReport { slot: 2, ..report.slots[1].clone() };
            report.slots.push(slot);
        }),
        ("partition 1 (generator-1) was read by no slot", |report| {
            report.slots[0].partitions.remove(&1);
        }),
        ("partition 1 was read by two slots", |report| {
            report.slots[1].partitions.insert(1, partition(1));
        }),
        ("partition 3 (generator-3) is new", |report| {
            report.slots[1].partitions.insert(3, partition(3));
        }),
        ("partition 1 (generator-1) has become another", |report| {
            report.slots[0].partitions.insert(1, partition(2));
        }),
        ("partition 1 (generator-1) went back in its input", |report| {
            let position = SourcePosition::Row { row: 9, started_ms: 6 };
            report.slots[0].partitions.insert(1, PartitionState { position, ..partition(1) });
        }),
        ("slot 0 owns", |report| report.slots[0].operator.groups.end += 1),
        ("slot 0: 11 rows went into the window that ends at 100, and its states account for 10", |report| {
            report.slots[0].shares[0].1.input_rows = 11;
        }),
        ("slot 1 wrote states of the window that ends at 100, and has no share of it", |report| {
            report.slots[1].shares.clear();
        }),
        ("object data/1-1/1-0-a.state.arrow was not reported as written", |report| {
            report.objects.remove(0);
        }),
        ("object data/1-1/1-0-b.outbox.arrow was not reported as written", |report| {
            report.objects.remove(1);
        }),
        ("there are two objects data/1-1/1-0-a.state.arrow", |report| {
            let other = Object { bytes: 1, ..report.objects[0].clone() };
            report.objects.push(other);
        }),
        ("data/1-1/1-0-a.state.arrow: it has no block at", |report| report.objects[0].bytes = 5),
        ("data/1-1/1-0-b.outbox.arrow: its parts are not those of 2 slots", |report| {
            report.outbox[0].parts[0].slot = 2;
        }),
    ];
    assert_eq!(next(&[example().1]).map(|checkpoint| checkpoint.slices.len()), Ok(1));
    for (expected, change) in changes {
        let (_, mut report) = example();
        change(&mut report);

        let error = next(&[report]).expect_err(expected);

        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}

#[test]
fn nothing_goes_back_from_one_checkpoint_to_the_next() {
    let (_, report) = example();
    let mut first = next(std::slice::from_ref(&report)).expect("it is consistent");
    first.partitions[0].status = PartitionStatus::Finished;
    first.partitions[1].max_timestamp_ms = Some(3);
    first.partitions[2].position = SourcePosition::Row { row: 5, started_ms: 5 };
    let mut second = report;
    second.slots.iter_mut().for_each(|slot| slot.blocks.clear());
    second.objects.remove(0);
    for (id, state) in (0..).zip(&first.partitions) {
        second.slots[0].partitions.insert(id, state.clone());
    }
    let next = |report: &WorkerReport| {
        next_checkpoint(&first, Epoch(2), 2, std::slice::from_ref(report)).map_err(|error| error.to_string())
    };
    assert_eq!(next(&second).map(|checkpoint| checkpoint.slices == first.slices), Ok(true));
    type Change = fn(&mut SlotReport);
    let changes: &[(&str, Change)] = &[
        ("partition 0 (generator-0) had ended and goes on", |slot| {
            slot.partitions.insert(0, partition(0));
        }),
        ("partition 1 (generator-1) went back in event time", |slot| {
            slot.partitions.insert(1, partition(1));
        }),
        ("partition 2 (generator-2) went back in its input", |slot| {
            slot.partitions.insert(2, partition(2));
        }),
        ("slot 0: the watermark went back from Some(50) to Some(49)", |slot| {
            slot.operator.watermark_ms = Some(49);
        }),
        ("a count went back", |slot| slot.counters.rows_in = 9),
    ];
    for (expected, change) in changes {
        let mut report = second.clone();
        change(&mut report.slots[0]);

        let error = next(&report).expect_err(expected);

        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}

#[test]
fn a_checkpoint_that_was_read_is_refused_if_no_program_can_have_written_it() {
    type Change = fn(&mut Checkpoint);
    let changes: &[(&str, Change)] = &[
        ("0 slots", |it| it.parallelism = 0),
        ("2 slots and the windows of 1", |it| it.operators.truncate(1)),
        ("slot 1 of 2 owns", |it| it.operators[1].groups.first -= 1),
        ("slot 0: [0, 3] are not partitions", |it| it.operators[0].behind = vec![0, 3]),
        ("objects are not in the order", |it| it.objects.reverse()),
        ("`../1-1/1-0-a.state.arrow` is not a name", |it| {
            it.objects[0].name = "../1-1/1-0-a.state.arrow".to_owned();
        }),
        ("`data/../log/1` is not a name", |it| it.objects[0].name = "data/../log/1".to_owned()),
        ("object data/1-1/9 is named and not listed", |it| {
            it.objects.push(Object { name: "data/1-1/9".to_owned(), bytes: 1, hash: Hash(1) });
        }),
        ("object data/1-1/1-0-a.state.arrow is named and not listed", |it| {
            it.objects.remove(0);
        }),
        ("windows are not in the order", |it| it.slices.push(it.slices[0].clone())),
        ("no slot has a share", |it| it.slices[0].shares.clear()),
        ("shares of the window that ends at 100 overlap", |it| it.slices[0].shares.reverse()),
        ("slot 0: 0 rows went into", |it| {
            it.slices[0].shares.remove(0);
        }),
        ("data/1-1/1-0-a.state.arrow: the block at 1101 was replaced", |it| {
            let again = it.slices[0].blocks[1].clone();
            it.slices[0].blocks.push(again);
        }),
        ("data/1-1/1-0-a.state.arrow: the block at 101 was replaced", |it| {
            let base = Block { kind: BlockKind::Base, offset: 300, ..it.slices[0].blocks[0].clone() };
            it.slices[0].blocks.push(base);
        }),
        ("data/1-1/1-0-a.state.arrow: it has no block at", |it| it.slices[0].blocks[0].bytes = u64::MAX),
        ("data/1-1/1-0-a.state.arrow: it has no block at 0", |it| it.slices[0].blocks[0].offset = 0),
        ("a share or block of the window that ends at 100 is not within one slot", |it| {
            it.slices[0].blocks[0].input_rows = 0;
            it.slices[0].shares[0].input_rows = 0;
            it.slices[0].blocks[0].groups.end += 1;
        }),
        ("data/1-1/1-0-b.outbox.arrow is two things at once", |it| it.outbox.push(it.outbox[0].clone())),
        ("data/1-1/1-0-b.outbox.arrow: its parts", |it| it.outbox[0].parts.clear()),
        ("generator-0: Row", |it| {
            it.partitions[0].files = vec![FileIdentity { path: "/a".to_owned(), bytes: 1, ends: Hash(1) }];
        }),
    ];
    for (expected, change) in changes {
        let mut checkpoint = next(&[example().1]).expect("it is consistent");
        assert_eq!(checkpoint.validate(), Ok(()));
        change(&mut checkpoint);

        let error = checkpoint.validate().expect_err(expected).to_string();

        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}

#[test]
fn without_its_outbox_a_checkpoint_names_only_the_objects_of_its_states() {
    let checkpoint = next(&[example().1]).expect("it is consistent");

    let without = checkpoint.without_outbox();

    assert_eq!(without.validate(), Ok(()));
    assert_eq!(without.objects, [object(Epoch(1))]);
}

#[test]
fn a_chain_is_compacted_when_changes_are_as_many_as_the_rest_and_never_grows_beyond_64() {
    let slice = |deltas: u64, base_keys: u64| {
        let mut slice = next(&[example().1]).expect("it is consistent").slices.remove(0);
        let base = Block { kind: BlockKind::Base, keys: base_keys, ..slice.blocks[1].clone() };
        let delta = slice.blocks[1].clone();
        slice.blocks.push(base);
        slice.blocks.extend((1..deltas).map(|_| delta.clone()));
        slice
    };
    let due = |deltas, base_keys| !due_for_compaction(&[slice(deltas, base_keys)]).is_empty();

    assert_eq!([due(6, 10), due(7, 10), due(7, 70), due(7, 71)], [false, true, true, false]);
    assert_eq!([due(62, 10_000), due(63, 10_000)], [false, true]);
}

#[test]
fn firing_goes_on_where_each_old_slot_was() {
    let mut checkpoint = next(&[example().1]).expect("it is consistent");
    checkpoint.slices[0].shares[0].emitted = Emitted::All;
    checkpoint.slices[0].shares[1].emitted = Emitted::UpTo { group: 40_000, key: "01".to_owned() };

    let slots = assign(&checkpoint, 3);

    let emitted: Vec<_> = slots.iter().map(|slot| slot.slices[0].emitted.clone()).collect();
    let up_to = Emitted::UpTo { group: 40_000, key: "01".to_owned() };
    let groups = |first, end| Groups { first, end };
    assert_eq!(emitted[0], [(groups(0, 21_845), Emitted::All)]);
    assert_eq!(emitted[1], [(groups(21_845, 32_768), Emitted::All), (groups(32_768, 43_690), up_to.clone())]);
    assert_eq!(emitted[2], [(groups(43_690, 65_536), up_to)]);
}
