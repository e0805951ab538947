//! The operator as its process runs it: watches, debouncing, turns beside each other, in real time.
//!
//! Owns: whether watches lead to turns, and what happens when they break.
//! Never: looks into a turn; the other tests do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use streamjob_operator::controller;
use streamjob_tests::api_server::faults::Effect;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::scene::{JOB, NAMESPACE, Scene, job};

/// Time in the cluster goes this much faster.
const TICK: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(60);

struct Live {
    scene: Scene,
    stop: watch::Sender<bool>,
    working: JoinHandle<()>,
}

impl Live {
    async fn start() -> Self {
        let scene = Scene::new().await;
        let (stop, stopped) = watch::channel(false);
        let operator = scene.new_operator();
        let working = tokio::spawn(async move { controller::run(Arc::clone(&operator), &[], stopped).await });
        Self { scene, stop, working }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Scene) -> bool) {
        let deadline = Instant::now() + LONG;
        while !holds(&self.scene) {
            assert!(Instant::now() < deadline, "never came about: {what}\n{}", self.scene.told());
            self.scene.cluster.tick(Duration::from_secs(1));
            tokio::time::sleep(TICK).await;
        }
    }

    /// It ends when told to, soon.
    async fn end(self) {
        self.stop.send(true).expect("the controller listens");
        let ended = tokio::time::timeout(Duration::from_secs(20), self.working).await;
        assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
        assert_eq!(self.scene.cluster.violations(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_starts_upgrades_suspends_resumes_and_goes() {
    let live = Live::start().await;
    live.scene.create(job());
    live.until("runs", Scene::is_at_rest).await;

    live.scene.edit(|spec| spec["pipeline"]["eventTime"]["maxOutOfOrderness"] = json!("7s"));
    live.until("upgraded", |scene| scene.is_at_rest() && scene.status("/incarnation") == json!(2)).await;

    live.scene.edit(|spec| spec["suspend"] = json!(true));
    live.until("suspended", |scene| scene.condition("Suspended").starts_with("True")).await;

    live.scene.edit(|spec| spec["suspend"] = json!(false));
    live.until("resumed", |scene| scene.is_at_rest() && scene.status("/incarnation") == json!(3)).await;

    live.scene.cluster.server.delete("StreamJob", NAMESPACE, JOB, None);
    live.until("gone", |scene| scene.job().is_null() && scene.cluster.server.all("Pod").is_empty()).await;
    live.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_that_break_stand_still_or_are_too_old_lose_nothing() {
    let live = Live::start().await;
    live.scene.create(job());
    live.until("runs", Scene::is_at_rest).await;
    let server = &live.scene.cluster.server;

    // Nothing comes through the watches; then they are told that they are too old, and lists fail at first.
    server.hold_caches(true);
    live.scene.edit(|spec| spec["parallelism"] = json!(3));
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.compact();
    server.faults().plan(5, Effect::Refuse(503, None), |call| call.verb == "list");
    server.hold_caches(false);

    live.until("rescaled", |scene| scene.is_at_rest() && scene.status("/parallelism/current") == json!(3))
        .await;
    live.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_unreadable_job_does_not_hide_the_others() {
    let live = Live::start().await;
    let mut unreadable = job();
    unreadable["metadata"]["name"] = json!("unreadable");
    unreadable["spec"]["pipeline"] = json!({"source": 5});

    live.scene.create(unreadable);
    live.scene.create(job());
    live.until("runs", Scene::is_at_rest).await;

    let told = |scene: &Scene| -> Value {
        scene.cluster.server.one("StreamJob", NAMESPACE, "unreadable").unwrap_or_default()["status"].clone()
    };
    live.until("told", |scene| !told(scene).is_null()).await;
    let accepted = super::scene::condition_of(
        &live.scene.cluster.server.one("StreamJob", NAMESPACE, "unreadable").unwrap_or_default(),
        "Accepted",
    );
    assert_eq!(accepted, "False InvalidSpec");
    live.end().await;
}
