//! Anything may happen to a job, its children, its status and its operator; then all is well again, and the job runs.
//!
//! Owns: seeds, what may happen, what must hold at the end.
//! Never: needs luck: `STREAMJOB_SEED` plays one seed again.

use fastrand::Rng;
use serde_json::{Value, json};
use streamjob_tests::api_server::faults::{Effect, When};
use streamjob_tests::fake_cluster::Behaviour;

use super::scene::{IMAGE, JOB, NAMESPACE, STATE, Scene, job, text};

/// What happens between two moments of quiet.
const EDITS: usize = 12;
const BAD: &str = "example.invalid/worker:bad";

fn termination(reason: &str, retryable: bool) -> Value {
    json!({"reason": reason, "message": "a test wanted it", "retryable": retryable})
}

fn bad_behaviour(rng: &mut Rng) -> Behaviour {
    let mut behaviour = Behaviour::default();
    match rng.u8(..6) {
        0 => behaviour.fails_at_start = Some(termination("TopicMissing", false)),
        1 => behaviour.fails_running = Some(termination("Internal", true)),
        2 => behaviour.image_missing = true,
        3 => behaviour.unschedulable = true,
        4 => behaviour.no_checkpoints = true,
        _ => behaviour.check_fails = Some(termination("StoreDenied", false)),
    }
    behaviour
}

fn edit_spec(scene: &Scene, rng: &mut Rng) {
    let seconds = rng.u8(1..9);
    match rng.u8(..7) {
        0 => scene.edit(|spec| spec["parallelism"] = json!(1 + seconds % 4)),
        1 => scene
            .edit(|spec| spec["pipeline"]["eventTime"]["maxOutOfOrderness"] = json!(format!("{seconds}s"))),
        2 => scene.edit(|spec| spec["suspend"] = json!(true)),
        3 => scene.edit(|spec| spec["suspend"] = json!(false)),
        4 => scene.edit(|spec| spec["restartedAt"] = json!(seconds.to_string())),
        5 => scene.edit(|spec| spec["workers"] = json!({"image": BAD})),
        _ => scene.edit(|spec| spec["pipeline"]["keyBy"] = json!(["no-such-column"])),
    }
}

fn edit_children(scene: &Scene, rng: &mut Rng) {
    let kinds =
        ["StatefulSet", "Pod", "Service", "ConfigMap", "ControllerRevision", "PodDisruptionBudget", "Job"];
    let kind = kinds[rng.usize(..kinds.len())];
    let all: Vec<Value> = scene.cluster.server.all(kind);
    let own: Vec<&Value> = all.iter().filter(|it| it["metadata"]["namespace"] == json!(NAMESPACE)).collect();
    if own.is_empty() {
        return;
    }
    let name = text(own[rng.usize(..own.len())], "/metadata/name");
    match (rng.u8(..3), kind) {
        (0, "StatefulSet") => {
            scene
                .cluster
                .server
                .edit(kind, (NAMESPACE, &name), false, |set| set["spec"]["replicas"] = json!(3));
        }
        (1, "Pod") => scene.cluster.kill(NAMESPACE, &name),
        _ => scene.cluster.server.delete(kind, NAMESPACE, &name, None),
    }
}

fn edit_around(scene: &Scene, rng: &mut Rng) {
    match rng.u8(..4) {
        0 => scene.cluster.server.edit("StreamJob", (NAMESPACE, JOB), true, |job| job["status"] = json!({})),
        1 => {
            let code = [409, 429, 500, 503][rng.usize(..4)];
            scene.cluster.server.faults().plan(rng.usize(1..20), Effect::Refuse(code, None), |_| true);
        }
        2 => scene.cluster.server.faults().plan(rng.usize(1..3), Effect::LoseAnswer, |call| call.is_write()),
        _ => {
            let when = if rng.bool() { When::Before } else { When::After };
            scene.cluster.positions.stop_at(Some((rng.usize(..8), when)));
        }
    }
}

async fn play(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut scene = Scene::running().await;
    let (spec, annotations) = (scene.job()["spec"].clone(), scene.job()["metadata"]["annotations"].clone());
    for _ in 0..EDITS {
        scene.cluster.behave(BAD, bad_behaviour(&mut rng));
        match rng.u8(..4) {
            0 | 1 => edit_spec(&scene, &mut rng),
            2 => edit_children(&scene, &mut rng),
            _ => edit_around(&scene, &mut rng),
        }
        let (asked, rounds) = (scene.job()["spec"].clone(), rng.usize(..12));
        scene.rounds(rounds).await;
        assert_eq!(scene.job()["spec"], asked, "the operator wrote into the spec");
        assert_eq!(scene.cluster.violations(), [""; 0], "seed {seed}\n{}", scene.told());
    }
    scene.cluster.server.faults().clear();
    scene.cluster.positions.stop_at(None);
    scene.cluster.behave(BAD, Behaviour::default());
    let (head, epoch) = (scene.cluster.log(STATE).head(), scene.cluster.log(STATE).epoch());
    scene.edit(|now| *now = spec.clone());

    let what = format!("seed {seed} comes to rest");
    scene.until(&what, |scene| scene.is_at_rest() && scene.condition("Ready") == "True UpToDate").await;
    scene.rounds(5).await;

    let told = format!("seed {seed}\n{}", scene.told());
    assert_eq!(scene.cluster.violations(), [""; 0], "{told}");
    assert_eq!(scene.sets().len(), 1, "{told}");
    assert_eq!(scene.job()["metadata"]["annotations"], annotations, "{told}");
    let log = scene.cluster.log(STATE);
    assert!(log.head() > head && log.epoch() > epoch, "nothing runs: {told}");
    let image = text(&scene.sets()[0], "/spec/template/spec/containers/0/image");
    assert_eq!(image, IMAGE, "{told}");
}

fn seeds() -> Vec<u64> {
    let one = std::env::var("STREAMJOB_SEED").ok().and_then(|text| text.parse().ok());
    let many = if std::env::var_os("STREAMJOB_LONG").is_some() { 1000 } else { 3 };
    one.map_or_else(|| (0..many).collect(), |seed| vec![seed])
}

#[tokio::test]
async fn whatever_happened_a_good_spec_comes_to_run() {
    for seed in seeds() {
        play(seed).await;
    }
}

#[tokio::test]
async fn a_job_that_was_asked_for_with_every_mistake_runs_once_they_are_mended() {
    let mut scene = Scene::new().await;
    let mut wrong = job();
    wrong["spec"]["parallelism"] = json!(0);
    scene.create(wrong);
    scene.until("rejected", |scene| scene.condition("Accepted").starts_with("False")).await;

    scene.edit(|spec| spec["parallelism"] = json!("many"));
    scene.rounds(3).await;
    assert_eq!(scene.condition("Accepted").split(' ').next(), Some("False"), "{}", scene.told());

    scene.edit(|spec| *spec = job()["spec"].clone());
    scene.until("runs", Scene::is_at_rest).await;
    assert_eq!(scene.condition("Stalled").split(' ').next(), Some("False"));
}
