//! Nothing is written when nothing happens.
//!
//! Owns: counting writes of jobs at rest.
//! Never: counts what a test itself does.

use serde_json::json;
use streamjob_tests::api_server::Done;
use streamjob_tests::fake_cluster::Behaviour;

use super::scene::{IMAGE, Scene, job};

fn writes(scene: &Scene) -> Vec<String> {
    let done = scene.cluster.server.take_done();
    let writes = done.iter().filter(|done| done.call.is_write());
    writes
        .map(|Done { call, code, .. }| format!("{} {} {} {code}", call.verb, call.kind, call.name))
        .collect()
}

#[tokio::test]
async fn a_running_job_writes_its_last_checkpoint_once_a_minute_and_nothing_else() {
    let mut scene = Scene::running().await;
    scene.rounds(30).await;
    writes(&scene);

    // Ten minutes.
    scene.rounds(120).await;

    let found = writes(&scene);
    assert!(found.iter().all(|write| write == "patch StreamJob clicks 200"), "{found:?}");
    assert!((5..=10).contains(&found.len()), "{} writes in ten minutes: {found:?}", found.len());
}

#[tokio::test]
async fn a_job_that_makes_no_checkpoints_any_more_is_not_written_to_all_the_time() {
    let mut scene = Scene::running().await;
    scene.cluster.behave(IMAGE, Behaviour { no_checkpoints: true, ..Behaviour::default() });
    scene.rounds(20).await;
    writes(&scene);

    scene.rounds(60).await;

    let found = writes(&scene);
    assert!(found.len() <= 2, "{found:?}");
}

#[tokio::test]
async fn a_suspended_job_is_not_written_to() {
    let mut scene = Scene::running().await;
    scene.edit(|spec| spec["suspend"] = json!(true));
    scene
        .until("suspended", |scene| scene.is_settled() && scene.condition("Suspended").starts_with("True"))
        .await;
    scene.rounds(10).await;
    writes(&scene);

    scene.rounds(100).await;

    assert_eq!(writes(&scene), [""; 0]);
}

#[tokio::test]
async fn a_rejected_job_is_not_written_to() {
    let mut scene = Scene::new().await;
    let mut wrong = job();
    wrong["spec"]["pipeline"]["keyBy"] = json!(["no-such-column"]);
    scene.create(wrong);
    scene.until("rejected", |scene| scene.condition("Accepted").starts_with("False")).await;
    scene.rounds(5).await;
    writes(&scene);

    scene.rounds(50).await;

    assert_eq!(scene.condition("Stalled").split(' ').next(), Some("True"), "{}", scene.told());
    assert_eq!(writes(&scene), [""; 0]);
}

#[tokio::test]
async fn a_check_that_failed_is_made_again_every_five_minutes_and_nothing_else_is_written() {
    let mut scene = Scene::running().await;
    let refusal = json!({"reason": "TopicMissing", "message": "there is no topic", "retryable": false});
    scene.cluster.behave("worker:bad", Behaviour { check_fails: Some(refusal), ..Behaviour::default() });
    scene.edit(|spec| spec["workers"] = json!({"image": "worker:bad"}));
    scene.until("refused", |scene| scene.condition("Accepted") == "False TopicMissing").await;
    scene.rounds(5).await;
    let accepted = |scene: &Scene| {
        let conditions = scene.status("/conditions");
        conditions.as_array().into_iter().flatten().find(|it| it["type"] == json!("Accepted")).cloned()
    };
    let (before, incarnation) = (accepted(&scene), scene.status("/incarnation"));
    writes(&scene);

    // Twenty minutes.
    scene.rounds(240).await;

    let found = writes(&scene);
    let of = |what: &str| found.iter().filter(|write| write.starts_with(what)).count();
    assert_eq!((of("delete Job"), of("patch Job")), (4, 4), "{found:?}");
    // The last checkpoint of what runs on.
    assert_eq!(of("patch StreamJob") + 8, found.len(), "{found:?}");
    assert_eq!((accepted(&scene), scene.status("/incarnation")), (before, incarnation), "{}", scene.told());
}

#[tokio::test]
async fn a_finished_job_is_not_written_to() {
    let mut scene = Scene::new().await;
    scene.cluster.behave(IMAGE, Behaviour { finishes: true, ..Behaviour::default() });
    scene.create(job());
    scene.until("finished", |scene| scene.condition("Ready") == "True Finished").await;
    scene.rounds(10).await;
    writes(&scene);

    scene.rounds(50).await;

    assert_eq!(writes(&scene), [""; 0]);
}

#[tokio::test]
async fn a_new_operator_of_the_same_version_writes_nothing() {
    let mut scene = Scene::running().await;
    scene.edit(|spec| spec["suspend"] = json!(true));
    scene
        .until("suspended", |scene| scene.is_settled() && scene.condition("Suspended").starts_with("True"))
        .await;
    scene.rounds(5).await;
    writes(&scene);

    scene.upgrade_operator(IMAGE);
    scene.rounds(5).await;

    assert_eq!(writes(&scene), [""; 0]);
}
