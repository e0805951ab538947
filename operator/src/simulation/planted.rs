//! Bugs that somebody could make, each put in on purpose: a simulation that finds none of them proves nothing.
//!
//! Owns: the bugs, and what must find each.
//! Never: is compiled into the operator.

use serde_json::json;

use super::Sim;
use super::operator::{Moment, Plant};
use super::scenarios::{image, restore, suspend};
use super::spec;
use crate::decide::{Action, Decision};
use crate::world::{Kind, Object, World, labels};

/// Plays until the bug has had its chance; an error says how it was found.
fn found(plant: Plant, play: fn(&mut Sim) -> Result<(), String>) -> String {
    let mut sim = Sim::running();
    sim.operator.plant = Some(plant);
    let verdict = play(&mut sim);
    if let Some(violation) = sim.cluster.violations.first() {
        return violation.clone();
    }
    verdict.expect_err("the bug was not found")
}

fn must(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn sets(object: &Object) -> bool {
    object.kind() == Some(Kind::StatefulSet)
}

fn arguments(object: &mut Object, change: impl Fn(&mut Vec<serde_json::Value>)) {
    let all =
        object.0.pointer_mut("/spec/template/spec/containers/0/args").and_then(|all| all.as_array_mut());
    all.into_iter().for_each(change);
}

/// Forgets the floor.
fn no_floor(_: &mut World, decision: &mut Decision, _: Moment) {
    for action in &mut decision.actions {
        if let Action::Apply(object) = action {
            arguments(object, |all| {
                all.retain(|one| !one.as_str().is_some_and(|text| text.starts_with("--floor")))
            });
        }
    }
}

#[test]
fn a_start_that_forgets_the_floor_is_found_by_a_store_that_went_back() {
    let how = found(no_floor, |sim| {
        suspend(sim, true);
        sim.settle();
        sim.cluster.logs.clear();
        suspend(sim, false);
        sim.seconds(120);
        must(sim.at_work().is_empty(), "the job began anew without a word")
    });
    assert_eq!(how, "the job began anew without a word");
}

/// Gives a set the number of the one before it.
fn same_number(world: &mut World, decision: &mut Decision, moment: Moment) {
    if moment == Moment::Decided
        && let Some(status) = &mut decision.status
    {
        let before = world.job.status.as_ref().and_then(|status| status.incarnation);
        status.incarnation = before.or(Some(0));
    }
}

#[test]
fn a_number_that_is_not_written_down_first_is_found() {
    let how = found(same_number, |sim| {
        image(sim, "worker:2");
        sim.seconds(60);
        Ok(())
    });
    assert!(how.contains("the status knows only 1"), "{how}");
}

#[test]
fn actions_before_the_status_are_found() {
    let mut sim = Sim::new();
    sim.operator.acts_first = true;
    sim.cluster.create(spec());
    sim.seconds(10);
    image(&mut sim, "worker:2");
    sim.seconds(60);

    assert!(!sim.cluster.violations.is_empty());
}

/// Writes the transition times anew each time.
fn restless(world: &mut World, decision: &mut Decision, moment: Moment) {
    if moment == Moment::Decided {
        let status = decision.status.get_or_insert_with(|| world.job.status.clone().unwrap_or_default());
        for condition in &mut status.conditions {
            condition.last_transition_time = crate::decide::time(world.now);
        }
    }
}

#[test]
fn a_status_that_never_comes_to_rest_is_found() {
    let how = found(restless, |sim| {
        suspend(sim, true);
        sim.seconds(60);
        sim.cluster.writes.clear();
        sim.seconds(600);
        must(sim.cluster.writes.is_empty(), "a suspended job is written to")
    });
    assert_eq!(how, "a suspended job is written to");
}

/// Forgets which restore was done.
fn forgetful(_: &mut World, decision: &mut Decision, _: Moment) {
    if let Some(status) = &mut decision.status {
        status.completed_restore_request = None;
    }
}

#[test]
fn a_restore_that_is_repeated_is_found() {
    let how = found(forgetful, |sim| {
        restore(
            sim,
            streamjob_crds::RestoreFrom::Uri,
            "r",
            Some("s3://streams/prod/shop.orders/savepoints/1"),
        );
        sim.seconds(300);
        must(sim.cluster.log().starts.len() == 2, "it was restored again and again")
    });
    assert_eq!(how, "it was restored again and again");
}

/// Lets the object go before its state is gone.
fn hasty(world: &mut World, decision: &mut Decision, moment: Moment) {
    if moment == Moment::Decided && world.job.deletion_timestamp.is_some() {
        decision.actions.push(Action::RemoveFinalizer);
    }
}

#[test]
fn a_finalizer_that_goes_too_early_is_found() {
    let how = found(hasty, |sim| {
        sim.cluster.edit(|spec| {
            spec.deletion.get_or_insert_default().state = Some(streamjob_crds::StateDeletion::Delete);
        });
        sim.seconds(5);
        sim.cluster.delete_job();
        sim.seconds(120);
        must(sim.cluster.log().deleted, "the state was left behind")
    });
    assert_eq!(how, "the state was left behind");
}

/// Takes a refused spec for a reason to stop.
fn strict(world: &mut World, decision: &mut Decision, moment: Moment) {
    if moment == Moment::Decided && world.compiled.is_err() {
        for set in world.sets() {
            let (name, uid) = (set.object.name().to_owned(), set.object.uid().to_owned());
            decision.actions.push(Action::Delete { kind: Kind::StatefulSet, name, uid });
        }
    }
}

#[test]
fn stopping_a_job_whose_new_spec_is_refused_is_found() {
    let how = found(strict, |sim| {
        sim.cluster.edit(|spec| spec.pipeline.key_by = vec!["nonsense".to_owned()]);
        sim.seconds(30);
        Ok(())
    });
    assert!(how.contains("no operation says so"), "{how}");
}

/// Does not hand over, and does not wait.
fn impatient(world: &mut World, decision: &mut Decision, moment: Moment) {
    if moment == Moment::Seen {
        world.objects.retain(|object| object.kind() != Some(Kind::Pod));
    }
    if moment == Moment::Decided {
        let keeps = |action: &Action| !matches!(action, Action::Delete { kind: Kind::StatefulSet, .. });
        decision.actions.retain(keeps);
    }
}

#[test]
fn workers_that_begin_beside_the_old_ones_are_found() {
    let how = found(impatient, |sim| {
        image(sim, "worker:2");
        sim.seconds(120);
        Ok(())
    });
    assert!(how.contains("while other workers process rows"), "{how}");
}

/// Takes children of a deleted job for its own.
fn adoptive(world: &mut World, _: &mut Decision, moment: Moment) {
    if moment == Moment::Seen {
        let uid = world.job.uid.clone();
        for object in &mut world.objects {
            if object.label(labels::MANAGED_BY).is_none() && !sets(object) {
                object.0["metadata"]["labels"][labels::MANAGED_BY] = json!(labels::OPERATOR);
                object.0["metadata"]["labels"][labels::JOB] = json!("orders");
                object.0["metadata"]["uid"] = json!(uid);
            }
        }
    }
}

#[test]
fn taking_over_somebody_elses_object_is_found() {
    let how = found(adoptive, |sim| {
        let key = (Kind::Service, "orders-workers".to_owned());
        let theirs = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "orders-workers", "uid": "theirs", "labels": {}}, "spec": {},
        });
        sim.cluster.objects.insert(key.clone(), Object(theirs.clone()));
        sim.cluster.changed = true;
        sim.seconds(30);
        must(sim.cluster.objects[&key].0 == theirs, "their Service was changed")
    });
    assert_eq!(how, "their Service was changed");
}

/// Does not remember that a generation was rolled back.
fn stubborn(world: &mut World, _: &mut Decision, moment: Moment) {
    let rolled_back = |condition: &str| condition == "RolledBack";
    if moment == Moment::Seen
        && let Some(status) = &mut world.job.status
    {
        status.conditions.retain(|condition| !rolled_back(&condition.reason));
    }
}

#[test]
fn a_revision_that_is_tried_over_and_over_is_found() {
    let how = found(stubborn, |sim| {
        image(sim, "worker:crash");
        sim.seconds(600);
        must(sim.cluster.status().incarnation == Some(3), "the failed revision is tried again and again")
    });
    assert_eq!(how, "the failed revision is tried again and again");
}
