//! Tests of savepoints: complete with their last file, whole without the state they were taken from.

use std::sync::Arc;

use object_store::memory::InMemory;

use super::{Found, SavepointError, folder, import, list, open, take};
use crate::bundle::read_block;
use crate::ids::{Generation, Lineage};
use crate::record::{Body, Record};
use crate::sample::{GENERATION, Sample, record, rows};
use crate::store::StateStore;
use crate::verify::verify;

async fn sample() -> (Sample, Record) {
    let sample = Sample::new().await;
    let record = record(9, Body::Epoch { checkpoint: Box::new(sample.checkpoint.clone()) });
    (sample, record)
}

#[tokio::test]
async fn a_savepoint_is_whole_without_the_state_it_was_taken_from() {
    let (sample, record) = sample().await;
    let location = take(&sample.store, "one", 5, &record).await.expect("it can be taken");
    for object in &sample.checkpoint.objects {
        sample.store.delete(&object.name).await.expect("memory deletes");
    }
    let other = StateStore::new(Arc::new(InMemory::new()), "job".into(), "other".to_owned());
    let generation = Generation { incarnation: 8, attempt: 2 };

    let own = folder(&sample.store, "one").expect("it is an id");
    let opened = open(&own).await.expect("it is complete");
    let checkpoint = import(&own, &opened, &other, generation).await.expect("it can be copied");
    let again = import(&own, &opened, &other, generation).await.expect("it can be copied again");

    assert_eq!(location, "memory/savepoints/one");
    assert_eq!(
        (&opened.id, opened.at_ms, opened.seq, opened.generation),
        (&record_id(), 5, record.seq, GENERATION)
    );
    assert_eq!(opened.checkpoint, sample.checkpoint.without_outbox());
    assert_eq!(verify(&own, &opened.checkpoint).await.expect("memory answers"), []);
    assert_eq!(checkpoint.validate(), Ok(()));
    assert_eq!(checkpoint, again);
    assert!(checkpoint.objects.iter().all(|object| object.name.starts_with("data/8-2/7-0-")));
    let read = read_block(&other, &checkpoint.slices[0].blocks[0]).await.expect("it is whole");
    assert_eq!(read, [rows(0)]);
}

fn record_id() -> String {
    "one".to_owned()
}

#[tokio::test]
async fn one_that_was_broken_off_is_incomplete_until_it_is_taken_again() {
    let (sample, record) = sample().await;
    let own = folder(&sample.store, "one").expect("it is an id");
    let left = own.create("data/3-1/6-0-old.state.arrow", bytes::Bytes::from_static(b"x")).await;
    assert!(matches!(left, crate::store::Created::Created));
    let before = open(&own).await.expect_err("it is not complete");

    take(&sample.store, "one", 5, &record).await.expect("it can be taken");

    assert!(matches!(before, SavepointError::Incomplete { .. }), "{before}");
    let copied = own.list("data", None).await.expect("memory lists");
    assert_eq!(copied.len(), 1, "what another attempt left is gone: {copied:?}");
}

#[tokio::test]
async fn a_complete_one_stays_as_it_is() {
    let (sample, record) = sample().await;
    take(&sample.store, "one", 5, &record).await.expect("it can be taken");

    let again = take(&sample.store, "one", 6, &record).await;
    let foreign = Record { lineage: Lineage(1), ..record };
    let refused = take(&sample.store, "one", 7, &foreign).await;

    assert_eq!(again.expect("it is there"), "memory/savepoints/one");
    assert!(matches!(refused, Err(SavepointError::Exists { .. })), "{refused:?}");
    let own = folder(&sample.store, "one").expect("it is an id");
    assert_eq!(open(&own).await.expect("it is complete").at_ms, 5);
}

#[tokio::test]
async fn a_damaged_object_is_not_copied() {
    let (sample, record) = sample().await;
    let name = &sample.checkpoint.objects[0].name;
    let mut bytes = sample.bytes(name).await;
    bytes[100] ^= 1;
    sample.replace(name, bytes).await;

    let error = take(&sample.store, "one", 5, &record).await.expect_err("it is damaged");

    assert!(error.to_string().starts_with(&format!("{name} is damaged")), "{error}");
    let found = list(&sample.store).await.expect("memory lists");
    assert!(found.iter().all(|found| found.savepoint.is_err()), "{found:?}");
}

#[tokio::test]
async fn damage_hides_no_other_savepoint() {
    let (sample, record) = sample().await;
    for id in ["a", "b", "c"] {
        take(&sample.store, id, 5, &record).await.expect("it can be taken");
    }
    sample.replace("savepoints/b/savepoint.json", b"{\"format\":9,\"what\":1}".to_vec()).await;

    let found = list(&sample.store).await.expect("memory lists");

    let readable = |found: &Found| (found.id.clone(), found.savepoint.is_ok());
    assert_eq!(
        found.iter().map(readable).collect::<Vec<_>>(),
        [("a".to_owned(), true), ("b".to_owned(), false), ("c".to_owned(), true)]
    );
    let error = found[1].savepoint.as_ref().expect_err("it is from the future");
    assert!(matches!(error, SavepointError::TooNew { found: 9, .. }), "{error}");
}

#[tokio::test]
async fn every_flipped_byte_and_every_cut_of_its_file_is_refused() {
    let (sample, record) = sample().await;
    take(&sample.store, "one", 5, &record).await.expect("it can be taken");
    let own = folder(&sample.store, "one").expect("it is an id");
    let file = "savepoints/one/savepoint.json";
    let whole = sample.bytes(file).await;
    for at in 0..whole.len() {
        for mask in [1 << (at % 8), 0x20] {
            let mut flipped = whole.clone();
            flipped[at] ^= mask;
            sample.replace(file, flipped).await;
            let error = open(&own).await.expect_err("a byte is flipped").to_string();
            assert!(error.starts_with("memory/savepoints/one"), "byte {at}: {error}");
        }
        sample.replace(file, whole[..at].to_vec()).await;
        let error = open(&own).await.expect_err("it is cut off").to_string();
        assert!(error.starts_with("memory/savepoints/one"), "cut at {at}: {error}");
    }
}

#[test]
fn an_id_is_the_name_of_a_folder() {
    let store = StateStore::new(Arc::new(InMemory::new()), "job".into(), "memory".to_owned());
    for id in ["", "..", "a/b", "a b", "ä", &"a".repeat(65)] {
        assert!(matches!(folder(&store, id), Err(SavepointError::BadId { .. })), "{id}");
    }
    for id in ["a", "before-upgrade_2", &"a".repeat(64)] {
        assert!(folder(&store, id).is_ok(), "{id}");
    }
}

#[tokio::test]
async fn a_record_without_a_checkpoint_cannot_be_kept() {
    let (sample, _) = sample().await;

    let error = take(&sample.store, "one", 5, &record(9, Body::Deleted)).await.expect_err("nothing is there");

    assert!(matches!(error, SavepointError::NoCheckpoint { .. }), "{error}");
}
