//! Pods that do not start.
//!
//! Owns: images, nodes, quotas.
//! Never: has a worker that fails.

use serde_json::{Value, json};
use streamjob_crds::Reason;
use streamjob_tests::fake_cluster::Behaviour;

use super::Act::Do;
use super::Begins::Empty;
use super::{BAD, Remedied, Told, behave, create, is_second, mend};
use crate::operator::scene::Scene;

const UNAVAILABLE: Told = Told::Job("Available", "False");

pub(super) const SCENES: &[Remedied] = &[
    // The name of the image is corrected.
    Remedied {
        reason: Reason::ImagePullFailed,
        told: UNAVAILABLE,
        begins: Empty,
        trouble: &[Do(name_a_missing_image)],
        remedy: &[Do(|scene| scene.edit(|spec| spec["workers"] = json!({})))],
    },
    // Somebody pushes it.
    Remedied {
        reason: Reason::ImagePullFailed,
        told: Told::Job("Stalled", "True"),
        begins: Empty,
        trouble: &[Do(name_a_missing_image)],
        remedy: &[Do(mend)],
    },
    Remedied {
        reason: Reason::Unschedulable,
        told: UNAVAILABLE,
        begins: Empty,
        trouble: &[Do(|scene| {
            let unschedulable = Behaviour { unschedulable: true, ..Behaviour::default() };
            behave(scene, unschedulable);
            create(scene, |_| {});
        })],
        remedy: &[Do(mend)],
    },
    Remedied {
        reason: Reason::Unschedulable,
        told: Told::Job("Stalled", "True"),
        begins: Empty,
        trouble: &[Do(|scene| {
            let spared: Option<fn(&Value) -> bool> = Some(is_second);
            behave(scene, Behaviour { unschedulable: true, spared, ..Behaviour::default() });
            create(scene, |_| {});
        })],
        remedy: &[Do(|scene| {
            scene.edit(|spec| spec["workers"] = json!({"resources": {"requests": {"cpu": "100m"}}}))
        })],
    },
    Remedied {
        reason: Reason::PodsMissing,
        told: UNAVAILABLE,
        begins: Empty,
        trouble: &[Do(refuse_pods)],
        remedy: &[Do(mend)],
    },
    Remedied {
        reason: Reason::PodsMissing,
        told: Told::Job("Stalled", "True"),
        begins: Empty,
        trouble: &[Do(refuse_pods)],
        remedy: &[Do(mend)],
    },
];

fn name_a_missing_image(scene: &mut Scene) {
    scene.cluster.behave(BAD, Behaviour { image_missing: true, ..Behaviour::default() });
    create(scene, |spec| spec["workers"] = json!({"image": BAD}));
}

fn refuse_pods(scene: &mut Scene) {
    behave(scene, Behaviour { pods_refused: true, ..Behaviour::default() });
    create(scene, |_| {});
}
