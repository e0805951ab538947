//! Each reason that somebody can be told, and its remedy, performed: the condition is told with the command and its part of the
//! runbook, lasts until then, and clears.
//!
//! Owns: how a scene is played; that no reason with a remedy is left out.
//! Never: mends a job by anything else than what the printed command and its part of the runbook say.

mod around;
mod checks;
mod progress;
mod savepoints;
mod spec;
mod state;
mod workers;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use streamjob_crds::Reason;
use streamjob_tests::fake_cluster::Behaviour;
use streamjob_tests::job::built;

use super::scene::{IMAGE, JOB, NAMESPACE, Scene, condition_of, job, text};

/// An image with which something is wrong.
const BAD: &str = "example.invalid/worker:bad";
/// The savepoint that scenes ask for again.
const ANOTHER: &str = "another";
/// For two minutes each round is looked at as in other tests; then time goes on faster, for 20 minutes in all.
const CLOSE: usize = 24;
const ROUNDS: usize = CLOSE + 54;
const LATER: Duration = Duration::from_secs(20);
/// For so many rounds trouble must last by itself.
const LASTS: usize = 4;

/// A job comes into trouble, and out of it.
struct Remedied {
    reason: Reason,
    told: Told,
    begins: Begins,
    trouble: &'static [Act],
    /// As the runbook says.
    remedy: &'static [Act],
}

/// Which condition says so, and with what value.
#[derive(Clone, Copy)]
enum Told {
    Job(&'static str, &'static str),
    /// Of the savepoint of this name.
    Savepoint(&'static str, &'static str, &'static str),
}

/// What is there at first.
#[derive(Clone, Copy)]
enum Begins {
    /// Nothing: the trouble makes the job.
    Empty,
    /// A job that runs.
    Running,
}

/// What somebody does.
enum Act {
    /// Changes something.
    Do(fn(&mut Scene)),
    /// Waits until that comes about.
    Until(fn(&Scene) -> bool),
    /// Runs the command that the condition prints, with this as NAME.
    Printed(&'static str),
    /// Runs another `kubectl streamjob`.
    Program(&'static str),
}

impl Remedied {
    async fn play(&self) -> Result<(), String> {
        let mut scene = match self.begins {
            Begins::Empty => Scene::new().await,
            Begins::Running => Scene::running().await,
        };
        let played = self.play_in(&mut scene).await;
        let sound = played.and_then(|()| match &*scene.cluster.violations() {
            [] => Ok(()),
            violations => Err(format!("{violations:?}")),
        });
        sound.map_err(|why| format!("== {}: {why}\n{}", self.reason, scene.told()))
    }

    async fn play_in(&self, scene: &mut Scene) -> Result<(), String> {
        for act in self.trouble {
            self.perform(act, scene).await?;
        }
        let wanted = format!("{} {}", self.told.value(), self.reason);
        if !comes(scene, |scene| self.told.seen(scene) == wanted).await {
            return Err(format!("it is never told: {}", self.told.seen(scene)));
        }
        self.is_told_with_a_remedy(scene).await?;
        for _ in 0..LASTS {
            scene.round().await;
            if !self.told.seen(scene).starts_with(self.told.value()) {
                return Err("it passes by itself".to_owned());
            }
        }
        for act in self.remedy {
            self.perform(act, scene).await?;
        }
        if comes(scene, |scene| self.is_mended(scene)).await {
            return Ok(());
        }
        Err("its remedy does not help".to_owned())
    }

    async fn perform(&self, act: &Act, scene: &mut Scene) -> Result<(), String> {
        match act {
            Act::Do(change) => change(scene),
            Act::Until(holds) => {
                if !comes(scene, holds).await {
                    return Err("its trouble does not come about".to_owned());
                }
            }
            Act::Printed(name) => {
                let command = self.reason.remedy_for(NAMESPACE, JOB).unwrap_or_default();
                let words = command.strip_prefix("kubectl streamjob ");
                let words = words.ok_or_else(|| format!("`{command}` is not of the plugin"))?;
                plugin(scene, &words.replace("NAME", name)).await?;
            }
            Act::Program(words) => {
                plugin(scene, &format!("{words} --namespace {NAMESPACE}")).await?;
            }
        }
        Ok(())
    }

    /// What people read ends with the command and the part of the runbook.
    async fn is_told_with_a_remedy(&self, scene: &Scene) -> Result<(), String> {
        let read = match self.told {
            Told::Job(..) => plugin(scene, &format!("why {JOB} --namespace {NAMESPACE}")).await?,
            Told::Savepoint(name, kind, _) => message_of(&savepoint_of(scene, name), kind),
        };
        // What is wrong with the spec has a reason of its own.
        let proper = Reason::parse(scene.condition("Accepted").rsplit(' ').next().unwrap_or_default());
        let reason = if self.reason == Reason::NotAccepted { proper } else { self.reason };
        let remedy = reason.remedy_for(NAMESPACE, JOB).unwrap_or_default();
        let anchor = format!("docs/runbook.md#{}.", reason.anchor());
        let is_there = read.lines().any(|line| line.contains(&remedy) && line.contains(&anchor));
        is_there
            .then_some(())
            .ok_or_else(|| format!("`{remedy}` and {anchor} are not in one line of\n{read}"))
    }

    fn is_mended(&self, scene: &Scene) -> bool {
        match self.told {
            Told::Job(..) => {
                let first = |kind: &str| scene.condition(kind).split(' ').next().map(str::to_owned);
                scene.is_at_rest()
                    && scene.condition("Ready") == "True UpToDate"
                    && scene.condition("Accepted") == "True Accepted"
                    && first("Stalled").as_deref() == Some("False")
                    && first("CheckpointsHealthy").as_deref() == Some("True")
            }
            Told::Savepoint(..) => {
                condition_of(&savepoint_of(scene, ANOTHER), "Complete").starts_with("True")
            }
        }
    }
}

impl Told {
    fn value(self) -> &'static str {
        match self {
            Self::Job(_, value) | Self::Savepoint(_, _, value) => value,
        }
    }

    /// Value and reason of the condition.
    fn seen(self, scene: &Scene) -> String {
        match self {
            Self::Job(kind, _) => scene.condition(kind),
            Self::Savepoint(name, kind, _) => condition_of(&savepoint_of(scene, name), kind),
        }
    }
}

async fn comes(scene: &mut Scene, holds: impl Fn(&Scene) -> bool) -> bool {
    let step = scene.step;
    let mut came = false;
    for round in 0..ROUNDS {
        scene.step = if round < CLOSE { step } else { LATER };
        scene.round().await;
        came = holds(scene);
        if came {
            break;
        }
    }
    scene.step = step;
    came
}

/// What the program prints.
async fn plugin(scene: &Scene, words: &str) -> Result<String, String> {
    let server = scene.cluster.server.config().cluster_url.to_string();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": server}}], "users": [{"name": "fake", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    });
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("config");
    std::fs::write(&path, config.to_string()).map_err(|error| error.to_string())?;
    let mut command = Command::new(built("kubectl-streamjob"));
    command.args(words.split(' ')).env("KUBECONFIG", &path);
    // It asks the server, which lives on this thread.
    let ended = tokio::task::spawn_blocking(move || command.output()).await;
    let output = ended.expect("nobody cancels it").map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("`kubectl streamjob {words}`: {}", text(&output.stderr)))
    }
}

fn savepoint_of(scene: &Scene, name: &str) -> Value {
    scene.cluster.server.one("StreamJobSavepoint", NAMESPACE, name).unwrap_or_default()
}

fn message_of(object: &Value, kind: &str) -> String {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|it| it["type"] == json!(kind));
    found.map(|it| text(it, "/message")).unwrap_or_default()
}

/// What a worker leaves when it ends.
fn ended_with(reason: Reason, retryable: bool) -> Option<Value> {
    let message = format!("a test wanted {reason}");
    Some(json!({"reason": reason.as_str(), "message": message, "retryable": retryable}))
}

fn behave(scene: &Scene, behaviour: Behaviour) {
    scene.cluster.behave(IMAGE, behaviour);
}

/// Whatever was wrong with workers is mended outside.
fn mend(scene: &mut Scene) {
    for image in [IMAGE, BAD] {
        scene.cluster.behave(image, Behaviour::default());
    }
}

/// A job with a deadline that is soon over.
fn create(scene: &Scene, change: fn(&mut Value)) {
    let mut made = job();
    made["spec"]["upgrade"] = json!({"rollback": {"progressDeadline": "1m"}});
    change(&mut made["spec"]);
    scene.create(made);
}

/// The chapters on memory say: raise `workers.resources.limits.memory`.
fn give_memory(scene: &mut Scene) {
    scene.edit(|spec| spec["workers"] = json!({"resources": {"limits": {"memory": "2Gi"}}}));
}

fn has_memory(pod: &Value) -> bool {
    text(pod, "/spec/containers/0/resources/limits/memory") == "2Gi"
}

fn number_of(pod: &Value) -> i64 {
    text(pod, "/metadata/labels/streamjob.dev~1incarnation").parse().unwrap_or(0)
}

/// What was asked for has reached the workers: they are not those of the first start.
fn is_second(pod: &Value) -> bool {
    number_of(pod) > 1
}

fn arguments(pod: &Value) -> impl Iterator<Item = &str> {
    pod["spec"]["containers"][0]["args"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Workers that were started by a restore.
fn is_asked_for(pod: &Value) -> bool {
    arguments(pod).any(|argument| argument.starts_with("--restore-request="))
}

/// And by one that does not begin with the state that is there.
fn is_restored(pod: &Value) -> bool {
    is_asked_for(pod) && !arguments(pod).any(|argument| argument == "--restore=latest")
}

async fn play(scenes: &[Remedied]) {
    let played = join_all(scenes.iter().map(Remedied::play)).await;
    let wrong: Vec<String> = played.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), scenes.len(), wrong.join("\n\n"));
}

fn all() -> impl Iterator<Item = &'static Remedied> {
    let tables =
        [spec::SCENES, checks::SCENES, state::SCENES, workers::SCENES, around::SCENES, progress::SCENES];
    tables.into_iter().flatten().chain(savepoints::SCENES)
}

#[test]
fn every_reason_with_a_remedy_has_a_scene_in_which_it_is_performed() {
    let played: BTreeSet<Reason> = all().map(|scene| scene.reason).collect();
    let with_remedy: BTreeSet<Reason> =
        Reason::ALL.iter().copied().filter(|reason| reason.remedy().is_some()).collect();

    assert_eq!(played, with_remedy);
}

#[tokio::test]
async fn a_refused_spec_is_mended_by_what_its_remedy_says() {
    play(spec::SCENES).await;
}

#[tokio::test]
async fn a_check_that_failed_is_mended_by_what_its_remedy_says() {
    play(checks::SCENES).await;
}

#[tokio::test]
async fn a_state_that_cannot_be_used_is_mended_by_what_its_remedy_says() {
    play(state::SCENES).await;
}

#[tokio::test]
async fn workers_that_end_are_mended_by_what_their_remedy_says() {
    play(workers::SCENES).await;
}

#[tokio::test]
async fn pods_that_do_not_start_are_mended_by_what_their_remedy_says() {
    play(around::SCENES).await;
}

#[tokio::test]
async fn a_job_that_gets_stuck_is_mended_by_what_its_remedy_says() {
    play(progress::SCENES).await;
}

#[tokio::test]
async fn a_savepoint_that_failed_is_followed_by_one_that_does_not() {
    play(savepoints::SCENES).await;
}
