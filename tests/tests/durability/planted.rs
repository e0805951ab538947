//! The harness proves itself: bugs planted in the program must turn the checker red.
//!
//! Owns: under which faults each bug shows.
//! Never: accepts a bug as caught if the same faults without it are red, too.

use std::time::Duration;

use anyhow::{Result, ensure};
use fastrand::Rng;
use streamjob_tests::checker::Rules;
use streamjob_tests::feed::Feed;
use streamjob_tests::trial::{Setup, Trial};

use super::rounds::{Aim, Round, random_setup};
use super::zombies::{self, wakes_beside_its_successor};
use super::{alone, seed, sized};

/// Rounds under faults until a bug must have shown.
const ROUNDS_MAX: u64 = 4;

/// The faults under which a bug shows.
#[derive(Clone, Copy, Debug)]
enum Faults {
    /// Kills after epochs, and at random instants while the process sleeps at this point each time.
    Kills { slow: &'static str },
    /// The same on one partition with allowed lateness.
    KillsWithLateness,
    /// The same with other parallelisms.
    Rescales,
    /// Uploads that take longer than an epoch may, then kills.
    Abandons,
    /// An older process wakes up at this point beside its successor.
    Zombie { point: &'static str },
}

/// Bugs that show in the output of whole processes, and how. Bugs of the log alone show where the log is tested.
const BUGS: &[(&str, Faults)] = &[
    ("ack-before-upload", Faults::Kills { slow: "upload.state.before=sleep:80@*" }),
    ("barrier-before-data", Faults::Rescales),
    ("positions-after-barrier", Faults::Rescales),
    ("group-off-by-one", Faults::Rescales),
    ("fold-twice", Faults::Kills { slow: "" }),
    ("fall-back-one-checkpoint", Faults::Kills { slow: "" }),
    ("firing-not-in-snapshot", Faults::KillsWithLateness),
    ("delta-lost-on-abandon", Faults::Abandons),
    ("publish-before-commit", Faults::Kills { slow: "commit.create.before=sleep:80@*" }),
    // The store is tried at the start of a job, so it does not even begin.
    ("create-without-condition", Faults::Zombie { point: "commit.create.before" }),
    ("exists-is-success", Faults::Zombie { point: "commit.create.before" }),
];

fn setup(faults: Faults, random: &mut Rng) -> Setup {
    let setup = random_setup(random);
    match faults {
        Faults::Kills { .. } | Faults::Rescales | Faults::Zombie { .. } => setup,
        Faults::Abandons => Setup { timeout_ms: 150, ..setup },
        Faults::KillsWithLateness => {
            let feed = Feed {
                partitions: 1,
                rows: 80_000,
                late_every: 100,
                late_ms: 900,
                gzip: false,
                ..setup.feed
            };
            Setup { feed, rules: Rules { size_ms: 700, lateness_ms: 2_000, ..setup.rules }, ..setup }
        }
    }
}

/// What goes wrong in one round; `None` if all is right.
fn red(bug: &'static str, faults: Faults, random: &mut Rng) -> Result<Option<String>> {
    let setup = setup(faults, random);
    let (slow, parallelisms) = match faults {
        Faults::Kills { slow } => (slow, vec![2, 2, 1]),
        Faults::KillsWithLateness => ("", vec![1, 2]),
        Faults::Rescales => ("", vec![2, 3, 1]),
        Faults::Abandons => ("upload.state.before=sleep:400@3", vec![2]),
        Faults::Zombie { point } => {
            let mut trial = Trial::new(zombies::setup(random.u64(..)))?;
            if let Err(error) = wakes_beside_its_successor(&mut trial, point, bug, Duration::ZERO) {
                return Ok(Some(format!("{error:#}")));
            }
            return verdict(&mut trial);
        }
    };
    let fail_points = if slow.is_empty() { String::new() } else { format!(",{slow}") };
    let fail_points = format!("source.batch=sleep:3@*{fail_points}");
    let round = Round { setup, bug, fail_points, parallelisms, kills_max: 6 };
    match round.run(random, |random, _| Aim::after_epoch(random)) {
        Err(error) => Ok(Some(format!("{error:#}"))),
        Ok((mut trial, killed)) => {
            ensure!(!killed.is_empty(), "a round without a kill shows nothing");
            verdict(&mut trial)
        }
    }
}

fn verdict(trial: &mut Trial) -> Result<Option<String>> {
    let found = trial.check()?;
    Ok((!found.is_empty()).then(|| trial.timeline.report(&found)))
}

#[test]
fn every_planted_bug_turns_the_checker_red_and_the_faults_alone_do_not() -> Result<()> {
    let _alone = alone();
    let seed = seed("planted bugs");
    let mut missed = Vec::new();
    for (bug, faults) in BUGS {
        let caught = (0..ROUNDS_MAX).find_map(|round| {
            let found = red(bug, *faults, &mut Rng::with_seed(seed.wrapping_add(round)));
            found.transpose().map(|report| (round, report))
        });
        match caught {
            Some((round, report)) => println!("planted bugs: {bug} is caught in round {round}: {}", report?),
            None => missed.push(*bug),
        }
    }
    let without = [
        Faults::Abandons,
        Faults::KillsWithLateness,
        Faults::Kills { slow: "upload.state.before=sleep:80@*" },
    ];
    for faults in &without[..sized(3, 1)] {
        let report = red("", *faults, &mut Rng::with_seed(seed))?;
        assert!(report.is_none(), "{faults:?} without a bug: {}", report.unwrap_or_default());
    }
    println!("planted bugs: {} of {} are caught", BUGS.len() - missed.len(), BUGS.len());
    assert!(missed.is_empty(), "not caught under STREAMJOB_SEED={seed}: {missed:?}");
    Ok(())
}
