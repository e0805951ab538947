//! Looks at one job and everything that belongs to it, now.
//!
//! Owns: all reads of a reconcile; each is a live one, never from a cache.
//! Never: writes, or leaves out something because it seems not to matter.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::{join_all, try_join_all};
use serde::de::DeserializeOwned;
use serde_json::Value;
use streamjob_crds::{Reason, StreamJobSavepointSpec, StreamJobSpec};

use crate::api::{ApiError, At};
use crate::compile::compile;
use crate::context::Context;
use crate::coordinator::{CoordinatorError, PodAt};
use crate::names;
use crate::world::{
    Answers, CallFailure, Coordinator, Fingerprint, JobSeen, Kind, Object, PodSeen, SavepointSeen, Trouble,
    World, labels,
};

/// The world of a job; nothing if there is no such job.
pub async fn observe(
    context: &Arc<Context>,
    (namespace, name): (&str, &str),
    answers: Answers,
) -> Result<Option<World>, ApiError> {
    let at = At { kind: "StreamJob", namespace, name };
    let Some(found) = context.server.get(at).await? else { return Ok(None) };
    let job = job_of(&found);
    let objects = objects_of(context, &job).await?;
    let savepoints = savepoints_of(context, &job).await?;
    let coordinators = coordinators_of(context, &objects).await;
    let compiled = compiled(context, &job).await;
    Ok(Some(World {
        now: context.now(),
        settings: context.settings.clone(),
        compiled,
        objects,
        coordinators,
        savepoints,
        answers,
        job,
    }))
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn typed<T: DeserializeOwned>(value: &Value, field: &str) -> Option<T> {
    value.get(field).and_then(|part| T::deserialize(part).ok())
}

fn job_of(found: &Value) -> JobSeen {
    let metadata = &found["metadata"];
    let list = |name: &str| metadata[name].as_array().into_iter().flatten();
    let annotations = metadata["annotations"].as_object().into_iter().flatten();
    JobSeen {
        name: text(metadata, "/name"),
        namespace: text(metadata, "/namespace"),
        uid: text(metadata, "/uid"),
        generation: metadata["generation"].as_i64().unwrap_or_default(),
        resource_version: text(metadata, "/resourceVersion"),
        deletion_timestamp: text(metadata, "/deletionTimestamp").parse().ok(),
        finalizers: list("finalizers").filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        annotations: annotations
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
        spec: serde::Deserialize::deserialize(&found["spec"])
            .map_err(|error: serde_json::Error| error.to_string()),
        status: typed(found, "status"),
    }
}

/// What has the job's label, and what has a name that the job wants.
async fn objects_of(context: &Context, job: &JobSeen) -> Result<Vec<Object>, ApiError> {
    let selector = format!("{}={}", labels::JOB, job.name);
    let lists = Kind::ALL.map(|kind| context.server.list(kind.as_str(), &job.namespace, &selector));
    let mut found: Vec<Value> = try_join_all(lists).await?.into_iter().flatten().collect();
    let known: BTreeSet<(String, String)> =
        found.iter().map(|object| (text(object, "/kind"), text(object, "/metadata/name"))).collect();
    let wanted = names::wanted(&job.name, job.status.as_ref());
    let missing: Vec<_> = wanted
        .iter()
        .filter(|(kind, name)| !known.contains(&(kind.as_str().to_owned(), name.clone())))
        .collect();
    let gets = missing
        .iter()
        .map(|(kind, name)| context.server.get(At { kind: kind.as_str(), namespace: &job.namespace, name }));
    found.extend(try_join_all(gets).await?.into_iter().flatten());
    Ok(found.into_iter().map(Object).collect())
}

async fn savepoints_of(context: &Context, job: &JobSeen) -> Result<Vec<SavepointSeen>, ApiError> {
    let restored = job.spec.as_ref().ok().and_then(|spec| spec.restore.as_ref()?.savepoint_name.clone());
    let found = context.server.list("StreamJobSavepoint", &job.namespace, "").await?;
    let seen = found.iter().filter_map(savepoint_of);
    Ok(seen
        .filter(|seen| seen.spec.stream_job_name == job.name || Some(&seen.name) == restored.as_ref())
        .collect())
}

/// A savepoint, if it is there and its job is not.
pub async fn observe_savepoint(
    context: &Context,
    (namespace, name): (&str, &str),
) -> Result<Option<SavepointSeen>, ApiError> {
    let at = At { kind: "StreamJobSavepoint", namespace, name };
    let found = context.server.get(at).await?;
    let Some(seen) = found.as_ref().and_then(savepoint_of) else { return Ok(None) };
    let job = At { kind: "StreamJob", namespace, name: &seen.spec.stream_job_name };
    Ok(context.server.get(job).await?.is_none().then_some(seen))
}

/// One whose spec cannot be read is nobody's.
fn savepoint_of(found: &Value) -> Option<SavepointSeen> {
    let metadata = &found["metadata"];
    Some(SavepointSeen {
        name: text(metadata, "/name"),
        uid: text(metadata, "/uid"),
        generation: metadata["generation"].as_i64().unwrap_or_default(),
        creation_timestamp: text(metadata, "/creationTimestamp").parse().ok()?,
        resource_version: text(metadata, "/resourceVersion"),
        deleting: metadata.get("deletionTimestamp").is_some(),
        spec: typed::<StreamJobSavepointSpec>(found, "spec")?,
        status: typed(found, "status"),
    })
}

/// Worker 0 of every set is asked how it is.
async fn coordinators_of(context: &Context, objects: &[Object]) -> Vec<Coordinator> {
    let asked = objects.iter().filter_map(who_answers).map(|at| async move {
        let answer = context.coordinators.status(at).await.map_err(call_failure);
        Coordinator { pod_uid: at.uid.to_owned(), answer }
    });
    join_all(asked).await
}

/// Worker 0, if its process runs. Whoever asks an address where nobody is waits for as long as a call may take, and the job with him.
fn who_answers(object: &Object) -> Option<PodAt<'_>> {
    let seen = PodSeen::of(object).filter(|_| object.kind() == Some(Kind::Pod))?;
    let answers = seen.component == "worker" && seen.ordinal == 0 && seen.running;
    let ip = seen.ip.filter(|_| answers)?.parse().ok()?;
    Some(PodAt { name: object.name(), uid: object.uid(), ip })
}

/// What an error of a call means to decisions.
pub(crate) fn call_failure(error: CoordinatorError) -> CallFailure {
    match error {
        CoordinatorError::Denied { .. } => CallFailure::Unauthorized(error.to_string()),
        CoordinatorError::Timeout { .. }
        | CoordinatorError::Unreachable { .. }
        | CoordinatorError::Odd { .. }
        | CoordinatorError::Another { .. } => CallFailure::Unreachable(error.to_string()),
    }
}

/// Specs are compiled once for each generation, beside the threads that wait for servers.
async fn compiled(context: &Arc<Context>, job: &JobSeen) -> Result<Fingerprint, Trouble> {
    let Ok(spec) = &job.spec else { return Ok(Fingerprint::new()) };
    if let Some(known) = context.compiled(&job.uid, job.generation) {
        return known;
    }
    let result = compile_aside(&job.namespace, &job.name, spec.clone()).await?;
    context.remember(&job.uid, job.generation, result.clone());
    result
}

async fn compile_aside(
    namespace: &str,
    name: &str,
    spec: StreamJobSpec,
) -> Result<Result<Fingerprint, Trouble>, Trouble> {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    let work = tokio::task::spawn_blocking(move || compile(&namespace, &name, &spec));
    work.await.map_err(|error| Trouble {
        reason: Reason::PipelineRejected,
        message: format!("the planner failed on this pipeline: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, component: &str, state: &Value) -> Object {
        Object(json!({
            "kind": "Pod",
            "metadata": {"name": name, "labels": {labels::JOB: "clicks", labels::COMPONENT: component}},
            "status": {"podIP": "10.0.0.7", "containerStatuses": [{"name": "worker", "state": state}]},
        }))
    }

    #[test]
    fn only_worker_0_is_asked_and_only_while_its_process_runs() {
        let (runs, ended) = (json!({"running": {}}), json!({"terminated": {"exitCode": 0}}));
        let pods = [
            (pod("clicks-3-0", "worker", &runs), true),
            (pod("clicks-3-1", "worker", &runs), false),
            (pod("clicks-2-0", "worker", &ended), false),
            (pod("clicks-check-6b72-x7kq2", "check", &runs), false),
            (pod("clicks-janitor-4-0", "janitor", &runs), false),
        ];

        for (pod, asked) in &pods {
            assert_eq!(who_answers(pod).is_some(), *asked, "{}", pod.name());
        }
    }
}
