//! The operator dies before and after each call that changes something, on its way through every sequence: the end is the same.
//!
//! Owns: the enumeration of all places at which it can die, and the comparison of the ends.
//! Never: picks places by hand.

use serde_json::json;
use streamjob_tests::api_server::faults::When;
use streamjob_tests::fake_cluster::Behaviour;

use super::scene::{JOB, NAMESPACE, Scene, condition_of, job};
use super::take_over;

/// What a job goes through.
pub(crate) struct Sequence {
    pub(crate) name: &'static str,
    /// Up to here nobody dies.
    before: fn(&Scene),
    /// What is asked for then; nothing if the first start itself is looked at.
    ask: fn(&Scene),
    /// When it is over.
    over: fn(&Scene) -> bool,
    starts_running: bool,
}

pub(crate) const SEQUENCES: &[Sequence] = &[
    Sequence {
        name: "start",
        before: nothing,
        ask: |scene| scene.create(job()),
        over: Scene::is_at_rest,
        starts_running: false,
    },
    Sequence {
        name: "upgrade",
        before: nothing,
        ask: upgrade,
        over: |scene| incarnation(scene) > 1 && scene.is_at_rest(),
        starts_running: true,
    },
    Sequence {
        name: "rescale",
        before: nothing,
        ask: |scene| scene.edit(|spec| spec["parallelism"] = json!(3)),
        over: |scene| scene.is_at_rest() && scene.status("/parallelism/current") == json!(3),
        starts_running: true,
    },
    Sequence {
        name: "suspend",
        before: nothing,
        ask: |scene| scene.edit(|spec| spec["suspend"] = json!(true)),
        over: is_suspended,
        starts_running: true,
    },
    Sequence {
        name: "resume",
        before: |scene| scene.edit(|spec| spec["suspend"] = json!(true)),
        ask: |scene| scene.edit(|spec| spec["suspend"] = json!(false)),
        over: Scene::is_at_rest,
        starts_running: true,
    },
    Sequence {
        name: "restart",
        before: nothing,
        ask: |scene| scene.edit(|spec| spec["restartedAt"] = json!("now")),
        over: |scene| incarnation(scene) > 1 && scene.is_at_rest(),
        starts_running: true,
    },
    Sequence {
        name: "restore",
        before: nothing,
        ask: |scene| {
            let restore =
                json!({"requestID": "r1", "from": "URI", "uri": "s3://streams/prod/x/savepoints/1"});
            scene.edit(|spec| spec["restore"] = restore);
        },
        over: |scene| scene.is_at_rest() && scene.status("/completedRestoreRequest") == json!("r1"),
        starts_running: true,
    },
    Sequence {
        name: "savepoint",
        before: nothing,
        ask: savepoint,
        over: has_savepoint,
        starts_running: true,
    },
    Sequence {
        name: "roll back",
        before: |scene| scene.cluster.behave("example.invalid/worker:bad", failing()),
        ask: |scene| scene.edit(|spec| spec["workers"] = json!({"image": "example.invalid/worker:bad"})),
        over: |scene| {
            scene.is_settled()
                && scene.condition("Stalled") == "True RolledBack"
                && scene.condition("Available").starts_with("True")
        },
        starts_running: true,
    },
    Sequence {
        name: "a refused check that passes later",
        before: |scene| {
            scene.cluster.behave("example.invalid/worker:bad", refusing());
            scene.edit(|spec| spec["workers"] = json!({"image": "example.invalid/worker:bad"}));
        },
        ask: |scene| scene.cluster.behave("example.invalid/worker:bad", Behaviour::default()),
        over: |scene| {
            incarnation(scene) > 1 && scene.is_at_rest() && scene.condition("Ready") == "True UpToDate"
        },
        starts_running: true,
    },
    Sequence {
        name: "delete with state",
        before: |scene| scene.edit(|spec| spec["deletion"] = json!({"state": "Delete"})),
        ask: |scene| scene.cluster.server.delete("StreamJob", NAMESPACE, JOB, None),
        over: |scene| scene.job().is_null() && scene.cluster.server.all("Pod").is_empty(),
        starts_running: true,
    },
    // Where the state is retained, a deletion has no place to die at: the operator has nothing to do with it.
    Sequence {
        name: "a set deleted by hand",
        before: nothing,
        ask: |scene| scene.cluster.server.delete("StatefulSet", NAMESPACE, &format!("{JOB}-1"), None),
        over: |scene| {
            scene.is_at_rest() && scene.sets().len() == 1 && scene.cluster.server.all("Pod").len() == 1
        },
        starts_running: true,
    },
    Sequence {
        name: "a lost node",
        before: nothing,
        ask: lose_node,
        over: |scene| incarnation(scene) > 1 && scene.is_at_rest(),
        starts_running: true,
    },
    Sequence {
        name: "take over",
        before: take_over::leave_behind,
        ask: |scene| {
            let mut job = job();
            job["metadata"]["annotations"][take_over::NOTE] = json!(take_over::LOST);
            job["spec"]["restore"] = json!({"requestID": "r1", "from": "Latest"});
            scene.create(job);
        },
        over: |scene| scene.is_at_rest() && scene.status("/completedRestoreRequest") == json!("r1"),
        starts_running: false,
    },
];

fn nothing(_: &Scene) {}

fn upgrade(scene: &Scene) {
    scene.edit(|spec| spec["pipeline"]["eventTime"]["maxOutOfOrderness"] = json!("7s"));
}

fn failing() -> Behaviour {
    let termination = json!({"reason": "TopicMissing", "message": "there is no topic", "retryable": false});
    Behaviour { fails_at_start: Some(termination), ..Behaviour::default() }
}

fn refusing() -> Behaviour {
    let termination = json!({"reason": "TopicMissing", "message": "there is no topic", "retryable": false});
    Behaviour { check_fails: Some(termination), ..Behaviour::default() }
}

fn incarnation(scene: &Scene) -> i64 {
    scene.status("/incarnation").as_i64().unwrap_or(0)
}

fn is_suspended(scene: &Scene) -> bool {
    scene.is_settled() && scene.condition("Suspended").starts_with("True")
}

fn savepoint(scene: &Scene) {
    let savepoint = json!({
        "apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJobSavepoint",
        "metadata": {"name": "keep", "namespace": NAMESPACE}, "spec": {"streamJobName": JOB},
    });
    scene.cluster.server.put("StreamJobSavepoint", NAMESPACE, savepoint);
}

fn has_savepoint(scene: &Scene) -> bool {
    let found = scene.cluster.server.one("StreamJobSavepoint", NAMESPACE, "keep").unwrap_or_default();
    condition_of(&found, "Complete").starts_with("True")
}

fn lose_node(scene: &Scene) {
    let pod = format!("{JOB}-1-0");
    scene.cluster.lose_node_of(NAMESPACE, &pod);
    scene.cluster.server.delete("Pod", NAMESPACE, &pod, None);
}

/// Plays a sequence, with a death if one is planned; the calls that were counted, and the scene at its end.
async fn play(sequence: &Sequence, death: Option<(usize, When)>) -> (Vec<String>, Scene) {
    play_in(Scene::new().await, sequence, death).await
}

/// The same in a scene without a job.
pub(crate) async fn play_in(
    mut scene: Scene,
    sequence: &Sequence,
    death: Option<(usize, When)>,
) -> (Vec<String>, Scene) {
    if sequence.starts_running {
        scene.create(job());
        scene.until("Running", Scene::is_at_rest).await;
    }
    (sequence.before)(&scene);
    if sequence.starts_running {
        scene.until("prepared", |scene| scene.is_at_rest() || is_suspended(scene)).await;
    }
    scene.cluster.positions.stop_at(death);
    (sequence.ask)(&scene);
    let what = format!("{} with {death:?}", sequence.name);
    scene.until(&what, sequence.over).await;
    scene.rounds(3).await;
    (scene.cluster.positions.names(), scene)
}

/// Which deaths of a sequence are tried: of each `stride` in a row the one that the seed points at.
#[derive(Clone, Copy)]
struct Sample {
    stride: usize,
    seed: usize,
}

const ALL: Sample = Sample { stride: 1, seed: 0 };
/// With it a sequence that is sampled takes some seconds.
const STRIDE: usize = 8;

/// All with `STREAMJOB_LONG`; else the same ones each time, or those that `STREAMJOB_SEED` points at.
fn as_many_as_there_is_time_for() -> Sample {
    if std::env::var_os("STREAMJOB_LONG").is_some() {
        return ALL;
    }
    let seed = std::env::var("STREAMJOB_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    println!("one death in {STRIDE} is tried: STREAMJOB_SEED={seed}");
    Sample { stride: STRIDE, seed }
}

async fn deaths_of(sequence: &Sequence, sample: Sample) -> usize {
    let (calls, quiet) = play(sequence, None).await;
    assert_eq!(quiet.cluster.violations(), [""; 0], "{}", sequence.name);
    let wanted = quiet.end_state();
    let sides = |(number, call)| [When::Before, When::After].map(|when| (number, call, when));
    let all = calls.iter().enumerate().flat_map(sides);
    let mut deaths = 0;
    for (number, call, when) in all.skip(sample.seed % sample.stride).step_by(sample.stride) {
        let (_, scene) = play(sequence, Some((number, when))).await;
        let place = format!("{}: {when:?} call {number}, {call}", sequence.name);
        assert_eq!(scene.deaths, 1, "{place}: nobody died");
        assert_eq!(scene.cluster.violations(), [""; 0], "{place}\n{}", scene.told());
        assert_eq!(scene.end_state(), wanted, "{place}\n{}", scene.told());
        deaths += 1;
    }
    println!("{}: {} calls, {deaths} deaths survived", sequence.name, calls.len());
    deaths
}

const WHOLE: [&str; 3] = ["start", "suspend", "upgrade"];

async fn every_death_in(name: &str) {
    let sequence = SEQUENCES.iter().find(|sequence| sequence.name == name).expect("it is in the list");
    let deaths = deaths_of(sequence, ALL).await;

    assert!(deaths > 0, "{name}: nothing was called, so nothing was tested");
}

#[tokio::test]
async fn a_start_survives_every_death() {
    every_death_in(WHOLE[0]).await;
}

#[tokio::test]
async fn a_suspension_survives_every_death() {
    every_death_in(WHOLE[1]).await;
}

#[tokio::test]
async fn an_upgrade_survives_every_death() {
    every_death_in(WHOLE[2]).await;
}

#[tokio::test]
async fn all_else_survives_as_many_deaths_as_there_is_time_for() {
    let sample = as_many_as_there_is_time_for();
    for (number, sequence) in SEQUENCES.iter().enumerate().filter(|(_, it)| !WHOLE.contains(&it.name)) {
        // Sequences have their first calls in common: each is looked at somewhere else.
        let deaths = deaths_of(sequence, Sample { seed: sample.seed + number, ..sample }).await;

        assert!(deaths > 0, "{}: nobody died in it", sequence.name);
    }
}
