//! Which job gets a turn when: after a change of it or of anything that has its label, and now and then anyway.
//!
//! Owns: the watches, the number of turns at a time, pauses after failures.
//! Never: hands anything of a watch to a turn but the name of the job.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use streamjob_crds::{SavepointObject, StreamJobObject};
use tokio::sync::watch::Receiver;
use tracing::{debug, warn};
use xxhash_rust::xxh3::xxh3_64;

use crate::api::ApiError;
use crate::context::Context;
use crate::reconcile::{reconcile, reconcile_savepoint};
use crate::world::labels;

/// A StreamJob, readable or not: one that is not must not stop the watch.
type Guarded = DeserializeGuard<StreamJobObject>;
type Savepoint = DeserializeGuard<SavepointObject>;

/// Turns at a time.
const CONCURRENCY: u16 = 16;
/// Changes within this time are one.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// The first pause after a failed turn; it doubles.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest: after an outage everything is looked at within this time.
const PAUSE_MAX: Duration = Duration::from_secs(15);

struct Turns {
    context: Arc<Context>,
    /// Failed turns in a row, by namespace and name.
    failures: Mutex<BTreeMap<(String, String), u32>>,
}

/// Works until told to stop; turns that have begun come to their end. No namespaces means all.
pub async fn run(context: Arc<Context>, namespaces: &[String], stop: Receiver<bool>) {
    let turns = Arc::new(Turns { context, failures: Mutex::default() });
    if namespaces.is_empty() {
        run_in(&turns, None, stop).await;
        return;
    }
    join_all(namespaces.iter().map(|namespace| run_in(&turns, Some(namespace), stop.clone()))).await;
}

async fn run_in(turns: &Arc<Turns>, namespace: Option<&str>, stop: Receiver<bool>) {
    let client = turns.context.server.client();
    let jobs: Api<Guarded> = within(client.clone(), namespace);
    let savepoints: Api<Savepoint> = within(client, namespace);
    let config = Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE);
    let mut controller = Controller::new(jobs, watcher::Config::default())
        .with_config(config)
        .watches(savepoints, watcher::Config::default(), job_of_savepoint)
        .graceful_shutdown_on(stopped(stop.clone()));
    controller = children::<StatefulSet>(turns, controller, namespace);
    controller = children::<Pod>(turns, controller, namespace);
    controller = children::<ControllerRevision>(turns, controller, namespace);
    controller = children::<ConfigMap>(turns, controller, namespace);
    controller = children::<Service>(turns, controller, namespace);
    controller = children::<ServiceAccount>(turns, controller, namespace);
    controller = children::<PodDisruptionBudget>(turns, controller, namespace);
    controller = children::<NetworkPolicy>(turns, controller, namespace);
    controller = children::<Job>(turns, controller, namespace);
    let worked = controller.run(turn, after_failure, turns.clone()).for_each(|result| async move {
        if let Err(error) = result {
            debug!(%error, "a watch or a turn failed");
        }
    });
    tokio::join!(savepoints_without_job(turns, namespace, stop), worked);
}

/// Comes back when everything is to stop; a sender that is gone means that, too.
async fn stopped(mut stop: Receiver<bool>) {
    let _gone = stop.wait_for(|stop| *stop).await;
}

/// Savepoints of jobs that are not there: nobody else would tell their owners.
async fn savepoints_without_job(turns: &Arc<Turns>, namespace: Option<&str>, stop: Receiver<bool>) {
    let savepoints: Api<Savepoint> = within(turns.context.server.client(), namespace);
    let config = Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE);
    let worked = Controller::new(savepoints, watcher::Config::default())
        .with_config(config)
        .graceful_shutdown_on(stopped(stop))
        .run(savepoint_turn, |_, _, _| Action::requeue(PAUSE_MAX), turns.clone());
    worked.for_each(|_| async {}).await;
}

async fn savepoint_turn(savepoint: Arc<Savepoint>, turns: Arc<Turns>) -> Result<Action, ApiError> {
    let (namespace, name) = (savepoint.namespace().unwrap_or_default(), savepoint.name_any());
    let done = reconcile_savepoint(&turns.context, (&namespace, &name)).await?;
    Ok(done.requeue.map_or_else(Action::await_change, |after| Action::requeue(jittered(after, &name))))
}

fn within<K>(client: kube::Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

/// Watches the metadata of all objects of a kind that have the label of a job.
fn children<K>(turns: &Turns, controller: Controller<Guarded>, namespace: Option<&str>) -> Controller<Guarded>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let api: Api<PartialObjectMeta<K>> = within(turns.context.server.client(), namespace);
    let labelled = watcher::Config::default().labels(labels::JOB);
    controller.watches(api, labelled, |child| {
        let job = child.labels().get(labels::JOB)?;
        Some(ObjectRef::new(job).within(&child.namespace()?))
    })
}

fn job_of_savepoint(savepoint: Savepoint) -> Option<ObjectRef<Guarded>> {
    let namespace = savepoint.namespace()?;
    let job = savepoint.0.ok()?.spec.stream_job_name;
    Some(ObjectRef::new(&job).within(&namespace))
}

async fn turn(job: Arc<Guarded>, turns: Arc<Turns>) -> Result<Action, ApiError> {
    let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
    let done = reconcile(&turns.context, (&namespace, &name)).await?;
    let mut failures = turns.failures.lock().unwrap_or_else(PoisonError::into_inner);
    failures.remove(&(namespace, name.clone()));
    Ok(match done.requeue {
        Some(after) => Action::requeue(jittered(after, &name)),
        None => Action::await_change(),
    })
}

fn after_failure(job: Arc<Guarded>, error: &ApiError, turns: Arc<Turns>) -> Action {
    let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
    let mut failures = turns.failures.lock().unwrap_or_else(PoisonError::into_inner);
    let count = failures.entry((namespace.clone(), name.clone())).or_default();
    *count += 1;
    let pause = PAUSE_FIRST.saturating_mul(1 << (*count - 1).min(10)).min(PAUSE_MAX);
    warn!(namespace, job = name, error = error.words(), tries = *count, "a turn failed; trying again");
    Action::requeue(jittered(pause, &name))
}

/// Up to a tenth more or less, so that jobs that were looked at together are not for ever.
fn jittered(time: Duration, name: &str) -> Duration {
    let seed = format!("{name}{:?}", std::time::Instant::now());
    let tenth = u32::try_from(xxh3_64(seed.as_bytes()) % 201).unwrap_or(100);
    time * (900 + tenth) / 1000
}
