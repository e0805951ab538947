//! From topic to topic, exactly once, with state in a bucket: real brokers, a real store, and proxies before both.
//!
//! Owns: the cluster and the store of these tests, whose door of the cluster is whose, and how requests fail.
//! Never: accepts a run in which nothing failed.

mod brokers;
mod kills;
mod outages;
mod planted;
mod scenes;
mod single;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use streamjob_tests::checker::Rules;
use streamjob_tests::feed::Feed;
use streamjob_tests::kafka::{Cluster, ClusterSpec};
use streamjob_tests::proxy::{Fate, Framing, Proxy, Request};
use streamjob_tests::s3::{Kind, S3Server};
use streamjob_tests::timeline::{Happening, Timeline};
use streamjob_tests::topics::{Topics, Transactions};
use streamjob_tests::trial::{Setup, Trial};

use super::rounds::random_setup;

/// Kafka's numbers of calls.
const FETCH: i16 = 1;
const TRANSACTIONS: [i16; 5] = [0, 10, 22, 24, 26];

/// Doors of the cluster that tests share: so many of them use it at a time.
const DOORS: usize = 4;

/// A broker with a door, a store, and a proxy before the store.
struct Rig {
    cluster: Arc<Cluster>,
    door: Door,
    server: S3Server,
    store: Proxy,
}

/// A door that nobody else uses.
enum Door {
    /// Of the cluster that tests share: given back at the end.
    Taken(usize),
    /// Of a cluster that nobody else uses.
    Own,
}

/// The doors that nobody uses.
static FREE: LazyLock<(Sender<usize>, Mutex<Receiver<usize>>)> = LazyLock::new(|| {
    let (free, taken) = channel();
    (0..DOORS).for_each(|door| free.send(door).expect("the other side is there"));
    (free, Mutex::new(taken))
});

impl Door {
    /// Waits for one.
    fn take() -> Self {
        let free = FREE.1.lock().unwrap_or_else(PoisonError::into_inner);
        Self::Taken(free.recv().expect("the other side is there"))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Self::Taken(door) = self {
            FREE.0.send(*door).expect("the other side is there");
        }
    }
}

/// One broker for all tests that do not kill it; it ends with this program.
fn cluster() -> Result<Arc<Cluster>> {
    static CLUSTER: Mutex<Option<Arc<Cluster>>> = Mutex::new(None);
    let mut running = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cluster) = &*running {
        return Ok(Arc::clone(cluster));
    }
    let soon = ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "500");
    let properties = vec![(soon.0.to_owned(), soon.1.to_owned())];
    let started =
        Arc::new(Cluster::start(ClusterSpec { doors: DOORS, properties, ..ClusterSpec::default() })?);
    Ok(Arc::clone(running.insert(started)))
}

impl Rig {
    /// On the cluster that tests share.
    fn new() -> Result<Self> {
        Self::with(Door::take(), cluster()?)
    }

    /// On a cluster that no other test has.
    fn on(cluster: Arc<Cluster>) -> Result<Self> {
        Self::with(Door::Own, cluster)
    }

    fn with(door: Door, cluster: Arc<Cluster>) -> Result<Self> {
        let server = S3Server::start(Kind::Versitygw)?;
        let store = Proxy::start(&server.address(), Framing::Http)?;
        let rig = Self { cluster, door, server, store };
        rig.heal();
        Ok(rig)
    }

    fn door(&self) -> usize {
        match self.door {
            Door::Taken(door) => door,
            Door::Own => 0,
        }
    }

    /// The proxy before the broker.
    fn broker(&self) -> &Proxy {
        &self.cluster.door(self.door())[0]
    }

    /// A setup of new topics and a new folder of the bucket, both behind the proxies.
    fn setup(&self, setup: Setup) -> Setup {
        let topics = Topics::new(&self.cluster).behind(self.door());
        let bucket = Some(self.server.trial_bucket(self.store.address(), &format!("of-{}", topics.out())));
        Setup { bucket, topics: Some(topics), ..setup }
    }

    /// Both work again.
    fn heal(&self) {
        self.broker().heal();
        self.store.heal();
    }

    /// What was done so far goes to the timeline.
    fn tell(&self, timeline: &mut Timeline) {
        let told =
            [("broker", self.broker()), ("store", &self.store)].into_iter().flat_map(|(who, proxy)| {
                let faults = proxy.take_journal().into_iter();
                faults.map(move |(at, what)| (at, Happening::Fault(format!("{who}: {what}"))))
            });
        timeline.merge(told);
    }
}

/// What is published of a trial that has ended must be right; what became of its transactions.
fn right(rig: &Rig, trial: &mut Trial, about: &str) -> Result<Transactions> {
    let transactions = trial.account()?;
    rig.tell(&mut trial.timeline);
    let found = trial.check()?;
    trial.assert_right(&found, about);
    Ok(transactions)
}

/// Few rows, and windows so short that each epoch has output.
fn small_setup(random: &mut Rng) -> Setup {
    let setup = random_setup(random);
    let (rows, keys) = (random.u64(4_000..6_000), random.u64(20..200));
    let rules = Rules { size_ms: random.i64(50..300), ..setup.rules };
    let feed = Feed { rows, keys, ..setup.feed };
    Setup { feed, rules, interval_ms: 100, batch_rows: random.u64(50..200), ..setup }
}

/// Of the calls of a broker some fail, in every way; of those that publish many.
fn broker_fails(seed: u64) -> impl FnMut(&Request) -> Fate + Send {
    let mut random = Rng::with_seed(seed);
    move |request| {
        let per_mille = match request.api_key() {
            Some(FETCH) => 4,
            Some(key) if TRANSACTIONS.contains(&key) => 50,
            Some(_) | None => 10,
        };
        if random.u32(..1_000) >= per_mille {
            return Fate::Pass;
        }
        match random.u32(..5) {
            0 => Fate::CutBefore,
            1 | 2 => Fate::CutAfter,
            3 => Fate::Late(Duration::from_millis(random.u64(..300))),
            _ => Fate::Delay(Duration::from_millis(random.u64(..200))),
        }
    }
}
