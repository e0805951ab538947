//! One thing at a time: transactions that end badly, processes beside their successors, restores.
//!
//! Owns: that each of them has happened, and that the output is right.
//! Never: plants a bug.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use streamjob_checkpoint::fail_point;
use streamjob_tests::job::streamjob;
use streamjob_tests::process::Signal;
use streamjob_tests::proxy::Fate;
use streamjob_tests::s3::environment;
use streamjob_tests::trial::{Start, Trial};

use super::super::buckets::epochs_more;
use super::super::is_of_records;
use super::scenes::{self, SLOW, Scene, finish, setup};
use super::{Rig, right};

/// Each once, on one rig.
fn play(scenes: &[(&str, Scene)]) -> Result<()> {
    let rig = Rig::new()?;
    for (name, scene) in scenes {
        let began = Instant::now();
        let mut trial = scene(&rig, "")?;
        let transactions = right(&rig, &mut trial, name)?;
        println!("{name}, {:.0?}: {transactions:?}", began.elapsed());
    }
    Ok(())
}

#[test]
fn ends_of_transactions_that_are_delayed_cut_or_late_lose_nothing_and_double_nothing() -> Result<()> {
    play(&[
        ("delayed", |rig, bug| scenes::ends_meet(rig, bug, || Fate::Delay(Duration::from_millis(700)))),
        ("cut before", scenes::ends_are_cut),
        ("answers lost", |rig, bug| scenes::ends_meet(rig, bug, || Fate::CutAfter)),
        ("late", |rig, bug| scenes::ends_meet(rig, bug, || Fate::Late(Duration::from_millis(150)))),
    ])
}

#[test]
fn an_end_that_arrives_in_the_next_transaction_does_not_end_that() -> Result<()> {
    play(&[("late, then killed", scenes::an_end_arrives_in_the_next_transaction)])
}

#[test]
fn the_answer_to_every_create_is_lost_or_it_arrives_late_and_topics_are_right() -> Result<()> {
    play(&[
        ("lost answers", scenes::every_answer_to_a_create_is_lost),
        ("late creates", scenes::every_create_arrives_late),
    ])
}

#[test]
fn a_process_that_wakes_up_beside_its_successor_publishes_nothing_twice() -> Result<()> {
    play(&[
        ("before it is fenced", scenes::wakes_before_it_is_fenced),
        ("after its successor has published", scenes::wakes_when_its_successor_has_published),
        ("after its transaction has timed out", scenes::wakes_after_its_transaction_timed_out),
    ])
}

#[test]
fn a_zombie_that_takes_over_doubles_nothing() -> Result<()> {
    play(&[
        ("before it hears", scenes::taken_over_before_it_hears),
        ("again and again", scenes::a_zombie_keeps_taking_over),
    ])
}

#[test]
fn progress_that_a_foreign_transaction_hides_is_waited_for() -> Result<()> {
    play(&[("foreign transaction", scenes::a_foreign_transaction_is_open)])
}

#[test]
fn killed_at_any_point_of_publishing_records_it_goes_on_and_the_output_is_right() -> Result<()> {
    let rig = Rig::new()?;
    for name in fail_point::ALL.iter().filter(|name| is_of_records(name)) {
        let mut trial = Trial::new(setup(&rig))?;
        let once = name.contains(".fence.") || name.contains(".look.");
        let rules = format!("{SLOW},{name}=kill@{}", if once { 1 } else { 3 });
        let ended = trial.run(&Start::with(2, rules))?;
        ensure!(ended.was_killed(), "no run reaches {name}: {}", ended.said);
        finish(&mut trial, "")?;
        right(&rig, &mut trial, name)?;
    }
    Ok(())
}

/// How a job begins anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Restore {
    Latest,
    Checkpoint,
    Savepoint,
    Fresh,
}

/// Its arguments, and the epoch that it goes back to.
fn arguments(restore: Restore, trial: &Trial) -> Result<(Vec<String>, Option<u64>)> {
    let newest = trial.timeline.records().filter_map(|record| record.epoch).max().unwrap_or(0);
    Ok(match restore {
        Restore::Latest => (Vec::new(), None),
        Restore::Checkpoint => (vec!["--from".to_owned(), (newest - 1).to_string()], Some(newest - 1)),
        Restore::Savepoint => {
            let listed = savepoint(trial, &["list"])?;
            let epoch = listed["savepoints"][0]["epoch"].as_u64().context("an epoch")?;
            (vec!["--from".to_owned(), "sp".to_owned()], Some(epoch))
        }
        Restore::Fresh => (vec!["--fresh".to_owned(), "--discard-state".to_owned()], Some(0)),
    })
}

/// `streamjob savepoint`, and what it says.
fn savepoint(trial: &Trial, arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new(streamjob());
    command.args(["savepoint", arguments[0]]).arg(trial.path().join("job.yaml")).args(&arguments[1..]);
    let output = command.arg("--json").envs(environment()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[test]
fn a_state_that_is_older_than_its_output_is_gone_back_in_on_purpose() -> Result<()> {
    let rig = Rig::new()?;
    let mut trial = Trial::new(setup(&rig))?;
    let ended = trial.run(&Start::with(2, format!("{SLOW},publish.records.commit.after=kill@12")))?;
    ensure!(ended.was_killed(), "{}:\n{}", ended.shown(), ended.said);
    let newest = trial.timeline.records().filter_map(|record| record.epoch).max().context("epochs")?;
    let lost: Vec<u64> =
        trial.timeline.records().filter(|record| record.epoch >= Some(newest - 1)).map(|r| r.seq).collect();
    for seq in &lost {
        std::fs::remove_file(trial.state().join(format!("log/{seq:020}.json")))?;
    }

    let refused = trial.run(&Start::plain(2))?;
    trial.restored_to(newest - 2);
    let arguments = vec!["--from".to_owned(), (newest - 2).to_string()];
    let restored = trial.run(&Start { arguments, ..Start::plain(2) })?;

    ensure!(
        refused.code == Some(1) && refused.said.contains("is published, but the newest"),
        "{}",
        refused.said
    );
    ensure!(restored.code == Some(0), "{}:\n{}", restored.shown(), restored.said);
    right(&rig, &mut trial, "a state that was older than its output")?;
    Ok(())
}

#[test]
fn killed_after_the_first_commit_of_any_restore_it_goes_on_and_the_output_is_right() -> Result<()> {
    let rig = Rig::new()?;
    for restore in [Restore::Latest, Restore::Checkpoint, Restore::Savepoint, Restore::Fresh] {
        let mut trial = Trial::new(setup(&rig))?;
        let mut running = trial.start(&Start::with(2, SLOW))?;
        epochs_more(&mut trial, &mut running, 6)?;
        if restore == Restore::Savepoint {
            savepoint(&trial, &["take", "--id", "sp"])?;
            epochs_more(&mut trial, &mut running, 3)?;
        }
        trial.signal(&mut running, Signal::Kill, "before it is restored")?;
        trial.ended(&mut running)?;
        let (arguments, last) = arguments(restore, &trial)?;
        if let Some(last) = last {
            trial.restored_to(last);
        }
        let rules = format!("{SLOW},commit.create.after=kill@1");

        let ended = trial.run(&Start { arguments, ..Start::with(2, rules) })?;
        ensure!(ended.was_killed(), "{restore:?}: {}\n{}", ended.shown(), ended.said);
        finish(&mut trial, "")?;

        let about = format!("killed after the first commit of {restore:?}");
        let transactions = right(&rig, &mut trial, &about)?;
        println!("{restore:?}: {transactions:?}");
    }
    Ok(())
}
