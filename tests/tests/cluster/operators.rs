//! What happens to the operator: its leader is lost, it is gone altogether.
//!
//! Owns: that jobs do not notice, and that somebody takes over.
//! Never: runs beside tests that need an operator.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use streamjob_tests::cluster::{
    Kind, Kubernetes, LONG, OPERATOR_NAMESPACE, SOON, Scene, text, with_operator_alone,
};

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
        let scale = |replicas: u32| {
            let replicas = format!("--replicas={replicas}");
            cluster
                .kubectl(&["scale", "-n", OPERATOR_NAMESPACE, "deployment/streamjob-operator", &replicas], "")
        };
        let pod = scene.coordinator()?;
        scale(0)?;

        let done = (|| {
            cluster.wait("no operator", SOON, || {
                Ok(cluster.list(Kind::POD, OPERATOR_NAMESPACE, "")?.is_empty().then_some(()))
            })?;
            let before = cluster.kill_container(&pod)?;
            cluster.wait_killed(&pod, before)?;
            scene.wait_progress(SOON)
        })();

        scale(2)?;
        done?;
        scene.wait_condition("Ready", "True", LONG)?;
        ensure!(
            text(&scene.coordinator()?, "/metadata/uid") == text(&pod, "/metadata/uid"),
            "the pod was replaced"
        );
        scene.finish()
    });
}
