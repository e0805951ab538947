//! Tells people what happened, as events of the cluster.
//!
//! Owns: the names of events, which make telling the same thing twice harmless.
//! Never: fails a reconcile; an event that cannot be written is logged.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tracing::{info, warn};
use xxhash_rust::xxh3::xxh3_64;

use crate::context::Context;
use crate::decide::{About, Note};
use crate::world::JobSeen;

/// What the API server takes.
const NOTE_BYTES_MAX: usize = 1024;

/// Writes them all, one after the other.
pub(crate) async fn publish(context: &Context, job: &JobSeen, notes: &[Note]) {
    for note in notes {
        let reason = note.reason.as_str();
        if note.warning {
            warn!(namespace = job.namespace, job = job.name, reason, "{}", note.text);
        } else {
            info!(namespace = job.namespace, job = job.name, reason, "{}", note.text);
        }
        publish_one(context, job, note).await;
    }
}

async fn publish_one(context: &Context, job: &JobSeen, note: &Note) {
    let regarding = match &note.about {
        About::Job => reference("StreamJob", job, (&job.name, &job.uid)),
        About::Savepoint { name, uid } => reference("StreamJobSavepoint", job, (name, uid)),
        About::Operator => context.identity.reference(),
    };
    let namespace = regarding.namespace.clone().unwrap_or_default();
    let event = event(context, job, note, regarding);
    let api: Api<Event> = Api::namespaced(context.server.client(), &namespace);
    let params = PostParams::default();
    let work = api.create(&params, &event);
    let result = context.server.within(|| format!("event in {namespace}"), work).await;
    context.metrics.wrote("Event", "create", result.is_ok());
    match result {
        // It was told before; and in a namespace that goes away nobody reads.
        Err(error) if error.is_conflict() || error.is_terminating() => {}
        Err(error) => warn!(error = error.words(), reason = note.reason.as_str(), "an event was not written"),
        Ok(_) => {}
    }
}

fn reference(kind: &str, job: &JobSeen, (name, uid): (&str, &str)) -> ObjectReference {
    ObjectReference {
        api_version: Some(streamjob_crds::API_VERSION.to_owned()),
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        namespace: Some(job.namespace.clone()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

fn event(context: &Context, job: &JobSeen, note: &Note, regarding: ObjectReference) -> Event {
    let reason = note.reason.as_str();
    let mut text = note.text.clone();
    text.truncate(text.floor_char_boundary(NOTE_BYTES_MAX.min(text.len())));
    let told = format!("{} {} {reason} {text}", job.uid, job.generation);
    let name =
        format!("{}.{:016x}", regarding.name.as_deref().unwrap_or("streamjob"), xxh3_64(told.as_bytes()));
    Event {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: regarding.namespace.clone(),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(context.now())),
        regarding: Some(regarding),
        reason: Some(reason.to_owned()),
        action: Some("Reconcile".to_owned()),
        note: Some(text),
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        reporting_controller: Some("streamjob-operator".to_owned()),
        reporting_instance: Some(context.identity.pod.clone()),
        ..Event::default()
    }
}
