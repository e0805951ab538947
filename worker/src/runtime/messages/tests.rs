//! The bytes of every message.
//!
//! Owns: golden texts: whoever changes one raises the version.
//! Never: sends anything.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::Ordering::Relaxed;

use streamjob_checkpoint::checkpoint::{
    Block, BlockKind, Counters, Emitted, OperatorState, OutboxPart, PartitionState, PartitionStatus, Share,
    SlotReport, SourcePosition,
};
use streamjob_checkpoint::ids::{Groups, Hash};

use super::*;
use crate::metrics::JobMetrics;

const GENERATION: Generation = Generation { incarnation: 3, attempt: 1 };
const OBJECT: &str =
    r#"{"name":"data/3-1/7-0-ab.outbox.arrow","bytes":40,"hash":"00000000000000000000000000000009"}"#;
const OUTBOX: &str = r#"{"object":"data/3-1/7-0-ab.outbox.arrow","parts":[{"slot":0,"target":"results","rows":2,"bytes":30}]}"#;

fn publication() -> Publication {
    Publication { lineage: Lineage(10), epoch: Epoch(7), outbox: vec![outbox()], objects: vec![object()] }
}

fn object() -> Object {
    Object { name: "data/3-1/7-0-ab.outbox.arrow".to_owned(), bytes: 40, hash: Hash(9) }
}

fn outbox() -> OutboxObject {
    let part = OutboxPart { slot: 0, target: "results".to_owned(), rows: 2, bytes: 30 };
    OutboxObject { object: object().name, parts: vec![part] }
}

fn partition() -> PartitionState {
    PartitionState {
        name: "generator-0".to_owned(),
        files: Vec::new(),
        topic: None,
        position: SourcePosition::Row { row: 5, started_ms: 1 },
        max_timestamp_ms: None,
        status: PartitionStatus::Active,
    }
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        epoch: Epoch(6),
        parallelism: 1,
        fingerprint: BTreeMap::from([("keyBy".to_owned(), "a".to_owned())]),
        spec_hash: Hash(1),
        partitions: vec![partition()],
        operators: vec![OperatorState { groups: Groups::ALL, watermark_ms: None, behind: Vec::new() }],
        slices: Vec::new(),
        outbox: Vec::new(),
        objects: Vec::new(),
        counters: Counters::default(),
    }
}

fn report() -> WorkerReport {
    let share = Share { groups: Groups::ALL, input_rows: 3, emitted: Emitted::Nothing };
    let block = Block {
        object: object().name,
        offset: 8,
        bytes: 16,
        hash: Hash(2),
        keys: 1,
        input_rows: 3,
        kind: BlockKind::Delta,
        groups: Groups::ALL,
    };
    let slot = SlotReport {
        slot: 0,
        partitions: BTreeMap::from([(0, partition())]),
        operator: OperatorState { groups: Groups::ALL, watermark_ms: Some(4), behind: vec![1] },
        shares: vec![(100, share)],
        blocks: vec![(100, block)],
        counters: Counters { rows_in: 5, rows_out: 2, late: 0, bad: 0 },
    };
    WorkerReport { slots: vec![slot], outbox: vec![outbox()], objects: vec![object()] }
}

/// Whether a message becomes these bytes in its envelope, and they it.
fn assert_bytes<M>(message: M, body: &str)
where
    M: Clone + Debug + PartialEq + Serialize + DeserializeOwned,
{
    let text = format!(r#"{{"version":3,"generation":{{"incarnation":3,"attempt":1}},"message":{body}}}"#);
    let envelope = Envelope::new(GENERATION, message);

    assert_eq!(String::from_utf8(envelope.encode()).expect("JSON is text"), text);
    assert_eq!(Envelope::decode(text.as_bytes()).expect("its own bytes"), envelope);
}

#[test]
fn every_message_to_a_worker_has_its_bytes() {
    let checkpoint_text = r#"{"epoch":6,"parallelism":1,"fingerprint":{"keyBy":"a"},"specHash":"00000000000000000000000000000001","partitions":[{"name":"generator-0","position":{"row":{"row":5,"startedMs":1}},"status":"Active"}],"operators":[{"groups":{"first":0,"end":65536}}],"slices":[],"outbox":[],"objects":[],"counters":{"rowsIn":0,"rowsOut":0,"late":0,"bad":0}}"#;
    let lineage = "0000000000000000000000000000000a";
    let published =
        format!(r#"{{"lineage":"{lineage}","epoch":7,"outbox":[{OUTBOX}],"objects":[{OBJECT}]}}"#);
    let start = |inherited| ToWorker::Start {
        lineage: Lineage(10),
        formerly: Vec::new(),
        progress_from: None,
        checkpoint: Box::new(checkpoint()),
        last_epoch: Epoch(8),
        inherited,
    };

    assert_bytes(
        start(None),
        &format!(r#"{{"start":{{"lineage":"{lineage}","checkpoint":{checkpoint_text},"lastEpoch":8}}}}"#),
    );
    assert_bytes(
        start(Some(publication())),
        &format!(
            r#"{{"start":{{"lineage":"{lineage}","checkpoint":{checkpoint_text},"lastEpoch":8,"inherited":{published}}}}}"#
        ),
    );
    assert_bytes(
        ToWorker::Barrier { epoch: Epoch(7), last: true, compact: vec![-100, 200] },
        r#"{"barrier":{"epoch":7,"last":true,"compact":[-100,200]}}"#,
    );
    assert_bytes(
        ToWorker::Committed { epoch: Epoch(7), behind: vec![0, 2] },
        r#"{"committed":{"epoch":7,"behind":[0,2]}}"#,
    );
    assert_bytes(ToWorker::Publish(publication()), &format!(r#"{{"publish":{published}}}"#));
    assert_bytes(ToWorker::Abandon { epoch: Epoch(7) }, r#"{"abandon":{"epoch":7}}"#);
    assert_bytes(ToWorker::Exit, r#""exit""#);
}

#[test]
fn every_message_to_the_coordinator_has_its_bytes() {
    let report_text = format!(
        r#"{{"slots":[{{"slot":0,"partitions":{{"0":{{"name":"generator-0","position":{{"row":{{"row":5,"startedMs":1}}}},"status":"Active"}}}},"operator":{{"groups":{{"first":0,"end":65536}},"watermarkMs":4,"behind":[1]}},"shares":[[100,{{"groups":{{"first":0,"end":65536}},"inputRows":3,"emitted":"nothing"}}]],"blocks":[[100,{{"object":"data/3-1/7-0-ab.outbox.arrow","offset":8,"bytes":16,"hash":"00000000000000000000000000000002","keys":1,"inputRows":3,"kind":"Delta","groups":{{"first":0,"end":65536}}}}]],"counters":{{"rowsIn":5,"rowsOut":2,"late":0,"bad":0}}}}],"outbox":[{OUTBOX}],"objects":[{OBJECT}]}}"#
    );
    let times = Times { align_ms: 1, encode_ms: 2, upload_ms: 3 };
    let file = PublishedFile { target: "late".to_owned(), name: "a-7-0.csv".to_owned(), rows: 2, bytes: 30 };

    assert_bytes(ToCoordinator::Registered { slots: 2 }, r#"{"registered":{"slots":2}}"#);
    assert_bytes(ToCoordinator::Checked, r#""checked""#);
    assert_bytes(
        ToCoordinator::Acknowledged { epoch: Epoch(7), report: Box::new(report()), times },
        &format!(
            r#"{{"acknowledged":{{"epoch":7,"report":{report_text},"times":{{"alignMs":1,"encodeMs":2,"uploadMs":3}}}}}}"#
        ),
    );
    assert_bytes(
        ToCoordinator::UploadFailed { epoch: Epoch(7), cause: "no space".to_owned() },
        r#"{"uploadFailed":{"epoch":7,"cause":"no space"}}"#,
    );
    assert_bytes(ToCoordinator::OutboxFull, r#""outboxFull""#);
    assert_bytes(
        ToCoordinator::Published {
            lineage: Lineage(10),
            epoch: Epoch(7),
            files: vec![file],
            progress: Some(12),
        },
        r#"{"published":{"lineage":"0000000000000000000000000000000a","epoch":7,"files":[{"target":"late","name":"a-7-0.csv","rows":2,"bytes":30}],"progress":12}}"#,
    );
    let metrics = JobMetrics::new("job", 1, ["generator-0".to_owned()]);
    metrics.slots[0].rows_in.store(5, Relaxed);
    metrics.slots[0].keys.store(3, Relaxed);
    assert_bytes(
        ToCoordinator::Counted(Box::new(Figures::of(&metrics))),
        r#"{"counted":{"slots":[[5,0,0,0,0,0,0,0,0,0,3,0,0]],"partitions":[{"status":"waiting","watermarkMs":-9223372036854775808,"bytesDone":0,"bytesTotal":18446744073709551615,"rows":0}],"unpublishedBytes":0}}"#,
    );
    assert_bytes(ToCoordinator::Drained, r#""drained""#);
    let failed = |kind| ToCoordinator::Failed { kind, reason: "gone".to_owned() };
    assert_bytes(failed(FailureKind::Error), r#"{"failed":{"kind":"error","reason":"gone"}}"#);
    assert_bytes(failed(FailureKind::OutputClosed), r#"{"failed":{"kind":"outputClosed","reason":"gone"}}"#);
}

#[test]
fn a_message_of_another_version_is_refused_whatever_it_says() {
    let error = Envelope::<ToWorker>::decode(br#"{"version":1,"anything":[]}"#).expect_err("another version");

    assert_eq!(
        error.to_string(),
        "a message has version 1, this build speaks 3; run coordinator and workers from one build"
    );
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let whole = Envelope::new(GENERATION, ToWorker::Abandon { epoch: Epoch(7) }).encode();

    for length in 0..whole.len() {
        let error = Envelope::<ToWorker>::decode(&whole[..length]).expect_err("cut short");
        assert!(matches!(error, MessageError::Damaged(_)), "cut at {length}: {error}");
    }
    let unknown = br#"{"version":2,"generation":{"incarnation":3,"attempt":1},"message":{"abandon":{"epoch":7,"more":1}}}"#;
    assert!(Envelope::<ToWorker>::decode(unknown).is_err(), "an unknown field");
}
