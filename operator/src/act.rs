//! Does what was decided: the status first, then the actions, then the events. Only the finalizer comes before the status.
//!
//! Owns: all writes of a reconcile, and all requests that change something in a worker.
//! Never: goes on after a write of which nobody knows whether it was done; the next reconcile looks.

use serde_json::{Value, json};
use streamjob_crds::StreamJobStatus;
use tracing::info;

use crate::api::{ApiError, At, place_of};
use crate::context::Context;
use crate::coordinator::{CoordinatorError, PodAt};
use crate::decide::{Action, Decision, Worker};
use crate::observe::call_failure;
use crate::planted::Bug;
use crate::world::{Answered, Answers, CallFailure, DryRunAnswer, JobSeen, Object, Refused, World, labels};

/// What became of a decision.
pub enum Done {
    /// All of it was done; with what came back.
    All(Answers),
    /// Somebody else changed something in between: nothing more was done.
    Conflict,
}

/// Does it.
pub async fn act(context: &Context, world: &World, decision: &Decision) -> Result<Done, ApiError> {
    let job = &world.job;
    let mut pass = Pass { context, job, version: job.resource_version.clone(), answers: Answers::default() };
    let done = pass.all(decision).await;
    let is_over = match done {
        Ok(()) => false,
        Err(Stop::Refused) => true,
        Err(Stop::Api(error)) if error.is_conflict() => return Ok(Done::Conflict),
        Err(Stop::Api(error)) => return Err(error),
    };
    count_steps(context, job.status.as_ref(), decision.status.as_ref());
    if !is_over {
        crate::events::publish(context, job, &decision.events).await;
    }
    Ok(Done::All(pass.answers))
}

/// Why a pass ends early.
enum Stop {
    /// The API server refused a write for what it says; the decision is made once more with that.
    Refused,
    Api(ApiError),
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

struct Pass<'a> {
    context: &'a Context,
    job: &'a JobSeen,
    /// The version of the job after our own last write.
    version: String,
    answers: Answers,
}

impl Pass<'_> {
    async fn all(&mut self, decision: &Decision) -> Result<(), Stop> {
        let is_late = self.context.planted.is(Bug::ActionsBeforeStatus);
        let (finalizer, actions) = decision.in_order();
        for action in finalizer {
            self.one(action).await?;
        }
        if let (Some(status), false) = (&decision.status, is_late) {
            self.write_status(status).await?;
        }
        for action in actions {
            self.one(action).await?;
        }
        if let (Some(status), true) = (&decision.status, is_late) {
            self.write_status(status).await?;
        }
        Ok(())
    }

    fn at(&self) -> At<'_> {
        At { kind: "StreamJob", namespace: &self.job.namespace, name: &self.job.name }
    }

    async fn write_status(&mut self, status: &StreamJobStatus) -> Result<(), ApiError> {
        let value = json!(status);
        let planted = &self.context.planted;
        let version = if planted.is(Bug::StatusWithoutVersion) { "" } else { self.version.as_str() };
        let written = match self.context.server.apply_status(self.at(), version, &value).await {
            Err(error) if error.is_conflict() && planted.is(Bug::ConflictIsSuccess) => return Ok(()),
            written => written?,
        };
        self.version = written["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let operation = status.operation.as_ref();
        let before = self.job.status.as_ref().and_then(|status| status.operation.as_ref());
        if operation.map(|it| (&it.id, it.step)) != before.map(|it| (&it.id, it.step)) {
            let step = operation.map(|it| format!("{:?}", it.step)).unwrap_or_default();
            let id = operation.or(before).map(|it| it.id.clone()).unwrap_or_default();
            info!(namespace = self.job.namespace, job = self.job.name, operation = id, step, "operation");
        }
        Ok(())
    }

    async fn one(&mut self, action: &Action) -> Result<(), Stop> {
        match action {
            Action::Apply(object) => self.apply(object).await,
            Action::DryRun { id, objects } => self.dry_run(id, objects).await,
            Action::Delete { kind, name, uid } => {
                let at = At { kind: kind.as_str(), namespace: &self.job.namespace, name };
                let uid = (!self.context.planted.is(Bug::DeleteByName)).then_some(uid.as_str());
                Ok(self.context.server.delete(at, uid).await?)
            }
            Action::StopWorkers { worker, request } => {
                let answer = self.call(worker, async |pod, token| {
                    self.context.coordinators.stop(pod, token, request).await
                });
                let answer = answer.await?;
                self.answers.stop = Some(Answered { id: request.operation_id.clone(), answer });
                Ok(())
            }
            Action::TakeSavepoint { worker, request } => {
                let answer = self.call(worker, async |pod, token| {
                    self.context.coordinators.savepoint(pod, token, request).await
                });
                let answer = answer.await?;
                self.answers.savepoints.push(Answered { id: request.id.clone(), answer });
                Ok(())
            }
            Action::SavepointStatus { name, resource_version, status, .. } => {
                let at = At { kind: "StreamJobSavepoint", namespace: &self.job.namespace, name };
                match self.context.server.apply_status(at, resource_version, &json!(status)).await {
                    Err(error) if !error.is_not_found() => Err(error.into()),
                    // A savepoint that somebody deleted needs no status.
                    Ok(_) | Err(_) => Ok(()),
                }
            }
            Action::AddFinalizer => Ok(self.change_finalizers(true).await?),
            Action::RemoveFinalizer => Ok(self.change_finalizers(false).await?),
        }
    }

    async fn apply(&mut self, object: &Object) -> Result<(), Stop> {
        match self.context.server.apply(&object.0, false).await {
            Ok(_) => Ok(()),
            Err(error) if !error.is_conflict() && error.is_verdict() => {
                let Some(kind) = object.kind() else { return Err(error.into()) };
                self.answers.refused.push(Refused {
                    kind,
                    name: object.name().to_owned(),
                    message: error.words(),
                    namespace_terminating: error.is_terminating(),
                });
                Err(Stop::Refused)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn dry_run(&mut self, id: &str, objects: &[Object]) -> Result<(), Stop> {
        let mut verdict = Ok(());
        for object in objects {
            match self.context.server.would_create(&object.0).await {
                Ok(()) => {}
                // It is there already: the name is no question of what it says.
                Err(error) if error.is_conflict() => {}
                Err(error) if error.is_verdict() => {
                    verdict =
                        Err(format!("{} {}: {}", place_of(&object.0).kind, object.name(), error.words()));
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.answers.dry_run = Some(DryRunAnswer { id: id.to_owned(), verdict });
        Ok(())
    }

    /// A request to a worker, at the address that its pod has now, if it still is that pod.
    async fn call<T>(
        &self,
        worker: &Worker,
        ask: impl AsyncFnOnce(PodAt<'_>, &str) -> Result<T, CoordinatorError>,
    ) -> Result<Result<T, CallFailure>, ApiError> {
        let at = At { kind: "Pod", namespace: &self.job.namespace, name: &worker.pod };
        let gone = |what: &str| Ok(Err(CallFailure::Unreachable(format!("pod {} {what}", worker.pod))));
        let Some(pod) = self.context.server.get(at).await? else { return gone("is gone") };
        let is_meant = pod["metadata"]["uid"].as_str() == Some(worker.uid.as_str());
        if !is_meant && !self.context.planted.is(Bug::AnyPodOfTheName) {
            return gone("is another one by now");
        }
        let ip = pod.pointer("/status/podIP").and_then(Value::as_str).and_then(|ip| ip.parse().ok());
        let Some(ip) = ip else { return gone("has no address") };
        let now = self.context.now();
        let token = self.context.tokens.for_job(&self.job.uid, now).await?;
        let answer = ask(PodAt { name: &worker.pod, uid: &worker.uid, ip }, &token).await;
        if matches!(answer, Err(CoordinatorError::Denied { .. })) {
            self.context.tokens.forget(&self.job.uid);
        }
        Ok(answer.map_err(call_failure))
    }

    /// Only if nobody changed the job since: another finalizer could have come or gone.
    async fn change_finalizers(&mut self, add: bool) -> Result<(), ApiError> {
        let mut finalizers = self.job.finalizers.clone();
        finalizers.retain(|name| name != labels::FINALIZER);
        if add {
            finalizers.push(labels::FINALIZER.to_owned());
        }
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": self.job.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": self.version},
            {"op": "add", "path": "/metadata/finalizers", "value": finalizers},
        ]);
        match self.context.server.patch_finalizers(self.at(), patch).await {
            Ok(written) => {
                self.version = written["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
                Ok(())
            }
            // Gone is what taking the last finalizer off leads to.
            Err(error) if error.is_not_found() && !add => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Steps that ended go into the metrics.
fn count_steps(context: &Context, before: Option<&StreamJobStatus>, after: Option<&StreamJobStatus>) {
    let (Some(before), Some(after)) = (before.and_then(|status| status.operation.as_ref()), after) else {
        return;
    };
    let kind = format!("{:?}", before.operation_type);
    let verdict = match &after.operation {
        None => "finished",
        Some(now) if now.id == before.id && now.step == before.step => return,
        Some(now) if now.id == before.id => "next",
        Some(_) => "replaced",
    };
    context.metrics.stepped(&kind, &format!("{:?}", before.step), verdict);
}
