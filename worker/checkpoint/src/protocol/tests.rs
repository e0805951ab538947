//! Starts and commits over small logs in memory.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_trait::async_trait;
use object_store::memory::InMemory;

use super::*;
use crate::checkpoint::{Checkpoint, Object, OutboxObject, OutboxPart};
use crate::ids::{Epoch, Generation, Hash, Lineage, WriterId};
use crate::log::{CommitError, Log, LogError};
use crate::record::{Owner, RecordError, Restore};
use crate::retry::Pacer;
use crate::store::{Created, StateStore};

mod take_over;

/// Time goes by in pauses alone.
#[derive(Debug, Default)]
pub(crate) struct NoTime(AtomicU64);

#[async_trait]
impl Pacer for NoTime {
    async fn pause(&self, about: Duration) {
        self.0.fetch_add(about.as_millis() as u64, Relaxed);
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }

    fn now_ms(&self) -> i64 {
        0
    }
}

pub(crate) fn log() -> Log {
    let store = StateStore::new(Arc::new(InMemory::new()), "job".into(), "memory".into());
    Log::new(store.paced_by(Arc::new(NoTime::default())))
}

pub(crate) fn request(number: u128) -> StartRequest {
    StartRequest {
        owner: Owner { cluster: "local".into(), namespace: "/jobs".into(), name: "job".into() },
        take_over: None,
        sink: [("results".to_owned(), "/out".to_owned())].into(),
        fingerprint: [("spec.pipeline.keyBy".to_owned(), "city".to_owned())].into(),
        claimant: Claimant::Next,
        begin: BeginAt::Latest,
        floor: None,
        published: None,
        writer: WriterId(number),
        lineage: Lineage(number),
        now_ms: 0,
    }
}

pub(crate) async fn begin(log: &Log, request: StartRequest) -> Box<Begun> {
    match log.begin(&request).await.expect("nothing forbids it") {
        Start::Begun(begun) => begun,
        Start::Finished(stored) => panic!("{stored:?}"),
    }
}

pub(crate) fn epoch(number: u64, output: bool) -> Box<Checkpoint> {
    let fingerprint = request(0).fingerprint;
    let mut checkpoint = Box::new(Checkpoint::at_start(1, fingerprint, Hash(0), Vec::new()));
    checkpoint.epoch = Epoch(number);
    if output {
        let name = format!("data/1-1/{number}-0-x.outbox.arrow");
        let part = OutboxPart { slot: 0, target: "results".into(), rows: 1, bytes: 1 };
        checkpoint.objects.push(Object { name: name.clone(), bytes: 1, hash: Hash(0) });
        checkpoint.outbox.push(OutboxObject { object: name, parts: vec![part] });
    }
    checkpoint
}

/// Epoch 0 and 1, published and ended.
async fn ended(log: &Log, finished: bool) {
    let mut permit = begin(log, request(1)).await.permit;
    for number in 0..2 {
        log.commit(&mut permit, Commit::Epoch(epoch(number, false))).await.expect("it leads");
    }
    let last = Commit::Final { checkpoint: epoch(1, false), finished, operation: None };
    log.commit(&mut permit, last).await.expect("it leads");
}

/// Epoch 0 and 1, the latter with output that is not published.
async fn running(log: &Log) -> CommitPermit {
    let mut permit = begin(log, request(1)).await.permit;
    for number in 0..2 {
        log.commit(&mut permit, Commit::Epoch(epoch(number, number == 1))).await.expect("it leads");
    }
    permit
}

async fn refusal(log: &Log, request: StartRequest) -> Refusal {
    match log.begin(&request).await {
        Err(LogError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_first_start_begins_a_lineage_with_nothing() {
    let log = log();

    let begun = begin(&log, request(1)).await;

    assert_eq!((begun.checkpoint, begun.lineage), (None, Lineage(1)));
    assert_eq!(begun.permit.generation(), Generation { incarnation: 1, attempt: 1 });
    assert_eq!(begun.permit.last_epoch(), None);
}

#[tokio::test]
async fn a_second_start_goes_on_from_the_newest_epoch_and_publishes_its_output() {
    let log = log();
    let mut first = running(&log).await;

    let begun = begin(&log, request(2)).await;
    let fenced = log.commit(&mut first, Commit::Epoch(epoch(2, false))).await;

    assert_eq!(begun.checkpoint.map(|checkpoint| checkpoint.epoch), Some(Epoch(1)));
    assert_eq!(begun.inherited.map(|stored| stored.record.seq), Some(Seq(3)));
    assert_eq!(begun.lineage, Lineage(1));
    // The first has its own output to publish before it would commit.
    assert!(matches!(fenced, Err(CommitError::Refused(Refused::Unpublished { .. }))), "{fenced:?}");
    assert!(!log.still_leads(&first).await.expect("the log is read"));
    assert!(first.published(Lineage(1), Epoch(1)));
    let fenced = log.commit(&mut first, Commit::Epoch(epoch(2, false))).await;
    assert!(
        matches!(fenced, Err(CommitError::Fenced { by: Generation { incarnation: 2, .. } })),
        "{fenced:?}"
    );
}

#[tokio::test]
async fn a_finished_job_is_not_claimed_again_and_an_ended_one_is() {
    let (finished, stopped) = (log(), log());
    ended(&finished, true).await;
    ended(&stopped, false).await;

    let start = finished.begin(&request(2)).await;
    let begun = begin(&stopped, request(2)).await;

    assert!(matches!(start, Ok(Start::Finished(_))), "{start:?}");
    assert_eq!(begun.checkpoint.map(|checkpoint| checkpoint.epoch), Some(Epoch(1)));
    let same = StartRequest { claimant: Claimant::Incarnation(1), ..request(3) };
    assert!(matches!(refusal(&stopped, same).await, Refusal::Fenced { .. }));
}

#[tokio::test]
async fn an_incarnation_that_has_ended_is_never_started_again() {
    let log = log();
    ended(&log, false).await;
    let same =
        StartRequest { claimant: Claimant::Exactly(Generation { incarnation: 1, attempt: 2 }), ..request(2) };

    let refused = refusal(&log, same).await;

    assert_eq!(refused, Refusal::Ended { incarnation: 1 });
}

#[tokio::test]
async fn every_refusal_names_what_and_the_remedy() {
    let log = log();
    drop(running(&log).await);
    let owner = Owner { name: "other".into(), ..request(2).owner };
    let sink = [("results".to_owned(), "/elsewhere".to_owned())].into();
    let fingerprint = [("spec.pipeline.keyBy".to_owned(), "street".to_owned())].into();
    let cases = [
        (StartRequest { owner, ..request(2) }, ["job job of /jobs", "state.location"]),
        (StartRequest { sink, ..request(2) }, ["/elsewhere", "Ctrl-C"]),
        (StartRequest { fingerprint, ..request(2) }, ["`city`", "--fresh --discard-state"]),
        (
            StartRequest { begin: BeginAt::Nothing { discard: false, request: None }, ..request(2) },
            ["epoch 1", "--discard-state"],
        ),
        (StartRequest { floor: Some(Seq(9)), ..request(2) }, ["had come to 9", "state.location"]),
    ];
    for (request, words) in cases {
        let said = refusal(&log, request).await.to_string();

        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
}

#[tokio::test]
async fn a_job_that_has_put_nothing_out_may_put_it_elsewhere() {
    let log = log();
    let mut permit = begin(&log, request(1)).await.permit;
    log.commit(&mut permit, Commit::Epoch(epoch(0, false))).await.expect("it leads");
    let sink = [("results".to_owned(), "/elsewhere".to_owned())].into();

    let begun = begin(&log, StartRequest { sink, ..request(2) }).await;

    assert_eq!(begun.lineage, Lineage(1));
    assert_eq!(begun.permit.head().record.sink["results"], "/elsewhere");
}

#[tokio::test]
async fn a_lost_log_is_not_taken_for_an_empty_one() {
    let log = log();
    let created = log.store().create("data/1-1/1-0-x.state.arrow", "state".into()).await;
    assert!(matches!(created, Created::Created));

    let refused = refusal(&log, request(2)).await;

    assert_eq!(refused, Refusal::LogLost);
}

#[tokio::test]
async fn a_lost_record_is_named() {
    let log = log();
    drop(running(&log).await);
    let second = begin(&log, request(2)).await;
    assert_eq!(second.permit.head().record.seq, Seq(4));
    log.store().delete("log/00000000000000000003.json").await.expect("it can be deleted");

    let refused = refusal(&log, request(3)).await;

    assert_eq!(refused, Refusal::RecordLost { record: Seq(3), needed_by: Seq(4) });
}

#[tokio::test]
async fn a_head_that_is_damaged_or_too_new_stops_a_start() {
    for (bytes, word) in [("{\"format\":3,\"hash\":\"\"}\n", "format 3"), ("{\"format\":1", "damaged")] {
        let log = log();
        drop(running(&log).await);
        let name = Seq(4).object_name();
        log.store().create(&name, bytes.into()).await;

        let error = log.begin(&request(2)).await.expect_err("the head is no record");

        assert!(matches!(error, LogError::Record(RecordError::Damaged { .. } | RecordError::TooNew { .. })));
        assert!(error.to_string().contains(word) && error.to_string().contains(&name), "{error}");
    }
}

#[tokio::test]
async fn a_restore_happens_once() {
    let log = log();
    drop(running(&log).await);
    let asked = Restore { id: "r1".into(), from: "epoch 0".into() };
    let begin_at = BeginAt::From { request: asked, checkpoint: epoch(0, false) };
    let from = |number| StartRequest { begin: begin_at.clone(), ..request(number) };

    let restored = begin(&log, from(2)).await;
    let mut permit = restored.permit;
    permit.published(Lineage(1), Epoch(1));
    log.commit(&mut permit, Commit::Epoch(epoch(2, false))).await.expect("it leads");
    let again = begin(&log, from(3)).await;

    assert_eq!(restored.checkpoint.map(|checkpoint| checkpoint.epoch), Some(Epoch(0)));
    assert_eq!(
        restored.inherited.map(|stored| stored.record.seq),
        Some(Seq(3)),
        "the output before it is owed"
    );
    assert_eq!(again.checkpoint.map(|checkpoint| checkpoint.epoch), Some(Epoch(2)));
    assert_eq!((restored.lineage, again.lineage), (Lineage(2), Lineage(2)), "one restore, one more life");
}

#[tokio::test]
async fn a_restore_begins_another_life_in_one_record_that_names_those_before() {
    let log = log();
    drop(running(&log).await);
    let from = |id: &str, number| {
        let asked = Restore { id: id.into(), from: "epoch 0".into() };
        let begin = BeginAt::From { request: asked, checkpoint: epoch(0, false) };
        StartRequest { begin, ..request(number) }
    };

    let first = begin(&log, from("r1", 2)).await;
    let second = begin(&log, from("r2", 3)).await;
    let latest = begin(&log, request(4)).await;
    let fresh =
        begin(&log, StartRequest { begin: BeginAt::Nothing { discard: true, request: None }, ..request(5) })
            .await;

    let formerly = |begun: &Begun| begun.permit.head().record.formerly.clone();
    assert_eq!((first.permit.head().record.seq, formerly(&first)), (Seq(4), vec![Lineage(1)]));
    assert_eq!(formerly(&second), [Lineage(1), Lineage(2)]);
    assert_eq!((latest.lineage, formerly(&latest)), (Lineage(3), vec![Lineage(1), Lineage(2)]));
    assert_eq!((fresh.lineage, formerly(&fresh)), (Lineage(5), Vec::new()));
    assert_eq!(second.permit.last_epoch(), Some(Epoch(1)), "no epoch's number is used again");
    assert_eq!(second.inherited.map(|stored| stored.record.seq), Some(Seq(3)), "it is owed until it is out");
}

#[tokio::test]
async fn a_restore_needs_nothing_that_the_log_has_lost() {
    let log = log();
    drop(running(&log).await);
    drop(begin(&log, request(2)).await);
    log.store().delete("log/00000000000000000003.json").await.expect("it can be deleted");
    let asked = Restore { id: "r1".into(), from: "epoch 0".into() };
    let begin_at = BeginAt::From { request: asked, checkpoint: epoch(0, false) };

    let latest = refusal(&log, request(3)).await;
    let begun = begin(&log, StartRequest { begin: begin_at, ..request(4) }).await;

    assert_eq!(latest, Refusal::RecordLost { record: Seq(3), needed_by: Seq(4) });
    assert!(begun.inherited.is_none() && begun.permit.head().record.unpublished.is_none());
    let mut permit = begun.permit;
    log.commit(&mut permit, Commit::Epoch(epoch(2, true))).await.expect("nothing is owed");
}

#[tokio::test]
async fn a_fresh_start_over_state_begins_another_lineage_in_the_same_log() {
    let log = log();
    drop(running(&log).await);

    let begun =
        begin(&log, StartRequest { begin: BeginAt::Nothing { discard: true, request: None }, ..request(2) })
            .await;

    assert_eq!((begun.checkpoint, begun.lineage, begun.resumed_from), (None, Lineage(2), Seq(5)));
    let kinds: Vec<_> =
        log.records().await.expect("the log is read").into_iter().map(|stored| stored.record.body).collect();
    assert!(matches!(kinds[3], crate::record::Body::Deleted), "{kinds:?}");
}

#[tokio::test]
async fn records_say_from_where_progress_is_read_until_the_sink_is_another() {
    let log = log();
    let mut permit = running(&log).await;
    permit.published(Lineage(1), Epoch(1));
    permit.note_progress(40);
    log.commit(&mut permit, Commit::Epoch(epoch(2, false))).await.expect("it leads");
    let end = Commit::Final { checkpoint: epoch(2, false), finished: false, operation: None };
    log.commit(&mut permit, end).await.expect("it leads");

    let same = begin(&log, request(2)).await;
    let last = Commit::Final { checkpoint: epoch(2, false), finished: false, operation: None };
    let mut permit = same.permit;
    log.commit(&mut permit, last).await.expect("it leads");
    let sink = [("results".to_owned(), "/elsewhere".to_owned())].into();
    let other = begin(&log, StartRequest { sink, ..request(3) }).await;

    let stored = log.records().await.expect("the log is read");
    let noted: Vec<_> = stored.iter().map(|stored| stored.record.progress_from).collect();
    assert_eq!(noted, [None, None, None, Some(40), Some(40), Some(40), Some(40), None]);
    assert_eq!(other.permit.head().record.progress_from, None);
}

#[tokio::test]
async fn a_permit_refuses_what_breaks_the_order_of_epochs() {
    let log = log();
    let mut permit = running(&log).await;
    permit.published(Lineage(1), Epoch(1));

    let old = log.commit(&mut permit, Commit::Epoch(epoch(1, false))).await;
    let not_last = log
        .commit(&mut permit, Commit::Final { checkpoint: epoch(0, false), finished: false, operation: None })
        .await;
    let with_output = log
        .commit(&mut permit, Commit::Final { checkpoint: epoch(1, true), finished: false, operation: None })
        .await;
    let end = log
        .commit(&mut permit, Commit::Final { checkpoint: epoch(1, false), finished: false, operation: None })
        .await;
    let after = log.commit(&mut permit, Commit::Epoch(epoch(2, false))).await;

    assert!(matches!(old, Err(CommitError::Refused(Refused::OldEpoch { .. }))));
    assert!(matches!(not_last, Err(CommitError::Refused(Refused::NotTheLast { .. }))));
    assert!(matches!(with_output, Err(CommitError::Refused(Refused::NotTheLast { .. }))));
    assert!(end.is_ok(), "{end:?}");
    assert!(matches!(after, Err(CommitError::Refused(Refused::Ended { .. }))));
}

#[tokio::test]
async fn who_loses_to_a_start_that_has_ended_meanwhile_is_fenced() {
    let log = log();
    ended(&log, false).await;
    let head = log.head().await.expect("the log is read").expect("there is one");
    let facts = decide::Facts { log: Some((&head, &head)), any_data: false };
    let own = Generation { incarnation: 1, attempt: 1 };

    let refused = decide::decide(&request(2), own, facts);

    assert_eq!(refused, Err(Refusal::Fenced { by: own, own }));
}
