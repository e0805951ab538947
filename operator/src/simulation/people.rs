//! What people do to the objects of a job, and what they ask for besides.
//!
//! Owns: edits by hand, lost objects, savepoints, pauses.
//! Never: takes an edit of a child for a wish.

use serde_json::json;
use streamjob_crds::RestoreFrom;

use super::cluster::{NAME, NAMESPACE};
use super::scenarios::{image, is, ready, restore, suspend};
use super::{Sim, spec};
use crate::world::{Kind, Object, labels};

#[test]
fn children_that_somebody_changed_or_deleted_are_made_as_they_were() {
    let mut sim = Sim::running();
    let kinds = [
        Kind::ConfigMap,
        Kind::Service,
        Kind::ServiceAccount,
        Kind::NetworkPolicy,
        Kind::PodDisruptionBudget,
    ];
    let before: Vec<Vec<String>> = kinds.iter().map(|&kind| sim.cluster.names(kind)).collect();

    for (kind, names) in kinds.iter().zip(&before) {
        sim.cluster.objects.remove(&(*kind, names[0].clone()));
    }
    sim.cluster.changed = true;
    sim.seconds(5);
    let after: Vec<Vec<String>> = kinds.iter().map(|&kind| sim.cluster.names(kind)).collect();
    assert_eq!(after, before);
    sim.cluster.tamper(Kind::Service, "orders-workers", |service| {
        service["spec"]["publishNotReadyAddresses"] = json!(false);
    });
    sim.cluster.tamper(Kind::StatefulSet, "orders-1", |set| set["spec"]["replicas"] = json!(0));
    sim.seconds(30);

    sim.assert_sound();
    let service = &sim.cluster.objects[&(Kind::Service, "orders-workers".to_owned())];
    assert_eq!(service.0["spec"]["publishNotReadyAddresses"], json!(true));
    assert_eq!((sim.at_work(), ready(&sim)), (vec![1], is("True", "UpToDate")));
}

#[test]
fn a_deleted_set_comes_back_as_the_same_incarnation() {
    let mut sim = Sim::running();

    sim.cluster.objects.remove(&(Kind::StatefulSet, format!("{NAME}-1")));
    sim.cluster.changed = true;
    sim.seconds(60);

    sim.assert_sound();
    assert_eq!((sim.at_work(), ready(&sim)), (vec![1], is("True", "UpToDate")));
}

#[test]
fn a_pod_that_was_made_from_an_edited_template_is_replaced() {
    let mut sim = Sim::running();

    sim.operator.paused = true;
    sim.cluster.tamper(Kind::StatefulSet, "orders-1", |set| {
        set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("worker:evil");
    });
    sim.cluster.delete_pod("orders-1-0");
    sim.seconds(5);
    assert_eq!(sim.image_at_work(), "worker:evil");
    sim.operator.paused = false;
    sim.settle();
    sim.seconds(120);

    sim.assert_sound();
    assert_eq!((sim.image_at_work(), ready(&sim)), ("worker:1".to_owned(), is("True", "UpToDate")));
}

#[test]
fn objects_of_other_people_are_never_taken_over() {
    let mut sim = Sim::new();
    let key = (Kind::Service, "orders-workers".to_owned());
    let theirs = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "orders-workers", "uid": "theirs"}, "spec": {},
    });
    sim.cluster.objects.insert(key.clone(), Object(theirs.clone()));
    sim.cluster.create(spec());

    sim.seconds(60);
    assert_eq!(sim.cluster.condition("Stalled"), is("True", "NameConflict"));
    assert_eq!(sim.cluster.objects[&key].0, theirs);
    sim.cluster.objects.remove(&key);
    sim.cluster.changed = true;
    sim.settle();

    sim.assert_sound();
    assert_eq!(ready(&sim), is("True", "UpToDate"));
}

#[test]
fn a_paused_job_is_only_watched() {
    let mut sim = Sim::running();
    let job = sim.cluster.job.as_mut().expect("it is there");
    job.annotations.insert(labels::RECONCILE.to_owned(), "paused".to_owned());

    image(&mut sim, "worker:2");
    sim.seconds(300);
    assert_eq!((ready(&sim), sim.at_work()), (is("False", "Paused"), vec![1]));
    let job = sim.cluster.job.as_mut().expect("it is there");
    job.annotations.clear();
    sim.cluster.changed = true;
    sim.settle();

    sim.assert_sound();
    assert_eq!(sim.image_at_work(), "worker:2");
}

#[test]
fn a_spec_that_makes_no_sense_stops_nothing_and_is_told_with_its_remedy() {
    let mut sim = Sim::running();

    sim.cluster.edit(|spec| spec.pipeline.key_by = vec!["nonsense".to_owned()]);
    sim.settle();
    assert_eq!(sim.cluster.condition("Accepted"), is("False", "PipelineRejected"));
    assert_eq!(ready(&sim), is("False", "NotAccepted"));
    let told = sim.cluster.message("Ready");
    assert!(
        told.contains(&format!("kubectl -n {NAMESPACE}")) && told.contains("#pipeline-rejected"),
        "{told}"
    );
    sim.cluster.objects.remove(&(Kind::StatefulSet, format!("{NAME}-1")));
    sim.cluster.changed = true;
    sim.seconds(60);
    assert_eq!(sim.at_work(), [1], "what ran is kept running");
    sim.cluster.edit(|spec| spec.workers.get_or_insert_default().slots = Some(1));
    sim.cluster.edit(|spec| spec.pipeline.key_by = vec!["page".to_owned()]);
    sim.settle();
    assert_eq!(sim.cluster.condition("Accepted"), is("False", "TooManyWorkers"));
    sim.cluster.edit(|spec| spec.workers = None);
    sim.settle();

    sim.assert_sound();
    assert_eq!(ready(&sim), is("True", "UpToDate"));
}

#[test]
fn a_restore_from_a_savepoint_waits_for_the_savepoint() {
    let mut sim = Sim::running();
    restore(&mut sim, RestoreFrom::Savepoint, "incident-2", None);
    sim.cluster.edit(|spec| {
        spec.restore.as_mut().expect("it is set").savepoint_name = Some("before".to_owned());
    });

    sim.settle();
    assert_eq!(sim.cluster.condition("Accepted"), is("False", "SavepointNotFound"));
    assert_eq!(sim.at_work(), [1]);
    sim.add_savepoint("before");
    sim.seconds(60);
    sim.settle();

    sim.assert_sound();
    assert_eq!(ready(&sim), is("True", "UpToDate"));
    assert_eq!(sim.cluster.log().starts.len(), 2);
}

#[test]
fn a_savepoint_of_a_running_job_is_taken_and_one_of_a_stopped_job_fails() {
    let mut sim = Sim::running();
    sim.add_savepoint("first");

    sim.seconds(20);
    let status = sim.cluster.savepoints[0].status.clone().expect("it was looked at");
    assert_eq!(status.phase, Some(streamjob_crds::SavepointPhase::Completed));
    assert_eq!(sim.cluster.status().last_savepoint.map(|last| last.name).as_deref(), Some("first"));
    sim.add_savepoint("second");
    sim.seconds(2);
    suspend(&mut sim, true);
    sim.settle();
    sim.seconds(30);

    let status = sim.cluster.savepoints[1].status.clone().expect("it was looked at");
    assert_eq!(status.conditions[1].reason, "JobStopped");
    sim.assert_sound();
}

#[test]
fn a_lost_status_costs_nothing() {
    let mut sim = Sim::running();
    let floor = sim.cluster.status().floor;

    sim.cluster.job.as_mut().expect("it is there").status = None;
    sim.cluster.changed = true;
    sim.seconds(120);
    assert_eq!((sim.at_work(), ready(&sim)), (vec![1], is("True", "UpToDate")));
    assert!(sim.cluster.status().floor >= floor);
    image(&mut sim, "worker:2");
    sim.seconds(6);
    sim.cluster.job.as_mut().expect("it is there").status = None;
    sim.cluster.changed = true;
    sim.settle();

    sim.assert_sound();
    assert_eq!((ready(&sim), sim.image_at_work()), (is("True", "UpToDate"), "worker:2".to_owned()));
}
