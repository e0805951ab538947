//! The tests prove themselves: bugs planted in the operator must turn them red.
//!
//! Owns: under which play each bug shows.
//! Never: accepts a bug as caught if the same play without it is red, too.

use std::time::Duration;

use serde_json::json;
use streamjob_operator::planted::Bug;
use streamjob_operator::reconcile::reconcile;
use streamjob_tests::api_server::faults::{Effect, When};
use streamjob_tests::fake_cluster::log::RecordKind;

use super::scene::{JOB, NAMESPACE, STATE, Scene, job};

/// No call is held for longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// No play takes more without a bug.
const ROUNDS_MAX: usize = 200;

/// What goes wrong in a play with this bug; nothing without it.
async fn play(bug: Bug, planted: bool) -> Result<(), String> {
    let bug_of = move |mut scene: Scene| {
        scene.bug = planted.then_some(bug);
        scene.rounds_max = ROUNDS_MAX;
        scene
    };
    let task = tokio::spawn(async move {
        let scene = bug_of(Scene::new().await);
        let scene = match bug {
            Bug::ActionsBeforeStatus => a_death_in_a_suspension(scene).await,
            Bug::ConflictIsSuccess => conflicts_in_a_start(scene).await,
            Bug::StatusWithoutVersion => a_late_status(scene).await,
            Bug::DeleteByName => a_late_deletion(scene).await,
            Bug::RememberedObjects | Bug::RememberedSpec => an_upgrade(scene).await,
            Bug::OldPodsAreGone => an_upgrade_on_a_lost_node(scene).await,
            Bug::FinalizerFirst => a_deletion_with_state(scene).await,
            Bug::AnyPodOfTheName => a_late_stop(scene).await,
            Bug::NoStatusIsNew => a_wiped_status(scene).await,
            Bug::FreshOperationIds => a_suspension(scene).await,
        };
        assert_eq!(scene.cluster.violations(), [""; 0]);
    });
    task.await.map_err(|failure| failure.to_string())
}

async fn running(mut scene: Scene) -> Scene {
    scene.create(job());
    scene.until("runs", Scene::is_at_rest).await;
    scene
}

fn upgrade(scene: &Scene) {
    scene.edit(|spec| spec["pipeline"]["eventTime"]["maxOutOfOrderness"] = json!("7s"));
}

fn is_upgraded(scene: &Scene) -> bool {
    scene.is_at_rest() && scene.status("/incarnation") == json!(2)
}

async fn held(scene: &Scene) {
    let held = scene.cluster.server.faults().until_held();
    tokio::time::timeout(PATIENCE, held).await.expect("the call comes");
}

fn suspend(scene: &Scene) {
    scene.edit(|spec| spec["suspend"] = json!(true));
}

fn is_suspended(scene: &Scene) -> bool {
    scene.is_settled() && scene.condition("Suspended").starts_with("True")
}

/// At every call of the operator on its way to a suspension: whatever was done before its death, the status knows of it.
async fn a_death_in_a_suspension(scene: Scene) -> Scene {
    let bug = scene.bug;
    for call in 0.. {
        let mut scene = Scene::new().await;
        scene.bug = bug;
        let mut scene = running(scene).await;
        suspend(&scene);
        scene.cluster.positions.stop_at(Some((call, When::Before)));
        scene.until("a death, or the end", |scene| scene.deaths > 0 || is_suspended(scene)).await;
        if scene.deaths == 0 {
            break;
        }
        let is_asked = !scene.cluster.requests().is_empty();
        let knows = !scene.status("/operation").is_null() || is_suspended(&scene);
        assert!(knows || !is_asked, "workers were told to stop, and nothing in the cluster says why");
    }
    scene
}

async fn conflicts_in_a_start(mut scene: Scene) -> Scene {
    scene
        .cluster
        .server
        .faults()
        .plan(10, Effect::Refuse(409, None), |call| call.kind == "StreamJob" && call.is_write());
    scene.create(job());
    scene.until("runs", Scene::is_at_rest).await;
    scene
}

async fn a_late_status(scene: Scene) -> Scene {
    let mut scene = running(scene).await;
    scene.patience = PATIENCE;
    let (slow, fast) = (scene.new_operator(), scene.new_operator());
    upgrade(&scene);
    scene.cluster.tick(scene.step);
    // The status of one operator is on its way for as long as the other needs for everything.
    let faults = scene.cluster.server.faults();
    faults.plan(1, Effect::Hold, |call| call.status && call.kind == "StreamJob");
    let work = async {
        held(&scene).await;
        for _ in 0..30 {
            scene.cluster.tick(scene.step);
            reconcile(&fast, (NAMESPACE, JOB)).await.expect("nothing is in its way");
        }
        assert!(is_upgraded(&scene), "{}", scene.told());
        faults.release();
    };
    let (late, ()) = tokio::join!(reconcile(&slow, (NAMESPACE, JOB)), work);
    assert!(late.is_ok_and(|turn| turn.conflict), "an old status came over a newer one\n{}", scene.told());
    assert!(is_upgraded(&scene), "{}", scene.told());
    scene
}

async fn a_late_deletion(scene: Scene) -> Scene {
    let mut scene = running(scene).await;
    scene.patience = PATIENCE;
    let operator = scene.new_operator();
    let set = format!("{JOB}-1");
    suspend(&scene);
    // Somebody deletes the set and makes another of its name while the deletion is on its way.
    let faults = scene.cluster.server.faults();
    faults.plan(1, Effect::Hold, |call| call.verb == "delete" && call.kind == "StatefulSet");
    let turns = async {
        for _ in 0..10 {
            scene.cluster.tick(scene.step);
            reconcile(&operator, (NAMESPACE, JOB)).await.expect("nothing is in its way");
        }
    };
    let swap = async {
        held(&scene).await;
        let mut other = scene.cluster.server.one("StatefulSet", NAMESPACE, &set).unwrap_or_default();
        scene.cluster.server.delete("StatefulSet", NAMESPACE, &set, None);
        other["metadata"]["labels"] = json!({"somebody": "else"});
        scene.cluster.server.put("StatefulSet", NAMESPACE, other);
        faults.release();
    };
    tokio::join!(turns, swap);
    let found = scene.cluster.server.one("StatefulSet", NAMESPACE, &set).unwrap_or_default();
    assert_eq!(found["metadata"]["labels"]["somebody"], json!("else"), "somebody else's set is gone");
    scene
}

async fn an_upgrade(scene: Scene) -> Scene {
    let mut scene = running(scene).await;
    upgrade(&scene);
    scene.until("upgraded", is_upgraded).await;
    scene
}

async fn an_upgrade_on_a_lost_node(scene: Scene) -> Scene {
    let mut scene = running(scene).await;
    scene.cluster.lose_node_of(NAMESPACE, &format!("{JOB}-1-0"));
    upgrade(&scene);
    scene.until("upgraded", is_upgraded).await;
    scene
}

async fn a_deletion_with_state(mut scene: Scene) -> Scene {
    let mut gone = job();
    gone["spec"]["deletion"] = json!({"state": "Delete"});
    scene.create(gone);
    scene.until("runs", Scene::is_at_rest).await;
    scene.cluster.server.delete("StreamJob", NAMESPACE, JOB, None);
    scene.until("gone", |scene| scene.job().is_null()).await;
    scene.rounds(4).await;
    assert!(!scene.cluster.log(STATE).has_state(), "the state is still there");
    scene
}

async fn a_late_stop(scene: Scene) -> Scene {
    let mut scene = running(scene).await;
    scene.patience = PATIENCE;
    let operator = scene.new_operator();
    suspend(&scene);
    scene.cluster.tick(scene.step);
    // The operator has made up its mind; while it looks where the pod is, that becomes another one of the same name.
    let faults = scene.cluster.server.faults();
    faults.plan(1, Effect::Hold, |call| call.verb == "get" && call.kind == "Pod");
    let swap = async {
        held(&scene).await;
        scene.cluster.server.delete("Pod", NAMESPACE, &format!("{JOB}-1-0"), Some(0));
        for _ in 0..4 {
            scene.cluster.tick(scene.step);
        }
        faults.release();
    };
    let (_, ()) = tokio::join!(reconcile(&operator, (NAMESPACE, JOB)), swap);
    assert_eq!(scene.cluster.requests(), [""; 0], "another pod was told to stop");
    scene
}

async fn a_wiped_status(scene: Scene) -> Scene {
    let mut scene = running(scene).await;
    upgrade(&scene);
    scene.until("upgraded", is_upgraded).await;
    scene.cluster.server.edit("StreamJob", (NAMESPACE, JOB), true, |job| job["status"] = json!({}));
    scene.rounds(30).await;
    assert!(is_upgraded(&scene), "{}", scene.told());
    let claims = scene
        .cluster
        .log(STATE)
        .records()
        .iter()
        .filter(|it| matches!(it.kind, RecordKind::Claim { .. }))
        .count();
    assert_eq!(claims, 2, "it was started anew");
    scene
}

async fn a_suspension(scene: Scene) -> Scene {
    let mut scene = running(scene).await;
    suspend(&scene);
    scene.until("suspended", is_suspended).await;
    let mut ids = scene.cluster.requests();
    ids.dedup();
    assert_eq!(ids.len(), 1, "one hand-over, and these requests: {ids:?}");
    let log = scene.cluster.log(STATE);
    let end = log.end_of(1).map(|end| end.kind.clone());
    let Some(RecordKind::Final { operation }) = end else { panic!("no end: {}", scene.told()) };
    assert!(!operation.contains("-1800"), "the operation {operation} is nowhere in the cluster");
    scene
}

#[tokio::test]
async fn every_planted_bug_is_caught_by_its_play_and_nothing_else_is() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let clean = play(bug, false).await;
        let buggy = play(bug, true).await;
        match (clean, buggy) {
            (Ok(()), Err(_)) => println!("{bug:?} is caught"),
            (Err(why), _) => missed.push(format!("{bug:?}: the play fails without it: {why}")),
            (Ok(()), Ok(())) => missed.push(format!("{bug:?} is not caught")),
        }
    }
    assert_eq!(missed, [""; 0]);
}
