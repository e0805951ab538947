//! Specs that are refused, and jobs that somebody paused.
//!
//! Owns: what is wrong with the spec or the names around it.
//! Never: has a worker that fails.

use serde_json::{Value, json};
use streamjob_crds::Reason;
use streamjob_tests::api_server::faults::{Call, Effect};

use super::Act::{Do, Program, Until};
use super::Begins::{Empty, Running};
use super::{ANOTHER, Remedied, Told, create, savepoint_of};
use crate::operator::scene::{JOB, NAMESPACE, Scene, condition_of};

const REFUSED: Told = Told::Job("Accepted", "False");

pub(super) const SCENES: &[Remedied] = &[
    Remedied {
        reason: Reason::Paused,
        told: Told::Job("Ready", "False"),
        begins: Running,
        trouble: &[Do(|scene| pause(scene, true)), Do(ask_for_more)],
        remedy: &[Do(|scene| pause(scene, false))],
    },
    Remedied {
        reason: Reason::NotAccepted,
        told: Told::Job("Ready", "False"),
        begins: Running,
        trouble: &[Do(|scene| scene.edit(|spec| spec["pipeline"]["keyBy"] = json!(["no-such-column"])))],
        remedy: &[Do(|scene| scene.edit(|spec| spec["pipeline"]["keyBy"] = json!(["key"])))],
    },
    Remedied {
        reason: Reason::InvalidSpec,
        told: REFUSED,
        begins: Empty,
        trouble: &[Do(|scene| create(scene, |spec| spec["parallelism"] = json!(0)))],
        remedy: &[Do(|scene| scene.edit(|spec| spec["parallelism"] = json!(2)))],
    },
    Remedied {
        reason: Reason::PipelineRejected,
        told: REFUSED,
        begins: Empty,
        trouble: &[Do(|scene| {
            create(scene, |spec| spec["pipeline"]["transforms"] = json!([{"where": "keys > 0"}]))
        })],
        remedy: &[Do(|scene| {
            scene.edit(|spec| spec["pipeline"]["transforms"] = json!([{"where": "key > 0"}]))
        })],
    },
    Remedied {
        reason: Reason::TooManyWorkers,
        told: REFUSED,
        begins: Empty,
        trouble: &[Do(|scene| create(scene, |spec| spec["workers"] = json!({"slots": 1})))],
        remedy: &[Do(|scene| scene.edit(|spec| spec["workers"]["slots"] = json!(2)))],
    },
    Remedied {
        reason: Reason::StateIncompatible,
        told: REFUSED,
        begins: Running,
        trouble: &[Do(|scene| {
            scene.edit(|spec| spec["pipeline"]["window"] = json!({"tumbling": {"size": "1m"}}))
        })],
        remedy: &[Do(|scene| {
            scene.edit(|spec| spec["pipeline"]["window"] = json!({"tumbling": {"size": "10s"}}))
        })],
    },
    // The old state is given up.
    Remedied {
        reason: Reason::StateIncompatible,
        told: REFUSED,
        begins: Running,
        trouble: &[Do(|scene| {
            scene.edit(|spec| spec["pipeline"]["window"] = json!({"tumbling": {"size": "1m"}}))
        })],
        remedy: &[Program("restore clicks --from Nothing --allow-state-loss")],
    },
    Remedied {
        reason: Reason::PodTemplateRejected,
        told: REFUSED,
        begins: Running,
        trouble: &[Do(|scene| scene.edit(|spec| spec["workers"] = label(&"x".repeat(64))))],
        remedy: &[Do(|scene| scene.edit(|spec| spec["workers"] = label("x")))],
    },
    // The quota gets more room: nobody touches the spec.
    Remedied {
        reason: Reason::PodTemplateRejected,
        told: REFUSED,
        begins: Running,
        trouble: &[Do(|scene| refuse(scene, |call| call.kind == "Pod" && call.dry_run)), Do(ask_for_more)],
        remedy: &[Do(|scene| scene.cluster.server.faults().clear())],
    },
    Remedied {
        reason: Reason::PodTemplateRejected,
        told: Told::Job("Stalled", "True"),
        begins: Empty,
        trouble: &[
            Do(|scene| refuse(scene, |call| call.kind == "StatefulSet" && call.is_write())),
            Do(|scene| create(scene, |_| {})),
        ],
        remedy: &[Do(|scene| scene.cluster.server.faults().clear())],
    },
    Remedied {
        reason: Reason::NameConflict,
        told: REFUSED,
        begins: Empty,
        trouble: &[Do(take_a_name), Do(|scene| create(scene, |_| {}))],
        remedy: &[Do(|scene| {
            scene.cluster.server.delete("Service", NAMESPACE, &format!("{JOB}-workers"), None);
        })],
    },
    Remedied {
        reason: Reason::SavepointNotFound,
        told: REFUSED,
        begins: Running,
        trouble: &[
            Do(|scene| super::savepoints::ask_for(scene, ANOTHER, JOB, "30m")),
            Until(|scene| condition_of(&savepoint_of(scene, ANOTHER), "Complete").starts_with("True")),
            Do(|scene| {
                let restore = json!({"requestID": "r1", "from": "Savepoint", "savepointName": "an other"});
                scene.edit(|spec| spec["restore"] = restore);
            }),
        ],
        remedy: &[Do(|scene| scene.edit(|spec| spec["restore"]["savepointName"] = json!(ANOTHER)))],
    },
];

fn label(value: &str) -> Value {
    json!({"template": {"labels": {"example.com/color": value}}})
}

fn pause(scene: &Scene, is_paused: bool) {
    scene.cluster.server.edit("StreamJob", (NAMESPACE, JOB), false, |job| {
        let annotations = if is_paused { json!({"streamjob.dev/reconcile": "paused"}) } else { json!({}) };
        job["metadata"]["annotations"] = annotations;
    });
}

pub(super) fn ask_for_more(scene: &mut Scene) {
    scene.edit(|spec| spec["pipeline"]["eventTime"]["maxOutOfOrderness"] = json!("7s"));
}

fn refuse(scene: &Scene, calls: fn(&Call) -> bool) {
    scene.cluster.server.faults().plan(usize::MAX, Effect::Refuse(403, None), calls);
}

fn take_a_name(scene: &mut Scene) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("{JOB}-workers"), "namespace": NAMESPACE},
        "spec": {"ports": [{"port": 80}]},
    });
    scene.cluster.server.put("Service", NAMESPACE, service);
}
