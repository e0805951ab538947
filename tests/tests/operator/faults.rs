//! What goes wrong between the operator and the API server, for a moment and for minutes.
//!
//! Owns: refusals, lost answers, conflicts, quotas, two operators at a time.
//! Never: touches workers; they run on whatever the API server does.

use serde_json::json;
use streamjob_operator::reconcile::reconcile;
use streamjob_tests::api_server::faults::{Call, Effect};
use streamjob_tests::fake_cluster::Behaviour;

use super::scene::{IMAGE, JOB, NAMESPACE, STATE, Scene, job, text};

fn upgrade(scene: &Scene) {
    scene.edit(|spec| spec["pipeline"]["eventTime"]["maxOutOfOrderness"] = json!("7s"));
}

fn is_upgraded(scene: &Scene) -> bool {
    scene.is_at_rest() && scene.status("/incarnation").as_i64() > Some(1)
}

#[tokio::test]
async fn an_api_server_that_is_away_for_minutes_stops_no_job_and_delays_nothing_for_long() {
    for effect in [
        Effect::Refuse(503, None),
        Effect::Refuse(429, Some(30)),
        Effect::Refuse(500, None),
        Effect::LoseRequest,
    ] {
        let mut scene = Scene::running().await;
        let epoch = scene.cluster.log(STATE).epoch();
        upgrade(&scene);
        scene.rounds(1).await;
        scene.cluster.server.faults().plan(usize::MAX, effect, |_| true);

        // Five minutes.
        scene.rounds(60).await;
        assert!(
            scene.cluster.log(STATE).epoch() > epoch + 20 || scene.cluster.log(STATE).end_of(1).is_some()
        );
        scene.cluster.server.faults().clear();
        scene.until("upgraded", is_upgraded).await;

        assert_eq!(scene.cluster.violations(), [""; 0], "{effect:?}\n{}", scene.told());
        assert_eq!(scene.status("/incarnation"), json!(2), "{effect:?}");
    }
}

#[tokio::test]
async fn every_kind_of_failed_write_is_done_again() {
    let effects = [
        Effect::Refuse(409, None),
        Effect::Refuse(429, Some(1)),
        Effect::Refuse(500, None),
        Effect::Refuse(504, None),
        Effect::RefuseAfter(500),
        Effect::RefuseAfter(504),
        Effect::LoseAnswer,
        Effect::LoseRequest,
    ];
    for effect in effects {
        let mut scene = Scene::new().await;
        let calls = [
            "patch StreamJob",
            "patch StatefulSet",
            "patch Service",
            "patch ConfigMap",
            "patch ControllerRevision",
            "delete StatefulSet",
        ];
        for wanted in calls {
            let matches =
                move |call: &Call| format!("{} {}", call.verb, call.kind) == wanted && call.is_write();
            scene.cluster.server.faults().plan(2, effect, matches);
        }
        scene.create(job());
        scene.until("runs", Scene::is_at_rest).await;

        upgrade(&scene);
        scene.until("upgraded", is_upgraded).await;
        scene.rounds(3).await;

        assert_eq!(scene.sets().len(), 1, "{effect:?}\n{}", scene.told());
        assert_eq!(scene.cluster.violations(), [""; 0], "{effect:?}\n{}", scene.told());
    }
}

#[tokio::test]
async fn a_call_without_an_answer_ends_at_its_deadline() {
    let mut scene = Scene::new().await;
    scene.cluster.server.faults().plan(1, Effect::Hang, |call| call.kind == "StatefulSet");
    scene.create(job());

    scene.until("runs", Scene::is_at_rest).await;

    assert!(scene.failed.iter().any(|error| error.contains("did not answer")), "{:?}", scene.failed);
}

#[tokio::test]
async fn two_operators_at_a_time_do_what_one_does() {
    let mut scene = Scene::running().await;
    let (one, two) = (scene.new_operator(), scene.new_operator());
    upgrade(&scene);

    for _ in 0..60 {
        scene.cluster.tick(scene.step);
        // Both look at the same time, and write at the same time.
        let (first, second) =
            tokio::join!(reconcile(&one, (NAMESPACE, JOB)), reconcile(&two, (NAMESPACE, JOB)));
        assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
        if is_upgraded(&scene) {
            break;
        }
    }
    scene.rounds(3).await;

    assert_eq!(scene.status("/incarnation"), json!(2), "{}", scene.told());
    assert_eq!(scene.sets().len(), 1);
    assert_eq!(scene.cluster.violations(), [""; 0]);
}

#[tokio::test]
async fn what_the_api_server_refuses_is_told_in_its_words_and_stops_nothing() {
    let mut scene = Scene::running().await;
    let before = scene.status("/revisions/current");

    scene.edit(|spec| spec["workers"] = json!({"resources": {"requests": {"cpu": "a lot"}}}));
    scene.until("refused", |scene| scene.condition("Accepted").starts_with("False")).await;
    scene.rounds(5).await;

    assert_eq!(scene.condition("Available"), "True Processing", "{}", scene.told());
    assert_eq!(scene.status("/revisions/current"), before);
    assert_eq!(scene.condition("Stalled").split(' ').next(), Some("True"));

    scene.edit(|spec| {
        spec.as_object_mut().expect("a spec").remove("workers");
    });
    scene
        .until("accepted again", |scene| scene.is_at_rest() && scene.condition("Ready") == "True UpToDate")
        .await;
    assert_eq!(scene.status("/incarnation"), json!(1), "going back is no upgrade");
}

#[tokio::test]
async fn workers_that_refuse_the_operators_token_are_stopped_by_their_sets_deletion() {
    let mut scene = Scene::running().await;
    scene.cluster.behave(IMAGE, Behaviour { refuses_tokens: true, ..Behaviour::default() });

    upgrade(&scene);
    scene.until("upgraded", is_upgraded).await;

    assert!(scene.cluster.log(STATE).end_of(1).is_none(), "nobody could ask for an end");
    assert_eq!(scene.cluster.violations(), [""; 0], "{}", scene.told());
}

#[tokio::test]
async fn a_status_that_somebody_wiped_is_found_again_and_nothing_is_started_anew() {
    let mut scene = Scene::running().await;
    let pods = scene.cluster.server.all("Pod");

    scene.cluster.server.edit("StreamJob", (NAMESPACE, JOB), true, |job| job["status"] = json!({}));
    scene.until("found again", Scene::is_at_rest).await;
    scene.rounds(5).await;

    assert_eq!(scene.status("/incarnation"), json!(1), "{}", scene.told());
    let uid =
        |pods: &[serde_json::Value]| pods.iter().map(|pod| text(pod, "/metadata/uid")).collect::<Vec<_>>();
    assert_eq!(uid(&scene.cluster.server.all("Pod")), uid(&pods));
    assert_eq!(scene.cluster.violations(), [""; 0]);
}

#[tokio::test]
async fn children_that_somebody_took_or_changed_come_back() {
    let mut scene = Scene::running().await;
    let kinds = ["Service", "ConfigMap", "ServiceAccount", "NetworkPolicy", "PodDisruptionBudget"];
    let names = |scene: &Scene, kind: &str| -> Vec<String> {
        let own = scene
            .cluster
            .server
            .all(kind)
            .into_iter()
            .filter(|it| it["metadata"]["namespace"] == json!(NAMESPACE));
        own.map(|it| text(&it, "/metadata/name")).collect()
    };
    let before: Vec<_> = kinds.iter().map(|kind| names(&scene, kind)).collect();
    for (kind, names) in kinds.iter().zip(&before) {
        assert!(!names.is_empty(), "there is no {kind}");
        names.iter().for_each(|name| scene.cluster.server.delete(kind, NAMESPACE, name, None));
    }
    scene.cluster.server.edit("StatefulSet", (NAMESPACE, &format!("{JOB}-1")), false, |set| {
        set["spec"]["replicas"] = json!(5)
    });

    scene.rounds(6).await;

    let after: Vec<_> = kinds.iter().map(|kind| names(&scene, kind)).collect();
    assert_eq!(after, before, "{}", scene.told());
    assert_eq!(scene.sets()[0]["spec"]["replicas"], json!(1));
    assert_eq!(scene.status("/incarnation"), json!(1));
    assert_eq!(scene.cluster.violations(), [""; 0]);
}
#[tokio::test]
async fn a_quota_that_is_used_up_is_told_and_mended_by_room() {
    let mut scene = Scene::new().await;
    scene
        .cluster
        .server
        .faults()
        .plan(usize::MAX, Effect::Refuse(403, None), |call| call.kind == "StatefulSet" && call.is_write());
    scene.create(job());
    scene.rounds(20).await;

    assert_ne!(scene.condition("Ready").split(' ').next(), Some("True"), "{}", scene.told());
    scene.cluster.server.faults().clear();
    scene.until("runs", Scene::is_at_rest).await;
    assert_eq!(scene.condition("Stalled").split(' ').next(), Some("False"), "{}", scene.told());
}

/// What the cluster says about pods of a new revision that do not start, and how it ends.
async fn upgrade_that_cannot_start(wrong: Behaviour, reason: &str) {
    let mut scene = Scene::running().await;
    scene.cluster.behave("worker:wrong", wrong);
    scene.edit(|spec| spec["workers"] = json!({"image": "worker:wrong"}));
    let refused = format!("False {reason}");

    scene.until("refused", |scene| scene.condition("Accepted") == refused).await;
    // The Job's time ends, it is made again, and its time ends once more.
    for _ in 0..100 {
        scene.rounds(1).await;
        assert_eq!(scene.condition("Accepted"), refused, "{}", scene.told());
        let sets: Vec<String> = scene.sets().iter().map(|set| text(set, "/metadata/name")).collect();
        assert_eq!(sets, ["clicks-1"], "{}", scene.told());
    }
    let epoch = scene.cluster.log(STATE).epoch();
    scene.rounds(10).await;
    assert_eq!(scene.cluster.log(STATE).end_of(1), None);
    assert!(scene.cluster.log(STATE).epoch() > epoch, "the old workers make no checkpoints any more");

    scene.cluster.behave("worker:wrong", Behaviour::default());
    scene.until("upgraded by itself", is_upgraded).await;
    assert_eq!(scene.cluster.violations(), [""; 0], "{}", scene.told());
}

#[tokio::test]
async fn an_upgrade_whose_check_gets_no_image_stops_nothing_and_goes_on_once_it_is_there() {
    upgrade_that_cannot_start(Behaviour { image_missing: true, ..Behaviour::default() }, "ImagePullFailed")
        .await;
}

#[tokio::test]
async fn an_upgrade_whose_check_misses_a_secret_stops_nothing_and_goes_on_once_it_is_there() {
    upgrade_that_cannot_start(Behaviour { secret_missing: true, ..Behaviour::default() }, "SecretMissing")
        .await;
}
