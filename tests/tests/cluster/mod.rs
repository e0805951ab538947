//! Jobs on a real Kubernetes, from `kubectl apply` to results, through everything that happens to pods there.
//!
//! Owns: the scenarios; each proves that its fault happened, and that each row is in the results exactly once.
//! Never: looks at what the operator thinks; only at objects, topics and the bucket.

mod charts;
mod conformance;
mod crashes;
mod lifecycle;
mod losses;
mod many;
mod operators;
mod remedies;
mod rights;
mod rules;
mod upgrades;

use std::time::Duration;

use streamjob_tests::cluster::{SOON, Scene, Shape, with_operator};

#[test]
fn an_applied_job_runs_and_publishes_each_row_once() {
    with_operator(|cluster| {
        let scene = Scene::new(cluster, "applied")?;
        scene.feed();

        scene.apply(&Shape::default())?;

        scene.wait_condition("Available", "True", SOON)?;
        scene.wait_progress(SOON)?;
        scene.wait_condition("Ready", "True", Duration::from_secs(10))?;
        scene.finish()
    });
}
