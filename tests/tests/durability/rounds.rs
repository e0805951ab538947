//! A job that is killed and started again until it has ended by itself.
//!
//! Owns: when to kill; which kills count, and in which part of the protocol they fell.
//! Never: changes anything that a process left behind.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fastrand::Rng;
use streamjob_checkpoint::fail_point;
use streamjob_tests::checker::Rules;
use streamjob_tests::feed::Feed;
use streamjob_tests::process::{Running, Signal};
use streamjob_tests::timeline::Timeline;
use streamjob_tests::trial::{Setup, Start, Trial};

use super::is_of_records;

/// The parts of the protocol in which kills must fall.
pub(super) const PHASES: [&str; 5] = ["barrier", "upload", "commit", "publish", "restore"];

/// Publishing, of a job that does so into topics.
pub(super) const PUBLISH_RECORDS: &str = "publish.records";

/// How long a process sleeps at a fail point, for a kill to fall into it.
const SLEEP_MS: u64 = 60;

/// How long it sleeps before each block of old state, for epochs to be committed meanwhile.
const RESTORE_MS: u64 = 200;

/// With this, whoever has not said that all is back is still in restore.
const RESTORED: &str = "restore.done=sleep:1";

/// What a process says that gives up an epoch.
pub(super) const ABANDONED: &str = "abandoned a checkpoint";

/// When a process is killed.
#[derive(Clone, Debug)]
pub(super) enum Aim {
    /// So long after so many epochs.
    AfterEpochs { count: usize, delay: Duration },
    /// So long after its start.
    AfterStart { delay: Duration },
    /// So long after it has begun to sleep at this fail point.
    At { name: &'static str, count: u32, delay: Duration },
    /// So long after an epoch that was committed while old state was still being brought back.
    Restoring { delay: Duration },
    /// After the first epoch that follows an abandoned one.
    AfterAbandoned,
}

/// How a job is run until its end.
pub(super) struct Round {
    pub(super) setup: Setup,
    /// A planted bug, or nothing.
    pub(super) bug: &'static str,
    /// Fail points that are on in each run, beside those of a kill.
    pub(super) fail_points: String,
    /// The fail point that slows down reading, so that there is input left for the kills that are to come.
    pub(super) pace: String,
    /// Parallelisms to choose from, for each run anew.
    pub(super) parallelisms: Vec<u32>,
    /// After so many kills it is left in peace.
    pub(super) kills_max: usize,
}

/// A kill.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kill {
    /// An epoch was committed since the last one, and input remained.
    pub(super) counted: bool,
    /// In which part of the protocol, if that is known.
    pub(super) phase: Option<&'static str>,
    /// The run had another parallelism than the one before.
    pub(super) rescaled: bool,
}

impl Aim {
    /// A random instant in a part of the protocol.
    pub(super) fn within(phase: &str, random: &mut Rng) -> Self {
        // Half of those in restore fall before it could commit an epoch.
        if phase == "restore" && random.bool() {
            return Self::Restoring { delay: Duration::from_micros(random.u64(..50_000)) };
        }
        let names = named(phase);
        let name = names[random.usize(..names.len())];
        // What a process does once.
        let once = phase == "restore" || name.contains(".fence.") || name.contains(".look.");
        let count = if once { 1 } else { random.u32(2..6) };
        // Well before it wakes up, even if the kill comes a little late.
        Self::At { name, count, delay: Duration::from_micros(random.u64(..SLEEP_MS * 750)) }
    }

    /// A random instant after an epoch.
    pub(super) fn after_epoch(random: &mut Rng) -> Self {
        Self::AfterEpochs { count: 1, delay: Duration::from_micros(random.u64(..200_000)) }
    }

    /// A random instant after the start.
    pub(super) fn after_start(random: &mut Rng) -> Self {
        Self::AfterStart { delay: Duration::from_micros(random.u64(..600_000)) }
    }

    fn fail_points(&self) -> String {
        match self {
            Self::AfterEpochs { .. } | Self::AfterStart { .. } | Self::AfterAbandoned => String::new(),
            Self::At { name, count, .. } => format!("{name}=sleep:{SLEEP_MS}@{count}"),
            Self::Restoring { .. } => format!("restore.block.before=sleep:{RESTORE_MS}@*,{RESTORED}"),
        }
    }

    /// The part of the protocol in which a process was that is now killed, if that is known.
    fn phase(&self, running: &Running) -> Option<&'static str> {
        match self {
            Self::At { name, .. } => PHASES.into_iter().find(|phase| name.starts_with(phase)),
            Self::Restoring { .. } => (!running.has_said("fail point restore.done")).then_some("restore"),
            Self::AfterEpochs { .. } | Self::AfterStart { .. } | Self::AfterAbandoned => None,
        }
    }
}

/// Fail points whose names begin with this part of the protocol.
pub(super) fn named(phase: &str) -> Vec<&'static str> {
    let names = fail_point::ALL.iter().copied().filter(|name| {
        let begins = name.strip_prefix(phase).is_some_and(|rest| rest.starts_with('.'));
        begins && (phase == PUBLISH_RECORDS || !is_of_records(name))
    });
    let names: Vec<_> = names.collect();
    assert!(!names.is_empty(), "no fail point is in {phase}: {:?}", fail_point::ALL);
    names
}

/// An input of several files, some compressed, out of order; of every second one some rows are late.
pub(super) fn random_setup(random: &mut Rng) -> Setup {
    let disorder_ms = random.i64(0..200);
    let feed = Feed {
        seed: random.u64(..),
        partitions: random.u32(2..6),
        rows: random.u64(15_000..30_000),
        keys: random.u64(20..3_000),
        disorder_ms,
        late_every: if random.bool() { 500 } else { 0 },
        late_ms: 2_500,
        ..Feed::default()
    };
    let rules = Rules { size_ms: random.i64(200..3_000), bound_ms: disorder_ms, lateness_ms: 0 };
    Setup { feed, rules, batch_rows: random.u64(100..1_000), ..Setup::default() }
}

/// The fail point that slows down reading by so many slots such that it takes at least this long.
pub(super) fn paced(setup: &Setup, slots: u64, least: Duration) -> String {
    let rows = setup.feed.rows * u64::from(setup.feed.partitions);
    let batches = rows.div_ceil(setup.batch_rows * slots);
    format!("source.batch=sleep:{}@*", (least.as_millis() as u64).div_ceil(batches))
}

impl Round {
    /// A round on a random input. Reading is slowed down, so that there is input left for many kills.
    pub(super) fn random(random: &mut Rng) -> Self {
        Self {
            setup: random_setup(random),
            bug: "",
            fail_points: String::new(),
            pace: "source.batch=sleep:3@*".to_owned(),
            parallelisms: vec![1, 2, 3],
            kills_max: usize::MAX,
        }
    }

    /// Runs the job under kills until it has ended by itself. `aim` sees the kills so far.
    pub(super) fn run(
        self,
        random: &mut Rng,
        mut aim: impl FnMut(&mut Rng, &[Kill]) -> Aim,
    ) -> Result<(Trial, Vec<Kill>)> {
        let mut trial = Trial::new(self.setup.clone())?;
        let mut kills: Vec<Kill> = Vec::new();
        let mut parallelism = self.parallelisms[0];
        // Epoch 0 is of no rows.
        let mut last_epochs = 1;
        loop {
            let before = parallelism;
            if random.u32(..3) == 0 {
                parallelism = self.parallelisms[random.usize(..self.parallelisms.len())];
            }
            let rescaled = !kills.is_empty() && before != parallelism;
            let aim = (kills.len() < self.kills_max).then(|| aim(random, &kills));
            let mut running = trial.start(&self.start(parallelism, aim.as_ref()))?;
            let is_there = match &aim {
                Some(aim) => reached(&mut trial, &mut running, aim)?,
                None => trial.watch(&mut running, |_, _| false)?,
            };
            let Some(aim) = aim.filter(|_| is_there) else {
                let ended = trial.ended(&mut running)?;
                ensure!(ended.code == Some(0), "{}:\n{}\n{}", ended.shown(), ended.said, trial.history());
                return Ok((trial, kills));
            };
            let phase = aim.phase(&running);
            trial.signal(&mut running, Signal::Kill, &format!("{aim:?}"))?;
            trial.ended(&mut running)?;
            let epochs = trial.timeline.epochs();
            let counted = epochs > last_epochs && input_remains(&trial.timeline);
            kills.push(Kill { counted, phase, rescaled });
            last_epochs = epochs.max(last_epochs);
        }
    }

    fn start(&self, parallelism: u32, aim: Option<&Aim>) -> Start {
        // Left in peace it reads at full speed.
        let pace = aim.map_or(String::new(), |_| self.pace.clone());
        let aimed = aim.map_or(String::new(), Aim::fail_points);
        let mut fail_points = vec![self.fail_points.clone(), pace, aimed];
        fail_points.retain(|rules| !rules.is_empty());
        Start { bug: self.bug.to_owned(), ..Start::with(parallelism, fail_points.join(",")) }
    }
}

impl Kill {
    /// The part of the protocol that it counts for.
    pub(super) fn counts_for(&self) -> Option<&'static str> {
        self.counted.then_some(self.phase.unwrap_or("elsewhere"))
    }
}

/// Waits for the instant of a kill; false if the process ended before it.
fn reached(trial: &mut Trial, running: &mut Running, aim: &Aim) -> Result<bool> {
    let epochs = trial.timeline.epochs();
    let (delay, is_there) = match aim {
        Aim::AfterStart { delay } => (*delay, true),
        Aim::AfterEpochs { count, delay } => {
            (*delay, trial.watch(running, |_, timeline| timeline.epochs() >= epochs + count)?)
        }
        Aim::Restoring { delay } => (*delay, trial.watch(running, |_, timeline| timeline.epochs() > epochs)?),
        Aim::AfterAbandoned => {
            let is_there = trial.watch(running, |running, _| running.has_said(ABANDONED))?;
            let epochs = trial.timeline.epochs();
            (Duration::ZERO, is_there && trial.watch(running, |_, timeline| timeline.epochs() > epochs)?)
        }
        Aim::At { name, delay, .. } => {
            let line = format!("fail point {name}: sleep:{SLEEP_MS}");
            (*delay, trial.watch(running, |running, _| running.has_said(&line))?)
        }
    };
    if !is_there {
        return Ok(false);
    }
    let deadline = Instant::now() + delay;
    trial.watch(running, |_, _| Instant::now() >= deadline)
}

/// Whether rows remain to be read, as far as the log tells.
fn input_remains(timeline: &Timeline) -> bool {
    timeline.records().next_back().is_none_or(|record| !record.at_the_end && record.kind != "final")
}
