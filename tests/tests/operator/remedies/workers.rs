//! Workers that end and say why.
//!
//! Owns: what a restart of the container mends once the world is mended, and what takes another spec.
//! Never: touches a pod.

use serde_json::{Value, json};
use streamjob_crds::Reason;
use streamjob_tests::fake_cluster::Behaviour;

use super::Act::{Do, Printed, Until};
use super::Begins::{Empty, Running};
use super::state::fail;
use super::{Remedied, Told, behave, create, ended_with, is_second, mend};
use crate::operator::scene::Scene;

const STALLED: Told = Told::Job("Stalled", "True");
const UNAVAILABLE: Told = Told::Job("Available", "False");

/// A first start that waits for somebody outside, who does what is needed.
macro_rules! mended_outside {
    ($reason:ident, $told:ident, $retryable:literal) => {
        Remedied {
            reason: Reason::$reason,
            told: $told,
            begins: Empty,
            trouble: &[Do(|scene| {
                start_with(scene, ended_with(Reason::$reason, $retryable));
            })],
            remedy: &[Do(mend)],
        }
    };
}

pub(super) const SCENES: &[Remedied] = &[
    mended_outside!(StoreUnavailable, UNAVAILABLE, true),
    mended_outside!(StoreDenied, UNAVAILABLE, true),
    mended_outside!(KafkaUnavailable, UNAVAILABLE, true),
    // At its deadline a start that waits is told once more.
    mended_outside!(KafkaUnavailable, STALLED, true),
    mended_outside!(KafkaDenied, UNAVAILABLE, true),
    mended_outside!(TopicMissing, STALLED, false),
    mended_outside!(SinkBlocked, UNAVAILABLE, true),
    mended_outside!(SinkProgressUnknown, UNAVAILABLE, true),
    mended_outside!(SecretMissing, STALLED, false),
    Remedied {
        reason: Reason::BadRecord,
        told: STALLED,
        begins: Running,
        trouble: &[Do(|scene| fail(scene, Reason::BadRecord, is_second))],
        remedy: &[Do(|scene| {
            scene.edit(|spec| spec["pipeline"]["source"]["badRecords"] = json!({"action": "Skip"}))
        })],
    },
    Remedied {
        reason: Reason::UnsupportedImage,
        told: STALLED,
        begins: Empty,
        trouble: &[Do(|scene| start_with(scene, ended_with(Reason::UnsupportedImage, false)))],
        remedy: &[Do(use_another_image)],
    },
    Remedied {
        reason: Reason::Internal,
        told: UNAVAILABLE,
        begins: Empty,
        trouble: &[Do(|scene| start_with(scene, ended_with(Reason::Internal, true)))],
        remedy: &[Do(use_another_image)],
    },
    Remedied {
        reason: Reason::ConfigurationInvalid,
        told: STALLED,
        begins: Empty,
        trouble: &[
            Do(|scene| start_with(scene, ended_with(Reason::ConfigurationInvalid, false))),
            Until(|scene| scene.condition("Stalled").starts_with("True")),
            Do(|scene| scene.upgrade_operator("example.invalid/worker:2")),
        ],
        remedy: &[Printed("")],
    },
    // It was killed, and could not say why.
    Remedied {
        reason: Reason::CrashLooping,
        told: UNAVAILABLE,
        begins: Empty,
        trouble: &[Do(|scene| {
            let fails_at_start = Some(Value::Null);
            let spared: Option<fn(&Value) -> bool> = Some(super::has_memory);
            behave(scene, Behaviour { fails_at_start, spared, ..Behaviour::default() });
            create(scene, |_| {});
        })],
        remedy: &[Do(super::give_memory)],
    },
    Remedied {
        reason: Reason::RestartsExhausted,
        told: STALLED,
        begins: Empty,
        trouble: &[
            Do(|scene| {
                create(scene, |spec| spec["recovery"] = json!({"maxRestarts": 1, "healthyAfter": "1m"}))
            }),
            Until(Scene::is_at_rest),
            Do(|scene| {
                let fails_running = ended_with(Reason::KafkaUnavailable, true);
                behave(scene, Behaviour { fails_running, ..Behaviour::default() });
            }),
        ],
        remedy: &[Do(mend)],
    },
];

fn start_with(scene: &Scene, fails_at_start: Option<Value>) {
    behave(scene, Behaviour { fails_at_start, ..Behaviour::default() });
    create(scene, |_| {});
}

fn use_another_image(scene: &mut Scene) {
    scene.edit(|spec| spec["workers"] = json!({"image": "example.invalid/worker:2"}));
}
