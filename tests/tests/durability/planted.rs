//! The harness proves itself: bugs planted in the program must turn the checker red.
//!
//! Owns: under which faults each bug shows.
//! Never: accepts a bug as caught if the same faults without it are red, too.

use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use streamjob_tests::checker::Rules;
use streamjob_tests::feed::Feed;
use streamjob_tests::trial::{Setup, Trial};

use super::rounds::{Aim, Round, paced, random_setup};
use super::zombies::{self, wakes_beside_its_successor};
use super::{alone, seed};

/// Rounds under faults until a bug must have shown. Most show in the first: faults are aimed.
const ROUNDS_MAX: u64 = 6;

/// Kills of a round, before the job is left in peace.
const KILLS: usize = 3;

/// Reading the input takes at least this long, so that it lasts for the kills.
const READING: Duration = Duration::from_secs(3);

/// The faults under which a bug shows.
#[derive(Clone, Copy, Debug)]
enum Faults {
    /// Kills after epochs.
    Kills,
    /// The same on one partition with allowed lateness.
    KillsWithLateness,
    /// The same with other parallelisms.
    Rescales,
    /// An upload that takes longer than an epoch may; a kill once the next is stored.
    Abandons,
    /// Kills at this point, from this time on that it is reached, while another one is slow.
    At { point: &'static str, from: u32, slow: &'static str },
    /// An older process wakes up at this point beside its successor.
    Zombie { point: &'static str },
}

/// Output becomes visible while a commit takes its time.
const BEFORE_COMMIT: Faults =
    Faults::At { point: "publish.rename.after", from: 1, slow: "commit.create.before=sleep:600@*" };

/// The output of the newest epoch is visible. Two folders may list what is inherited, and what the first epoch of the
/// run has; so this one is a later epoch.
const AFTER_PUBLISH: Faults = Faults::At { point: "publish.manifest.after", from: 5, slow: "" };

const DURING_COMMIT: Faults = Faults::Zombie { point: "commit.create.before" };

/// Bugs that show in the output of whole processes, and how. Bugs of the log alone show where the log is tested.
const BUGS: &[(&str, Faults)] = &[
    ("ack-before-upload", Faults::Kills),
    ("barrier-before-data", Faults::Rescales),
    ("positions-after-barrier", Faults::Rescales),
    ("group-off-by-one", Faults::Rescales),
    ("fold-twice", Faults::Kills),
    ("fall-back-one-checkpoint", AFTER_PUBLISH),
    ("firing-not-in-snapshot", Faults::KillsWithLateness),
    ("delta-lost-on-abandon", Faults::Abandons),
    ("publish-before-commit", BEFORE_COMMIT),
    ("republish-recomputed", AFTER_PUBLISH),
    // The store is tried at the start of a job, so it does not even begin.
    ("create-without-condition", Faults::Kills),
    ("exists-is-success", DURING_COMMIT),
];

/// What came of a round.
struct Outcome {
    /// What is wrong; `None` if all is right.
    red: Option<String>,
    kills: usize,
    /// All that happened.
    history: String,
}

fn setup(faults: Faults, random: &mut Rng) -> Setup {
    let setup = random_setup(random);
    // Many small batches: where a kill falls does not depend on how long one takes.
    let (rows, partitions) = (12_000, setup.feed.partitions.min(3));
    let feed = Feed { rows, partitions, ..setup.feed };
    let setup = Setup { feed, batch_rows: setup.batch_rows.min(100), ..setup };
    let windows = |size_ms| Rules { size_ms, ..setup.rules };
    match faults {
        Faults::Rescales | Faults::Zombie { .. } => setup,
        Faults::Kills | Faults::At { .. } => Setup { rules: windows(random.i64(200..600)), ..setup },
        // No window fires before the end, so what was lost is not in the output of an earlier epoch.
        Faults::Abandons => Setup { timeout_ms: 500, rules: windows(90_000), ..setup },
        Faults::KillsWithLateness => {
            let feed = Feed {
                partitions: 1,
                rows: 30_000,
                late_every: 100,
                late_ms: 900,
                gzip: false,
                ..setup.feed
            };
            Setup { feed, rules: Rules { lateness_ms: 2_000, ..windows(700) }, ..setup }
        }
    }
}

/// A round under these faults.
fn tried(bug: &'static str, faults: Faults, random: &mut Rng) -> Result<Outcome> {
    if let Faults::Zombie { point } = faults {
        let setup = zombies::setup(random.u64(..));
        // Windows are so short that each epoch has output. Epochs are so long that the frozen process is not deleting
        // what the one before left over: it would be told of its successor at once.
        let rules = Rules { size_ms: 100, ..setup.rules };
        let feed = Feed { rows: 40_000, ..setup.feed };
        let mut trial = Trial::new(Setup { feed, rules, interval_ms: 300, batch_rows: 250, ..setup })?;
        let ended = wakes_beside_its_successor(&mut trial, point, bug, Duration::ZERO);
        return outcome(ended.map(|()| (&mut trial, 1)));
    }
    let setup = setup(faults, random);
    let (fail_points, parallelisms) = match faults {
        Faults::KillsWithLateness => ("", vec![1, 2]),
        Faults::Rescales => ("", vec![2, 3, 1]),
        Faults::Abandons => ("upload.state.before=sleep:700@3", vec![2]),
        Faults::At { slow, .. } => (slow, vec![2, 2, 1]),
        Faults::Kills | Faults::Zombie { .. } => ("", vec![2, 2, 1]),
    };
    let (fail_points, pace) = (fail_points.to_owned(), paced(&setup, 3, READING));
    let round = Round { setup, bug, fail_points, pace, parallelisms, kills_max: KILLS };
    let ended = round.run(random, |random, _| aim(faults, random));
    match ended {
        Ok((mut trial, kills)) => outcome(Ok((&mut trial, kills.len()))),
        Err(error) => outcome(Err(error)),
    }
}

fn aim(faults: Faults, random: &mut Rng) -> Aim {
    let mut delay = |ms: u64| Duration::from_micros(random.u64(..ms * 1_000));
    match faults {
        // The first epoch of all is of no rows.
        Faults::Kills | Faults::KillsWithLateness | Faults::Rescales | Faults::Zombie { .. } => {
            Aim::AfterEpochs { count: 2, delay: delay(100) }
        }
        Faults::Abandons => Aim::AfterAbandoned,
        Faults::At { point, from, .. } => {
            Aim::At { name: point, delay: delay(20), count: from + random.u32(..3) }
        }
    }
}

/// A trial that has come to its end, or why it has not.
fn outcome(ended: Result<(&mut Trial, usize)>) -> Result<Outcome> {
    match ended {
        Err(error) => Ok(Outcome { red: Some(format!("{error:#}")), kills: 0, history: String::new() }),
        Ok((trial, kills)) => {
            let found = trial.check()?;
            let red = (!found.is_empty()).then(|| trial.timeline.report(&found));
            Ok(Outcome { red, kills, history: trial.history() })
        }
    }
}

/// The lines of a report that tell most.
pub(super) fn summary(report: &str) -> String {
    let error = report.lines().skip(1).find(|line| line.contains("ERROR")).unwrap_or_default();
    let line = format!("{} {error}", report.lines().next().unwrap_or_default());
    line.chars().take(200).collect()
}

/// Rounds until the bug shows; if it does not, what happened in the last one.
fn missed(bug: &'static str, faults: Faults, seed: u64) -> Result<Option<String>> {
    let mut last = String::new();
    for round in 0..ROUNDS_MAX {
        let tried = tried(bug, faults, &mut Rng::with_seed(seed.wrapping_add(round)))?;
        if let Some(report) = tried.red {
            println!("planted bugs: {bug} is caught in round {round}: {}", summary(&report));
            return Ok(None);
        }
        println!("planted bugs: {bug} is not caught in round {round}, {} kills", tried.kills);
        last = tried.history;
    }
    Ok(Some(last))
}

#[test]
fn every_planted_bug_turns_the_checker_red_and_the_faults_alone_do_not() -> Result<()> {
    let _alone = alone();
    let seed = seed("planted bugs");
    // Timelines are long: they come last, and the verdict after them.
    let (mut verdict, mut timelines) = (Vec::new(), String::new());
    for &(bug, faults) in BUGS {
        if let Some(history) = missed(bug, faults, seed)? {
            timelines += &format!("the last round of {bug}, not caught under {faults:?}:\n{history}");
            verdict.push(format!("{bug} is not caught"));
        }
    }
    println!("planted bugs: {} of {} are caught", BUGS.len() - verdict.len(), BUGS.len());
    let alone = [
        Faults::Kills,
        Faults::KillsWithLateness,
        Faults::Rescales,
        Faults::Abandons,
        BEFORE_COMMIT,
        AFTER_PUBLISH,
        DURING_COMMIT,
    ];
    for faults in alone {
        let Outcome { red, kills, history } = tried("", faults, &mut Rng::with_seed(seed))?;
        println!(
            "planted bugs: no bug under {faults:?}, {kills} kills: {}",
            red.as_deref().map_or("right".to_owned(), summary)
        );
        if let Some(report) = &red {
            timelines += &format!("{faults:?} without a bug:\n{report}\n{history}");
            verdict.push(format!("{faults:?} without a bug: {}", summary(report)));
        } else if kills == 0 {
            verdict.push(format!("{faults:?} without a bug: nothing happened, which shows nothing"));
        }
    }
    println!("{timelines}");
    assert!(verdict.is_empty(), "STREAMJOB_SEED={seed}: {}", verdict.join("; "));
    Ok(())
}
