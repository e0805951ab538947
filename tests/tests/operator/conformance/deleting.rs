//! Deletions: preconditions, finalizers, dependents.
//!
//! Owns: questions about how an object ends.
//! Never: waits longer than a few seconds.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use serde_json::json;

use super::{Site, code, create, job, map};

pub(super) async fn a_deletion_is_of_the_object_that_was_meant(site: &Site) -> Result<()> {
    let made = create(&site.maps(), map("meant", json!({}))).await?;
    let of = |uid: Option<String>| DeleteParams {
        preconditions: Some(Preconditions { uid, resource_version: None }),
        ..DeleteParams::default()
    };
    let other = of(Some("00000000-0000-4000-8000-ffffffffffff".to_owned()));
    ensure!(code(&site.maps().delete("meant", &other).await) == 409, "another uid");
    site.maps().delete("meant", &of(made.metadata.uid)).await?;
    ensure!(site.maps().get_opt("meant").await?.is_none(), "it is still there");
    ensure!(code(&site.maps().delete("meant", &DeleteParams::default()).await) == 404);
    Ok(())
}

pub(super) async fn a_finalizer_holds_an_object_back(site: &Site) -> Result<()> {
    let mut held = job("held-back", 1);
    held["metadata"]["finalizers"] = json!(["streamjob.dev/question"]);
    create(&site.jobs(), held).await?;
    site.jobs().delete("held-back", &DeleteParams::default()).await?;
    let found = site.jobs().get("held-back").await?;
    ensure!(found.metadata.deletion_timestamp.is_some(), "it does not say that it goes");
    ensure!(
        found.metadata.generation == Some(2),
        "the generation of a deletion: {:?}",
        found.metadata.generation
    );
    let more = json!({"metadata": {"finalizers": ["streamjob.dev/question", "streamjob.dev/late"]}});
    let refused = site.jobs().patch("held-back", &PatchParams::default(), &Patch::Merge(more)).await;
    ensure!(code(&refused) == 422, "a new finalizer: {refused:?}");
    let none = json!({"metadata": {"finalizers": []}});
    site.jobs().patch("held-back", &PatchParams::default(), &Patch::Merge(none)).await?;
    ensure!(site.jobs().get_opt("held-back").await?.is_none(), "it is still there");
    Ok(())
}

pub(super) async fn what_belongs_to_a_deleted_object_goes(site: &Site) -> Result<()> {
    let owner = create(&site.maps(), map("owner", json!({}))).await?;
    let mut child = map("child", json!({}));
    child["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid, "controller": true,
    }]);
    create(&site.maps(), child).await?;
    let params =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    site.maps().delete("owner", &params).await?;
    for _ in 0..100 {
        if site.maps().get_opt("child").await?.is_none() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the child is still there")
}
