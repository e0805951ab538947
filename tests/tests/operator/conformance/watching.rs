//! Watches.
//!
//! Owns: questions about streams of changes.
//! Never: waits longer than a few seconds.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use kube::core::PartialObjectMeta;
use serde_json::json;

use super::{Site, create, map};

const ANSWER: Duration = Duration::from_secs(10);

fn told(event: &WatchEvent<DynamicObject>) -> Option<String> {
    let named = |what: &str, object: &DynamicObject| {
        Some(format!("{what} {}", object.metadata.name.as_deref().unwrap_or_default()))
    };
    match event {
        WatchEvent::Added(object) => named("ADDED", object),
        WatchEvent::Modified(object) => named("MODIFIED", object),
        WatchEvent::Deleted(object) => named("DELETED", object),
        WatchEvent::Bookmark(_) => None,
        WatchEvent::Error(status) => Some(format!("ERROR {}", status.code)),
    }
}

async fn take(
    stream: impl Stream<Item = Result<WatchEvent<DynamicObject>, kube::Error>>,
    count: usize,
) -> Result<Vec<String>> {
    let mut stream = std::pin::pin!(stream);
    let mut found = Vec::new();
    while found.len() < count {
        let event =
            tokio::time::timeout(ANSWER, stream.next()).await.with_context(|| format!("after {found:?}"))?;
        found.extend(told(&event.context("the watch ended")??));
    }
    Ok(found)
}

/// What a watch from a version says first.
pub(super) async fn first_event(api: &Api<DynamicObject>, version: &str) -> Result<String> {
    let stream = api.watch(&WatchParams::default(), version).await?;
    let found = take(stream, 1).await?;
    found.into_iter().next().context("nothing came")
}

pub(super) async fn a_watch_tells_what_happened_since_a_version(site: &Site) -> Result<()> {
    let version =
        site.maps().list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
    let params = WatchParams::default().labels("question=watch");
    let early = site.maps().watch(&params, &version).await?;
    let mut one = map("watched", json!({}));
    one["metadata"]["labels"] = json!({"question": "watch"});
    create(&site.maps(), one).await?;
    let merge = Patch::Merge(json!({"data": {"a": "1"}}));
    site.maps().patch("watched", &PatchParams::default(), &merge).await?;
    site.maps().delete("watched", &DeleteParams::default()).await?;
    let wanted = ["ADDED watched", "MODIFIED watched", "DELETED watched"];
    let seen = take(early, 3).await?;
    ensure!(seen == wanted, "while it happened: {seen:?}");
    let late = site.maps().watch(&params, &version).await?;
    let seen = take(late, 3).await?;
    ensure!(seen == wanted, "afterwards: {seen:?}");
    Ok(())
}

pub(super) async fn an_object_that_leaves_a_selector_is_deleted_for_it(site: &Site) -> Result<()> {
    let version =
        site.maps().list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
    let stream = site.maps().watch(&WatchParams::default().labels("question=leaves"), &version).await?;
    let mut one = map("leaves", json!({}));
    one["metadata"]["labels"] = json!({"question": "leaves"});
    create(&site.maps(), one).await?;
    let merge = Patch::Merge(json!({"metadata": {"labels": {"question": "gone"}}}));
    site.maps().patch("leaves", &PatchParams::default(), &merge).await?;
    let seen = take(stream, 2).await?;
    ensure!(seen == ["ADDED leaves", "DELETED leaves"], "{seen:?}");
    Ok(())
}

pub(super) async fn metadata_can_be_watched_alone(site: &Site) -> Result<()> {
    let api: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(site.client.clone(), &site.namespace);
    let mut one = map("slim", json!({"a": "1"}));
    one["metadata"]["labels"] = json!({"question": "slim"});
    create(&site.maps(), one).await?;
    let list = api.list(&ListParams::default().labels("question=slim")).await?;
    ensure!(list.items.len() == 1, "{} items", list.items.len());
    let meta = site.maps().get_metadata("slim").await?;
    ensure!(meta.metadata.name.as_deref() == Some("slim"), "{:?}", meta.metadata);
    Ok(())
}
