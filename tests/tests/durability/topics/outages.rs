//! A broker, or the store, that is away for long while the job works at full speed.
//!
//! Owns: how long, and how much memory a job may take meanwhile.
//! Never: keeps the processors busy: other tests run beside it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use streamjob_tests::checker::Rules;
use streamjob_tests::feed::Feed;
use streamjob_tests::process::{Running, Signal};
use streamjob_tests::proxy::Link;
use streamjob_tests::topics::Topics;
use streamjob_tests::trial::{Setup, Start, Trial};

use super::super::buckets::epochs_more;
use super::super::sized;
use super::Rig;
use super::scenes::ends;

/// Unpublished output at which slots stop reading. All of the input's is several times that.
const BUDGET: u64 = 2 << 20;

/// What a job may take beside that, once it has begun.
const MORE_BYTES: u64 = 32 << 20;

fn away(minutes: u64) -> Duration {
    Duration::from_secs(sized(minutes * 60, 60))
}

fn setup(rig: &Rig, topics: Topics, address: &str) -> Setup {
    let feed = Feed { partitions: 3, rows: 30_000, keys: 2_000, disorder_ms: 50, ..Feed::default() };
    let rules = Rules { size_ms: 200, bound_ms: 50, lateness_ms: 0 };
    let bucket = Some(rig.server.trial_bucket(address, &topics.out()));
    Setup { feed, rules, bucket, topics: Some(topics), interval_ms: 200, ..Setup::default() }
}

fn start() -> Start {
    let arguments = vec!["--unpublished-bytes".to_owned(), BUDGET.to_string()];
    Start { arguments, ..Start::plain(2) }
}

/// Watches for so long, and gives by how much memory grew. By the end the job must be held for its unpublished output.
fn watched(trial: &mut Trial, running: &mut Running, lasts: Duration) -> Result<u64> {
    let began = Instant::now();
    let first = running.memory_bytes("VmRSS")?;
    let mut most = first;
    while began.elapsed() < lasts {
        trial.observe();
        ensure!(!running.has_ended()?, "it ended:\n{}", running.said());
        most = most.max(running.memory_bytes("VmRSS")?);
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = running.said();
    let progress = said.lines().rev().find(|line| line.contains("INFO progress")).context("no progress")?;
    let value = |name: &str| progress.split_once(&format!(" {name}="))?.1.split(' ').next()?.parse().ok();
    let (rate, unpublished): (Option<f64>, Option<f64>) =
        (value("rows_per_second"), value("unpublished_bytes"));
    ensure!(rate == Some(0.0) && unpublished >= Some(BUDGET as f64), "it is not held: {progress}");
    Ok(most - first)
}

#[test]
fn a_broker_that_is_away_for_long_costs_a_bounded_memory_and_no_result() -> Result<()> {
    let rig = Rig::new()?;
    let topics = Topics::new(&rig.cluster).writing_behind(rig.door());
    let mut trial = Trial::new(setup(&rig, topics, &rig.server.address()))?;
    let mut running = trial.start(&start())?;
    epochs_more(&mut trial, &mut running, 6)?;

    rig.broker().set(Link::Down);
    let grown = watched(&mut trial, &mut running, away(10))?;
    trial.signal(&mut running, Signal::Kill, "the broker is away")?;
    trial.ended(&mut running)?;
    rig.heal();
    ends_after_a_start(&mut trial)?;

    println!("broker away: memory grew by {grown} bytes");
    ensure!(grown < BUDGET + MORE_BYTES, "memory grew by {grown} bytes");
    Ok(())
}

#[test]
fn a_store_that_is_away_for_long_costs_a_bounded_memory_and_no_result() -> Result<()> {
    let rig = Rig::new()?;
    let mut trial = Trial::new(setup(&rig, Topics::new(&rig.cluster), rig.store.address()))?;
    let mut running = trial.start(&start())?;
    epochs_more(&mut trial, &mut running, 6)?;

    rig.store.set(Link::Down);
    let epochs = trial.timeline.epochs();
    let grown = watched(&mut trial, &mut running, away(5))?;
    ensure!(trial.timeline.epochs() <= epochs + 1, "epochs without a store");
    rig.heal();
    ends(&mut trial, running)?;

    println!("store away: memory grew by {grown} bytes");
    ensure!(grown < BUDGET + MORE_BYTES, "memory grew by {grown} bytes");
    check(&mut trial, "the store was away")
}

fn ends_after_a_start(trial: &mut Trial) -> Result<()> {
    let running = trial.start(&start())?;
    ends(trial, running)?;
    check(trial, "the broker was away")
}

fn check(trial: &mut Trial, about: &str) -> Result<()> {
    trial.account()?;
    let found = trial.check()?;
    trial.assert_right(&found, about);
    Ok(())
}
