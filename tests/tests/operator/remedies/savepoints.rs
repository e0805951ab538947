//! Savepoints that fail; another one is complete once the cause is mended.
//!
//! Owns: asking for savepoints.
//! Never: expects one that has failed to become complete.

use serde_json::json;
use streamjob_crds::Reason;
use streamjob_tests::fake_cluster::Behaviour;

use super::Act::{Do, Program, Until};
use super::Begins::{Empty, Running};
use super::{ANOTHER, Remedied, Told, behave, create, mend, savepoint_of};
use crate::operator::scene::{JOB, NAMESPACE, Scene, condition_of};

const FIRST: &str = "first";
const FAILED: Told = Told::Savepoint(FIRST, "Failed", "True");

pub(super) const SCENES: &[Remedied] = &[
    Remedied {
        reason: Reason::SavepointFailed,
        told: FAILED,
        begins: Running,
        trouble: &[Do(|scene| {
            behave(scene, Behaviour { savepoints_fail: true, ..Behaviour::default() });
            ask_for(scene, FIRST, JOB, "30m");
        })],
        remedy: &[Do(mend), Do(|scene| ask_for(scene, ANOTHER, JOB, "30m"))],
    },
    Remedied {
        reason: Reason::JobNotFound,
        told: FAILED,
        begins: Running,
        trouble: &[Do(|scene| ask_for(scene, FIRST, "klicks", "1m"))],
        remedy: &[Do(|scene| ask_for(scene, ANOTHER, JOB, "30m"))],
    },
    // The job comes after its savepoint.
    Remedied {
        reason: Reason::JobNotFound,
        told: Told::Savepoint(ANOTHER, "Reconciling", "True"),
        begins: Empty,
        trouble: &[Do(|scene| ask_for(scene, ANOTHER, JOB, "30m"))],
        remedy: &[Do(|scene| create(scene, |_| {}))],
    },
    Remedied {
        reason: Reason::JobStopped,
        told: FAILED,
        begins: Running,
        trouble: &[
            Do(|scene| ask_for(scene, FIRST, JOB, "30m")),
            Until(|scene| condition_of(&savepoint_of(scene, FIRST), "Reconciling") == "True InProgress"),
            Do(|scene| scene.edit(|spec| spec["suspend"] = json!(true))),
        ],
        remedy: &[Program("resume clicks"), Do(|scene| ask_for(scene, ANOTHER, JOB, "30m"))],
    },
    Remedied {
        reason: Reason::DeadlineExceeded,
        told: FAILED,
        begins: Empty,
        trouble: &[Do(|scene| {
            behave(scene, Behaviour { waits_at_start: true, ..Behaviour::default() });
            create(scene, |_| {});
            ask_for(scene, FIRST, JOB, "30s");
        })],
        remedy: &[Do(mend), Do(|scene| ask_for(scene, ANOTHER, JOB, "30m"))],
    },
];

pub(super) fn ask_for(scene: &Scene, name: &str, job: &str, timeout: &str) {
    let savepoint = json!({
        "apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJobSavepoint",
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"streamJobName": job, "timeout": timeout},
    });
    scene.cluster.server.put("StreamJobSavepoint", NAMESPACE, savepoint);
}
