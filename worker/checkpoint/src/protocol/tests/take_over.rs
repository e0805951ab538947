//! Starts over the state of another owner.
//!
//! Owns: what a take-over keeps, whom it shuts out, and what it does not do.
//! Never: starts a process.

use super::*;
use crate::record::Body;

fn other() -> Owner {
    Owner { cluster: "new".into(), ..request(0).owner }
}

/// A start of the other owner that names this one.
fn names(named: &str, number: u128) -> StartRequest {
    StartRequest { owner: other(), take_over: Some(named.to_owned()), ..request(number) }
}

const FIRST: &str = "local//jobs/job";

#[tokio::test]
async fn the_state_of_an_owner_that_is_named_is_gone_on_from_with_all_that_it_owes() {
    let log = log();
    drop(running(&log).await);

    let begun = begin(&log, names(FIRST, 2)).await;

    let claim = begun.permit.head().record.clone();
    assert_eq!((claim.owner.clone(), claim.body.clone()), (other(), Body::Claim { base: None }));
    assert_eq!(claim.generation, Generation { incarnation: 2, attempt: 1 });
    assert_eq!((begun.lineage, claim.formerly.len()), (Lineage(1), 0), "the same life of the state");
    assert_eq!(begun.checkpoint.map(|checkpoint| checkpoint.epoch), Some(Epoch(1)));
    assert_eq!(begun.inherited.map(|stored| stored.record.seq), Some(Seq(3)), "its output is owed");
    let mut permit = begun.permit;
    permit.published(Lineage(1), Epoch(1));
    let next = log.commit(&mut permit, Commit::Epoch(epoch(2, false))).await.expect("it leads");
    assert_eq!(next.record.owner, other());
}

#[tokio::test]
async fn whoever_is_not_named_exactly_keeps_the_state() {
    let log = log();
    drop(running(&log).await);
    let head = log.head().await.expect("the log is read");
    let nothing = BeginAt::Nothing { discard: true, request: None };
    let savepoint = BeginAt::From {
        request: Restore { id: "r1".into(), from: "epoch 0".into() },
        checkpoint: epoch(0, false),
    };
    let asked = [
        names("local//jobs/jo", 2),
        names("", 2),
        names("new//jobs/job", 2),
        StartRequest { take_over: None, ..names("", 2) },
        // It is the newest state that is taken over.
        StartRequest { begin: nothing, ..names(FIRST, 2) },
        StartRequest { begin: savepoint, ..names(FIRST, 2) },
    ];

    for asked in asked {
        let refused = refusal(&log, asked).await;

        assert_eq!(refused, Refusal::StateOwned { owner: request(0).owner, asked: Box::new(other()) });
    }
    assert_eq!(log.head().await.expect("the log is read"), head);
}

#[tokio::test]
async fn an_owner_that_was_taken_over_is_fenced_and_does_not_come_back() {
    let log = log();
    let mut old = running(&log).await;
    old.published(Lineage(1), Epoch(1));
    let by = begin(&log, names(FIRST, 2)).await.permit.generation();

    let late = log.commit(&mut old, Commit::Epoch(epoch(2, false))).await;
    let again = refusal(&log, request(3)).await;
    let greater = refusal(&log, StartRequest { claimant: Claimant::Incarnation(9), ..request(4) }).await;

    assert!(matches!(late, Err(CommitError::Fenced { by: fenced }) if fenced == by), "{late:?}");
    let owned = Refusal::StateOwned { owner: other(), asked: Box::new(request(0).owner) };
    assert_eq!((again, greater), (owned.clone(), owned));
    let back = StartRequest { take_over: Some(other().to_string()), ..request(5) };
    assert_eq!(
        begin(&log, back).await.permit.head().record.owner,
        request(0).owner,
        "unless it asks for that"
    );
}

#[tokio::test]
async fn a_take_over_that_died_behind_its_claim_is_begun_again_as_the_owner() {
    let log = log();
    drop(running(&log).await);
    drop(begin(&log, names(FIRST, 2)).await);

    let again = begin(&log, names(FIRST, 3)).await;
    drop(again.permit);
    let without = begin(&log, StartRequest { take_over: None, ..names(FIRST, 4) }).await;

    assert_eq!(again.inherited.map(|stored| stored.record.seq), Some(Seq(3)), "it is still owed");
    assert_eq!((without.lineage, without.permit.head().record.owner.clone()), (Lineage(1), other()));
}

#[tokio::test]
async fn an_incarnation_that_the_log_has_passed_takes_nothing_over() {
    let log = log();
    drop(begin(&log, StartRequest { claimant: Claimant::Incarnation(7), ..request(1) }).await);
    let as_incarnation =
        |incarnation| StartRequest { claimant: Claimant::Incarnation(incarnation), ..names(FIRST, 2) };

    let low = refusal(&log, as_incarnation(2)).await;
    let begun = begin(&log, as_incarnation(8)).await;

    let (by, own) = [(7, 1), (2, 1)].map(|(incarnation, attempt)| Generation { incarnation, attempt }).into();
    assert_eq!(low, Refusal::Fenced { by, own });
    assert_eq!(begun.permit.head().record.owner, other());
}

#[tokio::test]
async fn an_incarnation_that_has_the_number_of_one_that_ended_takes_nothing_over() {
    for finished in [false, true] {
        let log = log();
        ended(&log, finished).await;
        let newest = Generation { incarnation: 1, attempt: 1 };
        let own = Generation { incarnation: 1, attempt: 2 };

        let refused =
            refusal(&log, StartRequest { claimant: Claimant::Incarnation(1), ..names(FIRST, 2) }).await;

        assert_eq!(refused, Refusal::Fenced { by: newest, own }, "the next one does");
    }
}

#[tokio::test]
async fn what_is_finished_changes_hands_too() {
    let log = log();
    ended(&log, true).await;

    let begun = begin(&log, names(FIRST, 2)).await;
    let mut permit = begun.permit;
    log.commit(&mut permit, Commit::Epoch(epoch(2, false))).await.expect("it leads");
    let last = Commit::Final { checkpoint: epoch(2, false), finished: true, operation: None };
    log.commit(&mut permit, last).await.expect("it leads");
    let start = log.begin(&StartRequest { take_over: None, ..names("", 3) }).await;

    assert_eq!(begun.checkpoint.map(|checkpoint| checkpoint.epoch), Some(Epoch(1)));
    let Ok(Start::Finished(last)) = start else { panic!("{start:?}") };
    assert_eq!(last.record.owner, other());
}
