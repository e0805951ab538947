//! Checks that refuse a new revision; what ran before runs on.
//!
//! Owns: what a check says.
//! Never: has workers that fail.

use serde_json::{Value, json};
use streamjob_crds::Reason;
use streamjob_tests::fake_cluster::Behaviour;

use super::Act::{Do, Program};
use super::Begins::Running;
use super::{BAD, Remedied, Told, ended_with, mend};
use crate::operator::scene::{NAMESPACE, Scene, text};

const REFUSED: Told = Told::Job("Accepted", "False");

pub(super) const SCENES: &[Remedied] = &[
    // The topic is made, and nobody tells the operator.
    Remedied {
        reason: Reason::TopicMissing,
        told: REFUSED,
        begins: Running,
        trouble: &[Do(|scene| refuse(scene, ended_with(Reason::TopicMissing, false)))],
        remedy: &[Do(mend)],
    },
    // Somebody who does not want to wait asks for it.
    Remedied {
        reason: Reason::TopicMissing,
        told: REFUSED,
        begins: Running,
        trouble: &[Do(|scene| refuse(scene, ended_with(Reason::TopicMissing, false)))],
        remedy: &[Do(mend), Program("restart clicks")],
    },
    // The name of the topic is corrected.
    Remedied {
        reason: Reason::TopicMissing,
        told: REFUSED,
        begins: Running,
        trouble: &[Do(|scene| refuse(scene, ended_with(Reason::TopicMissing, false)))],
        remedy: &[Do(|scene| scene.edit(|spec| spec["workers"] = json!({})))],
    },
    Remedied {
        reason: Reason::SecretMissing,
        told: REFUSED,
        begins: Running,
        trouble: &[Do(|scene| refuse(scene, ended_with(Reason::SecretMissing, false)))],
        remedy: &[Do(mend)],
    },
    Remedied {
        reason: Reason::KafkaDenied,
        told: REFUSED,
        begins: Running,
        trouble: &[Do(|scene| refuse(scene, ended_with(Reason::KafkaDenied, true)))],
        remedy: &[Do(mend)],
    },
    Remedied {
        reason: Reason::CheckFailed,
        told: REFUSED,
        begins: Running,
        trouble: &[Do(|scene| refuse(scene, Some(Value::Null)))],
        remedy: &[Do(mend)],
    },
    Remedied {
        reason: Reason::CheckFailed,
        told: REFUSED,
        begins: Running,
        trouble: &[Do(|scene| refuse(scene, Some(Value::Null)))],
        remedy: &[Do(mend), Do(delete_the_check)],
    },
];

fn refuse(scene: &Scene, check_fails: Option<Value>) {
    scene.cluster.behave(BAD, Behaviour { check_fails, ..Behaviour::default() });
    scene.edit(|spec| spec["workers"] = json!({"image": BAD}));
}

fn delete_the_check(scene: &mut Scene) {
    for job in scene.cluster.server.all("Job") {
        scene.cluster.server.delete("Job", NAMESPACE, &text(&job, "/metadata/name"), None);
    }
}
