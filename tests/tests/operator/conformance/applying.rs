//! Server-side apply, the two halves of an object, generations.
//!
//! Owns: questions about who owns which field.
//! Never: waits for anything.

use anyhow::{Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{Site, apply, code, create, job, map, set, version};

/// A real controller writes into the status of a new set a few times.
const TIMES: usize = 10;

pub(super) async fn the_same_twice_changes_nothing(site: &Site) -> Result<()> {
    let mut last = apply(&site.sets(), "one", &set("same")).await?;
    for _ in 0..TIMES {
        let next = apply(&site.sets(), "one", &set("same")).await?;
        if version(&next) == version(&last) {
            return Ok(());
        }
        last = next;
    }
    anyhow::bail!("the version changed each time")
}

pub(super) async fn what_is_no_longer_sent_goes(site: &Site) -> Result<()> {
    apply(&site.maps(), "one", &map("shrinks", json!({"a": "1", "b": "2"}))).await?;
    let after = apply(&site.maps(), "one", &map("shrinks", json!({"a": "1"}))).await?;
    ensure!(after.data["data"] == json!({"a": "1"}), "{:?}", after.data);
    Ok(())
}

pub(super) async fn what_others_own_stays(site: &Site) -> Result<()> {
    apply(&site.maps(), "one", &map("shared", json!({"a": "1"}))).await?;
    apply(&site.maps(), "two", &map("shared", json!({"b": "2"}))).await?;
    let after = apply(&site.maps(), "one", &map("shared", json!({"c": "3"}))).await?;
    ensure!(after.data["data"] == json!({"b": "2", "c": "3"}), "{:?}", after.data);
    let merge = Patch::Merge(json!({"metadata": {"labels": {"by": "hand"}}}));
    site.maps().patch("shared", &PatchParams::default(), &merge).await?;
    let after = apply(&site.maps(), "one", &map("shared", json!({}))).await?;
    ensure!(after.metadata.labels.is_some_and(|labels| labels.contains_key("by")), "a label of others went");
    Ok(())
}

pub(super) async fn a_field_of_another_is_a_conflict_unless_forced(site: &Site) -> Result<()> {
    apply(&site.maps(), "one", &map("fought", json!({"a": "1"}))).await?;
    let other = map("fought", json!({"a": "2"}));
    let refused = apply(&site.maps(), "two", &other).await;
    let Err(kube::Error::Api(status)) = &refused else { anyhow::bail!("{refused:?}") };
    ensure!(status.code == 409 && !status.is_already_exists(), "{status:?}");
    let forced = PatchParams::apply("two").force();
    let after = site.maps().patch("fought", &forced, &Patch::Apply(&other)).await?;
    ensure!(after.data["data"]["a"] == json!("2"), "{:?}", after.data);
    // The first has lost the field: what it no longer sends stays.
    let after = apply(&site.maps(), "one", &map("fought", json!({}))).await?;
    ensure!(after.data["data"]["a"] == json!("2"), "{:?}", after.data);
    // Both may own what they agree on.
    apply(&site.maps(), "three", &map("fought", json!({"a": "2"}))).await?;
    Ok(())
}

pub(super) async fn lists_are_merged_by_their_keys(site: &Site) -> Result<()> {
    apply(&site.sets(), "one", &set("lists")).await?;
    let mut more = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "lists"},
        "spec": {"template": {"spec": {"containers": [
            {"name": "worker", "env": [{"name": "A", "value": "1"}]},
        ]}}},
    });
    let after = apply(&site.sets(), "two", &more).await?;
    let container = |object: &kube::api::DynamicObject| -> Value {
        object.data["spec"]["template"]["spec"]["containers"][0].clone()
    };
    ensure!(container(&after)["image"] == json!("example.invalid/worker:1"), "{}", container(&after));
    ensure!(container(&after)["env"][0]["value"] == json!("1"), "{}", container(&after));
    more["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "B", "value": "2"}]);
    let after = apply(&site.sets(), "two", &more).await?;
    let names: Vec<Value> =
        container(&after)["env"].as_array().into_iter().flatten().map(|it| it["name"].clone()).collect();
    ensure!(names == [json!("B")], "{names:?}");
    Ok(())
}

pub(super) async fn status_and_spec_are_two_halves(site: &Site) -> Result<()> {
    let made = create(&site.jobs(), job("halves", 1)).await?;
    let merge = Patch::Merge(json!({"status": {"phase": "Running"}}));
    let same = site.jobs().patch("halves", &PatchParams::default(), &merge).await?;
    ensure!(same.data.get("status").is_none(), "the status came through the door of the spec");
    let status = json!({
        "apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJob", "metadata": {"name": "halves"},
        "spec": {"parallelism": 7}, "status": {"phase": "Running", "incarnation": 3},
    });
    let params = PatchParams::apply("status").force();
    let after = site.jobs().patch_status("halves", &params, &Patch::Apply(&status)).await?;
    ensure!(after.data["status"]["incarnation"] == json!(3), "{:?}", after.data);
    ensure!(after.data["spec"]["parallelism"] == json!(1), "the spec came through the door of the status");
    ensure!(after.metadata.generation == made.metadata.generation, "the generation changed with the status");
    // What is no longer sent goes here, too.
    let less = json!({
        "apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJob", "metadata": {"name": "halves"},
        "status": {"phase": "Running"},
    });
    let after = site.jobs().patch_status("halves", &params, &Patch::Apply(&less)).await?;
    ensure!(after.data["status"].get("incarnation").is_none(), "{:?}", after.data);
    Ok(())
}

pub(super) async fn a_generation_counts_changes_of_the_spec(site: &Site) -> Result<()> {
    create(&site.jobs(), job("counted", 1)).await?;
    let change = async |change: Value| {
        site.jobs().patch("counted", &PatchParams::default(), &Patch::Merge(change)).await
    };
    let label = change(json!({"metadata": {"labels": {"a": "b"}}})).await?;
    ensure!(label.metadata.generation == Some(1), "{:?}", label.metadata.generation);
    let spec = change(json!({"spec": {"parallelism": 2}})).await?;
    ensure!(spec.metadata.generation == Some(2), "{:?}", spec.metadata.generation);
    let same = change(json!({"spec": {"parallelism": 2}})).await?;
    ensure!(version(&same) == version(&spec), "nothing changed, and the version did");
    Ok(())
}

pub(super) async fn a_version_in_an_apply_is_a_precondition(site: &Site) -> Result<()> {
    let made = create(&site.jobs(), job("locked", 1)).await?;
    let status = |version: &str, phase: &str| {
        json!({
            "apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJob",
            "metadata": {"name": "locked", "resourceVersion": version}, "status": {"phase": phase},
        })
    };
    let params = PatchParams::apply("status").force();
    let patch = async |version: &str, phase: &str| {
        site.jobs().patch_status("locked", &params, &Patch::Apply(&status(version, phase))).await
    };
    let after = patch(&version(&made), "Starting").await?;
    ensure!(version(&after) != version(&made), "the version did not change");
    let late = patch(&version(&made), "Running").await;
    ensure!(code(&late) == 409, "{late:?}");
    let kept = site.jobs().get("locked").await?;
    ensure!(kept.data["status"]["phase"] == json!("Starting"), "{:?}", kept.data);
    let gone = site.jobs().patch_status("never-was", &params, &Patch::Apply(&status("1", "Running"))).await;
    ensure!(code(&gone) == 404, "{gone:?}");
    Ok(())
}
