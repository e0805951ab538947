//! Coordinator and worker in two processes: either may die, and nothing is lost or doubled.
//!
//! Owns: which of the two dies; what the one knows of the other.
//! Never: looks at the messages between them; the worker crate pins their bytes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use streamjob_tests::admin;
use streamjob_tests::checker::Rules;
use streamjob_tests::feed::Feed;
use streamjob_tests::process::{Running, Signal};
use streamjob_tests::trial::{Setup, Start, Trial};

use super::{alone, seed};

/// A worker that its coordinator has left is gone within this.
const GONE_WITHIN: Duration = Duration::from_secs(20);

fn two_processes() -> Start {
    Start { arguments: vec!["--worker-process".to_owned()], ..Start::with(2, "source.batch=sleep:3@*") }
}

/// The process that runs the slots: the only child of the one that was started.
fn worker_of(coordinator: &Running) -> Result<u32> {
    let pid = coordinator.pid();
    let mut children = String::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        children.push_str(&std::fs::read_to_string(task?.path().join("children"))?);
    }
    children.trim().parse().with_context(|| format!("one child of {pid}, found `{children}`"))
}

fn exists(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_killed_coordinator_is_started_again_and_a_killed_worker_is_followed_by_another() -> Result<()> {
    let _alone = alone();
    let feed =
        Feed { seed: seed("two roles"), partitions: 3, rows: 60_000, disorder_ms: 50, ..Feed::default() };
    let rules = Rules { size_ms: 700, bound_ms: 50, lateness_ms: 0 };
    let mut trial = Trial::new(Setup { feed, rules, batch_rows: 500, ..Setup::default() })?;

    let mut first = trial.start(&two_processes())?;
    ensure!(trial.watch(&mut first, |_, timeline| timeline.epochs() > 5)?, "first: {}", first.said());
    let orphan = worker_of(&first)?;
    trial.signal(&mut first, Signal::Kill, "the coordinator")?;
    trial.ended(&mut first)?;
    let deadline = Instant::now() + GONE_WITHIN;
    while exists(orphan) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let epochs = trial.timeline.epochs();
    let mut second = trial.start(&two_processes())?;
    ensure!(
        trial.watch(&mut second, |_, timeline| timeline.epochs() > epochs + 5)?,
        "second: {}",
        second.said()
    );
    let worker = worker_of(&second)?.to_string();
    let killed = std::process::Command::new("kill").args(["-s", "KILL", &worker]).status()?;
    let second = trial.ended(&mut second)?;

    assert!(!exists(orphan), "a worker without a coordinator leaves");
    assert!(killed.success());
    assert_eq!(second.code, Some(0), "{}", second.said);
    assert!(second.said.contains("worker 0 has gone: its process has ended"), "{}", second.said);
    assert!(second.said.contains("attempt=2"), "{}", second.said);
    let found = trial.check()?;
    trial.assert_right(&found, "two roles");
    Ok(())
}

#[test]
fn a_coordinator_shows_what_its_worker_counts() -> Result<()> {
    let _alone = alone();
    let feed = Feed { seed: seed("counts"), partitions: 3, rows: 20_000, ..Feed::default() };
    let mut trial = Trial::new(Setup { feed, batch_rows: 500, ..Setup::default() })?;
    let mut start = two_processes();
    start.arguments.extend(["--admin", "127.0.0.1:0"].map(str::to_owned));

    let mut running = trial.start(&start)?;
    let address = admin::address(&running)?;
    let mut shown = String::new();
    trial.watch(&mut running, |_, _| {
        shown = admin::get(&address, "/metrics").unwrap_or_default();
        ["source_rows", "keys", "partition_rows"].iter().all(|name| sum(&shown, name) > 0.0)
    })?;
    let ended = trial.ended(&mut running)?;

    assert!(sum(&shown, "source_rows") > 0.0, "{shown}\n{}", ended.said);
    assert!(ended.code == Some(0) && ended.said.contains("rows in      60,000"), "{}", ended.said);
    assert!(!ended.said.contains("results out  0"), "{}", ended.said);
    Ok(())
}

/// Of all series of a metric.
fn sum(metrics: &str, name: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.starts_with(&format!("streamjob_{name}")));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
