//! Tests of outbox bundles: what is read is what was written, in its order.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{BinaryArray, LargeBinaryArray, StringArray};
use bytes::Bytes;
use object_store::memory::InMemory;

use super::{OutboxRecord, OutboxRows, OutboxWriter, Output, Records, headers, put_header, read_outbox};
use crate::bundle::About;
use crate::checkpoint::{Object, OutboxObject, OutboxPart};
use crate::ids::{Epoch, Generation, Lineage};
use crate::store::StateStore;

fn memory() -> StateStore {
    StateStore::new(Arc::new(InMemory::new()), "job".into(), "memory".to_owned())
}

fn about() -> About {
    let generation = Generation { incarnation: 3, attempt: 1 };
    About { lineage: Lineage(0xa11ce), job: "flights".to_owned(), generation, epoch: Epoch(7) }
}

/// Encoded rows of a slot for a target.
type Written = (u32, &'static str, u64, Bytes);

fn chunk(slot: u32, target: &'static str, rows: u64, bytes: usize) -> Written {
    let value = (0..bytes).map(|i| (i * 31 + slot as usize) as u8).collect::<Vec<u8>>();
    (slot, target, rows, Bytes::from(value))
}

async fn write(store: &StateStore, chunks: &[Written]) -> Option<(Object, OutboxObject)> {
    let name = "data/3-1/7-0-a.outbox.arrow".to_owned();
    let mut writer = OutboxWriter::new(name, &about()).expect("it can be begun");
    for (slot, target, rows, bytes) in chunks {
        let output = Output::Text { rows: *rows, bytes: bytes.clone() };
        writer.write(*slot, target, output).expect("it can be written");
    }
    let sealed = writer.seal().expect("it can be ended")?;
    Some(sealed.store(store).await.expect("it can be stored"))
}

async fn read(store: &StateStore, object: &Object) -> Vec<OutboxRows> {
    let mut reader = read_outbox(store, object).await.expect("it is whole");
    let mut read = Vec::new();
    while let Some(rows) = reader.next().await.expect("it is whole") {
        read.push(rows);
    }
    read
}

#[tokio::test]
async fn chunks_come_back_in_their_order_whatever_their_size() {
    let chunks: Vec<Written> = [0, 10, 900_000, 200_000, 3_000_000, 1, 9_000_000, 5, 4_000_000]
        .into_iter()
        .zip(0..)
        .map(|(bytes, i)| chunk(i % 3, if i % 2 == 0 { "results" } else { "late" }, u64::from(i), bytes))
        .collect();
    for count in [1, 2, 5, chunks.len()] {
        let store = memory();

        let (object, outbox) = write(&store, &chunks[..count]).await.expect("there are chunks");

        let read = read(&store, &object).await;
        let found = read.iter().flat_map(OutboxRows::chunks);
        let found = found.map(|chunk| (chunk.slot, chunk.target, chunk.rows, chunk.record.value));
        let written =
            chunks[..count].iter().map(|(slot, target, rows, bytes)| (*slot, *target, *rows, &bytes[..]));
        assert!(found.eq(written), "{count}");
        let rows: u64 = outbox.parts.iter().map(|part| part.rows).sum();
        let bytes: u64 = outbox.parts.iter().map(|part| part.bytes).sum();
        assert_eq!(rows, chunks[..count].iter().map(|chunk| chunk.2).sum::<u64>());
        assert_eq!(bytes, chunks[..count].iter().map(|chunk| chunk.3.len() as u64).sum::<u64>());
    }
}

#[tokio::test]
async fn records_of_a_topic_come_back_one_by_one_with_all_that_they_have() {
    let store = memory();
    let mut writer =
        OutboxWriter::new("data/3-1/7-0-a.outbox.arrow".to_owned(), &about()).expect("it can be begun");
    let mut traced = Vec::new();
    put_header(&mut traced, "trace", Some(b"t1"));
    let records = Records {
        keys: BinaryArray::from_opt_vec(vec![Some(b"a".as_slice()), None, Some(b"")]),
        topics: Some(StringArray::from(vec![None, Some("other"), None])),
        headers: Some(BinaryArray::from_vec(vec![b"", &traced, b""])),
        values: LargeBinaryArray::from_vec(vec![b"one".as_slice(), b"", b"three"]),
    };
    let expected: Vec<OutboxRecord<'_>> = (0..3).map(|row| records.get(row)).collect();
    let output = Output::Records(records.clone());
    let text = Output::Text { rows: 2, bytes: Bytes::from_static(b"x\ny\n") };
    for (target, output) in [("late", text.clone()), ("results", output.clone()), ("late", text)] {
        writer.write(1, target, output).expect("it can be written");
    }
    let sealed = writer.seal().expect("it can be ended").expect("there is output");
    let (object, outbox) = sealed.store(&store).await.expect("it can be stored");

    let read = read(&store, &object).await;

    let found: Vec<_> =
        read.iter().flat_map(OutboxRows::chunks).map(|chunk| (chunk.target, chunk.record)).collect();
    let late = ("late", OutboxRecord { value: b"x\ny\n", ..OutboxRecord::default() });
    let [one, two, three] = [0, 1, 2].map(|row| ("results", expected[row]));
    assert_eq!(found, [late, one, two, three, late]);
    assert_eq!((two.1.topic, two.1.key, one.1.key), (Some("other"), None, Some(b"a".as_slice())));
    assert_eq!(headers(two.1.headers).collect::<Vec<_>>(), [("trace", Some(b"t1".as_slice()))]);
    let bytes = 9 + "other".len() as u64 + traced.len() as u64;
    assert_eq!((output.rows(), output.bytes()), (3, bytes));
    assert_eq!(expected.iter().map(OutboxRecord::bytes).sum::<usize>() as u64, bytes);
    let part = |target: &str, rows, bytes| OutboxPart { slot: 1, target: target.to_owned(), rows, bytes };
    assert_eq!(outbox.parts, [part("late", 4, 8), part("results", 3, bytes)]);
}

#[tokio::test]
async fn headers_that_cannot_be_read_are_refused_with_the_objects_name() {
    let store = memory();
    let mut writer =
        OutboxWriter::new("data/3-1/7-0-a.outbox.arrow".to_owned(), &about()).expect("it can be begun");
    let records = Records {
        keys: BinaryArray::new_null(1),
        topics: None,
        headers: Some(BinaryArray::from_vec(vec![b"\x05\0\0\0trac"])),
        values: LargeBinaryArray::from_vec(vec![b"one".as_slice()]),
    };
    writer.write(1, "results", Output::Records(records)).expect("it can be written");
    let sealed = writer.seal().expect("it can be ended").expect("there is output");
    let (object, _) = sealed.store(&store).await.expect("it can be stored");

    let error = read_outbox(&store, &object).await.expect("its hash is right").next().await;

    let error = error.expect_err("its headers are not").to_string();
    assert!(error.starts_with(&format!("{} is damaged", object.name)), "{error}");
}

#[tokio::test]
async fn parts_are_counted_by_slot_and_target() {
    let store = memory();
    let chunks = [chunk(1, "late", 1, 10), chunk(0, "results", 2, 20), chunk(1, "late", 3, 30)];

    let (_, outbox) = write(&store, &chunks).await.expect("there are chunks");

    let part = |slot, target: &str, rows, bytes| OutboxPart { slot, target: target.to_owned(), rows, bytes };
    assert_eq!(outbox.parts, [part(0, "results", 2, 20), part(1, "late", 4, 40)]);
}

#[tokio::test]
async fn nothing_written_makes_no_object() {
    let store = memory();

    assert_eq!(write(&store, &[]).await, None);
    assert_eq!(store.list("data", None).await.expect("it can be listed"), []);
}

#[tokio::test]
async fn an_outbox_of_many_parts_that_was_damaged_is_refused_before_the_first_chunk() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = StateStore::local(folder.path()).expect("it can be opened");
    let chunks: Vec<_> = (0..10).map(|i| chunk(i, "results", 1, 2_000_000)).collect();
    let (object, _) = write(&store, &chunks).await.expect("there are chunks");
    let file: &Path = &folder.path().join(&object.name);
    let whole = std::fs::read(file).expect("it is there");
    for at in [0, 70, 5_000, 11_000_000, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::write(file, flipped).expect("it can be damaged");

        let error = read_outbox(&store, &object).await.err().expect("it is damaged");

        assert!(error.to_string().starts_with(&format!("{} is damaged", object.name)), "{error}");
    }
}
