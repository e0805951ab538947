//! The harness proves itself: bugs planted in sink and store must turn the checker red.
//!
//! Owns: in which scene each bug shows.
//! Never: accepts a bug as caught if the same scene without it is red, too: the tests of single scenes see to that.

use anyhow::Result;

use super::super::planted::summary;
use super::scenes::{self, Scene};
use super::{Rig, right};

/// Times that scenes are played until a bug must have shown.
const TIMES: usize = 4;

const BUGS: &[(&str, &[Scene])] = &[
    ("progress-before-fence", &[scenes::wakes_before_it_is_fenced]),
    ("progress-outside-transaction", &[scenes::killed_before_the_end]),
    ("progress-uncommitted", &[scenes::killed_before_the_end]),
    ("producer-kept-after-retry", &[scenes::an_end_arrives_in_the_next_transaction]),
];

const MORE: &[(&str, &[Scene])] = &[
    ("no-wait-for-stable-offset", &[scenes::a_foreign_transaction_is_open]),
    ("look-not-repeated", &[scenes::taken_over_before_it_hears]),
    ("one-slot-for-all", &[scenes::killed_between_slots, scenes::killed_behind_the_end]),
    ("any-lineage", &[scenes::begun_afresh]),
    ("id-of-process", &[scenes::wakes_when_its_successor_has_published]),
    ("publish-before-commit", &[scenes::killed_behind_the_end_of_a_slow_commit]),
    ("republish-recomputed", &[scenes::killed_behind_the_end, scenes::killed_between_slots]),
    ("exists-is-fenced", &[scenes::every_create_arrives_late]),
];

/// Those that no test of single scenes plays.
const ALONE: &[(&str, Scene)] = &[
    ("killed before the end", scenes::killed_before_the_end),
    ("killed between slots", scenes::killed_between_slots),
    ("killed behind the end", scenes::killed_behind_the_end),
    ("killed behind the end of a slow commit", scenes::killed_behind_the_end_of_a_slow_commit),
    ("begun afresh", scenes::begun_afresh),
];

/// What is wrong, if anything is.
fn red(rig: &Rig, scene: Scene, bug: &str) -> Result<Option<String>> {
    let played = scene(rig, bug);
    rig.heal();
    match played {
        Err(error) => Ok(Some(format!("{error:#}"))),
        Ok(mut trial) => {
            trial.account()?;
            rig.tell(&mut trial.timeline);
            let found = trial.check()?;
            Ok((!found.is_empty()).then(|| trial.timeline.report(&found)))
        }
    }
}

/// What is wrong, once anything is.
fn caught(rig: &Rig, scenes: &[Scene], bug: &str) -> Result<Option<String>> {
    for &scene in scenes.iter().cycle().take(TIMES) {
        let found = red(rig, scene, bug)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[test]
fn planted_bugs_of_the_sink_turn_the_checker_red() -> Result<()> {
    all_are_caught(BUGS)
}

#[test]
fn more_planted_bugs_of_sink_and_store_turn_the_checker_red() -> Result<()> {
    all_are_caught(MORE)?;
    let rig = Rig::new()?;
    for &(name, scene) in ALONE {
        let mut trial = scene(&rig, "")?;
        println!("no bug, {name}: {:?}", right(&rig, &mut trial, name)?);
    }
    Ok(())
}

fn all_are_caught(bugs: &[(&str, &[Scene])]) -> Result<()> {
    let rig = Rig::new()?;
    let mut missed = Vec::new();
    for &(bug, scenes) in bugs {
        // On a machine that is busy a scene may not come about: it is played again.
        let found = (0..3).find_map(|_| {
            let found = caught(&rig, scenes, bug);
            found.unwrap_or_else(|error| {
                println!("planted bugs: {bug}: {error:#}");
                None
            })
        });
        match found {
            Some(report) => println!("planted bugs: {bug} is caught: {}", summary(&report)),
            None => missed.push(bug),
        }
    }
    println!("planted bugs: {} of {} are caught", bugs.len() - missed.len(), bugs.len());
    assert!(missed.is_empty(), "not caught: {missed:?}");
    Ok(())
}
