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

#[test]
fn an_upgrade_that_cannot_work_is_refused_while_the_job_runs_on() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "refused")?;
        let old = scene.coordinator()?;

        // Other windows than those that the state holds.
        scene.change(&json!({"pipeline": {"window": {"tumbling": {"size": "3s"}}}}))?;

        let stalled = scene.wait_condition("Stalled", "True", LONG)?;
        ensure!(text(&stalled, "/reason") == "StateIncompatible", "{stalled}");
        scene.wait_progress(SOON)?;
        ensure!(
            text(&scene.coordinator()?, "/metadata/uid") == text(&old, "/metadata/uid"),
            "the old pod is gone"
        );

        scene.change(&json!({"pipeline": {"window": {"tumbling": {"size": "1000ms"}}}}))?;

        scene.wait_condition("Ready", "True", LONG)?;
        ensure!(
            text(&scene.coordinator()?, "/metadata/uid") == text(&old, "/metadata/uid"),
            "the old pod is gone"
        );
        scene.finish()
    });
}
