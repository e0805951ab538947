//! Pods that are lost: killed, deleted, evicted, moved to the other node.
//!
//! Owns: one scenario for each way.
//! Never: tells the operator.

use anyhow::{Context, ensure};
use streamjob_tests::cluster::{Kind, LONG, SOON, Scene, text, with_operator, with_operator_alone};

#[test]
fn a_killed_worker_goes_on_from_its_last_checkpoint() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "killed")?;
        let pod = scene.coordinator()?;

        let before = cluster.kill_container(&pod)?;

        cluster.wait_killed(&pod, before)?;
        scene.wait_progress(SOON)?;
        scene.finish()
    });
}

#[test]
fn a_deleted_pod_is_replaced() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "deleted")?;
        let pod = scene.coordinator()?;

        cluster.delete(Kind::POD, scene.namespace(), text(&pod, "/metadata/name"))?;

        scene.wait_replaced(&pod, LONG)?;
        scene.wait_progress(SOON)?;
        scene.finish()
    });
}

#[test]
fn an_evicted_pod_is_replaced() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "evicted")?;
        let pod = scene.coordinator()?;

        cluster.evict(&pod)?;

        scene.wait_replaced(&pod, LONG)?;
        scene.wait_progress(SOON)?;
        scene.finish()
    });
}

#[test]
fn a_drained_node_gives_its_pods_to_the_other() {
    with_operator_alone(|cluster| {
        let scene = Scene::running(cluster, "drained")?;
        let pod = scene.coordinator()?;
        let node = text(&pod, "/spec/nodeName");

        let said = cluster.drain(node).inspect_err(|_| drop(cluster.uncordon(node)))?;

        let moved = scene.wait_replaced(&pod, LONG);
        cluster.uncordon(node)?;
        let moved = moved.context(said)?;
        ensure!(text(&moved, "/spec/nodeName") != node, "it is on the drained node");
        scene.wait_progress(SOON)?;
        scene.finish()
    });
}
