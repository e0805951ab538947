//! Tests of the store that fails: it fails as it says, and the same way again.

use bytes::Bytes;
use object_store::memory::InMemory;
use streamjob_checkpoint::retry::Patience;
use streamjob_checkpoint::store::{Created, StateStore, StoreError};

use super::*;

fn faulty(seed: u64, per_mille: u32) -> (Arc<FaultyStore>, StateStore, StateStore) {
    let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let faulty = Arc::new(FaultyStore::new(inner.clone(), seed, per_mille));
    let through = StateStore::new(faulty.clone(), "job".into(), "faulty".to_owned());
    // Each call is made once: what a fault does is what the call gives.
    let through = through.with_patience(Patience::NONE);
    (faulty, through, StateStore::new(inner, "job".into(), "memory".to_owned()))
}

const NAME: &str = "log/1.json";

async fn create(store: &StateStore) -> Created {
    store.create(NAME, Bytes::from_static(b"record")).await
}

#[tokio::test]
async fn a_create_is_done_or_not_as_the_fault_says() {
    for (fault, is_done) in
        [(Fault::Before, false), (Fault::After, true), (Fault::Slow, true), (Fault::Late, false)]
    {
        let (faulty, through, behind) = faulty(1, 0);
        faulty.fail_next(Step::LogCreate, fault);

        let created = create(&through).await;

        assert!(matches!(created, Created::Unknown(_)), "{fault:?}: {created:?}");
        let done = behind.size(NAME).await.expect("memory answers").is_some();
        assert_eq!(done, is_done, "{fault:?}");
        assert_eq!(faulty.counts(), BTreeMap::from([((Step::LogCreate, fault), 1)]));
    }
}

#[tokio::test]
async fn what_is_late_is_done_some_calls_later_unless_another_was_first() {
    let (faulty, through, behind) = faulty(1, 0);
    faulty.fail_next(Step::LogCreate, Fault::Late);
    create(&through).await;
    for _ in 0..STALE_CALLS {
        let _ = through.size("log/2.json").await;
    }
    assert_eq!(behind.get(NAME).await.expect("it has come"), b"record"[..]);

    faulty.fail_next(Step::LogCreate, Fault::Late);
    through.create("log/3.json", Bytes::from_static(b"late")).await;
    behind.create("log/3.json", Bytes::from_static(b"first")).await;
    faulty.deliver_late().await;

    assert_eq!(behind.get("log/3.json").await.expect("it is there"), b"first"[..]);
}

#[tokio::test]
async fn a_conflict_says_that_it_exists_and_nothing_does() {
    let (faulty, through, behind) = faulty(1, 0);
    faulty.fail_next(Step::LogCreate, Fault::Conflict);

    let created = create(&through).await;

    assert!(matches!(created, Created::Exists), "{created:?}");
    assert_eq!(behind.size(NAME).await.expect("memory answers"), None);
}

#[tokio::test]
async fn only_listings_of_data_are_stale_and_a_listing_that_breaks_off_is_an_error() {
    let (faulty, through, _) = faulty(1, 0);
    create(&through).await;
    through.create("data/1-1/a", Bytes::from_static(b"x")).await;
    faulty.fail_next(Step::DataList, Fault::Stale);
    faulty.fail_next(Step::LogList, Fault::Partial);

    let stale = through.list("data", None).await.expect("it is an answer");
    let broken = through.list("log", None).await;
    let whole = through.list("data", None).await.expect("it is an answer");

    assert_eq!((stale.len(), whole.len()), (0, 1));
    assert!(matches!(broken, Err(StoreError::Failed { .. })), "{broken:?}");
    assert!(!faults_of(Step::LogList).contains(&Fault::Stale));
}

#[tokio::test]
async fn a_part_that_fails_leaves_no_object() {
    let (faulty, through, behind) = faulty(1, 0);
    let part = Bytes::from(vec![7_u8; 9_000_000]);
    let mut writer = through.writer("data/1-1/a");
    writer.write(part.clone()).await.expect("it can be written");
    faulty.fail_next(Step::DataPart, Fault::Before);

    let failed = writer.write(part).await;

    assert!(failed.is_err());
    drop(writer);
    assert_eq!(behind.list("data", None).await.expect("memory answers"), []);
}

#[tokio::test]
async fn a_seed_replays_a_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let (faulty, through, _) = faulty(7, 300);
        for i in 0..200 {
            let name = format!("log/{i}.json");
            through.create(&name, Bytes::from_static(b"record")).await;
            let _ = through.get(&name).await;
            let _ = through.list("data", None).await;
            let _ = through.delete(&name).await;
        }
        runs.push(faulty.counts());
    }

    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].len() > 10, "many steps fail in many ways: {:?}", runs[0]);
}
