//! A job over its life: suspended, resumed, rescaled, saved, restored, deleted.
//!
//! Owns: what is left in the bucket and in the namespace after each.
//! Never: waits for more than a person would.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use streamjob_tests::cluster::{Kind, LONG, SOON, Scene, Shape, text, with_operator};

#[test]
fn a_suspended_job_keeps_nothing_but_its_state_and_resumes() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "suspended")?;

        scene.change(&json!({"suspend": true}))?;

        scene.wait_condition("Suspended", "True", LONG)?;
        scene.wait_condition("Ready", "True", SOON)?;
        cluster.wait("no pods, no sets", SOON, || {
            let pods = cluster.list(Kind::POD, scene.namespace(), "")?;
            let sets = cluster.list(Kind::SET, scene.namespace(), "")?;
            Ok((pods.is_empty() && sets.is_empty()).then_some(()))
        })?;

        scene.change(&json!({"suspend": false}))?;

        scene.wait_progress(LONG)?;
        scene.finish()
    });
}

#[test]
fn kubectl_scale_changes_the_parallelism() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "rescaled")?;

        cluster.kubectl(&["scale", "-n", scene.namespace(), "streamjob/job", "--replicas=3"], "")?;

        scene.wait_condition("Ready", "True", LONG)?;
        let current = "/status/parallelism/current";
        ensure!(scene.job()?.pointer(current).and_then(Value::as_i64) == Some(3), "{}", scene.job()?);
        scene.wait_progress(SOON)?;
        scene.finish()
    });
}

#[test]
fn a_restore_goes_back_to_a_savepoint_and_repeats_what_came_after() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "restored")?;
        let savepoint = json!({"apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJobSavepoint",
            "metadata": {"name": "before", "namespace": scene.namespace()}, "spec": {"streamJobName": Scene::JOB}});
        cluster.kubectl(&["apply", "-f", "-"], &savepoint.to_string())?;
        cluster.kubectl(
            &[
                "wait",
                "-n",
                scene.namespace(),
                "--for=condition=Complete",
                "streamjobsavepoint/before",
                "--timeout=60s",
            ],
            "",
        )?;
        scene.wait_progress(SOON)?;

        scene.change(
            &json!({"restore": {"requestID": "1", "from": "Savepoint", "savepointName": "before"}}),
        )?;

        cluster.wait("the restore is done", LONG, || {
            let job = scene.job()?;
            Ok((text(&job, "/status/completedRestoreRequest") == "1").then_some(()))
        })?;
        scene.wait_progress(LONG)?;
        let repeated = scene.finish_repeating()?;
        ensure!(repeated > 0, "nothing was repeated: it did not go back");
        Ok(())
    });
}

#[test]
fn a_deleted_job_that_is_made_again_goes_on() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "retained")?;

        cluster.delete(Kind::JOB, scene.namespace(), Scene::JOB)?;

        cluster.wait_gone(Kind::JOB, scene.namespace(), Scene::JOB, LONG)?;
        cluster.wait("no pods", LONG, || Ok(scene.all_pods()?.is_empty().then_some(())))?;
        scene.apply(&Shape::default())?;
        scene.wait_progress(LONG)?;
        scene.finish()
    });
}

#[test]
fn a_job_that_is_deleted_with_its_state_leaves_a_tombstone_only() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "removed")?;
        scene.change(&json!({"deletion": {"state": "Delete"}}))?;
        scene.wait_condition("Ready", "True", LONG)?;
        ensure!(!scene.objects("data")?.is_empty(), "there is no state in the bucket");

        cluster.delete(Kind::JOB, scene.namespace(), Scene::JOB)?;

        cluster.wait_gone(Kind::JOB, scene.namespace(), Scene::JOB, LONG)?;
        let (left, log) = (scene.objects("data")?, scene.objects("log")?);
        ensure!(left.is_empty(), "state is left: {left:?}; {log:?}");
        ensure!(log.len() == 1, "the tombstone, and nothing else: {log:?}");
        Ok(())
    });
}

#[test]
fn a_namespace_with_jobs_can_be_deleted() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "terminated")?;
        scene.change(&json!({"deletion": {"state": "Delete"}}))?;
        scene.wait_condition("Ready", "True", LONG)?;

        cluster.delete(Kind::NAMESPACE, "", scene.namespace())?;

        cluster.wait_gone(Kind::NAMESPACE, "", scene.namespace(), LONG).context("a finalizer holds it")
    });
}
