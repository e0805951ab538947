//! A spec that changes under a running job: taken, refused, or taken back.
//!
//! Owns: what becomes of the old pods, and of the rows meanwhile.
//! Never: calls an upgrade good that has lost or doubled a row.

use anyhow::ensure;
use serde_json::{Value, json};
use streamjob_tests::cluster::{LONG, SOON, Scene, text, with_operator};

fn label(value: &str) -> Value {
    json!({"workers": {"template": {"labels": {"example.com/color": value}}}})
}

#[test]
fn an_upgrade_hands_over_at_a_final_checkpoint() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "upgraded")?;
        let old = scene.coordinator()?;
        let before = scene.incarnation()?;

        scene.change(&label("blue"))?;

        scene.wait_replaced(&old, LONG)?;
        scene.wait_condition("Ready", "True", LONG)?;
        let new = scene.coordinator()?;
        ensure!(
            text(&new, "/metadata/labels/example.com~1color") == "blue",
            "the new pod has the old template"
        );
        ensure!(scene.incarnation()? > before, "incarnations only grow");
        scene.wait_progress(SOON)?;
        scene.finish()
    });
}

/// Changes that cannot work: why, the change, and what takes it back.
fn wrong(name: &str) -> [(&'static str, Value, Value); 7] {
    let credentials = |name: &str| json!({"state": {"location": {"credentials": {"name": name}}}});
    let sink = |topic: &str| json!({"pipeline": {"sink": {"kafka": {"topic": topic}}}});
    let key = |column: &str| json!({"pipeline": {"keyBy": [column]}});
    // Other windows than those that the state holds.
    let window = |size: &str| json!({"pipeline": {"window": {"tumbling": {"size": size}}}});
    let image = |image: Value| json!({"workers": {"image": image}});
    let template = |template: Value| json!({"workers": {"template": template}});
    [
        ("InvalidSpec", key("nothing"), key("key")),
        ("PodTemplateRejected", template(json!({"priorityClassName": "nothing"})), template(Value::Null)),
        ("ImagePullFailed", image(json!("example.invalid/no-such-image:1")), image(Value::Null)),
        ("SecretMissing", credentials("nothing"), credentials("store")),
        ("StoreDenied", credentials("wrong-keys"), credentials("store")),
        ("TopicMissing", sink("nothing"), sink(name)),
        ("StateIncompatible", window("3s"), window("1000ms")),
    ]
}

#[test]
fn an_upgrade_that_cannot_work_is_refused_while_the_job_runs_on() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "refused")?;
        let old = scene.coordinator()?;
        let keys = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong-keys", "namespace": scene.namespace()},
            "stringData": {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"},
        });
        cluster.kubectl(&["apply", "-f", "-"], &keys.to_string())?;
        let is_old = || {
            let now = scene.coordinator()?;
            ensure!(text(&now, "/metadata/uid") == text(&old, "/metadata/uid"), "the old pod is gone");
            scene.wait_progress(SOON)
        };

        for (reason, change, undo) in wrong(&scene.out()) {
            scene.change(&change)?;

            let told = cluster.wait(&format!("refused: {reason}"), LONG, || {
                let refused = scene.wait_condition("Accepted", "False", LONG)?;
                Ok((text(&refused, "/reason") == reason).then_some(refused))
            })?;
            println!("{}", text(&told, "/message"));
            is_old()?;

            scene.change(&undo)?;

            scene.wait_condition("Ready", "True", LONG)?;
            is_old()?;
        }
        scene.finish()
    });
}

#[test]
fn a_revision_whose_workers_crash_is_rolled_back_to_the_last_good_one() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "crashing")?;
        scene.change(&json!({"upgrade": {"rollback": {"progressDeadline": "15s"}}}))?;
        scene.wait_condition("Ready", "True", SOON)?;
        let good = text(&scene.job()?, "/status/revisions/current").to_owned();
        let before = scene.incarnation()?;

        // The first row that is read ends the process, each time.
        let killing = json!([{"name": "STREAMJOB_FAIL_POINT", "value": "source.batch=kill"}]);
        scene.change(&json!({"workers": {"template": {"environment": killing}}}))?;

        let restarts = cluster.wait("the new workers crash", LONG, || {
            let new = scene.pods()?.into_iter().find(|pod| number(pod) > before);
            let restarts = new.as_ref().and_then(|pod| {
                pod.pointer("/status/containerStatuses/0/restartCount").and_then(Value::as_u64)
            });
            Ok(restarts.filter(|restarts| *restarts > 0))
        })?;
        println!("{restarts} restarts of the new revision's worker");
        let stalled = scene.wait_condition("Stalled", "True", LONG)?;
        ensure!(text(&stalled, "/reason") == "RolledBack", "{stalled}");
        scene.wait_condition("Available", "True", LONG)?;
        let job = scene.job()?;
        ensure!(text(&job, "/status/revisions/current") == good, "{job}");
        ensure!(scene.incarnation()? > before + 1, "the good revision has no incarnation of its own: {job}");
        scene.wait_progress(SOON)?;

        // The remedy: the field that made it fail is corrected.
        scene.change(&json!({"workers": {"template": {"environment": null}}}))?;

        scene.wait_condition("Ready", "True", LONG)?;
        scene.wait_condition("Stalled", "False", SOON)?;
        scene.wait_progress(SOON)?;
        scene.finish()
    });
}

/// The incarnation of a pod.
fn number(pod: &Value) -> i64 {
    text(pod, "/metadata/labels/streamjob.dev~1incarnation").parse().unwrap_or(0)
}
