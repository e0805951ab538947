//! What goes wrong around a job, and what the operator makes of it.
//!
//! Owns: failures of revisions, stores, nodes and people.
//! Never: expects that somebody helps, unless the condition says so.

use serde_json::json;
use streamjob_crds::{StateDeletion, WhenUnhealthy};

use super::scenarios::{image, is, ready, suspend};
use super::{Sim, spec};
use crate::world::{Kind, labels};

#[test]
fn a_revision_that_fails_at_once_is_rolled_back_and_tried_again_only_when_the_spec_changes() {
    let mut sim = Sim::running();

    image(&mut sim, "worker:crash");
    sim.settle();
    sim.seconds(600);
    assert_eq!(ready(&sim), is("False", "RolledBack"));
    assert_eq!(sim.cluster.condition("Stalled"), is("True", "RolledBack"));
    assert_eq!(sim.cluster.condition("Available"), is("True", "Processing"));
    let told = sim.cluster.message("Ready");
    assert!(told.contains("clicks") && told.contains("kubectl") && told.contains("#rolled-back"), "{told}");
    assert_eq!(sim.image_at_work(), "worker:1");
    let incarnation = sim.cluster.status().incarnation;
    sim.seconds(3_600);
    assert_eq!(sim.cluster.status().incarnation, incarnation, "it is not tried again");
    image(&mut sim, "worker:2");
    sim.settle();

    sim.assert_sound();
    assert_eq!((ready(&sim), sim.image_at_work()), (is("True", "UpToDate"), "worker:2".to_owned()));
}

#[test]
fn a_revision_that_fails_after_a_checkpoint_is_rolled_back_to_that_checkpoint() {
    let mut sim = Sim::running();

    image(&mut sim, "worker:later");
    sim.settle();

    sim.assert_sound();
    assert_eq!(ready(&sim), is("False", "RolledBack"));
    let starts = &sim.cluster.log().starts;
    assert!(starts[2].1 > starts[1].1, "nothing that was published is published again: {starts:?}");
}

#[test]
fn a_revision_that_has_written_to_another_sink_is_not_rolled_back() {
    let mut sim = Sim::running();

    sim.cluster.edit(|spec| {
        spec.pipeline.sink = serde_json::from_value(json!({"stdout": {}})).expect("a sink");
        spec.workers.get_or_insert_default().image = Some("worker:later".to_owned());
    });
    sim.settle();

    sim.assert_sound();
    assert_eq!(sim.cluster.condition("Stalled"), is("True", "RollbackUnsafe"));
    image(&mut sim, "worker:3");
    sim.settle();
    assert_eq!(ready(&sim), is("True", "UpToDate"), "a newer spec always helps");
}

#[test]
fn workers_that_never_come_up_are_rolled_back_at_the_deadline_with_the_reason() {
    for (name, reason) in [("worker:hang", "did not get there"), ("worker:nopull", "image")] {
        let mut sim = Sim::running();

        image(&mut sim, name);
        sim.seconds(400);
        assert_eq!(ready(&sim), is("False", "Upgrading"), "{name}");
        sim.settle();

        sim.assert_sound();
        assert_eq!(sim.cluster.condition("Stalled"), is("True", "RolledBack"), "{name}");
        assert!(sim.cluster.message("Stalled").contains(reason), "{}", sim.cluster.message("Stalled"));
    }
}

#[test]
fn a_first_start_that_fails_keeps_being_tried_and_a_new_spec_helps_at_once() {
    let mut sim = Sim::new();
    let mut bad = spec();
    bad.workers.get_or_insert_default().image = Some("worker:crash".to_owned());
    sim.cluster.create(bad);

    sim.seconds(60);
    assert_eq!(sim.cluster.condition("Stalled"), is("True", "TopicMissing"));
    assert_eq!(sim.cluster.condition("Reconciling").0, "False");
    image(&mut sim, "worker:2");
    sim.settle();

    sim.assert_sound();
    assert_eq!(ready(&sim), is("True", "UpToDate"));
}

#[test]
fn a_check_that_fails_stops_nothing() {
    let mut sim = Sim::running();

    image(&mut sim, "worker:unfit");
    sim.settle();
    sim.seconds(600);
    assert_eq!(sim.cluster.condition("Accepted"), is("False", "TopicMissing"));
    assert_eq!((sim.at_work(), sim.image_at_work()), (vec![1], "worker:1".to_owned()));
    let incarnation = sim.cluster.status().incarnation;
    let checks = sim.cluster.names(Kind::Job).len();
    sim.seconds(1_200);
    assert_eq!((sim.cluster.status().incarnation, sim.cluster.names(Kind::Job).len()), (incarnation, checks));
    image(&mut sim, "worker:2");
    sim.settle();

    sim.assert_sound();
    assert_eq!((ready(&sim), sim.cluster.names(Kind::Job)), (is("True", "UpToDate"), vec![]));
}

#[test]
fn a_job_that_was_rolled_back_still_leaves_a_node_that_is_gone() {
    let mut sim = Sim::running();
    image(&mut sim, "worker:crash");
    sim.settle();
    assert_eq!((ready(&sim), sim.at_work()), (is("False", "RolledBack"), vec![3]));

    sim.cluster.node_up = false;
    sim.cluster.delete_pod("orders-3-0");
    sim.seconds(300);
    sim.cluster.node_up = true;
    sim.seconds(120);

    sim.assert_sound();
    assert_eq!((sim.at_work(), sim.image_at_work()), (vec![4], "worker:1".to_owned()));
    assert_eq!(ready(&sim), is("False", "RolledBack"), "it is not tried again");
}

#[test]
fn each_change_is_told_once() {
    let mut sim = Sim::running();
    let told = |sim: &Sim, what: &str| sim.operator.events.iter().filter(|event| *event == what).count();
    assert_eq!(
        (told(&sim, "Accepted"), told(&sim, "OperationStarted"), told(&sim, "OperationFinished")),
        (1, 1, 1)
    );

    image(&mut sim, "worker:unfit");
    sim.settle();
    sim.seconds(600);
    sim.cluster.store_up = false;
    sim.seconds(800);
    sim.cluster.store_up = true;
    sim.seconds(60);

    assert_eq!(told(&sim, "Rejected"), 1, "{:?}", sim.operator.events);
    assert_eq!((told(&sim, "CheckpointsFailing"), told(&sim, "CheckpointsRecovered")), (1, 1));
}

#[test]
fn workers_that_fail_too_often_are_reported_and_still_tried() {
    let mut sim = Sim::running();
    sim.cluster.edit(|spec| spec.recovery.get_or_insert_default().max_restarts = Some(3));
    for _ in 0..4 {
        sim.cluster.crash_workers();
        sim.seconds(15);
    }

    assert_eq!(sim.cluster.condition("Stalled"), is("True", "RestartsExhausted"));
    assert_eq!(sim.cluster.condition("Available"), is("True", "Processing"));
    sim.seconds(700);
    assert_eq!(ready(&sim), is("True", "UpToDate"), "it ran for long enough");
    assert_eq!(sim.operator.events.iter().filter(|event| *event == "WorkerFailed").count(), 4);
}

#[test]
fn a_check_without_room_is_left_out() {
    let mut sim = Sim::running();

    image(&mut sim, "worker:noroom");
    sim.settle();

    sim.assert_sound();
    assert_eq!((ready(&sim), sim.image_at_work()), (is("True", "UpToDate"), "worker:noroom".to_owned()));
    assert!(sim.operator.events.iter().any(|event| event == "CheckSkipped"));
}

#[test]
fn pods_that_the_api_server_refuses_stop_nothing_and_are_asked_for_again() {
    let mut sim = Sim::running();
    sim.cluster.refuses_pods = Some("pods \"orders-2-0\" is forbidden: violates PodSecurity".to_owned());

    image(&mut sim, "worker:2");
    sim.settle();
    assert_eq!(sim.cluster.condition("Accepted"), is("False", "PodTemplateRejected"));
    assert!(sim.cluster.message("Ready").contains("violates PodSecurity"));
    assert_eq!(sim.at_work(), [1]);
    sim.seconds(300);
    let transition = sim.cluster.status().conditions[3].last_transition_time.clone();
    sim.seconds(900);
    assert_eq!(sim.cluster.status().conditions[3].last_transition_time, transition);
    sim.cluster.refuses_pods = None;
    sim.seconds(400);

    sim.assert_sound();
    assert_eq!((ready(&sim), sim.image_at_work()), (is("True", "UpToDate"), "worker:2".to_owned()));
}

#[test]
fn a_store_that_is_down_delays_an_upgrade_to_the_latest_checkpoint_or_leaves_the_old_workers() {
    for (policy, image_after) in
        [(WhenUnhealthy::UseLatestCheckpoint, "worker:2"), (WhenUnhealthy::Wait, "worker:1")]
    {
        let mut sim = Sim::running();
        image(&mut sim, "worker:2");
        sim.cluster.edit(|spec| spec.upgrade.get_or_insert_default().when_unhealthy = Some(policy));
        sim.seconds(5);
        sim.cluster.store_up = false;
        sim.seconds(320);
        if policy == WhenUnhealthy::Wait {
            assert_eq!(sim.cluster.condition("Stalled"), is("True", "HandoverFailed"));
            assert_eq!(sim.image_at_work(), image_after);
        }
        sim.cluster.store_up = true;
        sim.settle();
        sim.seconds(1_500);

        sim.assert_sound();
        assert_eq!(
            (ready(&sim), sim.image_at_work()),
            (is("True", "UpToDate"), "worker:2".to_owned()),
            "{policy:?}"
        );
    }
}

#[test]
fn a_hand_over_that_is_given_up_is_reported_and_not_tried_again() {
    let mut sim = Sim::new();
    let mut unstoppable = spec();
    unstoppable.workers.get_or_insert_default().image = Some("worker:unstoppable".to_owned());
    unstoppable.upgrade.get_or_insert_default().when_unhealthy = Some(WhenUnhealthy::Fail);
    sim.cluster.create(unstoppable);
    sim.settle();

    image(&mut sim, "worker:2");
    sim.settle();
    assert_eq!(sim.cluster.condition("Stalled"), is("True", "HandoverFailed"));
    let incarnation = sim.cluster.status().incarnation;
    sim.seconds(1_800);
    assert_eq!((sim.cluster.status().incarnation, sim.at_work()), (incarnation, vec![1]));
    sim.cluster.edit(|spec| spec.upgrade.get_or_insert_default().when_unhealthy = None);
    sim.settle();

    sim.assert_sound();
    assert_eq!((ready(&sim), sim.image_at_work()), (is("True", "UpToDate"), "worker:2".to_owned()));
}

#[test]
fn workers_that_do_not_take_the_token_are_stopped_by_their_set() {
    let mut sim = Sim::running();
    sim.cluster.token_fits = false;

    image(&mut sim, "worker:2");
    sim.settle();

    sim.assert_sound();
    assert_eq!(sim.image_at_work(), "worker:2");
}

#[test]
fn a_store_that_went_back_in_time_is_noticed() {
    let mut sim = Sim::running();
    suspend(&mut sim, true);
    sim.settle();
    sim.cluster.logs.clear();

    suspend(&mut sim, false);
    sim.seconds(120);

    assert_eq!(sim.cluster.condition("Stalled"), is("True", "StateMissing"));
}

#[test]
fn a_pod_on_a_node_that_is_gone_is_given_up() {
    let mut sim = Sim::running();

    sim.cluster.node_up = false;
    sim.cluster.delete_pod("orders-1-0");
    sim.seconds(230);
    assert_eq!(sim.cluster.status().incarnation, Some(1));
    sim.seconds(30);
    assert_eq!(sim.cluster.status().incarnation, Some(2));
    sim.cluster.node_up = true;
    sim.settle();

    assert_eq!((ready(&sim), sim.at_work()), (is("True", "UpToDate"), vec![2]));
}

#[test]
fn a_log_that_knows_a_greater_incarnation_is_taken_at_its_word() {
    let mut sim = Sim::running();
    suspend(&mut sim, true);
    sim.settle();
    sim.cluster.logs.values_mut().for_each(|log| log.owner = 41);

    suspend(&mut sim, false);
    sim.settle();

    sim.assert_sound();
    assert_eq!((sim.at_work(), ready(&sim)), (vec![42], is("True", "UpToDate")));
    assert!(sim.operator.events.iter().any(|event| event == "IncarnationRepaired"));
}

#[test]
fn workers_without_checkpoints_are_started_once_more_and_then_reported() {
    let mut sim = Sim::running();
    sim.cluster.processes.values_mut().for_each(|process| process.image = "worker:stuck".to_owned());
    sim.cluster.edit(|spec| {
        let rollback = spec.upgrade.get_or_insert_default().rollback.get_or_insert_default();
        rollback.enabled = Some(false);
    });

    sim.seconds(960);
    assert_eq!(sim.cluster.status().incarnation, Some(2), "they were started once more");
    sim.settle();

    assert_eq!(ready(&sim), is("True", "UpToDate"), "it helped");
}

#[test]
fn a_deletion_ends_in_time_whatever_is_broken() {
    for broken in ["store", "node", "force"] {
        let mut sim = Sim::new();
        let mut doomed = spec();
        doomed.deletion.get_or_insert_default().state = Some(StateDeletion::Delete);
        sim.cluster.create(doomed);
        sim.settle();
        match broken {
            "store" => sim.cluster.store_up = false,
            "node" => sim.cluster.node_up = false,
            _ => {
                let job = sim.cluster.job.as_mut().expect("it is there");
                job.annotations.insert(labels::FORCE_DELETE.to_owned(), "true".to_owned());
                sim.cluster.store_up = false;
            }
        }

        sim.cluster.delete_job();
        sim.seconds(if broken == "force" { 5 } else { 301 });

        assert!(sim.cluster.job.is_none(), "{broken}: {:#?}", sim.cluster.status().operation);
        let left = sim.operator.events.iter().filter(|event| *event == "StateLeftBehind").count();
        assert_eq!(left, if broken == "node" { left } else { 2 }, "{broken}");
    }
}
