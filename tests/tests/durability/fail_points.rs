//! SIGKILL at every named fail point.
//!
//! Owns: how each of them is reached.
//! Never: leaves one out: a point that no run reaches is a failure.

use anyhow::{Context, Result};
use streamjob_checkpoint::fail_point;
use streamjob_tests::feed::Feed;
use streamjob_tests::process::Signal;
use streamjob_tests::trial::{Setup, Start, Trial};

use super::{alone, seed};

/// Reading is slowed down, so that epochs are committed before the input ends.
const SLOW: &str = "source.batch=sleep:3@*";

/// What a job went through before the run that reaches the point.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Before {
    /// Nothing.
    Nothing,
    /// It was killed after some epochs.
    Killed,
}

/// What is done in the run that reaches the point.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum During {
    /// It runs to the end of its input.
    Nothing,
    /// It is asked to stop.
    Stop,
}

fn setup(seed: u64) -> Setup {
    let feed = Feed {
        seed,
        partitions: 3,
        rows: 20_000,
        disorder_ms: 50,
        late_every: 1_000,
        late_ms: 5_000,
        ..Feed::default()
    };
    let rules = streamjob_tests::checker::Rules { size_ms: 700, bound_ms: 50, lateness_ms: 0 };
    Setup { feed, rules, retain: 1, batch_rows: 500, ..Setup::default() }
}

/// The ways to reach a point, the likely one first.
fn ways(name: &str) -> Vec<(Before, During, u32)> {
    use {Before::Killed, During::Stop};
    let (fresh, again, stopped) = (
        [(Before::Nothing, During::Nothing, 3), (Before::Nothing, During::Nothing, 1)],
        [(Killed, During::Nothing, 1)],
        [(Before::Nothing, Stop, 1), (Killed, Stop, 1)],
    );
    match name.split('.').next() {
        Some("start" | "restore" | "retention") => [&again[..], &fresh, &stopped].concat(),
        Some("end") => [&fresh[1..], &stopped].concat(),
        _ => [&fresh[..], &again, &stopped].concat(),
    }
}

/// Kills a process at a point; the trial, if it was reached.
fn killed_at(name: &str, seed: u64, way: (Before, During, u32)) -> Result<Option<Trial>> {
    let (before, during, count) = way;
    let mut trial = Trial::new(setup(seed))?;
    if before == Before::Killed {
        let mut running = trial.start(&Start::with(2, SLOW))?;
        trial.watch(&mut running, |_, timeline| timeline.epochs() > 4)?;
        trial.signal(&mut running, Signal::Kill, "before the point")?;
        trial.ended(&mut running)?;
    }
    let rules = match name {
        "source.batch" => format!("{name}=kill@20"),
        // Objects are kept for ten seconds after nothing names them any more.
        _ if name.starts_with("retention.object") => format!("source.batch=sleep:350@*,{name}=kill"),
        _ => format!("{SLOW},{name}=kill@{count}"),
    };
    let mut running = trial.start(&Start::with(if seed.is_multiple_of(2) { 2 } else { 3 }, rules))?;
    if during == During::Stop {
        let epochs = trial.timeline.epochs();
        trial.watch(&mut running, |_, timeline| timeline.epochs() > epochs + 2)?;
        trial.signal(&mut running, Signal::Interrupt, "to reach the point")?;
    }
    trial.watch(&mut running, |_, _| false)?;
    let ended = trial.ended(&mut running)?;
    Ok(ended.was_killed().then_some(trial))
}

#[test]
fn killed_at_any_point_it_goes_on_and_the_output_is_right() -> Result<()> {
    let _alone = alone();
    let seed = seed("fail points");
    let mut unreached = Vec::new();
    // Those of a deletion are reached by the janitor of a pod.
    let of_jobs = fail_point::ALL.iter().filter(|name| !name.starts_with("delete."));
    let of_files = of_jobs.filter(|name| !super::is_of_records(name));
    for (name, number) in of_files.zip(0..) {
        let mut reached = None;
        for way in ways(name) {
            reached = killed_at(name, seed + number, way).with_context(|| format!("{name}, {way:?}"))?;
            if reached.is_some() {
                break;
            }
        }
        let Some(mut trial) = reached else {
            unreached.push(*name);
            continue;
        };
        let found = trial.finish(1 + number as u32 % 3).with_context(|| format!("killed at {name}"))?;
        trial.assert_right(&found, &format!("killed at {name}, STREAMJOB_SEED={seed}"));
    }
    println!(
        "fail points: killed at {} of {}",
        fail_point::ALL.len() - unreached.len(),
        fail_point::ALL.len()
    );
    assert!(unreached.is_empty(), "no run reaches {unreached:?}");
    Ok(())
}

#[test]
fn killed_twice_in_a_row_in_restore_it_goes_on_and_the_output_is_right() -> Result<()> {
    let _alone = alone();
    let seed = seed("twice in restore");
    let mut trial = killed_at("commit.create.after", seed, (Before::Nothing, During::Nothing, 4))?
        .context("a fourth commit")?;
    for name in ["start.claim.after", "restore.check.before", "restore.done"] {
        let ended = trial.run(&Start::with(2, format!("{SLOW},{name}=kill")))?;
        assert!(ended.was_killed(), "{name}: {}\n{}", ended.shown(), ended.said);
    }
    let found = trial.finish(3)?;
    trial.assert_right(&found, &format!("killed thrice in restore, STREAMJOB_SEED={seed}"));
    Ok(())
}
