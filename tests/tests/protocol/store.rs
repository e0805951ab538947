//! Calls of a state's store that fail for a while: what is asked again, and what a lost answer is taken for.
//!
//! Owns: one call after another, each failing in every way.
//! Never: waits: time goes by in pauses alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::memory::InMemory;
use streamjob_checkpoint::checkpoint::Object;
use streamjob_checkpoint::ids::{Hash, WriterId};
use streamjob_checkpoint::retry::{Pacer, Patience};
use streamjob_checkpoint::store::{Created, StateStore, StoreError};
use streamjob_tests::faulty_store::{Fault, FaultyStore, Step};

const SMALL: &[u8] = b"some bytes";

/// Time goes by in pauses alone.
#[derive(Debug, Default)]
struct Pauses(AtomicU64);

#[async_trait]
impl Pacer for Pauses {
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

/// A store, and a way to have its next calls fail.
fn stores() -> (Arc<FaultyStore>, StateStore) {
    let faulty = Arc::new(FaultyStore::new(Arc::new(InMemory::new()), 1, 0));
    let store = StateStore::new(faulty.clone(), "job".into(), "memory".to_owned());
    (faulty, store.paced_by(Arc::new(Pauses::default())))
}

fn object(name: &str) -> Object {
    Object { name: name.to_owned(), bytes: SMALL.len() as u64, hash: Hash::of(SMALL) }
}

async fn create_unique(store: &StateStore, object: &Object) -> Result<(), StoreError> {
    store.create_unique(object, Bytes::from_static(SMALL).into()).await
}

#[tokio::test]
async fn what_is_asked_is_asked_again() {
    let (faulty, store) = stores();
    store.ensure("data/a", Bytes::from_static(SMALL)).await.expect("nothing fails yet");
    let thrice = |step| (0..3).for_each(|_| faulty.fail_next(step, Fault::Before));

    thrice(Step::DataRead);
    assert_eq!(store.get("data/a").await.expect("it is there"), SMALL);
    thrice(Step::DataRead);
    assert_eq!(store.get_range("data/a", 0..4).await.expect("it is there"), SMALL[..4]);
    thrice(Step::DataRead);
    assert_eq!(store.size("data/a").await.expect("it is there"), Some(SMALL.len() as u64));
    thrice(Step::DataList);
    assert_eq!(store.list("data", None).await.expect("it is there").len(), 1);
    thrice(Step::DataCreate);
    store.ensure("data/b", Bytes::from_static(SMALL)).await.expect("it is made");
    thrice(Step::DataDelete);
    store.delete("data/a").await.expect("it is deleted");

    assert_eq!(store.size("data/a").await.expect("it answers"), None);
    assert_eq!(store.retries().failures().retries.load(Relaxed), 18);
}

#[tokio::test]
async fn a_probe_of_a_store_that_fails_once_finds_it_fit() {
    use Fault::{After, Before, Conflict, Late, Partial, Slow};
    let create = [Before, After, Slow, Late, Conflict].map(|fault| (Step::DataCreate, fault));
    let others = [(Step::DataRead, Before), (Step::DataList, Before), (Step::DataList, Partial)];
    for (step, fault) in create.into_iter().chain(others).chain([(Step::DataDelete, After)]) {
        let (faulty, store) = stores();
        faulty.fail_next(step, fault);

        let probed = store.probe(WriterId(1)).await;

        assert!(probed.is_ok(), "{step:?} {fault:?}: {probed:?}");
        assert_eq!(faulty.counts(), [((step, fault), 1)].into());
    }
}

#[tokio::test]
async fn a_record_is_created_once_and_what_became_of_it_is_for_the_log_to_find_out() {
    for fault in [Fault::Before, Fault::After] {
        let (faulty, store) = stores();
        faulty.fail_next(Step::LogCreate, fault);

        let created = store.create("log/1.json", Bytes::from_static(SMALL)).await;

        assert!(matches!(created, Created::Unknown(StoreError::Failed { .. })), "{created:?}");
    }
}

#[tokio::test]
async fn an_object_of_ours_whose_answer_was_lost_is_known_again() {
    use Fault::{After, Before, Conflict, Late, Slow};
    for faults in [&[After][..], &[Before, Slow], &[After, Before, Before], &[Conflict, After], &[Late, Late]]
    {
        let (faulty, store) = stores();
        faults.iter().for_each(|fault| faulty.fail_next(Step::DataCreate, *fault));
        let object = object("data/1-1/a");

        let created = create_unique(&store, &object).await;

        assert!(created.is_ok(), "{faults:?}: {created:?}");
        assert_eq!(store.get(&object.name).await.expect("it is there"), SMALL);
    }
}

#[tokio::test]
async fn an_object_of_another_is_never_taken_for_ours() {
    for other in [&b"another's"[..], b"same bytes"] {
        let (faulty, store) = stores();
        store.ensure("data/1-1/a", Bytes::from_static(other)).await.expect("it is made");
        faulty.fail_next(Step::DataCreate, Fault::Before);

        let error = create_unique(&store, &object("data/1-1/a")).await.expect_err("the name is taken");

        assert!(matches!(error, StoreError::NameTaken { .. }), "{error:?}");
        assert_eq!(store.get("data/1-1/a").await.expect("it is there"), other);
    }
}

#[tokio::test]
async fn a_long_object_whose_last_answer_was_lost_is_known_again_and_one_that_is_not_there_is_not() {
    for (fault, is_there) in [(Fault::After, true), (Fault::Before, false)] {
        let (faulty, store) = stores();
        let mut writer = store.writer("data/1-1/long");
        writer.write(Bytes::from(vec![7_u8; 20_000_000])).await.expect("it can be written");
        faulty.fail_next(Step::DataComplete, fault);

        let finished = writer.finish().await;

        assert_eq!(finished.is_ok(), is_there, "{finished:?}");
    }
}

#[tokio::test]
async fn a_store_that_stays_away_is_given_up_when_patience_ends() {
    let (faulty, store) = stores();
    faulty.set_per_mille(1_000);
    let store = store.with_patience(Patience::Within(Duration::from_secs(60)));

    let error = store.get("data/a").await.expect_err("it is away");

    assert!(matches!(error, StoreError::Failed { .. }), "{error:?}");
    let elapsed = store.retries().pacer().elapsed();
    assert!((Duration::from_secs(30)..=Duration::from_secs(60)).contains(&elapsed), "{elapsed:?}");
    assert_eq!(store.retries().failures().waiting.load(Relaxed), 0);
}
