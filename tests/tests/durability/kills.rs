//! SIGKILL at random instants, again and again, until the input is read; then the output must be right.
//!
//! Owns: how many kills there must be in which part of the protocol, and their count.
//! Never: changes anything that a process left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use streamjob_tests::timeline::{Happening, Timeline};

use super::rounds::{Aim, Kill, PHASES, Round};
use super::{alone, seed, sized};

/// What the kills of a test came to; written down after each round, so that a long run can be taken up again.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Tally {
    pub(super) rounds: u64,
    kills: u64,
    /// After an epoch was committed since the last one, while input remained.
    counted: u64,
    /// Counted kills by part of the protocol, where that is known.
    phases: BTreeMap<String, u64>,
    epochs: usize,
    /// Restarts with another parallelism.
    rescales: u64,
}

impl Tally {
    fn of(&self, phase: &str) -> u64 {
        self.phases.get(phase).copied().unwrap_or(0)
    }

    pub(super) fn is_enough(&self, kills: u64, each: u64) -> bool {
        self.counted >= kills && PHASES.iter().all(|phase| self.of(phase) >= each)
    }

    pub(super) fn add(&mut self, kill: &Kill) {
        self.kills += 1;
        self.counted += u64::from(kill.counted);
        self.rescales += u64::from(kill.rescaled);
        if let Some(phase) = kill.counts_for() {
            *self.phases.entry(phase.to_owned()).or_default() += 1;
        }
    }

    /// A round has come to its end.
    pub(super) fn ended(&mut self, timeline: &Timeline) {
        self.rounds += 1;
        self.epochs += timeline.epochs();
    }

    /// Half of the kills anywhere; the others where there were too few so far. `publish` is how this job publishes.
    pub(super) fn aim(&self, random: &mut Rng, (each, publish): (u64, &str), kills: &[Kill]) -> Aim {
        match random.u32(..10) {
            0..4 => return Aim::after_epoch(random),
            4 => return Aim::after_start(random),
            _ => {}
        }
        let so_far = |phase: &str| {
            let here = kills.iter().filter(|kill| kill.counts_for() == Some(phase));
            self.of(phase) + here.count() as u64
        };
        // Only a start after a kill restores anything.
        let possible: Vec<_> =
            PHASES.into_iter().filter(|&phase| phase != "restore" || !kills.is_empty()).collect();
        let few: Vec<_> = possible.iter().copied().filter(|phase| so_far(phase) < each).collect();
        let from = if few.is_empty() { possible } else { few };
        let phase = from[random.usize(..from.len())];
        Aim::within(if phase == "publish" { publish } else { phase }, random)
    }
}

/// Where a long run keeps its tally: beside the test program.
pub(super) fn tally_file(test: &str, seed: u64) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().context("a program lies in a folder")?.join("streamjob-long");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("{test}-{seed}.json")))
}

#[test]
fn whenever_it_is_killed_nothing_is_lost_and_nothing_doubled() -> Result<()> {
    let _alone = alone();
    let seed = seed("kills");
    let (kills, each) = sized((200, 10), (50, 3));
    let file = tally_file("kills", seed)?;
    let mut tally: Tally = match fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(_) => Tally::default(),
    };

    while !tally.is_enough(kills, each) {
        ensure!(tally.rounds < kills, "too few kills count: {tally:?}");
        let mut random = Rng::with_seed(seed.wrapping_add(tally.rounds));
        let round = Round::random(&mut random);
        let (mut trial, killed) =
            round.run(&mut random, |random, kills| tally.aim(random, (each, "publish"), kills))?;
        killed.iter().for_each(|kill| tally.add(kill));
        tally.ended(&trial.timeline);
        let found = trial.check()?;
        trial.assert_right(&found, &format!("kills, round {} of STREAMJOB_SEED={seed}", tally.rounds));
        let mut published =
            trial.timeline.events().filter(|event| matches!(event, Happening::Published { .. }));
        ensure!(published.next().is_some(), "a round without a published epoch shows nothing");
        fs::write(&file, serde_json::to_vec(&tally)?)?;
    }

    println!("kills: {}", serde_json::to_string(&tally)?);
    assert!(tally.rescales > 0, "the parallelism changes between runs");
    Ok(fs::remove_file(&file)?)
}
