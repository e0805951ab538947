//! Brokers that die while a job reads and publishes, the one that coordinates its transactions among them.
//!
//! Owns: clusters that no other test has.
//! Never: puts a proxy between.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use streamjob_tests::kafka::{Cluster, ClusterSpec};
use streamjob_tests::process::{Running, Signal};
use streamjob_tests::trial::{Start, Trial};

use super::super::alone;
use super::super::buckets::epochs_more;
use super::scenes::{SLOW, ends, id_of_first_slot, setup};
use super::{Rig, right};

/// Reading takes some 12 s: three brokers take their time to begin with transactions.
const SLOWER: &str = "source.batch=sleep:80@*";

/// How long a broker is away.
const AWAY: Duration = Duration::from_secs(2);

/// A cluster whose controllers notice within a second that a broker is dead.
fn cluster(brokers: usize) -> Result<Arc<Cluster>> {
    let soon = [("broker.session.timeout.ms", "1500"), ("broker.heartbeat.interval.ms", "300")];
    let properties = soon.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Ok(Arc::new(Cluster::start(ClusterSpec { brokers, doors: 1, properties, ..ClusterSpec::default() })?))
}

#[test]
fn a_broker_that_is_killed_and_comes_back_loses_nothing_and_doubles_nothing() -> Result<()> {
    let _alone = alone();
    let rig = Rig::on(cluster(1)?)?;
    let mut trial = Trial::new(setup(&rig))?;
    let mut running = trial.start(&Start::with(2, SLOW))?;
    epochs_more(&mut trial, &mut running, 4)?;

    rig.cluster.signal(0, Signal::Kill)?;
    std::thread::sleep(AWAY);
    rig.cluster.restart(0)?;

    ends(&mut trial, running)?;
    println!("broker killed: {:?}", right(&rig, &mut trial, "the broker was killed")?);
    Ok(())
}

#[test]
fn transactions_whose_coordinator_is_killed_are_coordinated_by_another() -> Result<()> {
    let _alone = alone();
    let rig = Rig::on(cluster(3)?)?;
    let mut trial = Trial::new(setup(&rig))?;
    let mut running = trial.start(&Start::with(2, SLOWER))?;
    epochs_more(&mut trial, &mut running, 4)?;
    let id = id_of_first_slot(&trial);
    // Until something is published nobody coordinates anything.
    let coordinator = coordinated(&rig, &id, (&mut trial, &mut running), |_| true)?;

    rig.cluster.signal(coordinator, Signal::Kill)?;
    coordinated(&rig, &id, (&mut trial, &mut running), |by| by != coordinator)?;
    epochs_more(&mut trial, &mut running, 2)?;
    rig.cluster.restart(coordinator)?;

    ends(&mut trial, running)?;
    println!("coordinator killed: {:?}", right(&rig, &mut trial, "the coordinator was killed")?);
    Ok(())
}

/// Epoch by epoch until such a broker coordinates the transactions of an id: which one.
fn coordinated(
    rig: &Rig,
    id: &str,
    (trial, running): (&mut Trial, &mut Running),
    by: impl Fn(usize) -> bool,
) -> Result<usize> {
    loop {
        epochs_more(trial, running, 1)?;
        if let Some(coordinator) = rig.cluster.coordinator(id).ok().filter(|&coordinator| by(coordinator)) {
            return Ok(coordinator);
        }
    }
}
