//! An operator at work in a fake cluster, turn by turn, so that a run is the same each time.
//!
//! Owns: starting operators and letting them die, time, looking at jobs, what two end states have in common.
//! Never: lets anything happen between two rounds.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use streamjob_operator::context::{Context, Identity, Reach};
use streamjob_operator::coordinator::Route;
use streamjob_operator::metrics::Metrics;
use streamjob_operator::reconcile::{reconcile, reconcile_savepoint};
use streamjob_operator::world::{Settings, TokenCheck};
use streamjob_tests::fake_cluster::FakeCluster;

pub(crate) const NAMESPACE: &str = "analytics";
pub(crate) const JOB: &str = "clicks";
pub(crate) const STATE: &str = "analytics.clicks";
pub(crate) const IMAGE: &str = "example.invalid/worker:1";
/// What passes between two rounds.
const ROUND: Duration = Duration::from_secs(5);
/// No sequence takes more.
const ROUNDS: usize = 400;

/// See the module.
pub(crate) struct Scene {
    pub(crate) cluster: FakeCluster,
    operator: Option<Arc<Context>>,
    image: String,
    /// Operators that died.
    pub(crate) deaths: usize,
    /// Turns that failed.
    pub(crate) failed: Vec<String>,
    pub(crate) step: Duration,
    /// After so many rounds what has not come about never does.
    pub(crate) rounds_max: usize,
    /// How long operators wait for an answer of the API server.
    pub(crate) patience: Duration,
    /// What every operator of this scene has wrong.
    #[cfg(feature = "faults")]
    pub(crate) bug: Option<streamjob_operator::planted::Bug>,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::of(FakeCluster::start().await.expect("a loopback port is free"))
    }

    /// Around a cluster in which there is no job.
    pub(crate) fn of(cluster: FakeCluster) -> Self {
        for namespace in [NAMESPACE, "streamjob"] {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            cluster.server.put("Namespace", "", object);
        }
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator"}});
        cluster.server.put("ServiceAccount", "streamjob", account);
        Self {
            cluster,
            operator: None,
            image: IMAGE.to_owned(),
            deaths: 0,
            failed: Vec::new(),
            step: ROUND,
            rounds_max: ROUNDS,
            patience: Duration::from_secs(2),
            #[cfg(feature = "faults")]
            bug: None,
        }
    }

    /// A job that has come to run and is left in peace.
    pub(crate) async fn running() -> Self {
        let mut scene = Self::new().await;
        scene.create(job());
        scene.until("Running", Self::is_at_rest).await;
        scene
    }

    pub(crate) fn create(&self, job: Value) {
        self.cluster.server.put("StreamJob", NAMESPACE, job);
    }

    pub(crate) fn edit(&self, change: impl FnOnce(&mut Value)) {
        self.cluster.server.edit("StreamJob", (NAMESPACE, JOB), false, |job| change(&mut job["spec"]));
    }

    /// From now on operators have this image as their default.
    pub(crate) fn upgrade_operator(&mut self, image: &str) {
        image.clone_into(&mut self.image);
        self.operator = None;
    }

    /// A new process.
    pub(crate) fn new_operator(&self) -> Arc<Context> {
        let config = self.cluster.server.config();
        let client = kube::Client::try_from(config).expect("a plain address");
        let identity = Identity {
            namespace: "streamjob".to_owned(),
            account: "operator".to_owned(),
            pod: "operator-0".to_owned(),
        };
        let settings = Settings {
            worker_image: self.image.clone(),
            cluster_id: "cluster-1".to_owned(),
            operator_namespace: identity.namespace.clone(),
            token: TokenCheck {
                keys: "{\"keys\":[]}".to_owned(),
                issuer: streamjob_tests::api_server::ISSUER.to_owned(),
                subject: identity.subject(),
            },
            metrics_namespace: None,
        };
        let reach = Reach {
            api_deadline: self.patience,
            worker_deadline: Duration::from_millis(2000),
            route: Route::Gateway(self.cluster.gateway()),
        };
        let clock = self.cluster.clock.clone();
        let now = Arc::new(move || clock.now());
        let context = Context::new(client, (settings, identity), &reach, Metrics::default(), now);
        #[cfg(feature = "faults")]
        if let Some(bug) = self.bug {
            context.plant(bug);
        }
        Arc::new(context)
    }

    /// A moment passes, and every job gets a turn.
    pub(crate) async fn round(&mut self) {
        self.cluster.tick(self.step);
        let jobs = self.cluster.server.all("StreamJob");
        let names: Vec<String> = jobs.iter().map(|job| text(job, "/metadata/name")).collect();
        for name in &names {
            self.turn(name).await;
        }
        let savepoints = self.cluster.server.all("StreamJobSavepoint");
        let without_job = |it: &&Value| !names.contains(&text(it, "/spec/streamJobName"));
        for savepoint in savepoints.iter().filter(without_job) {
            let operator = self.operator.take().unwrap_or_else(|| self.new_operator());
            let done = reconcile_savepoint(&operator, (NAMESPACE, &text(savepoint, "/metadata/name"))).await;
            self.failed.extend(done.err().map(|error| error.words()));
            self.operator = Some(operator);
        }
    }

    /// One turn; the operator may die in it.
    pub(crate) async fn turn(&mut self, name: &str) {
        let operator = match &self.operator {
            Some(operator) => operator.clone(),
            None => self.new_operator(),
        };
        let positions = self.cluster.positions.clone();
        tokio::select! {
            biased;
            () = positions.until_stopped() => {
                positions.revive();
                self.operator = None;
                self.deaths += 1;
            }
            done = reconcile(&operator, (NAMESPACE, name)) => {
                self.operator = Some(operator);
                self.failed.extend(done.err().map(|error| error.words()));
            }
        }
    }

    pub(crate) async fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            self.round().await;
        }
    }

    /// Rounds until something holds.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..self.rounds_max {
            self.round().await;
            if holds(self) {
                return;
            }
        }
        panic!("never came about: {what}\n{}", self.told());
    }

    pub(crate) fn job(&self) -> Value {
        self.cluster.server.one("StreamJob", NAMESPACE, JOB).unwrap_or_default()
    }

    pub(crate) fn status(&self, pointer: &str) -> Value {
        self.job()["status"].pointer(pointer).cloned().unwrap_or_default()
    }

    /// `status` and `reason` of a condition, as `True Idle`.
    pub(crate) fn condition(&self, kind: &str) -> String {
        condition_of(&self.job(), kind)
    }

    /// The spec is seen, no operation is under way, and workers process.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.is_settled() && self.condition("Available").starts_with("True")
    }

    /// The spec is seen, and no operation is under way.
    pub(crate) fn is_settled(&self) -> bool {
        let job = self.job();
        let seen = job["status"]["observedGeneration"] == job["metadata"]["generation"];
        seen && !job["status"].is_null() && job["status"].get("operation").is_none()
    }

    pub(crate) fn sets(&self) -> Vec<Value> {
        self.cluster.server.all("StatefulSet")
    }

    /// Everything that a person would want to see of a run that went wrong.
    pub(crate) fn told(&self) -> String {
        let job = self.job();
        let names = |kind: &str| -> Vec<String> {
            self.cluster.server.all(kind).iter().map(|it| text(it, "/metadata/name")).collect()
        };
        let asked: Vec<String> = self
            .cluster
            .server
            .take_done()
            .iter()
            .rev()
            .take(30)
            .map(|done| format!("{} {} {} -> {}", done.call.verb, done.call.kind, done.call.name, done.code))
            .collect();
        format!(
            "status: {:#}\nspec: {}\nsets: {:?}\npods: {:?}\njobs: {:?}\nlog: {:?}\nrequests: {:?}\nviolations: {:?}\nfailed: {:?}\nlast calls, newest first: {asked:#?}",
            job["status"],
            job["spec"],
            names("StatefulSet"),
            names("Pod"),
            names("Job"),
            self.cluster.log(STATE).records().iter().rev().take(12).collect::<Vec<_>>(),
            self.cluster.requests(),
            self.cluster.violations(),
            self.failed.iter().rev().take(5).collect::<Vec<_>>(),
        )
    }

    /// What must be the same however often the operator died on the way.
    pub(crate) fn end_state(&self) -> Value {
        let job = self.job();
        let status = &job["status"];
        let conditions: Vec<String> =
            ["Ready", "Reconciling", "Stalled", "Accepted", "Available", "Suspended"]
                .iter()
                .map(|kind| format!("{kind} {}", condition_of(&job, kind)))
                .collect();
        let kinds = [
            "StatefulSet",
            "ControllerRevision",
            "ConfigMap",
            "Service",
            "ServiceAccount",
            "PodDisruptionBudget",
            "NetworkPolicy",
            "Pod",
        ];
        let objects: Vec<String> = kinds
            .iter()
            .flat_map(|kind| self.cluster.server.all(kind).into_iter().map(move |object| (*kind, object)))
            .filter(|(_, object)| object["metadata"]["namespace"] == json!(NAMESPACE))
            .map(|(kind, object)| format!("{kind} {}", without_numbers(&object)))
            .collect();
        json!({
            "phase": status["phase"], "conditions": conditions, "revisions": status["revisions"],
            "stateID": status["stateID"], "parallelism": status["parallelism"], "workers": status["workers"],
            "request": status["completedRestoreRequest"], "objects": objects,
            "finalizers": job["metadata"]["finalizers"], "exists": !job.is_null(),
        })
    }
}

/// An incarnation may be skipped by a crash: names are compared without it. Names of Jobs' pods, and of what a set's own controller
/// keeps of its template, end with something that is new each time.
fn without_numbers(object: &Value) -> String {
    let is_new_each_time = match text(object, "/metadata/ownerReferences/0/kind").as_str() {
        "Job" => true,
        "StatefulSet" => object.get("revision").is_some(),
        _ => false,
    };
    let whose = if is_new_each_time { "/metadata/ownerReferences/0/name" } else { "/metadata/name" };
    let name = text(object, whose);
    let incarnation = object["metadata"]["labels"]["streamjob.dev/incarnation"].as_str();
    let numbered = incarnation.map(|number| format!("{JOB}-{number}"));
    match numbered.and_then(|numbered| name.strip_prefix(&numbered)) {
        Some(rest) if rest.is_empty() || rest.starts_with('-') => format!("{JOB}-N{rest}"),
        Some(_) | None => name.clone(),
    }
}

pub(crate) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(crate) fn condition_of(object: &Value, kind: &str) -> String {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|it| it["type"] == json!(kind));
    found.map(|it| format!("{} {}", text(it, "/status"), text(it, "/reason"))).unwrap_or_default()
}

/// A job with its state in a bucket.
pub(crate) fn job() -> Value {
    let mut job = super::conformance::job(JOB, 2);
    job["metadata"]["namespace"] = json!(NAMESPACE);
    job["spec"]["state"] = json!({"location": {"uri": "s3://streams/prod"}});
    job
}
