//! Workers that cannot use the state, the input or the sink that they find.
//!
//! Owns: logs that are another's or gone, and what workers say of the rest.
//! Never: restores by an edit where the runbook has a command.

use serde_json::{Value, json};
use streamjob_crds::Reason;
use streamjob_tests::fake_cluster::Behaviour;
use streamjob_tests::fake_cluster::log::{Log, StartAs};

use super::Act::{Do, Printed, Program, Until};
use super::Begins::{Empty, Running};
use super::{
    ANOTHER, Remedied, Told, behave, create, ended_with, is_asked_for, is_restored, number_of, savepoint_of,
};
use crate::operator::scene::{JOB, NAMESPACE, STATE, Scene, condition_of, text};

const STALLED: Told = Told::Job("Stalled", "True");
/// Where a log is meanwhile.
const ELSEWHERE: &str = "elsewhere";

pub(super) const SCENES: &[Remedied] = &[
    Remedied {
        reason: Reason::StateOwned,
        told: STALLED,
        begins: Empty,
        trouble: &[Do(own_by_another), Do(|scene| create(scene, |_| {}))],
        remedy: &[
            Do(|scene| scene.cluster.server.delete("StreamJob", NAMESPACE, JOB, None)),
            Until(|scene| scene.job().is_null() && scene.cluster.server.all("Pod").is_empty()),
            Do(|scene| create(scene, |spec| spec["state"]["id"] = json!("analytics.clicks-2"))),
        ],
    },
    // The store had shown an old copy.
    Remedied {
        reason: Reason::StateMissing,
        told: STALLED,
        begins: Running,
        trouble: &[Do(suspend), Until(is_suspended), Do(|scene| swap(scene)), Do(resume)],
        remedy: &[Do(|scene| swap(scene))],
    },
    // The state is lost for good.
    Remedied {
        reason: Reason::StateMissing,
        told: STALLED,
        begins: Running,
        trouble: &[Do(suspend), Until(is_suspended), Do(|scene| swap(scene)), Do(resume)],
        remedy: &[Program("restore clicks --from Nothing --allow-state-loss")],
    },
    Remedied {
        reason: Reason::StateMissing,
        told: STALLED,
        begins: Running,
        trouble: &[
            Do(take_savepoint),
            Until(has_savepoint),
            Do(suspend),
            Until(is_suspended),
            Do(|scene| swap(scene)),
            Do(resume),
        ],
        remedy: &[Program("restore clicks --from Savepoint --savepoint another")],
    },
    Remedied {
        reason: Reason::StateExists,
        told: STALLED,
        begins: Running,
        trouble: &[Do(|scene| fail(scene, Reason::StateExists, is_asked_for))],
        remedy: &[Program("restore clicks --from Latest")],
    },
    Remedied {
        reason: Reason::StateExists,
        told: STALLED,
        begins: Running,
        trouble: &[Do(|scene| until_restored(scene, Reason::StateExists))],
        remedy: &[Program("restore clicks --from Nothing --allow-state-loss")],
    },
    Remedied {
        reason: Reason::StateDamaged,
        told: STALLED,
        begins: Running,
        trouble: &[
            Do(take_savepoint),
            Until(has_savepoint),
            Do(|scene| until_restored(scene, Reason::StateDamaged)),
        ],
        remedy: &[Printed(ANOTHER)],
    },
    // The object is brought back.
    Remedied {
        reason: Reason::StateDamaged,
        told: STALLED,
        begins: Running,
        trouble: &[Do(|scene| until_restored(scene, Reason::StateDamaged))],
        remedy: &[Do(super::mend)],
    },
    Remedied {
        reason: Reason::StateOlderThanOutput,
        told: STALLED,
        begins: Running,
        trouble: &[
            Do(take_savepoint),
            Until(has_savepoint),
            Do(|scene| until_restored(scene, Reason::StateOlderThanOutput)),
        ],
        remedy: &[Printed(ANOTHER)],
    },
    // There is no savepoint.
    Remedied {
        reason: Reason::StateOlderThanOutput,
        told: STALLED,
        begins: Running,
        trouble: &[Do(|scene| until_restored(scene, Reason::StateOlderThanOutput))],
        remedy: &[Program("restore clicks --from Nothing --allow-state-loss")],
    },
    Remedied {
        reason: Reason::SourceDataLost,
        told: STALLED,
        begins: Running,
        trouble: &[Do(|scene| until_restored(scene, Reason::SourceDataLost))],
        remedy: &[Printed("")],
    },
    Remedied {
        reason: Reason::StateNewer,
        told: STALLED,
        begins: Running,
        trouble: &[Do(|scene| fail(scene, Reason::StateNewer, |_| false))],
        remedy: &[Do(|scene| {
            scene.edit(|spec| spec["workers"] = json!({"image": "example.invalid/worker:2"}))
        })],
    },
    Remedied {
        reason: Reason::StateOverBudget,
        told: STALLED,
        begins: Running,
        trouble: &[Do(|scene| fail(scene, Reason::StateOverBudget, super::has_memory))],
        remedy: &[Do(super::give_memory)],
    },
    Remedied {
        reason: Reason::SinkChanged,
        told: STALLED,
        begins: Empty,
        trouble: &[
            Do(|scene| create(scene, |spec| spec["upgrade"]["rollback"]["enabled"] = json!(false))),
            Until(Scene::is_at_rest),
            Do(|scene| {
                let termination = ended_with(Reason::SinkChanged, false);
                let is_other = |pod: &Value| number_of(pod) != 2;
                behave(
                    scene,
                    Behaviour { fails_at_start: termination, spared: Some(is_other), ..Behaviour::default() },
                );
                scene.edit(|spec| spec["pipeline"]["sink"] = json!({"stdout": {}}));
            }),
        ],
        remedy: &[Do(|scene| scene.edit(|spec| spec["pipeline"]["sink"] = json!({"blackhole": {}})))],
    },
];

fn own_by_another(scene: &mut Scene) {
    let start = StartAs {
        incarnation: 1,
        restore: "latest".to_owned(),
        owner: "cluster-2/analytics.clicks".to_owned(),
        ..StartAs::default()
    };
    scene.cluster.with_log(STATE, |log| log.claim(&start).map(drop).expect("nobody has it yet"));
}

/// The log goes elsewhere, and what is there takes its place.
fn swap(scene: &Scene) {
    let (here, there) = (scene.cluster.log(STATE), scene.cluster.log(ELSEWHERE));
    scene.cluster.with_log(STATE, |log: &mut Log| *log = there);
    scene.cluster.with_log(ELSEWHERE, |log| *log = here);
}

fn suspend(scene: &mut Scene) {
    scene.edit(|spec| spec["suspend"] = json!(true));
}

fn resume(scene: &mut Scene) {
    scene.edit(|spec| spec["suspend"] = json!(false));
}

fn is_suspended(scene: &Scene) -> bool {
    scene.is_settled() && scene.condition("Suspended").starts_with("True")
}

fn take_savepoint(scene: &mut Scene) {
    super::savepoints::ask_for(scene, ANOTHER, JOB, "30m");
}

pub(super) fn has_savepoint(scene: &Scene) -> bool {
    condition_of(&savepoint_of(scene, ANOTHER), "Complete").starts_with("True")
}

/// The workers start again, and end with that as long as they begin with the state that is there.
fn until_restored(scene: &Scene, reason: Reason) {
    fail(scene, reason, is_restored);
}

pub(super) fn fail(scene: &Scene, reason: Reason, spared: fn(&Value) -> bool) {
    let fails_at_start = ended_with(reason, false);
    behave(scene, Behaviour { fails_at_start, spared: Some(spared), ..Behaviour::default() });
    for pod in scene.cluster.server.all("Pod") {
        scene.cluster.kill(NAMESPACE, &text(&pod, "/metadata/name"));
    }
}
