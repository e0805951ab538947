//! What a store promises, on memory and on this machine's disk.
//!
//! Owns: the same questions asked of both.
//! Never: looks into a folder to see whether an object is there.

use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;

use super::{Created, Listed, StateStore, StoreError};
use crate::ids::{Hash, WriterId};

mod folder;
mod system_calls;

const SMALL: &[u8] = b"some bytes";

/// A store of each kind; the folder lives as long as the pair.
fn stores() -> Vec<(StateStore, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let local = StateStore::local(folder.path()).expect("an empty folder can be opened");
    let memory = StateStore::new(Arc::new(InMemory::new()), Path::from("jobs/job-1"), "memory".to_owned());
    vec![(memory, None), (local, Some(folder))]
}

async fn create(store: &StateStore, name: &str) {
    let created = store.create(name, Bytes::from_static(SMALL)).await;

    assert!(matches!(created, Created::Created), "{name}: {created:?}");
}

#[tokio::test]
async fn an_object_is_created_once_and_never_replaced() {
    for (store, _folder) in stores() {
        create(&store, "log/1.json").await;

        let again = store.create("log/1.json", Bytes::from_static(b"other")).await;

        assert!(matches!(again, Created::Exists), "{again:?}");
        assert_eq!(store.get("log/1.json").await.expect("it is there"), SMALL);
    }
}

#[tokio::test]
async fn of_many_writers_of_one_name_exactly_one_wins() {
    for (store, _folder) in stores() {
        let writers = (0..16).map(|_| store.create("log/7.json", Bytes::from_static(SMALL)));

        let answers = futures::future::join_all(writers).await;

        let winners = answers.iter().filter(|answer| matches!(answer, Created::Created)).count();
        let losers = answers.iter().filter(|answer| matches!(answer, Created::Exists)).count();
        assert_eq!((winners, losers), (1, 15));
    }
}

#[tokio::test]
async fn a_listing_has_a_folder_and_not_the_one_whose_name_begins_like_it() {
    for (store, _folder) in stores() {
        for name in ["data/1-1/b", "data/1-1/a", "data/1-10/c", "log/1"] {
            create(&store, name).await;
        }

        let all = store.list("data", None).await.expect("it can be listed");
        let one = store.list("data/1-1", None).await.expect("it can be listed");
        let behind = store.list("data/1-1", Some("data/1-1/a")).await.expect("it can be listed");
        let none = store.list("nothing", None).await.expect("it can be listed");

        let names = |found: &[Listed]| found.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&all), ["data/1-1/a", "data/1-1/b", "data/1-10/c"]);
        assert_eq!(names(&one), ["data/1-1/a", "data/1-1/b"]);
        assert_eq!(behind, [Listed { name: "data/1-1/b".to_owned(), bytes: SMALL.len() as u64 }]);
        assert_eq!(none, []);
    }
}

#[tokio::test]
async fn a_missing_object_is_told_from_every_other_failure() {
    for (store, _folder) in stores() {
        let error = store.get("log/1.json").await.expect_err("nothing is there");

        assert!(error.is_missing(), "{error:?}");
        assert_eq!(error.to_string(), format!("log/1.json is not in {}", store.shown()));
        assert_eq!(store.size("log/1.json").await.expect("that is an answer"), None);
        store.delete("log/1.json").await.expect("what is not there counts as deleted");
    }
}

#[tokio::test]
async fn a_range_is_whole_or_an_error() {
    for (store, _folder) in stores() {
        create(&store, "data/a").await;

        let inside = store.get_range("data/a", 5..10).await.expect("it has ten bytes");
        let empty = store.get_range("data/a", 3..3).await.expect("nothing is always there");
        for range in [5..11, 10..11, 20..30] {
            let error = store.get_range("data/a", range).await.expect_err("it ends before");
            assert!(matches!(error, StoreError::Short { found: 10, .. }), "{error:?}");
        }
        assert_eq!((&inside[..], &empty[..]), (&b"bytes"[..], &b""[..]));
    }
}

#[tokio::test]
async fn names_cannot_leave_the_folder() {
    for (store, _folder) in stores() {
        for name in ["", "../other/log", "log/../../x", "/etc/passwd", "log//1", ".unfinished/1-1"] {
            let error = store.get(name).await.expect_err("it is no name");
            assert!(matches!(error, StoreError::BadName { .. }), "{name}: {error:?}");
        }
    }
}

#[tokio::test]
async fn an_object_of_any_length_appears_whole_with_length_and_hash() {
    let part = Bytes::from((0..3_000_000_u32).map(|i| (i % 251) as u8).collect::<Vec<u8>>());
    for (store, _folder) in stores() {
        for parts in [0, 1, 2, 3, 7] {
            let name = format!("data/1-1/{parts}");
            let mut writer = store.writer(&name);
            for _ in 0..parts {
                writer.write(part.clone()).await.expect("it can be written");
            }
            assert_eq!(store.size(&name).await.expect("that is an answer"), None, "it is not finished");

            let object = writer.finish().await.expect("it can be finished");

            let read = store.get(&name).await.expect("it is there");
            assert_eq!(read, part.repeat(parts));
            assert_eq!((object.bytes, object.hash), (read.len() as u64, Hash::of(&read)));
        }
    }
}

#[tokio::test]
async fn a_writer_that_is_dropped_or_aborted_leaves_nothing() {
    let part = Bytes::from(vec![7_u8; 9_000_000]);
    for (store, folder) in stores() {
        let mut dropped = store.writer("data/1-1/dropped");
        dropped.write(part.clone()).await.expect("it can be written");
        drop(dropped);
        let mut aborted = store.writer("data/1-1/aborted");
        aborted.write(part.clone()).await.expect("it can be written");
        aborted.abort().await;

        assert_eq!(store.list("data", None).await.expect("it can be listed"), []);
        if let Some(folder) = folder {
            assert_eq!(folder::unfinished(&folder), 0);
        }
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_whatever_the_length() {
    for (store, _folder) in stores().into_iter().skip(1) {
        create(&store, "data/1-1/a").await;
        for length in [1, 9_000_000] {
            let mut writer = store.writer("data/1-1/a");
            writer.write(Bytes::from(vec![7_u8; length])).await.expect("it can be written");

            let error = writer.finish().await.expect_err("the name is taken");

            assert!(matches!(error, StoreError::NameTaken { .. }), "{error:?}");
            assert_eq!(store.get("data/1-1/a").await.expect("it is there"), SMALL);
        }
    }
}

#[tokio::test]
async fn a_store_that_keeps_its_word_passes_the_probe_and_keeps_nothing_of_it() {
    for (store, _folder) in stores() {
        store.probe(WriterId(1)).await.expect("it is fit");

        assert_eq!(store.list("probe", None).await.expect("it can be listed"), []);
    }
}

#[tokio::test]
async fn a_folder_within_a_store_has_names_of_its_own() {
    for (store, _folder) in stores() {
        let inner = store.within("savepoints/one");

        create(&inner, "data/1-1/a").await;

        assert_eq!(inner.list("data", None).await.expect("it can be listed")[0].name, "data/1-1/a");
        let outer = store.list("savepoints", None).await.expect("it can be listed");
        assert_eq!(outer[0].name, "savepoints/one/data/1-1/a");
    }
}
