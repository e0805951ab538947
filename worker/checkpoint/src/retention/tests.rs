//! Retention over small logs in memory.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::checkpoint::{Checkpoint, Object};
use crate::ids::Hash;
use crate::protocol::tests::{begin, epoch, log, request};
use crate::protocol::{BeginAt, Commit, StartRequest};
use crate::record::Restore;

/// Commits epoch after epoch, each with an object of its own and one that it shares with the one before.
async fn commit(log: &Log, permit: &mut CommitPermit, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let mut checkpoint: Box<Checkpoint> = epoch(number, false);
        let first = number.saturating_sub(1);
        for object in first..=number {
            let name = format!("data/{}/{object}-0-x.state.arrow", permit.generation());
            log.store().create(&name, "state".into()).await;
            checkpoint.objects.push(Object { name, bytes: 5, hash: Hash(0) });
        }
        log.commit(permit, Commit::Epoch(checkpoint)).await.expect("it leads");
    }
}

async fn names(log: &Log, folder: &str) -> Vec<String> {
    let listed = log.store().list(folder, None).await.expect("memory can be listed");
    listed.into_iter().map(|found| found.name).collect()
}

fn at(seconds: u64, pins: &BTreeSet<Seq>) -> Sweep<'_> {
    Sweep { now: Duration::from_secs(seconds), pins }
}

#[tokio::test]
async fn the_newest_epochs_stay_and_objects_wait_for_the_grace() {
    let (log, none) = (log(), BTreeSet::new());
    let mut permit = begin(&log, request(1)).await.permit;
    commit(&log, &mut permit, 0..6).await;
    let mut retention = Retention::new(2, Duration::from_secs(10));

    let first = retention.run(&log, &permit, at(100, &none)).await.expect("it leads");
    let data_then = names(&log, "data").await.len();
    let second = retention.run(&log, &permit, at(111, &none)).await.expect("it leads");
    let third = retention.run(&log, &permit, at(112, &none)).await.expect("it leads");

    // Genesis stays, and epochs 4 and 5, which name the objects of 3, 4 and 5.
    let left = [1, 6, 7].map(|seq| Seq(seq).object_name());
    assert_eq!(names(&log, "log").await, left);
    assert_eq!((first, data_then), (Swept { records: 4, objects: 0 }, 6));
    assert_eq!(second, Swept { records: 0, objects: 3 });
    assert_eq!(third, Swept::default());
    assert_eq!(names(&log, "data").await.len(), 3);
}

#[tokio::test]
async fn what_is_pinned_stays_with_all_that_follows() {
    let (log, pins) = (log(), BTreeSet::from([Seq(4)]));
    let mut permit = begin(&log, request(1)).await.permit;
    commit(&log, &mut permit, 0..6).await;

    let swept = Retention::new(1, Duration::ZERO).run(&log, &permit, at(0, &pins)).await.expect("it leads");

    assert_eq!(swept, Swept { records: 2, objects: 1 });
    assert_eq!(names(&log, "log").await, [1, 4, 5, 6, 7].map(|seq| Seq(seq).object_name()));
}

#[tokio::test]
async fn only_older_generations_are_swept_by_their_folder() {
    let (log, none) = (log(), BTreeSet::new());
    let mut permit = begin(&log, request(1)).await.permit;
    commit(&log, &mut permit, 0..1).await;
    let mut permit = begin(&log, request(2)).await.permit;
    commit(&log, &mut permit, 1..2).await;
    // Left by the first; being uploaded by the second; later generations; names that are nobody's.
    let others = ["1-1", "2-1", "2-10", "10-1", "1", "1-1-1", "x-1"]
        .map(|folder| format!("data/{folder}/9-0-y.state.arrow"));
    for name in &others {
        log.store().create(name, "state".into()).await;
    }

    Retention::new(1, Duration::ZERO).run(&log, &permit, at(0, &none)).await.expect("it leads");

    let left: BTreeSet<String> = names(&log, "data").await.into_iter().collect();
    assert!(!left.contains(&others[0]), "{left:?}");
    assert!(others[1..].iter().all(|name| left.contains(name)), "{left:?}");
}

#[tokio::test]
async fn checkpoints_of_the_life_before_a_restore_stay_until_there_are_newer_ones() {
    let (log, none) = (log(), BTreeSet::new());
    let mut permit = begin(&log, request(1)).await.permit;
    commit(&log, &mut permit, 0..4).await;
    let asked = Restore { id: "r1".into(), from: "epoch 1".into() };
    let restore = BeginAt::From { request: asked, checkpoint: epoch(1, false) };
    let mut permit = begin(&log, StartRequest { begin: restore, ..request(2) }).await.permit;
    commit(&log, &mut permit, 4..5).await;
    let mut retention = Retention::new(3, Duration::ZERO);

    retention.run(&log, &permit, at(0, &none)).await.expect("it leads");
    let before = names(&log, "log").await;
    commit(&log, &mut permit, 5..7).await;
    retention.run(&log, &permit, at(0, &none)).await.expect("it leads");

    // Epochs 2 and 3 of the first life, the Genesis of the second, epoch 4.
    assert_eq!(before, [4, 5, 6, 7].map(|seq| Seq(seq).object_name()));
    assert_eq!(names(&log, "log").await, [6, 7, 8, 9].map(|seq| Seq(seq).object_name()));
}

#[tokio::test]
async fn who_was_overtaken_deletes_nothing() {
    let (log, none) = (log(), BTreeSet::new());
    let mut first = begin(&log, request(1)).await.permit;
    commit(&log, &mut first, 0..6).await;
    drop(begin(&log, request(2)).await);

    let swept = Retention::new(1, Duration::ZERO).run(&log, &first, at(0, &none)).await;

    assert!(matches!(swept, Err(RetentionError::Fenced { .. })), "{swept:?}");
    assert_eq!(names(&log, "log").await.len(), 8);
}

#[tokio::test]
async fn one_run_deletes_a_bounded_number_of_things_and_the_next_goes_on() {
    let (log, none) = (log(), BTreeSet::new());
    let mut permit = begin(&log, request(1)).await.permit;
    commit(&log, &mut permit, 0..250).await;
    let mut retention = Retention::new(1, Duration::ZERO);

    let first = retention.run(&log, &permit, at(0, &none)).await.expect("it leads");
    let second = retention.run(&log, &permit, at(1, &none)).await.expect("it leads");
    let third = retention.run(&log, &permit, at(2, &none)).await.expect("it leads");

    assert_eq!(first, Swept { records: 200, objects: 0 });
    assert_eq!(second, Swept { records: 49, objects: 200 });
    assert_eq!(third, Swept { records: 0, objects: 48 });
}
