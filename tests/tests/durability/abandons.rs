//! Epochs that take longer than they may, again and again: what they held is in the next, once.
//!
//! Owns: time-outs so short that many epochs are abandoned, in every part of the protocol.
//! Never: accepts a run in which none was.

use anyhow::Result;
use fastrand::Rng;
use streamjob_tests::timeline::Happening;
use streamjob_tests::trial::Setup;

use super::rounds::{ABANDONED, Aim, Round, random_setup};
use super::{alone, seed, sized};

/// Where a process sleeps now and then for longer than an epoch may take.
const SLEEPS: [&str; 5] = [
    "upload.state.before=sleep:400@3",
    "upload.outbox.after=sleep:300@2",
    "upload.state.after=sleep:250@2",
    "barrier.align.before=sleep:200@4",
    "barrier.freeze.after=sleep:200@5",
];

#[test]
fn epochs_that_are_abandoned_again_and_again_lose_nothing_and_double_nothing() -> Result<()> {
    let _alone = alone();
    let seed = seed("abandoned epochs");
    let (mut abandoned, mut kills) = (0, 0);
    for (case, sleep) in SLEEPS.iter().cycle().take(sized(50, 10)).enumerate() {
        let mut random = Rng::with_seed(seed.wrapping_add(case as u64));
        let setup = Setup { timeout_ms: random.u64(60..200), ..random_setup(&mut random) };
        let fail_points = format!("source.batch=sleep:3@*,{sleep}");
        let pace = String::new();
        let round = Round { setup, fail_points, pace, kills_max: 2, ..Round::random(&mut random) };
        let (mut trial, killed) = round.run(&mut random, |random, _| Aim::after_epoch(random))?;
        let found = trial.check()?;
        trial.assert_right(&found, &format!("abandoned epochs, case {case} of STREAMJOB_SEED={seed}"));
        let said = |event: &&Happening| matches!(event, Happening::Said(line) if line.contains(ABANDONED));
        abandoned += trial.timeline.events().filter(said).count();
        kills += killed.len();
    }
    println!("abandoned epochs: {abandoned}, kills {kills}");
    assert!(abandoned > 0 && kills > 0, "runs in which nothing happened show nothing");
    Ok(())
}
