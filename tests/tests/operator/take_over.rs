//! A job whose state belongs to another owner: its cluster was lost, and another has its manifests.
//!
//! Owns: that a restore takes the state over whose owner is named, and nothing else does.
//! Never: runs real workers; `tests/pod` does.

use serde_json::{Value, json};
use streamjob_tests::fake_cluster::log::{RecordKind, StartAs};

use super::scene::{JOB, NAMESPACE, STATE, Scene, job, text};

pub(crate) const LOST: &str = "cluster-0/analytics/clicks";
pub(crate) const NOTE: &str = "streamjob.dev/take-over";

/// Incarnation 7 of a cluster that is gone has left a state.
pub(crate) fn leave_behind(scene: &Scene) {
    scene.cluster.with_log(STATE, |log| {
        let start = StartAs {
            incarnation: 7,
            restore: "latest".to_owned(),
            owner: LOST.to_owned(),
            ..StartAs::default()
        };
        let attempt = log.claim(&start).expect("nobody was there");
        log.commit((7, attempt), RecordKind::Epoch(41)).expect("it leads");
    });
}

/// A job that finds it.
async fn stalled() -> Scene {
    let mut scene = Scene::new().await;
    leave_behind(&scene);
    scene.create(job());
    scene.until("refused", |scene| scene.condition("Stalled") == "True StateOwned").await;
    scene
}

/// What `kubectl streamjob restore --from Latest --take-over` writes.
fn ask(scene: &Scene, request: &str, owner: Value) {
    scene.cluster.server.edit("StreamJob", (NAMESPACE, JOB), false, |job| {
        job["metadata"]["annotations"][NOTE] = owner;
        job["spec"]["restore"] = json!({"requestID": request, "from": "Latest"});
    });
}

fn message(scene: &Scene) -> String {
    let job = scene.job();
    let conditions = job["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let stalled = conditions.iter().find(|condition| condition["type"] == "Stalled");
    stalled.map(|condition| text(condition, "/message")).unwrap_or_default()
}

fn told_to_take_over(scene: &Scene) -> Vec<String> {
    let words = |set: &Value| set["spec"]["template"]["spec"]["containers"][0]["args"].as_array().cloned();
    let words = scene.sets().iter().filter_map(words).flatten().collect::<Vec<_>>();
    let words = words.iter().filter_map(Value::as_str).filter(|word| word.starts_with("--take-over"));
    words.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_restore_that_names_the_owner_goes_on_from_its_state_in_the_incarnation_after_its_last() {
    let mut scene = stalled().await;
    assert!(message(&scene).contains(LOST), "{}", message(&scene));
    let head = scene.cluster.log(STATE).head();

    ask(&scene, "lost-1", json!(LOST));
    let is_done =
        |scene: &Scene| scene.is_at_rest() && scene.status("/completedRestoreRequest") == json!("lost-1");
    scene.until("taken over", is_done).await;

    let log = scene.cluster.log(STATE);
    let new = &log.records()[usize::try_from(head).expect("a place")..];
    assert!(
        matches!(&new[0].kind, RecordKind::Claim { restore: Some(request) } if request == "lost-1"),
        "{new:?}"
    );
    assert_eq!(new[0].generation, (8, 1), "{}", scene.told());
    assert!(log.epoch() > 41 && new.iter().all(|record| record.kind != RecordKind::Genesis));
    assert_eq!(scene.condition("Ready"), "True UpToDate");
    assert_eq!(scene.cluster.violations(), [""; 0]);
    let arguments = told_to_take_over(&scene);
    assert_eq!(arguments, [format!("--take-over={LOST}")]);

    scene.edit(|spec| spec["restartedAt"] = json!("2026-11-23T08:00:00Z"));
    scene.until("restarted", |scene| scene.is_at_rest() && scene.status("/incarnation") == json!(9)).await;

    assert_eq!(told_to_take_over(&scene), [""; 0], "the annotation says it of that restore alone");
}

#[tokio::test]
async fn a_wrong_name_or_one_without_a_restore_takes_nothing_over() {
    let mut scene = stalled().await;
    let head = scene.cluster.log(STATE).head();

    scene.cluster.server.edit("StreamJob", (NAMESPACE, JOB), false, |job| {
        job["metadata"]["annotations"][NOTE] = json!(LOST);
    });
    scene.rounds(10).await;
    let unasked = (scene.condition("Stalled"), told_to_take_over(&scene));
    ask(&scene, "lost-1", json!("cluster-0/analytics/click"));
    let is_told = |scene: &Scene| !told_to_take_over(scene).is_empty();
    scene.until("told", is_told).await;
    scene.until("refused", |scene| scene.condition("Stalled") == "True StateOwned").await;
    scene.rounds(10).await;

    assert_eq!(unasked, ("True StateOwned".to_owned(), Vec::new()));
    assert!(message(&scene).contains(LOST), "{}", message(&scene));
    assert_eq!(scene.cluster.log(STATE).head(), head);

    // The name is mended, the request stays.
    ask(&scene, "lost-1", json!(LOST));
    scene.until("taken over", Scene::is_at_rest).await;

    assert!(scene.cluster.log(STATE).epoch() > 41, "{}", scene.told());
    assert_eq!(scene.cluster.violations(), [""; 0]);
}

#[tokio::test]
async fn only_the_newest_state_is_taken_over() {
    let mut scene = stalled().await;

    ask(&scene, "lost-1", json!(LOST));
    scene.edit(|spec| {
        spec["restore"] = json!({"requestID": "lost-1", "from": "Nothing", "allowStateLoss": true});
    });
    scene.rounds(30).await;

    assert_eq!(scene.condition("Stalled"), "True StateOwned", "{}", scene.told());
    assert_eq!((told_to_take_over(&scene), scene.cluster.log(STATE).epoch()), (Vec::new(), 41));
}
