//! Golden files: bytes that an earlier build wrote and that every later one must read.
//!
//! Owns: `golden/`, made of the sample checkpoint.
//! Never: replaces a file of a format that was released; a new format gets new files beside the old.

use std::path::PathBuf;

use crate::bundle::{BundleReader, StateRows};
use crate::ids::Lineage;
use crate::outbox::{OutboxRows, read_outbox};
use crate::record::{Body, Record};
use crate::sample::{Sample, chunks, record, rows};
use crate::savepoint;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// Compares bytes with a golden file; with `STREAMJOB_GOLDEN=write`, writes it.
fn compare(name: &str, bytes: &[u8]) {
    let path = path(name);
    if std::env::var("STREAMJOB_GOLDEN").is_ok_and(|what| what == "write") {
        std::fs::write(&path, bytes).expect("the folder is there");
    }
    let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        golden == bytes,
        "{name}: this build writes other bytes. Bytes on disk are a promise: a change of them is a new format \
         (version field, FORMAT.md, golden files, all in one commit), or an update of a library that is still read by \
         builds before it: then STREAMJOB_GOLDEN=write replaces the file"
    );
}

fn records(sample: &Sample) -> Vec<(&'static str, Record)> {
    let checkpoint = || Box::new(sample.checkpoint.clone());
    let without_outbox = Box::new(sample.checkpoint.without_outbox());
    vec![
        ("genesis.json", record(1, Body::Genesis { base: None })),
        ("claim.json", record(2, Body::Claim { base: Some(checkpoint()) })),
        ("epoch.json", record(3, Body::Epoch { checkpoint: checkpoint() })),
        ("final.json", record(4, Body::Final { checkpoint: without_outbox, finished: true })),
        ("deleted.json", record(5, Body::Deleted)),
        ("restored.json", of_format_2(record(6, Body::Genesis { base: Some(checkpoint()) }))),
    ]
}

/// The same with what format 1 cannot say.
fn of_format_2(record: Record) -> Record {
    Record { formerly: vec![Lineage(0xf0), Lineage(0xf1)], progress_from: Some(4_711), ..record }
}

#[tokio::test]
async fn records_are_written_as_ever_and_those_of_ever_are_read() {
    let sample = Sample::new().await;
    for (name, record) in records(&sample) {
        compare(name, &record.encode());

        let golden = std::fs::read(path(name)).expect("it was just compared");
        let object = record.seq.object_name();
        assert_eq!(Record::decode(&object, &golden).expect("it is whole"), record);
    }
}

#[tokio::test]
async fn every_flipped_byte_and_every_cut_of_a_record_is_refused() {
    let sample = Sample::new().await;
    for (_, record) in records(&sample) {
        let (name, whole) = (record.seq.object_name(), record.encode());
        for at in 0..whole.len() {
            for mask in [1 << (at % 8), 0x20] {
                let mut flipped = whole.to_vec();
                flipped[at] ^= mask;
                let error = Record::decode(&name, &flipped).expect_err("a byte is flipped").to_string();
                assert!(error.starts_with(&name), "byte {at}: {error}");
            }
            let error = Record::decode(&name, &whole[..at]).expect_err("it is cut off").to_string();
            assert!(error.starts_with(&name), "cut at {at}: {error}");
        }
    }
}

#[tokio::test]
async fn bundles_are_written_as_ever_and_those_of_ever_are_read() {
    let sample = Sample::new().await;
    let states = &sample.checkpoint.slices[0].blocks[0].object;
    let output = &sample.checkpoint.outbox[0].object;
    for (name, object) in [("state.arrow", states), ("outbox.arrow", output)] {
        compare(name, &sample.bytes(object).await);
        sample.replace(object, std::fs::read(path(name)).expect("it was just compared")).await;
    }

    let reader = BundleReader::new(sample.store.clone());
    let mut read: Vec<StateRows> = Vec::new();
    for block in &sample.checkpoint.slices[0].blocks {
        read.extend(reader.read_block(block).await.expect("it is whole"));
    }
    let outbox = sample.checkpoint.objects.iter().find(|object| object.name == *output).expect("listed");
    let mut reader = read_outbox(&sample.store, outbox).await.expect("it is whole");
    let mut published = Vec::new();
    while let Some(rows) = reader.next().await.expect("it is whole") {
        published.push(rows);
    }
    let published: Vec<_> = published.iter().flat_map(OutboxRows::chunks).collect();
    assert_eq!((read, published), (vec![rows(0), rows(1)], chunks()));
}

#[tokio::test]
async fn savepoints_are_written_as_ever_and_those_of_ever_are_read() {
    let sample = Sample::new().await;
    let record = record(3, Body::Epoch { checkpoint: Box::new(sample.checkpoint.clone()) });
    savepoint::take(&sample.store, "one", 1_704_067_202_000, &record).await.expect("it can be taken");
    let file = "savepoints/one/savepoint.json";

    compare("savepoint.json", &sample.bytes(file).await);

    sample.replace(file, std::fs::read(path("savepoint.json")).expect("it was just compared")).await;
    let own = savepoint::folder(&sample.store, "one").expect("it is an id");
    let opened = savepoint::open(&own).await.expect("it is complete");
    assert_eq!(opened.checkpoint, sample.checkpoint.without_outbox());
}
