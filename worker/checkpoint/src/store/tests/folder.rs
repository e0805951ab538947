//! What only a folder of this machine has: rights, dead writers, empty folders.
//!
//! Owns: looks into the folder.
//! Never: runs as another user: where root may do everything, the question is left out.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;

use super::{Created, StateStore, StoreError, create};

/// How many unfinished files there are.
pub(super) fn unfinished(folder: &tempfile::TempDir) -> usize {
    fs::read_dir(folder.path().join(".unfinished")).map_or(0, Iterator::count)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

#[tokio::test]
async fn opening_removes_what_dead_writers_left_and_nothing_of_the_living() {
    let folder = folder();
    let store = StateStore::local(folder.path()).expect("it can be opened");
    let mut living = store.writer("data/1-1/a");
    living.write(Bytes::from(vec![7_u8; 9_000_000])).await.expect("it can be written");
    File::create(folder.path().join(".unfinished/1-1")).expect("it can be made");
    assert_eq!(unfinished(&folder), 2);

    StateStore::local(folder.path()).expect("it can be opened a second time");

    assert_eq!(unfinished(&folder), 1);
    living.finish().await.expect("it is as it was");
    assert_eq!(unfinished(&folder), 0);
}

#[tokio::test]
async fn a_folder_that_is_only_read_is_neither_made_nor_written() {
    let folder = folder();
    let missing = StateStore::local_to_read(&folder.path().join("job")).expect_err("it is not there");
    StateStore::local(folder.path()).expect("it can be opened");
    let store = StateStore::local_to_read(folder.path()).expect("it is there");

    let created = store.create("log/1", Bytes::from_static(b"x")).await;

    assert!(missing.is_missing(), "{missing:?}");
    assert!(matches!(created, Created::Unknown(StoreError::Denied { .. })), "{created:?}");
    assert!(!folder.path().join("job").exists());
}

#[tokio::test]
async fn a_folder_without_the_right_to_write_says_so() {
    let folder = folder();
    let store = StateStore::local(folder.path()).expect("it can be opened");
    create(&store, "log/1").await;
    fs::set_permissions(folder.path().join("log"), fs::Permissions::from_mode(0o555))
        .expect("the owner may change the mode");
    if File::create(folder.path().join("log/as-root")).is_ok() {
        return;
    }

    let created = store.create("log/2", Bytes::from_static(b"x")).await;

    assert!(matches!(created, Created::Unknown(StoreError::Denied { .. })), "{created:?}");
}

#[tokio::test]
async fn folders_go_with_their_last_object_and_come_back_with_the_next() {
    let folder = folder();
    let store = StateStore::local(folder.path()).expect("it can be opened");
    create(&store, "data/1-1/a").await;
    create(&store, "data/1-2/a").await;

    store.delete("data/1-1/a").await.expect("it can be deleted");
    let after_one = (folder.path().join("data/1-1").exists(), folder.path().join("data/1-2").exists());
    store.delete("data/1-2/a").await.expect("it can be deleted");
    let after_both = folder.path().join("data").exists();
    create(&store, "data/1-2/b").await;

    assert_eq!((after_one, after_both), ((false, true), false));
}

#[tokio::test]
async fn folders_that_another_program_removed_are_made_again() {
    let folder = folder();
    let store = StateStore::local(folder.path()).expect("it can be opened");
    create(&store, "data/1-1/a").await;
    StateStore::local(folder.path()).expect("it can be opened").delete("data/1-1/a").await.expect("deleted");

    create(&store, "data/1-1/b").await;

    assert_eq!(store.list("data", None).await.expect("it can be listed").len(), 1);
}

#[tokio::test]
async fn unfinished_files_are_in_no_listing() {
    let folder = folder();
    let store = StateStore::local(folder.path()).expect("it can be opened");
    let mut writer = store.writer("data/1-1/a");
    writer.write(Bytes::from(vec![7_u8; 9_000_000])).await.expect("it can be written");

    let listed = futures::TryStreamExt::try_collect::<Vec<_>>(store.store.list(None)).await;

    assert_eq!(listed.expect("it can be listed"), []);
}

#[test]
fn the_folders_above_are_made_too() {
    let folder = folder();

    StateStore::local(&folder.path().join("a/b/c")).expect("it can be made");

    assert!(folder.path().join("a/b/c").is_dir());
}
