//! What happens to the operator: its leader is lost, it is gone altogether, it is newer than the definitions.
//!
//! Owns: that jobs do not notice, and that somebody takes over.
//! Never: runs beside tests that need an operator.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use streamjob_tests::cluster::{
    Kind, Kubernetes, LONG, OPERATOR_NAMESPACE, SOON, Scene, text, with_operator_alone, without_operator,
};
use streamjob_tests::job::built;

/// The name of the pod that leads.
fn leader(cluster: &Kubernetes) -> Result<String> {
    let lease = cluster.get(Kind::LEASE, OPERATOR_NAMESPACE, "streamjob-operator")?.context("no lease")?;
    let holder = text(&lease, "/spec/holderIdentity");
    let pods = cluster.list(Kind::POD, OPERATOR_NAMESPACE, "")?;
    let pod = pods.iter().map(|pod| text(pod, "/metadata/name")).find(|name| holder.contains(name));
    Ok(pod.with_context(|| format!("`{holder}` is no pod"))?.to_owned())
}

#[test]
fn another_operator_takes_over_when_the_leader_is_killed() {
    with_operator_alone(|cluster| {
        let scene = Scene::running(cluster, "leaderless")?;
        let old = scene.coordinator()?;
        let first = leader(cluster)?;
        let pod = cluster.get(Kind::POD, OPERATOR_NAMESPACE, &first)?.context("the leader's pod")?;

        cluster.kill_container(&pod)?;
        cluster.delete(Kind::POD, OPERATOR_NAMESPACE, &first)?;
        scene.change(&json!({"workers": {"template": {"labels": {"example.com/color": "blue"}}}}))?;

        let second = cluster
            .wait("another one leads", LONG, || Ok(leader(cluster).ok().filter(|name| *name != first)))?;
        println!("{first} was the leader, {second} is");
        scene.wait_replaced(&old, LONG)?;
        scene.wait_condition("Ready", "True", LONG)?;
        scene.wait_progress(SOON)?;
        scene.finish()
    });
}

#[test]
fn a_job_runs_and_recovers_without_an_operator() {
    with_operator_alone(|cluster| {
        let scene = Scene::running(cluster, "orphaned")?;
        let pod = scene.coordinator()?;

        cluster.while_no_operator_runs(|| {
            let before = cluster.kill_container(&pod)?;
            cluster.wait_killed(&pod, before)?;
            scene.wait_progress(SOON)
        })?;

        scene.wait_condition("Ready", "True", LONG)?;
        ensure!(
            text(&scene.coordinator()?, "/metadata/uid") == text(&pod, "/metadata/uid"),
            "the pod was replaced"
        );
        scene.finish()
    });
}

#[test]
fn an_operator_that_is_newer_than_the_definitions_says_so_and_does_not_start() {
    without_operator(|cluster| {
        let check = || {
            let arguments = ["check-config", "--namespace", OPERATOR_NAMESPACE, "--worker-image", "any"];
            let done = Command::new(built("streamjob-operator")).args(arguments).output()?;
            anyhow::Ok((done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned()))
        };
        let (works, said) = check()?;
        ensure!(works, "{said}");
        let newest = cluster.kubectl(&["get", "crd", "streamjobs.streamjob.dev", "-o", "json"], "")?;
        let newest: Value = serde_json::from_str(&newest)?;
        let metadata =
            ["name", "labels", "annotations"].map(|part| (part.to_owned(), newest["metadata"][part].clone()));
        let newest = json!({"apiVersion": newest["apiVersion"], "kind": newest["kind"],
            "metadata": Value::Object(metadata.into_iter().collect()), "spec": newest["spec"]});
        // As Helm does it, so that it stays Helm's.
        let apply = |definition: &Value| {
            let how = ["apply", "--server-side", "--field-manager=helm", "--force-conflicts", "-f", "-"];
            cluster.kubectl(&how, &definition.to_string())
        };
        let mut older = newest.clone();
        let fields = older.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties");
        let removed = fields.and_then(Value::as_object_mut).context("fields")?.remove("revisionHistoryLimit");
        ensure!(removed.is_some(), "there is no such field any more");

        apply(&older)?;

        // The server publishes schemas a little later.
        let said = cluster.wait("it says what is missing", SOON, || {
            let (works, said) = check()?;
            Ok((!works).then_some(said))
        });
        apply(&newest)?;
        let said = said?;
        ensure!(said.contains("they lack StreamJob.spec.revisionHistoryLimit, and"), "{said}");
        cluster.wait("it would start again", SOON, || Ok(check()?.0.then_some(())))
    });
}
