//! What jobs go through when nothing goes wrong: start, upgrade, restart, suspend, resume, restore, savepoint, delete.
//!
//! Owns: the sequences and the state that each must end in.
//! Never: plans a fault.

use serde_json::json;
use streamjob_tests::fake_cluster::Behaviour;
use streamjob_tests::fake_cluster::log::RecordKind;

use super::scene::{IMAGE, JOB, NAMESPACE, STATE, Scene, condition_of, job, text};

#[tokio::test]
async fn a_new_job_comes_to_run() {
    let scene = Scene::running().await;

    assert_eq!(scene.condition("Ready"), "True UpToDate", "{}", scene.told());
    assert_eq!(scene.condition("Stalled").split(' ').next(), Some("False"));
    assert_eq!(scene.condition("Accepted"), "True Accepted");
    assert_eq!(scene.sets().len(), 1);
    assert_eq!(scene.status("/incarnation"), json!(1));
    assert!(scene.cluster.log(STATE).epoch() > 0);
    assert_eq!(scene.cluster.violations(), [""; 0]);
    assert_eq!(scene.failed, [""; 0]);
}

#[tokio::test]
async fn an_upgrade_goes_on_from_the_last_checkpoint_of_the_old_revision() {
    let mut scene = Scene::running().await;
    let before = scene.status("/revisions/current");

    scene.edit(|spec| spec["pipeline"]["eventTime"]["maxOutOfOrderness"] = json!("7s"));
    scene.until("upgraded", |scene| scene.is_at_rest() && scene.status("/revisions/current") != before).await;

    assert_eq!(scene.status("/incarnation"), json!(2), "{}", scene.told());
    assert_eq!(scene.sets().len(), 1);
    let log = scene.cluster.log(STATE);
    let end = log.end_of(1).expect("the old incarnation handed over");
    assert!(matches!(&end.kind, RecordKind::Final { operation } if operation.contains("upgrade")), "{end:?}");
    let floor = text(&scene.sets()[0], "/metadata/name");
    assert_eq!(floor, format!("{JOB}-2"));
    assert_eq!(scene.cluster.violations(), [""; 0]);
}

#[tokio::test]
async fn another_parallelism_restarts_the_job_with_it() {
    let mut scene = Scene::running().await;

    scene.edit(|spec| spec["parallelism"] = json!(3));
    scene
        .until("rescaled", |scene| scene.is_at_rest() && scene.status("/parallelism/current") == json!(3))
        .await;

    assert_eq!(scene.status("/incarnation"), json!(2), "{}", scene.told());
    assert_eq!(scene.cluster.violations(), [""; 0]);
}

#[tokio::test]
async fn a_suspended_job_is_ready_and_has_no_workers_and_goes_on_when_resumed() {
    let mut scene = Scene::running().await;

    scene.edit(|spec| spec["suspend"] = json!(true));
    scene
        .until("suspended", |scene| scene.is_settled() && scene.condition("Suspended").starts_with("True"))
        .await;

    assert_eq!(scene.condition("Ready"), "True Suspended", "{}", scene.told());
    assert_eq!(scene.sets().len(), 0);
    let head = scene.cluster.log(STATE).head();

    scene.edit(|spec| spec["suspend"] = json!(false));
    scene.until("resumed", Scene::is_at_rest).await;

    assert_eq!(scene.condition("Ready"), "True UpToDate");
    assert_eq!(scene.status("/incarnation"), json!(2));
    assert!(scene.cluster.log(STATE).head() > head);
    assert_eq!(scene.cluster.violations(), [""; 0]);
}

#[tokio::test]
async fn a_job_that_is_created_suspended_says_so_at_once_and_makes_no_workers() {
    let mut scene = Scene::new().await;
    let mut suspended = job();
    suspended["spec"]["suspend"] = json!(true);

    scene.create(suspended);
    scene.rounds(3).await;

    assert_eq!(scene.condition("Ready"), "True Suspended", "{}", scene.told());
    assert_eq!(scene.sets().len(), 0);
}

#[tokio::test]
async fn a_restart_is_asked_for_by_any_change_of_its_field_and_takes_the_operators_image_of_today() {
    let mut scene = Scene::running().await;
    scene.upgrade_operator("example.invalid/worker:2");
    scene.rounds(5).await;
    assert_eq!(scene.status("/incarnation"), json!(1), "a new operator restarts nothing");

    scene.edit(|spec| spec["restartedAt"] = json!("2026-11-23T08:00:00Z"));
    scene.until("restarted", |scene| scene.is_at_rest() && scene.status("/incarnation") == json!(2)).await;

    let image = text(&scene.sets()[0], "/spec/template/spec/containers/0/image");
    assert_eq!(image, "example.invalid/worker:2");
    assert_eq!(scene.cluster.violations(), [""; 0]);
}

#[tokio::test]
async fn a_restore_runs_once() {
    let mut scene = Scene::running().await;

    scene.edit(|spec| {
        spec["restore"] =
            json!({"requestID": "incident-1", "from": "URI", "uri": "s3://streams/prod/x/savepoints/1"});
    });
    let is_done =
        |scene: &Scene| scene.is_at_rest() && scene.status("/completedRestoreRequest") == json!("incident-1");
    scene.until("restored", is_done).await;
    scene.rounds(5).await;

    assert_eq!(scene.status("/incarnation"), json!(2), "{}", scene.told());
    let claims = scene.cluster.log(STATE).records().iter().filter(|record| {
        matches!(&record.kind, RecordKind::Claim { restore: Some(request) } if request == "incident-1")
    }).count();
    assert_eq!(claims, 1);
    assert_eq!(scene.cluster.violations(), [""; 0]);
}

#[tokio::test]
async fn a_savepoint_is_taken_of_a_running_job() {
    let mut scene = Scene::running().await;
    let savepoint = json!({
        "apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJobSavepoint",
        "metadata": {"name": "keep", "namespace": NAMESPACE}, "spec": {"streamJobName": JOB},
    });

    scene.cluster.server.put("StreamJobSavepoint", NAMESPACE, savepoint);
    let found =
        |scene: &Scene| scene.cluster.server.one("StreamJobSavepoint", NAMESPACE, "keep").unwrap_or_default();
    scene.until("taken", |scene| condition_of(&found(scene), "Complete").starts_with("True")).await;

    assert!(text(&found(&scene), "/status/uri").starts_with("s3://"), "{}", scene.told());
    scene.rounds(2).await;
    assert_eq!(scene.status("/lastSavepoint/name"), json!("keep"));
}

#[tokio::test]
async fn a_deleted_job_leaves_its_state_and_one_of_the_same_name_goes_on() {
    let mut scene = Scene::running().await;
    let head = scene.cluster.log(STATE).head();

    scene.cluster.server.delete("StreamJob", NAMESPACE, JOB, None);
    scene.until("gone", |scene| scene.job().is_null() && scene.cluster.server.all("Pod").is_empty()).await;
    scene.create(job());
    scene.until("runs again", Scene::is_at_rest).await;

    assert!(scene.cluster.log(STATE).head() > head);
    assert_eq!(scene.cluster.violations(), [""; 0], "{}", scene.told());
}

#[tokio::test]
async fn a_job_whose_state_goes_with_it_is_gone_only_when_the_state_is() {
    let mut scene = Scene::new().await;
    let mut gone = job();
    gone["spec"]["deletion"] = json!({"state": "Delete"});
    scene.create(gone);
    scene.until("Running", Scene::is_at_rest).await;

    scene.cluster.server.delete("StreamJob", NAMESPACE, JOB, None);
    scene.until("gone", |scene| scene.job().is_null()).await;
    scene.rounds(4).await;

    assert!(!scene.cluster.log(STATE).has_state(), "{}", scene.told());
    assert_eq!(scene.cluster.server.all("Pod").len(), 0);
    assert_eq!(scene.cluster.violations(), [""; 0]);
}

/// What is left once a job is gone whose state could not be deleted, and how many seconds that took.
async fn left_by(janitor_fails: &str) -> (Vec<String>, i64) {
    let mut scene = Scene::running().await;
    let fails = json!({"reason": janitor_fails, "message": "a test wanted it", "retryable": true});
    scene.cluster.behave(IMAGE, Behaviour { janitor_fails: Some(fails), ..Behaviour::default() });
    scene.edit(|spec| spec["deletion"] = json!({"state": "Delete", "timeout": "2m"}));
    scene.until("Running", Scene::is_at_rest).await;
    let began = scene.cluster.clock.now();

    scene.cluster.server.delete("StreamJob", NAMESPACE, JOB, None);
    scene.until("gone", |scene| scene.job().is_null()).await;
    let took = began.duration_until(scene.cluster.clock.now()).as_secs();
    scene.rounds(4).await;

    let left =
        ["Job", "ConfigMap", "ServiceAccount"].into_iter().flat_map(|kind| scene.cluster.server.all(kind));
    let names = left.map(|object| text(&object, "/metadata/name"));
    (names.filter(|name| name.starts_with(JOB)).collect(), took)
}

#[tokio::test]
async fn nothing_but_the_state_is_left_by_a_janitor_that_cannot_delete_it() {
    let (left, took) = left_by("StoreDenied").await;

    assert_eq!(left, [""; 0]);
    assert!(took >= 110, "{took} s");
}

#[tokio::test]
async fn state_of_another_is_not_waited_for() {
    let (left, took) = left_by("StateOwned").await;

    assert_eq!(left, [""; 0]);
    assert!(took < 60, "{took} s");
}

#[tokio::test]
async fn a_spec_that_was_accepted_is_followed_however_soon_the_job_is_deleted() {
    let mut scene = Scene::running().await;
    scene.cluster.server.take_done();

    scene.edit(|spec| spec["deletion"] = json!({"state": "Delete"}));
    scene.rounds(4).await;

    let done = scene.cluster.server.take_done();
    let writes = done.iter().filter(|done| done.call.kind == "StreamJob" && done.call.is_write());
    let first: Vec<bool> = writes.map(|done| done.call.status).take(2).collect();
    assert_eq!(first, [false, true], "the finalizer, then the status");
}

#[tokio::test]
async fn a_finished_job_stays_finished() {
    let mut scene = Scene::new().await;
    scene.cluster.behave(IMAGE, Behaviour { finishes: true, ..Behaviour::default() });
    scene.create(job());

    scene.until("finished", |scene| scene.condition("Ready") == "True Finished").await;
    scene.rounds(10).await;

    assert_eq!(scene.condition("Ready"), "True Finished", "{}", scene.told());
    assert_eq!(scene.status("/incarnation"), json!(1));
}
