//! Deletes a state whose log says that it is deleted.
//!
//! Owns: the order: objects, then records from the oldest on, so that what is left can always be deleted once more.
//! Never: deletes the Deleted record itself, what a later generation writes, or a savepoint.

use futures::stream::{self, TryStreamExt as _};

use crate::fail_point;
use crate::ids::{Generation, Seq};
use crate::log::Log;
use crate::record::{Body, Stored};
use crate::store::StoreError;

/// How many are deleted at once.
const AT_ONCE: usize = 16;

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Erased {
    /// Objects of checkpoints.
    pub objects: u64,
    /// Records.
    pub records: u64,
}

/// Deletes what is before this record, which [`Log::end`] gave. Once more, it deletes what was left.
pub async fn erase(log: &Log, deleted: &Stored) -> Result<Erased, StoreError> {
    let record = &deleted.record;
    assert!(
        record.body == Body::Deleted && record.begins_at == record.seq,
        "only an end is followed by this"
    );
    let store = log.store();
    let data = store.list("data", None).await?;
    let doomed = data
        .iter()
        .filter(|found| generation_of(&found.name).is_some_and(|generation| generation < record.generation));
    let objects = delete(log, doomed.map(|found| found.name.as_str())).await?;
    let probes = store.list("probe", None).await?;
    delete(log, probes.iter().map(|found| found.name.as_str())).await?;
    let mut records = 0;
    // One after the other: a gap would be taken for the end of the log.
    for found in store.list("log", None).await? {
        if Seq::of_object(&found.name).is_some_and(|seq| seq < record.seq) {
            fail_point::hit("delete.record.before");
            store.delete(&found.name).await?;
            fail_point::hit("delete.record.after");
            records += 1;
        }
    }
    Ok(Erased { objects, records })
}

async fn delete<'a>(log: &Log, names: impl Iterator<Item = &'a str>) -> Result<u64, StoreError> {
    let deletions = stream::iter(names.map(Ok::<_, StoreError>));
    let deleted = deletions.map_ok(|name| async move {
        fail_point::hit("delete.object.before");
        log.store().delete(name).await?;
        fail_point::hit("delete.object.after");
        Ok::<u64, StoreError>(1)
    });
    deleted.try_buffer_unordered(AT_ONCE).try_fold(0, |sum, one| async move { Ok(sum + one) }).await
}

/// Who wrote `data/<incarnation>-<attempt>/…`; nobody of ours, if it has another name.
pub(crate) fn generation_of(name: &str) -> Option<Generation> {
    let (folder, _) = name.strip_prefix("data/")?.split_once('/')?;
    let (incarnation, attempt) = folder.split_once('-')?;
    Some(Generation { incarnation: incarnation.parse().ok()?, attempt: attempt.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Lineage, WriterId};
    use crate::log::LogError;
    use crate::protocol::tests::{begin, epoch, log, request};
    use crate::protocol::{Claimant, Commit, DeleteRequest, Refusal, StartRequest};
    use crate::record::Owner;

    fn end_after(incarnation: u64) -> DeleteRequest {
        DeleteRequest { owner: request(0).owner, incarnation, writer: WriterId(99), now_ms: 0 }
    }

    async fn names(log: &Log, folder: &str) -> Vec<String> {
        let listed = log.store().list(folder, None).await.expect("it can be listed");
        listed.into_iter().map(|found| found.name).collect()
    }

    /// Incarnation 1 with two epochs, an object of each, a savepoint, and output that is not published.
    async fn running() -> Log {
        let log = log();
        let mut permit = begin(&log, request(1)).await.permit;
        for number in 0..2 {
            let object = format!("data/1-1/{number}-0-x.state.arrow");
            log.store().create(&object, "state".into()).await;
            let commit = Commit::Epoch(epoch(number, number == 1));
            log.commit(&mut permit, commit).await.expect("it leads");
        }
        log.store().create("savepoints/a/savepoint.json", "kept".into()).await;
        log
    }

    #[tokio::test]
    async fn all_but_the_mark_and_the_savepoints_is_deleted_and_the_next_start_begins_behind_it() {
        let log = running().await;

        let ended = log.end(&end_after(1)).await.expect("nothing forbids it").expect("there is a log");
        let erased = erase(&log, &ended).await.expect("it can be deleted");

        assert_eq!(erased, Erased { objects: 2, records: 3 });
        assert_eq!(names(&log, "log").await, [Seq(4).object_name()]);
        assert!(names(&log, "data").await.is_empty());
        assert_eq!(names(&log, "savepoints").await, ["savepoints/a/savepoint.json"]);
        let begun = begin(&log, StartRequest { claimant: Claimant::Incarnation(3), ..request(5) }).await;
        assert_eq!((begun.lineage, begun.resumed_from), (Lineage(5), Seq(5)));
        assert!(begun.checkpoint.is_none() && begun.inherited.is_none());
    }

    #[tokio::test]
    async fn an_end_is_made_once_and_deleting_goes_on_where_it_broke_off() {
        let log = running().await;
        let first = log.end(&end_after(1)).await.expect("nothing forbids it").expect("there is a log");
        log.store().delete(&Seq(1).object_name()).await.expect("it can be deleted");

        let again = log.end(&end_after(1)).await.expect("nothing forbids it").expect("there is a log");
        let erased = erase(&log, &again).await.expect("it can be deleted");

        assert_eq!((again.hash, erased), (first.hash, Erased { objects: 2, records: 2 }));
    }

    #[tokio::test]
    async fn who_was_replaced_or_owns_nothing_deletes_nothing() {
        let log = running().await;
        let other = Owner { name: "other".to_owned(), ..request(0).owner };
        let foreign = log.end(&DeleteRequest { owner: other, ..end_after(1) }).await;
        drop(begin(&log, StartRequest { claimant: Claimant::Incarnation(2), ..request(2) }).await);
        let before = names(&log, "log").await;

        let replaced = log.end(&end_after(1)).await;

        assert!(matches!(foreign, Err(LogError::Refused(Refusal::StateOwned { .. }))), "{foreign:?}");
        assert!(matches!(replaced, Err(LogError::Refused(Refusal::Fenced { .. }))), "{replaced:?}");
        assert_eq!(names(&log, "log").await, before);
    }

    #[tokio::test]
    async fn a_leader_that_still_runs_is_fenced_by_the_end() {
        let log = log();
        let mut permit = begin(&log, request(1)).await.permit;
        log.commit(&mut permit, Commit::Epoch(epoch(0, false))).await.expect("it leads");

        let ended = log.end(&end_after(1)).await.expect("nothing forbids it").expect("there is a log");
        log.store().create("data/3-1/0-0-x.state.arrow", "of a later one".into()).await;
        let committed = log.commit(&mut permit, Commit::Epoch(epoch(1, false))).await;
        erase(&log, &ended).await.expect("it can be deleted");

        assert!(matches!(committed, Err(crate::log::CommitError::Fenced { .. })), "{committed:?}");
        assert_eq!(names(&log, "data").await, ["data/3-1/0-0-x.state.arrow"]);
    }

    #[tokio::test]
    async fn without_a_log_there_is_nothing_to_end_and_foreign_objects_stay() {
        let (empty, lost) = (log(), log());
        lost.store().create("data/1-1/0-0-x.state.arrow", "state".into()).await;

        let nothing = empty.end(&end_after(1)).await.expect("nothing forbids it");
        let refused = lost.end(&end_after(1)).await;

        assert!(nothing.is_none());
        assert!(matches!(refused, Err(LogError::Refused(Refusal::LogLost))), "{refused:?}");
        assert_eq!(names(&lost, "data").await.len(), 1);
    }
}
