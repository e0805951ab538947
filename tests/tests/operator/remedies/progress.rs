//! Jobs that run and get no further: checkpoints, hand-overs, upgrades.
//!
//! Owns: what is done once in a while, and does not get done.
//! Never: waits for a default that takes a quarter of an hour.

use serde_json::json;
use streamjob_crds::Reason;
use streamjob_tests::fake_cluster::Behaviour;

use super::Act::{Do, Program, Until};
use super::Begins::{Empty, Running};
use super::spec::ask_for_more;
use super::{BAD, Remedied, Told, behave, create, ended_with, mend};
use crate::operator::scene::Scene;

const STALLED: Told = Told::Job("Stalled", "True");
const UNHEALTHY: Told = Told::Job("CheckpointsHealthy", "False");

pub(super) const SCENES: &[Remedied] = &[
    Remedied {
        reason: Reason::CheckpointsFailing,
        told: UNHEALTHY,
        begins: Empty,
        trouble: &[
            Do(|scene| create(scene, |spec| spec["state"]["checkpoint"] = json!({"timeout": "30s"}))),
            Until(Scene::is_at_rest),
            Do(stop_checkpoints),
        ],
        remedy: &[Do(mend)],
    },
    Remedied {
        reason: Reason::CheckpointsOverdue,
        told: UNHEALTHY,
        begins: Empty,
        trouble: &[
            Do(|scene| create(scene, |spec| spec["recovery"] = json!({"checkpointDeadline": "1m"}))),
            Until(Scene::is_at_rest),
            Do(stop_checkpoints),
            // They were started once more, which does not help.
            Until(|scene| scene.status("/incarnation") == json!(2)),
        ],
        remedy: &[Do(mend)],
    },
    Remedied {
        reason: Reason::HandoverFailed,
        told: STALLED,
        begins: Empty,
        trouble: &[Do(|scene| create_strict(scene, "Wait")), Until(Scene::is_at_rest), Do(fail_handovers)],
        remedy: &[Do(mend)],
    },
    Remedied {
        reason: Reason::HandoverFailed,
        told: STALLED,
        begins: Empty,
        trouble: &[Do(|scene| create_strict(scene, "Fail")), Until(Scene::is_at_rest), Do(fail_handovers)],
        remedy: &[Do(mend), Program("restart clicks")],
    },
    // Rows since the latest checkpoint may be read again.
    Remedied {
        reason: Reason::HandoverFailed,
        told: STALLED,
        begins: Empty,
        trouble: &[Do(|scene| create_strict(scene, "Wait")), Until(Scene::is_at_rest), Do(fail_handovers)],
        remedy: &[Do(|scene| {
            scene.edit(|spec| spec["upgrade"]["whenUnhealthy"] = json!("UseLatestCheckpoint"));
        })],
    },
    Remedied {
        reason: Reason::ProgressDeadlineExceeded,
        told: STALLED,
        begins: Empty,
        trouble: &[Do(|scene| {
            behave(scene, Behaviour { waits_at_start: true, ..Behaviour::default() });
            create(scene, |_| {});
        })],
        remedy: &[Do(mend)],
    },
    // The world is mended, and the same spec is tried again.
    Remedied {
        reason: Reason::RolledBack,
        told: STALLED,
        begins: Running,
        trouble: &[Do(upgrade_to_bad)],
        remedy: &[Do(mend), Program("restart clicks")],
    },
    Remedied {
        reason: Reason::RolledBack,
        told: STALLED,
        begins: Running,
        trouble: &[Do(upgrade_to_bad)],
        remedy: &[Do(|scene| scene.edit(|spec| spec["workers"] = json!({})))],
    },
    Remedied {
        reason: Reason::RollbackUnsafe,
        told: STALLED,
        begins: Running,
        trouble: &[
            Do(|scene| {
                let fails_running = ended_with(Reason::BadRecord, false);
                scene.cluster.behave(BAD, Behaviour { fails_running, ..Behaviour::default() });
                scene.edit(|spec| {
                    spec["pipeline"]["sink"] = json!({"stdout": {}});
                    spec["workers"] = json!({"image": BAD});
                });
            }),
            Until(|scene| scene.condition("Stalled") == "True RollbackUnsafe"),
            Do(fail_at_start),
        ],
        remedy: &[Do(|scene| scene.edit(|spec| spec["workers"] = json!({})))],
    },
];

fn stop_checkpoints(scene: &mut Scene) {
    behave(scene, Behaviour { no_checkpoints: true, ..Behaviour::default() });
}

fn create_strict(scene: &Scene, when_unhealthy: &'static str) {
    create(scene, |spec| spec["upgrade"]["handoverTimeout"] = json!("30s"));
    scene.edit(|spec| spec["upgrade"]["whenUnhealthy"] = json!(when_unhealthy));
}

fn fail_handovers(scene: &mut Scene) {
    behave(scene, Behaviour { cannot_stop: true, ..Behaviour::default() });
    ask_for_more(scene);
}

fn fail_at_start(scene: &mut Scene) {
    let fails_at_start = ended_with(Reason::BadRecord, false);
    scene.cluster.behave(BAD, Behaviour { fails_at_start, ..Behaviour::default() });
}

fn upgrade_to_bad(scene: &mut Scene) {
    let fails_at_start = ended_with(Reason::TopicMissing, false);
    scene.cluster.behave(BAD, Behaviour { fails_at_start, ..Behaviour::default() });
    scene.edit(|spec| spec["workers"] = json!({"image": BAD}));
}
