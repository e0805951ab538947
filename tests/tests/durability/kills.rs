//! SIGKILL at random instants, again and again, until the input is read; then the output must be right.
//!
//! Owns: when to kill; which kills count, and in which part of the protocol they fell.
//! Never: changes anything that a process left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use streamjob_checkpoint::fail_point;
use streamjob_tests::checker::Rules;
use streamjob_tests::feed::Feed;
use streamjob_tests::process::{Running, Signal};
use streamjob_tests::timeline::{Happening, Timeline};
use streamjob_tests::trial::{Setup, Start, Trial};

use super::{alone, seed, sized};

/// The parts of the protocol in which kills must fall.
const PHASES: [&str; 5] = ["barrier", "upload", "commit", "publish", "restore"];

/// How long a process sleeps at a fail point, for a kill to fall into it.
const SLEEP_MS: u64 = 60;

/// What the kills of a test came to; written down after each round, so that a long run can be taken up again.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Tally {
    rounds: u64,
    kills: u64,
    /// After an epoch was committed since the last one, while input remained.
    counted: u64,
    /// Counted kills and kills in restore, by part of the protocol. `elsewhere` is where nobody knows.
    phases: BTreeMap<String, u64>,
    epochs: usize,
    /// Restarts with another parallelism.
    rescales: u64,
}

/// When a process is killed.
#[derive(Clone, Debug)]
enum Aim {
    /// So long after its first epoch.
    AfterEpoch { delay: Duration },
    /// So long after its start.
    AfterStart { delay: Duration },
    /// So long after it has begun to sleep at this fail point.
    At { name: &'static str, count: u32, delay: Duration },
}

impl Aim {
    fn random(random: &mut Rng, tally: &Tally, wanted: u64) -> Self {
        let least = PHASES.into_iter().min_by_key(|phase| tally.of(phase)).unwrap_or("commit");
        let phase = if tally.of(least) < wanted { least } else { PHASES[random.usize(..PHASES.len())] };
        let names: Vec<&'static str> = named(phase);
        let delay = Duration::from_micros(random.u64(..SLEEP_MS * 1_000));
        match random.u32(..10) {
            0..5 => Self::AfterEpoch { delay: Duration::from_micros(random.u64(..200_000)) },
            5 => Self::AfterStart { delay: Duration::from_micros(random.u64(..600_000)) },
            _ => {
                let name = names[random.usize(..names.len())];
                let count = if phase == "restore" { 1 } else { random.u32(2..6) };
                Self::At { name, count, delay }
            }
        }
    }

    fn fail_points(&self) -> String {
        // Reading is slowed down, so that there is input left for many kills.
        let slow = "source.batch=sleep:3@*";
        match self {
            Self::AfterEpoch { .. } | Self::AfterStart { .. } => slow.to_owned(),
            Self::At { name, count, .. } => format!("{slow},{name}=sleep:{SLEEP_MS}@{count}"),
        }
    }
}

impl Tally {
    fn of(&self, phase: &str) -> u64 {
        self.phases.get(phase).copied().unwrap_or(0)
    }

    fn note(&mut self, phase: &str) {
        *self.phases.entry(phase.to_owned()).or_default() += 1;
    }

    fn is_enough(&self, kills: u64, each: u64) -> bool {
        self.counted >= kills && PHASES.iter().all(|phase| self.of(phase) >= each)
    }
}

/// Fail points whose names begin with this part of the protocol.
fn named(phase: &str) -> Vec<&'static str> {
    let names = fail_point::ALL.iter().copied().filter(|name| name.split('.').next() == Some(phase));
    let names: Vec<_> = names.collect();
    assert!(!names.is_empty(), "no fail point is in {phase}: {:?}", fail_point::ALL);
    names
}

/// The input of a round: of several files, some compressed, out of order; every second one has late rows.
fn setup(random: &mut Rng) -> Setup {
    let disorder_ms = random.i64(0..200);
    let feed = Feed {
        seed: random.u64(..),
        partitions: random.u32(2..6),
        rows: random.u64(30_000..60_000),
        keys: random.u64(20..3_000),
        disorder_ms,
        late_every: if random.bool() { 500 } else { 0 },
        late_ms: 2_500,
        ..Feed::default()
    };
    let rules = Rules { size_ms: random.i64(200..3_000), bound_ms: disorder_ms, lateness_ms: 0 };
    Setup { feed, rules, interval_ms: 50, batch_rows: random.u64(100..1_000) }
}

/// Waits for the instant of a kill; false if the process ended before it.
fn reached(trial: &mut Trial, running: &mut Running, aim: &Aim) -> Result<bool> {
    let epochs = trial.timeline.epochs();
    let (delay, there) = match aim {
        Aim::AfterStart { delay } => (*delay, true),
        Aim::AfterEpoch { delay } => {
            (*delay, trial.watch(running, |_, timeline| timeline.epochs() > epochs)?)
        }
        Aim::At { name, delay, .. } => {
            let line = format!("fail point {name}: sleep");
            let there = trial.watch(running, |running, _| running.said().contains(&line))?;
            (*delay, there)
        }
    };
    if !there {
        return Ok(false);
    }
    let deadline = Instant::now() + delay;
    trial.watch(running, |_, _| Instant::now() >= deadline)
}

/// Whether rows remain to be read, as far as the log tells.
fn input_remains(timeline: &Timeline) -> bool {
    timeline.records().next_back().is_none_or(|record| !record.at_the_end && record.kind != "final")
}

/// Runs a job under kills until it has ended by itself, and checks what it published.
fn round(random: &mut Rng, tally: &mut Tally, wanted: u64, bug: &str) -> Result<Trial> {
    let mut trial = Trial::new(setup(random))?;
    let (mut parallelism, mut since_kill, mut last_counted) = (random.u32(1..4), 0, false);
    loop {
        let before = parallelism;
        parallelism = if random.u32(..3) == 0 { random.u32(1..4) } else { parallelism };
        tally.rescales += u64::from(before != parallelism);
        let aim = Aim::random(random, tally, wanted);
        let start = Start { bug: bug.to_owned(), ..Start::with(parallelism, aim.fail_points()) };
        let mut running = trial.start(&start)?;
        let is_there = reached(&mut trial, &mut running, &aim)?;
        if !is_there {
            let ended = trial.ended(&mut running)?;
            ensure!(ended.code == Some(0), "{}:\n{}\n{}", ended.shown(), ended.said, trial.history());
            break;
        }
        trial.signal(&mut running, Signal::Kill, &format!("{aim:?}"))?;
        trial.ended(&mut running)?;
        tally.kills += 1;
        let (epochs, remains) = (trial.timeline.epochs(), input_remains(&trial.timeline));
        let counts = epochs > since_kill && remains;
        let phase = phase_of(&aim);
        if counts {
            tally.counted += 1;
            tally.note(if phase == "restore" { "elsewhere" } else { phase });
        } else if phase == "restore" && last_counted {
            tally.note("restore");
        }
        // A kill in a restore leaves the start that it hit after a counted kill, so the next one may hit it again.
        last_counted = counts || (last_counted && epochs == since_kill);
        since_kill = epochs;
    }
    tally.rounds += 1;
    tally.epochs += trial.timeline.epochs();
    Ok(trial)
}

fn phase_of(aim: &Aim) -> &'static str {
    match aim {
        Aim::At { name, .. } => {
            PHASES.into_iter().find(|phase| name.starts_with(phase)).unwrap_or("elsewhere")
        }
        Aim::AfterEpoch { .. } | Aim::AfterStart { .. } => "elsewhere",
    }
}

/// Where a long run keeps its tally: beside the test program.
fn tally_file(seed: u64) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().context("a program lies in a folder")?.join("streamjob-long");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("kills-{seed}.json")))
}

#[test]
fn whenever_it_is_killed_nothing_is_lost_and_nothing_doubled() -> Result<()> {
    let _alone = alone();
    let seed = seed("kills");
    let (kills, each) = sized((200, 10), (50, 3));
    let file = tally_file(seed)?;
    let mut tally: Tally = match fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(_) => Tally::default(),
    };

    while !tally.is_enough(kills, each) {
        let mut random = Rng::with_seed(seed.wrapping_add(tally.rounds));
        let mut trial = round(&mut random, &mut tally, each, "")?;
        let found = trial.check()?;
        trial.assert_right(&found, &format!("kills, round {} of STREAMJOB_SEED={seed}", tally.rounds));
        let late = trial.timeline.events().filter(|event| matches!(event, Happening::Published { .. }));
        ensure!(late.count() > 0, "a round without a published epoch shows nothing");
        fs::write(&file, serde_json::to_vec(&tally)?)?;
    }

    println!("kills: {}", serde_json::to_string(&tally)?);
    assert!(tally.rescales > 0, "the parallelism changes between runs");
    Ok(fs::remove_file(&file)?)
}
