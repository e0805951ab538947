//! Random jobs under random crashes: the output is that of the naive model.
//!
//! Owns: which jobs, batch sizes, parallelisms and checkpoints are tried.
//! Never: changes anything that a process left behind.

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use streamjob_tests::checker::{self, Rules};
use streamjob_tests::feed::Feed;
use streamjob_tests::process::Signal;
use streamjob_tests::timeline::LogRecord;
use streamjob_tests::trial::{Setup, Start, Trial};

use super::rounds::{Aim, Round, random_setup};
use super::{alone, seed, sized};

const SLOW: &str = "source.batch=sleep:3@*";
/// What a job says.
const FIRST_ROWS: &str = "the first rows are in windows";
const RESTORED: &str = "all old state is back";

/// One partition, with late rows and allowed lateness: the model knows every result and every update of it.
fn one_partition(random: &mut Rng) -> Setup {
    let disorder_ms = random.i64(0..300);
    let feed = Feed {
        seed: random.u64(..),
        partitions: 1,
        rows: random.u64(40_000..80_000),
        keys: random.u64(1..2_000),
        disorder_ms,
        late_every: random.u64(20..300),
        late_ms: random.i64(500..5_000),
        gzip: false,
        ..Feed::default()
    };
    let (size_ms, lateness_ms) = (random.i64(200..2_500), random.i64(1..3_000));
    let rules = Rules { size_ms, bound_ms: disorder_ms, lateness_ms };
    Setup { feed, rules, batch_rows: random.u64(1..600), ..Setup::default() }
}

#[test]
fn random_jobs_under_random_crashes_give_what_the_model_gives() -> Result<()> {
    let _alone = alone();
    let seed = seed("random jobs");
    let (mut kills, mut late) = (0, 0);
    for case in 0..sized(60, 4) {
        let mut random = Rng::with_seed(seed.wrapping_add(case));
        let setup = if case % 2 == 0 { one_partition(&mut random) } else { random_setup(&mut random) };
        let rows = setup.feed.rows;
        let round = Round { setup, kills_max: 6, ..Round::random(&mut random) };
        // A batch of one row at 3 ms each would take minutes.
        let pace = if round.setup.batch_rows * 200 < rows { String::new() } else { SLOW.to_owned() };
        let round = Round { pace, ..round };
        let (mut trial, killed) = round.run(&mut random, |random, kills| match random.u32(..3) {
            0 if !kills.is_empty() => Aim::within("restore", random),
            0 | 1 => Aim::after_start(random),
            _ => Aim::after_epoch(random),
        })?;
        kills += killed.len();
        let found = trial.check()?;
        trial.assert_right(&found, &format!("random job {case} of STREAMJOB_SEED={seed}"));
        late += trial.setup().rules.lateness_ms;
    }
    println!("random jobs: {kills} kills");
    assert!(kills > 0 && late > 0, "runs in which nothing happened show nothing");
    Ok(())
}

/// The epochs whose records are in the log, oldest first.
fn epochs_in_log(trial: &Trial) -> Result<Vec<u64>> {
    let mut epochs: Vec<(u64, u64)> = Vec::new();
    for entry in std::fs::read_dir(trial.state().join("log"))? {
        let record = streamjob_tests::timeline::read_record(&entry?.path());
        epochs.extend(record.filter(|record| record.kind == "epoch").and_then(|r| Some((r.seq, r.epoch?))));
    }
    epochs.sort_unstable();
    Ok(epochs.into_iter().map(|(_, epoch)| epoch).collect())
}

/// Goes on from one of its checkpoints; what the later epochs had published is repeated.
pub(super) fn go_on_from(trial: &mut Trial, epoch: u64, newest: u64, parallelism: u32) -> Result<()> {
    let arguments = vec!["--from".to_owned(), epoch.to_string()];
    let ended = trial.run(&Start { arguments, ..Start::plain(parallelism) })?;
    ensure!(ended.code == Some(0), "from {epoch}: {}\n{}\n{}", ended.shown(), ended.said, trial.history());
    let rules = trial.setup().rules;
    let taken_back = |published| published > epoch && published <= newest;
    let found = checker::check_without(trial.path(), &rules, taken_back)?;
    trial.assert_right(&found, &format!("from epoch {epoch} of {newest} with parallelism {parallelism}"));
    Ok(())
}

#[test]
fn a_run_from_any_checkpoint_of_the_chain_gives_what_follows_it() -> Result<()> {
    let _alone = alone();
    let seed = seed("any checkpoint");
    let mut random = Rng::with_seed(seed);
    let setup = Setup { retain: 6, ..random_setup(&mut random) };
    let mut trial = Trial::new(setup)?;
    let mut running = trial.start(&Start::with(2, SLOW))?;
    trial.watch(&mut running, |_, timeline| timeline.epochs() > 8)?;
    trial.signal(&mut running, Signal::Kill, "to look at its checkpoints")?;
    trial.ended(&mut running)?;
    let epochs = epochs_in_log(&trial)?;
    let newest = *epochs.last().context("it has committed")?;
    assert!(epochs.len() >= 6, "six checkpoints are kept: {epochs:?}");

    let tried: Vec<u64> = epochs.iter().copied().rev().step_by(sized(1, 3)).collect();
    let saved = trial.save()?;
    for (epoch, parallelism) in tried.iter().zip([1, 3, 2].into_iter().cycle()) {
        trial.put_back(&saved)?;
        go_on_from(&mut trial, *epoch, newest, parallelism)?;
    }

    println!("any checkpoint: from {tried:?} of {epochs:?}");
    Ok(())
}

/// Of a window whose keys are few some slots own none, and if it has no more rows no block holds their key groups.
#[test]
fn slots_without_a_key_of_an_open_window_go_on_with_the_others() -> Result<()> {
    let _alone = alone();
    let feed = Feed { seed: seed("few keys"), partitions: 2, rows: 20_000, keys: 2, ..Feed::default() };
    // Windows stay open for long after their last row.
    let rules = Rules { size_ms: 1_000, bound_ms: 10_000, lateness_ms: 0 };
    let mut trial = Trial::new(Setup { feed, rules, batch_rows: 500, ..Setup::default() })?;
    for parallelism in [3, 1] {
        let mut running = trial.start(&Start::with(parallelism, "source.batch=sleep:20@*"))?;
        let epochs = trial.timeline.epochs();
        let is_past = |record: &LogRecord| record.positions.iter().all(|&rows| rows > 1_500);
        let there = trial.watch(&mut running, |_, timeline| {
            timeline.epochs() > epochs && timeline.records().next_back().is_some_and(is_past)
        })?;
        ensure!(there, "it ended too early: {}", running.said());
        trial.signal(&mut running, Signal::Kill, "while the first window is open")?;
        trial.ended(&mut running)?;
    }

    let found = trial.finish(3)?;

    trial.assert_right(&found, "two keys in three slots, one, and three");
    Ok(())
}

/// With allowed lateness: only rows of windows that have fired need their old state, and wait for it by themselves.
#[test]
fn rows_are_read_while_the_old_state_of_windows_that_they_may_update_is_on_its_way() -> Result<()> {
    let _alone = alone();
    let mut random = Rng::with_seed(seed("updates"));
    // More than a slow machine reads until old state is back, four times.
    let feed = Feed { rows: 120_000, late_every: 20, late_ms: 1_500, ..one_partition(&mut random).feed };
    let rules = Rules { size_ms: 700, bound_ms: feed.disorder_ms, lateness_ms: 2_500 };
    let mut trial = Trial::new(Setup { feed, rules, batch_rows: 100, ..Setup::default() })?;
    for (run, parallelism) in [2, 1, 3, 2].into_iter().enumerate() {
        let faults = format!("{SLOW},restore.block.before=sleep:150@*");
        let arguments = ["--log", "streamjob_worker=debug"].map(str::to_owned).to_vec();
        let mut running = trial.start(&Start { arguments, ..Start::with(parallelism, faults) })?;
        let epochs = trial.timeline.epochs();
        let there = trial.watch(&mut running, |running, timeline| {
            running.has_said(RESTORED) && timeline.epochs() > epochs + 3
        })?;
        ensure!(there, "it ended too early: {}", running.said());
        trial.signal(&mut running, Signal::Kill, "with windows that may be updated")?;
        let said = trial.ended(&mut running)?.said;
        let until = said.find(RESTORED).context("it has said so")?;
        let is_restored = said.contains("fail point restore.block.before");
        ensure!(is_restored == (run > 0) && said[..until].contains(FIRST_ROWS) == is_restored, "{said}");
    }

    let found = trial.finish(3)?;

    trial.assert_right(&found, "rows that update windows whose old state comes late");
    Ok(())
}
