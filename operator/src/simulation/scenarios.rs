//! What users do to a job, and what becomes of it.
//!
//! Owns: the sequences of a job's life that go well.
//! Never: cuts the operator off; `crash` does that to these same sequences.

use streamjob_crds::{Duration, Phase, Restore, RestoreFrom, StateDeletion};

use super::Sim;
use super::cluster::NAME;
use super::spec;
use crate::world::Kind;

/// Gives a spec another worker image: a new revision.
pub(super) fn image(sim: &mut Sim, name: &str) {
    sim.cluster.edit(|spec| spec.workers.get_or_insert_default().image = Some(name.to_owned()));
}

pub(super) fn suspend(sim: &mut Sim, wanted: bool) {
    sim.cluster.edit(|spec| spec.suspend = Some(wanted));
}

pub(super) fn ready(sim: &Sim) -> (String, String) {
    sim.cluster.condition("Ready")
}

pub(super) fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn a_new_job_is_started_without_a_floor_and_is_ready_after_its_first_checkpoints() {
    let mut sim = Sim::new();
    sim.cluster.create(spec());

    sim.seconds(1);
    assert_eq!(sim.cluster.status().observed_generation, Some(1));
    assert_eq!(ready(&sim), is("False", "Starting"));
    sim.settle();

    sim.assert_sound();
    assert_eq!(ready(&sim), is("True", "UpToDate"));
    assert_eq!(sim.cluster.condition("Available"), is("True", "Processing"));
    assert_eq!(sim.at_work(), [1]);
    assert_eq!(sim.cluster.log().starts, [(1, 0, "latest".to_owned())]);
    let kinds = [
        Kind::ConfigMap,
        Kind::Service,
        Kind::ServiceAccount,
        Kind::NetworkPolicy,
        Kind::PodDisruptionBudget,
    ];
    for kind in kinds {
        assert_eq!(sim.cluster.names(kind).len(), 1, "{kind:?}");
    }
    let checkpoint = sim.cluster.status().last_checkpoint.expect("there were some");
    assert!(checkpoint.incarnation == 1 && sim.cluster.status().floor >= Some(checkpoint.seq));
}

#[test]
fn an_upgrade_hands_over_the_last_checkpoint_and_leaves_one_incarnation() {
    let mut sim = Sim::running();

    image(&mut sim, "worker:2");
    sim.seconds(2);
    assert_eq!(sim.cluster.status().phase, Some(Phase::Upgrading));
    sim.settle();

    sim.assert_sound();
    assert_eq!((sim.at_work(), sim.image_at_work()), (vec![2], "worker:2".to_owned()));
    assert_eq!(sim.cluster.names(Kind::StatefulSet), [format!("{NAME}-2")]);
    assert!(sim.cluster.log().ended.contains(&1), "incarnation 1 ended with a Final");
    let (_, epoch, _) = sim.cluster.log().starts[1];
    assert!(epoch >= 3, "it went on from {epoch}");
    let revisions = sim.cluster.status().revisions.expect("there are some");
    assert!(revisions.current == revisions.update && revisions.current == revisions.stable, "{revisions:?}");
    assert_eq!(sim.cluster.names(Kind::Job), [""; 0]);
}

#[test]
fn a_restart_takes_the_image_of_today_and_a_new_operator_alone_restarts_nothing() {
    let mut sim = Sim::running();
    sim.cluster.settings.worker_image = "worker:9".to_owned();
    sim.cluster.settings.token.keys = "{\"keys\":[1]}".to_owned();

    sim.seconds(300);
    assert_eq!((sim.at_work(), sim.image_at_work()), (vec![1], "worker:1".to_owned()));
    sim.cluster.edit(|spec| spec.restarted_at = Some("2026-11-22T09:00:00Z".to_owned()));
    sim.seconds(2);
    assert_eq!(sim.cluster.status().phase, Some(Phase::Restarting));
    sim.settle();

    sim.assert_sound();
    assert_eq!((sim.at_work(), sim.image_at_work()), (vec![2], "worker:9".to_owned()));
}

#[test]
fn a_rescale_keeps_the_revision_and_goes_through_a_hand_over() {
    let mut sim = Sim::running();
    let before = sim.cluster.status().revisions;

    sim.cluster.edit(|spec| spec.parallelism = 4);
    sim.settle();

    sim.assert_sound();
    assert_eq!(sim.cluster.status().revisions, before);
    assert_eq!(sim.cluster.status().parallelism.map(|slots| (slots.current, slots.desired)), Some((4, 4)));
    assert_eq!(sim.at_work(), [2]);
    assert!(sim.operator.events.iter().any(|event| event == "Rescaled"), "{:?}", sim.operator.events);
}

#[test]
fn a_suspended_job_is_ready_keeps_nothing_running_and_resumes_where_it_was() {
    let mut sim = Sim::running();

    suspend(&mut sim, true);
    sim.settle();
    assert_eq!(ready(&sim), is("True", "Suspended"));
    assert_eq!(sim.cluster.condition("Suspended"), is("True", "Requested"));
    assert_eq!(sim.cluster.names(Kind::Pod), [""; 0]);
    let left = sim.cluster.log().epoch;
    let writes = sim.cluster.writes.len();
    sim.seconds(3_600);
    assert_eq!(sim.cluster.writes[writes..], [""; 0], "a suspended job is left alone");
    suspend(&mut sim, false);
    sim.settle();

    sim.assert_sound();
    assert_eq!(ready(&sim), is("True", "UpToDate"));
    assert_eq!(sim.cluster.log().starts.last(), Some(&(2, left, "latest".to_owned())));
}

#[test]
fn a_job_that_is_created_suspended_has_all_conditions_at_once_and_no_children() {
    let mut sim = Sim::new();
    let mut suspended = spec();
    suspended.suspend = Some(true);
    sim.cluster.create(suspended);

    sim.seconds(5);

    assert_eq!(ready(&sim), is("True", "Suspended"));
    assert_eq!(sim.cluster.status().conditions.len(), 7);
    assert!(sim.cluster.objects.is_empty());
}

pub(super) fn restore(sim: &mut Sim, from: RestoreFrom, id: &str, uri: Option<&str>) {
    let restore = Restore {
        request_id: id.to_owned(),
        from,
        savepoint_name: None,
        uri: uri.map(str::to_owned),
        allow_state_loss: (from == RestoreFrom::Nothing).then_some(true),
    };
    sim.cluster.edit(|spec| spec.restore = Some(restore));
}

#[test]
fn a_restore_is_done_once_for_each_request() {
    let mut sim = Sim::running();

    restore(&mut sim, RestoreFrom::Uri, "incident-1", Some("s3://streams/prod/shop.orders/savepoints/2"));
    sim.settle();
    assert_eq!(sim.cluster.log().starts.last().map(|start| start.1), Some(2));
    assert_eq!(sim.cluster.status().completed_restore_request.as_deref(), Some("incident-1"));
    sim.cluster.edit(|spec| spec.revision_history_limit = Some(3));
    sim.seconds(120);

    sim.assert_sound();
    assert_eq!(sim.cluster.log().starts.len(), 2, "{:?}", sim.cluster.log().starts);
    assert_eq!(ready(&sim), is("True", "UpToDate"));
}

#[test]
fn a_pipeline_that_the_state_does_not_fit_is_refused_unless_a_restore_comes_with_it() {
    let mut sim = Sim::running();

    sim.cluster.edit(|spec| {
        spec.pipeline.window.tumbling.size = Duration::parse("1m").expect("a duration");
    });
    sim.settle();
    assert_eq!(sim.cluster.condition("Accepted"), is("False", "StateIncompatible"));
    let told = sim.cluster.message("Stalled");
    assert!(
        told.contains("`10000`") && told.contains("`60000`") && told.contains("#state-incompatible"),
        "{told}"
    );
    assert_eq!(sim.at_work(), [1], "what ran runs on");
    restore(&mut sim, RestoreFrom::Nothing, "again", None);
    sim.settle();

    sim.assert_sound();
    assert_eq!(ready(&sim), is("True", "UpToDate"));
    assert_eq!(sim.cluster.log().starts.last(), Some(&(2, 0, "nothing".to_owned())));
}

#[test]
fn a_job_whose_input_ends_is_finished_and_its_workers_go() {
    let mut sim = Sim::running();

    sim.cluster.logs.values_mut().for_each(|log| log.finished = true);
    sim.seconds(200);

    sim.assert_sound();
    assert_eq!(ready(&sim), is("True", "Finished"));
    assert_eq!(sim.cluster.names(Kind::StatefulSet), [""; 0]);
    let writes = sim.cluster.writes.len();
    sim.seconds(3_600);
    assert_eq!(sim.cluster.writes[writes..], [""; 0], "a finished job is left alone");
}

#[test]
fn a_deleted_job_leaves_its_state_to_the_next_of_its_name() {
    let mut sim = Sim::running();

    sim.cluster.delete_job();
    sim.settle();
    let left = sim.cluster.log().epoch;
    sim.cluster.create(spec());
    sim.settle();

    sim.assert_sound();
    assert_eq!(sim.cluster.log().starts.last().map(|start| start.1), Some(left));
    assert_eq!(ready(&sim), is("True", "UpToDate"));
    assert!(sim.operator.events.iter().any(|event| event == "StateAdopted"));
}

#[test]
fn state_that_is_to_be_deleted_goes_before_the_object() {
    let mut sim = Sim::new();
    let mut doomed = spec();
    doomed.deletion.get_or_insert_default().state = Some(StateDeletion::Delete);
    sim.cluster.create(doomed);
    sim.settle();

    sim.cluster.delete_job();
    sim.seconds(60);

    sim.assert_sound();
    assert!(sim.cluster.job.is_none(), "{:#?}", sim.cluster.status());
    assert!(sim.cluster.log().deleted);
    assert_eq!(sim.cluster.names(Kind::Pod), [""; 0]);
    sim.cluster.create(spec());
    sim.settle();
    assert_eq!(sim.cluster.log().starts.last().map(|start| start.1), Some(0));
    assert_eq!(ready(&sim), is("True", "UpToDate"), "the janitor's number is passed over");
}

#[test]
fn at_rest_nothing_is_written_but_a_checkpoint_a_minute() {
    let mut sim = Sim::running();
    sim.seconds(60);
    sim.cluster.writes.clear();

    sim.seconds(600);

    let others: Vec<&String> = sim.cluster.writes.iter().filter(|write| *write != "status").collect();
    assert!(others.is_empty(), "{others:?}");
    assert!((9..=10).contains(&sim.cluster.writes.len()), "{}", sim.cluster.writes.len());
}
