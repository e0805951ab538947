//! Tests of outbox bundles: what is read is what was written, in its order.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{BinaryArray, LargeBinaryArray};
use bytes::Bytes;
use object_store::memory::InMemory;

use super::{OutboxChunk, OutboxWriter, Output, Records, read_outbox};
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

fn chunk(slot: u32, target: &str, rows: u64, bytes: usize) -> OutboxChunk {
    let value = (0..bytes).map(|i| (i * 31 + slot as usize) as u8).collect::<Vec<u8>>();
    OutboxChunk { slot, target: target.to_owned(), rows, key: None, value: Bytes::from(value) }
}

async fn write(store: &StateStore, chunks: &[OutboxChunk]) -> Option<(Object, OutboxObject)> {
    let name = "data/3-1/7-0-a.outbox.arrow".to_owned();
    let mut writer = OutboxWriter::new(name, &about()).expect("it can be begun");
    for chunk in chunks {
        let output = Output::Text { rows: chunk.rows, bytes: chunk.value.clone() };
        let written = writer.write(chunk.slot, &chunk.target, output);
        written.expect("it can be written");
    }
    let sealed = writer.seal().expect("it can be ended")?;
    Some(sealed.store(store).await.expect("it can be stored"))
}

async fn read(store: &StateStore, object: &Object) -> Vec<OutboxChunk> {
    let mut reader = read_outbox(store, object).await.expect("it is whole");
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next().await.expect("it is whole") {
        chunks.push(chunk);
    }
    chunks
}

#[tokio::test]
async fn chunks_come_back_in_their_order_whatever_their_size() {
    let chunks: Vec<OutboxChunk> = [0, 10, 900_000, 200_000, 3_000_000, 1, 9_000_000, 5, 4_000_000]
        .into_iter()
        .zip(0..)
        .map(|(bytes, i)| chunk(i % 3, if i % 2 == 0 { "results" } else { "late" }, u64::from(i), bytes))
        .collect();
    for count in [1, 2, 5, chunks.len()] {
        let store = memory();

        let (object, outbox) = write(&store, &chunks[..count]).await.expect("there are chunks");

        assert_eq!(read(&store, &object).await, chunks[..count]);
        let rows: u64 = outbox.parts.iter().map(|part| part.rows).sum();
        let bytes: u64 = outbox.parts.iter().map(|part| part.bytes).sum();
        assert_eq!(rows, chunks[..count].iter().map(|chunk| chunk.rows).sum::<u64>());
        assert_eq!(bytes, chunks[..count].iter().map(|chunk| chunk.value.len() as u64).sum::<u64>());
    }
}

#[tokio::test]
async fn records_of_a_topic_come_back_one_by_one_with_their_keys() {
    let store = memory();
    let mut writer =
        OutboxWriter::new("data/3-1/7-0-a.outbox.arrow".to_owned(), &about()).expect("it can be begun");
    let keys = BinaryArray::from_opt_vec(vec![Some(b"a".as_slice()), None, Some(b"")]);
    let values = LargeBinaryArray::from_vec(vec![b"one".as_slice(), b"", b"three"]);
    let records = Output::Records(Records { keys, values });
    let text = Output::Text { rows: 2, bytes: Bytes::from_static(b"x\ny\n") };
    for (target, output) in [("late", text.clone()), ("results", records.clone()), ("late", text)] {
        writer.write(1, target, output).expect("it can be written");
    }
    let sealed = writer.seal().expect("it can be ended").expect("there is output");
    let (object, outbox) = sealed.store(&store).await.expect("it can be stored");

    let read = read(&store, &object).await;

    let found: Vec<_> =
        read.iter().map(|chunk| (&*chunk.target, chunk.key.as_deref(), &*chunk.value)).collect();
    let late = ("late", None, b"x\ny\n".as_slice());
    let result = |key, value| ("results", key, value);
    let (one, three) =
        (result(Some(b"a".as_slice()), b"one".as_slice()), result(Some(b"".as_slice()), b"three"));
    assert_eq!(found, [late, one, result(None, b""), three, late]);
    assert_eq!((records.rows(), records.bytes()), (3, 9));
    let part = |target: &str, rows, bytes| OutboxPart { slot: 1, target: target.to_owned(), rows, bytes };
    assert_eq!(outbox.parts, [part("late", 4, 8), part("results", 3, 9)]);
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
