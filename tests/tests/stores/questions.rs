//! What a store must be able to do, asked of all of them in the same way.
//!
//! Owns: the questions.
//! Never: knows which store it asks.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;
use streamjob_checkpoint::ids::{Hash, WriterId};
use streamjob_checkpoint::store::{Created, Listed, StateStore, StoreError};

const SMALL: &[u8] = b"some bytes";
const RACES: usize = 20;
const WRITERS: usize = 12;

/// Asks everything; `many` is more than one page of a listing, where there are pages.
pub(super) async fn keeps_its_word(store: &StateStore, many: usize) {
    it_begins_empty(store).await;
    an_object_is_created_once(&store.within("once")).await;
    of_many_writers_exactly_one_wins(&store.within("race")).await;
    what_was_created_is_listed_at_once(&store.within("fresh")).await;
    a_listing_is_of_one_folder(&store.within("folders")).await;
    a_long_listing_is_whole(&store.within("long"), many).await;
    a_missing_object_is_told_from_other_failures(&store.within("missing")).await;
    a_range_is_whole_or_an_error(&store.within("ranges")).await;
    objects_of_any_length_appear_whole(&store.within("lengths")).await;
    an_upload_that_is_given_up_leaves_nothing(&store.within("given-up")).await;
    deleting_twice_is_deleting_once(&store.within("delete")).await;
    store.within("probe").probe(WriterId(1)).await.expect("it is fit");
    store.probe(WriterId(2)).await.expect("it is fit");
    assert_eq!(names(store, "probe", None).await, Vec::<String>::new());
}

async fn create(store: &StateStore, name: &str) {
    let created = store.create(name, Bytes::from_static(SMALL)).await;

    assert!(matches!(created, Created::Created), "{name}: {created:?}");
}

async fn names(store: &StateStore, folder: &str, after: Option<&str>) -> Vec<String> {
    let listed = store.list(folder, after).await.expect("it can be listed");
    listed.into_iter().map(|one| one.name).collect()
}

async fn it_begins_empty(store: &StateStore) {
    for folder in ["log", "data", "savepoints", "never/was"] {
        assert_eq!(names(store, folder, None).await, Vec::<String>::new(), "{folder}");
    }
}

async fn an_object_is_created_once(store: &StateStore) {
    create(store, "log/1.json").await;

    let again = store.create("log/1.json", Bytes::from_static(b"other")).await;

    assert!(matches!(again, Created::Exists), "{again:?}");
    assert_eq!(store.get("log/1.json").await.expect("it is there"), SMALL);
}

async fn of_many_writers_exactly_one_wins(store: &StateStore) {
    for race in 0..RACES {
        let name = format!("log/{race}.json");
        let writers = (0..WRITERS).map(|i| store.create(&name, Bytes::from(format!("writer {i:2}"))));

        let answers = join_all(writers).await;

        let winners: Vec<usize> = (0..WRITERS).filter(|i| matches!(answers[*i], Created::Created)).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        let read = store.get(&name).await.expect("it is there");
        assert_eq!(read, format!("writer {:2}", winners[0]));
    }
}

async fn what_was_created_is_listed_at_once(store: &StateStore) {
    for i in 0..20 {
        create(store, &format!("log/{i:02}.json")).await;

        assert_eq!(names(store, "log", None).await.len(), i + 1);
    }
}

async fn a_listing_is_of_one_folder(store: &StateStore) {
    for name in ["data/1-1/b", "data/1-1/a", "data/1-10/c", "log/1"] {
        create(store, name).await;
    }

    assert_eq!(names(store, "data", None).await, ["data/1-1/a", "data/1-1/b", "data/1-10/c"]);
    assert_eq!(names(store, "data/1-1", None).await, ["data/1-1/a", "data/1-1/b"]);
    let behind = store.list("data/1-1", Some("data/1-1/a")).await.expect("it can be listed");
    assert_eq!(behind, [Listed { name: "data/1-1/b".to_owned(), bytes: SMALL.len() as u64 }]);
    assert_eq!(names(store, "nothing", None).await, Vec::<String>::new());
}

async fn a_long_listing_is_whole(store: &StateStore, many: usize) {
    let name = |i: usize| format!("log/{i:020}.json");
    let creates = stream::iter(0..many).map(|i| async move { create(store, &name(i)).await });
    creates.buffer_unordered(16).collect::<Vec<()>>().await;

    let all = names(store, "log", None).await;
    let behind = names(store, "log", Some(&name(4))).await;

    assert_eq!(all, (0..many).map(name).collect::<Vec<_>>());
    assert_eq!(behind, (5..many).map(name).collect::<Vec<_>>());
}

async fn a_missing_object_is_told_from_other_failures(store: &StateStore) {
    let error = store.get("log/1.json").await.expect_err("nothing is there");
    let range = store.get_range("log/1.json", 0..5).await.expect_err("nothing is there");

    assert!(error.is_missing() && range.is_missing(), "{error:?} {range:?}");
    assert_eq!(error.to_string(), format!("log/1.json is not in {}", store.shown()));
    assert_eq!(store.size("log/1.json").await.expect("that is an answer"), None);
}

async fn a_range_is_whole_or_an_error(store: &StateStore) {
    create(store, "data/a").await;

    let inside = store.get_range("data/a", 5..10).await.expect("it has ten bytes");
    let empty = store.get_range("data/a", 3..3).await.expect("nothing is always there");

    assert_eq!((&inside[..], &empty[..]), (&b"bytes"[..], &b""[..]));
    for range in [5..11, 10..11, 20..30] {
        let error = store.get_range("data/a", range).await.expect_err("it ends before");
        assert!(matches!(error, StoreError::Short { found: 10, .. }), "{error:?}");
    }
}

async fn objects_of_any_length_appear_whole(store: &StateStore) {
    let part = Bytes::from((0..3_000_000_u32).map(|i| (i % 251) as u8).collect::<Vec<u8>>());
    for parts in [0, 1, 3, 7] {
        let name = format!("data/1-1/{parts}");
        let mut writer = store.writer(&name);
        for _ in 0..parts {
            writer.write(part.clone()).await.expect("it can be written");
        }
        assert_eq!(store.size(&name).await.expect("that is an answer"), None, "it is not finished");

        let object = writer.finish().await.expect("it can be finished");

        let read = store.get(&name).await.expect("it is there");
        assert!(read == part.repeat(parts), "{} bytes", read.len());
        assert_eq!((object.bytes, object.hash), (read.len() as u64, Hash::of(&read)));
        if parts == 7 {
            let across = store.get_range(&name, 8_388_600..8_388_700).await.expect("it is there");
            assert_eq!(across, read.slice(8_388_600..8_388_700));
        }
    }
}

async fn an_upload_that_is_given_up_leaves_nothing(store: &StateStore) {
    let part = Bytes::from(vec![7_u8; 9_000_000]);
    let mut dropped = store.writer("data/1-1/dropped");
    dropped.write(part.clone()).await.expect("it can be written");
    drop(dropped);
    let mut aborted = store.writer("data/1-1/aborted");
    aborted.write(part).await.expect("it can be written");
    aborted.abort().await;

    assert_eq!(names(store, "data", None).await, Vec::<String>::new());
}

async fn deleting_twice_is_deleting_once(store: &StateStore) {
    create(store, "data/a").await;

    for _ in 0..2 {
        store.delete("data/a").await.expect("what is not there counts as deleted");
        assert_eq!(store.size("data/a").await.expect("that is an answer"), None);
    }
    assert_eq!(names(store, "data", None).await, Vec::<String>::new());
    // Its name could be used again; only the protocol forbids it.
    create(store, "data/a").await;
}
