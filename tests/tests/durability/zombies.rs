//! Two processes on one state: the older one stops as Fenced and publishes nothing more.
//!
//! Owns: where the older one is frozen, and that its successor's output is right.
//! Never: kills the older one: it must end by itself.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use streamjob_tests::checker;
use streamjob_tests::feed::Feed;
use streamjob_tests::process::Signal;
use streamjob_tests::trial::{Setup, Start, Trial};

use super::{alone, seed, sized};

const SLOW: &str = "source.batch=sleep:3@*";

/// The exit code of a process that a newer one has replaced.
pub(super) const FENCED: i32 = 3;

pub(super) fn setup(seed: u64) -> Setup {
    let feed = Feed { seed, partitions: 3, rows: 60_000, disorder_ms: 50, ..Feed::default() };
    let rules = checker::Rules { size_ms: 700, bound_ms: 50, lateness_ms: 0 };
    Setup { feed, rules, batch_rows: 500, ..Setup::default() }
}

/// The older process freezes at a point; the newer one runs for a while; the older one wakes up.
pub(super) fn wakes_beside_its_successor(
    trial: &mut Trial,
    point: &str,
    bug: &str,
    asleep: Duration,
) -> Result<()> {
    // Slow enough that there are six epochs before the end, however long each takes.
    let slow = "source.batch=sleep:20@*";
    let rules = if point.is_empty() { slow.to_owned() } else { format!("{slow},{point}=stop@6") };
    let with = |slots, rules: &str| Start { bug: bug.to_owned(), ..Start::with(slots, rules) };
    // Of more slots than the newer one: what it published of an epoch would not be there already.
    let mut older = trial.start(&with(3, &rules))?;
    if point.is_empty() {
        trial.watch(&mut older, |_, timeline| timeline.epochs() > 5)?;
        trial.signal(&mut older, Signal::Stop, "anywhere")?;
    }
    let frozen = trial.watch(&mut older, |running, _| running.is_frozen())?;
    ensure!(frozen, "it never reached {point}:\n{}", older.said());
    // Slow enough that it still runs when the older one wakes up.
    let slow = format!("source.batch=sleep:{}@*", (asleep.as_millis() / 100).max(20));
    let mut newer = trial.start(&with(2, &slow))?;
    let (epochs, begun) = (trial.timeline.epochs(), Instant::now());
    let runs =
        trial.watch(&mut newer, |_, timeline| timeline.epochs() > epochs + 2 && begun.elapsed() > asleep)?;
    ensure!(runs || !bug.is_empty(), "the newer one ended too early:\n{}", newer.said());
    trial.signal(&mut older, Signal::Continue, "beside its successor")?;
    let ended = trial.ended(&mut older)?;
    ensure!(ended.code == Some(FENCED), "the older: {}\n{}", ended.shown(), ended.said);
    let own = older.pid();
    trial.watch(&mut newer, |_, _| false)?;
    let ended = trial.ended(&mut newer)?;
    ensure!(ended.code == Some(0), "the newer: {}\n{}\n{}", ended.shown(), ended.said, trial.history());
    ensure!(own != newer.pid(), "two processes");
    Ok(())
}

#[test]
fn of_two_processes_on_one_folder_the_older_ends_as_fenced() -> Result<()> {
    let _alone = alone();
    let seed = seed("two processes");
    let mut trial = Trial::new(setup(seed))?;
    let mut older = trial.start(&Start::with(2, SLOW))?;
    trial.watch(&mut older, |_, timeline| timeline.epochs() > 3)?;

    let mut newer = trial.start(&Start::with(1, SLOW))?;
    let fenced = trial.ended(&mut older)?;
    let before = checker::file_hashes(&trial.path().join("out"))?;
    trial.watch(&mut newer, |_, _| false)?;
    let finished = trial.ended(&mut newer)?;

    assert_eq!(fenced.code, Some(FENCED), "{}", fenced.said);
    assert!(fenced.said.contains("taken over"), "{}", fenced.said);
    assert_eq!(finished.code, Some(0), "{}", finished.said);
    assert!(before.len() < checker::file_hashes(&trial.path().join("out"))?.len(), "the newer goes on");
    let found = trial.check()?;
    trial.assert_right(&found, "two processes on one folder");
    Ok(())
}

#[test]
fn a_frozen_process_that_wakes_up_beside_its_successor_ends_as_fenced() -> Result<()> {
    let _alone = alone();
    let seed = seed("frozen");
    let points =
        ["", "commit.create.before", "commit.create.after", "publish.rename.before", "upload.state.before"];
    for (point, number) in points.into_iter().zip(0..) {
        let mut trial = Trial::new(setup(seed + number))?;
        let asleep = if point.is_empty() { sized(60_000, 3_000) } else { 0 };

        wakes_beside_its_successor(&mut trial, point, "", Duration::from_millis(asleep))?;

        let found = trial.check()?;
        trial.assert_right(&found, &format!("frozen at `{point}`"));
    }
    Ok(())
}
