//! Teardown: the old workers go.
//!
//! Owns: which sets are deleted, and how long their pods are waited for.
//! Never: waits for a pod that can neither commit nor publish any more.

use jiff::SignedDuration;
use streamjob_crds::{Operation, OperationType, Step};

use super::Action;
use super::engine::{self, Go};
use super::pass::Pass;
use crate::world::{Kind, PodSeen};

pub(crate) fn step(pass: &mut Pass<'_>, operation: &mut Operation) -> Go {
    let stops_all = matches!(operation.operation_type, OperationType::Suspend | OperationType::Delete);
    delete_sets(pass, operation, stops_all);
    let left = left(pass, operation, stops_all);
    let overdue = pass.is_past(operation.step_deadline.as_ref());
    // After its Final an incarnation never claims again: nobody has to wait for its pods.
    let handed = operation.handover.is_some() && !stops_all;
    if let Some(pod) = left.first().filter(|_| !handed && !overdue) {
        engine::waits_for(operation, Some(format!("Waiting for the pod {} to go.", pod.name)));
        pass.again_in(2_000);
        return Go::Stay;
    }
    match operation.operation_type {
        OperationType::Suspend => Go::Done,
        OperationType::Delete => Go::To(Step::Retire),
        OperationType::Start
        | OperationType::Upgrade
        | OperationType::Restart
        | OperationType::Rescale
        | OperationType::Restore
        | OperationType::Rollback
        | OperationType::Replace => Go::To(Step::Launch),
    }
}

/// Deletes the sets that the operation takes down, with their pods.
pub(crate) fn delete_sets(pass: &mut Pass<'_>, operation: &Operation, all: bool) {
    let sets = pass.world.sets();
    for set in sets.iter().filter(|set| set.stays() && (all || set.incarnation < operation.incarnation)) {
        pass.act(Action::Delete {
            kind: Kind::StatefulSet,
            name: set.object.name().to_owned(),
            uid: set.object.uid().to_owned(),
        });
    }
}

/// The old workers' pods that may still be at work.
fn left(pass: &mut Pass<'_>, operation: &Operation, all: bool) -> Vec<PodSeen> {
    let timeout = SignedDuration::from_millis(pass.facts.policy.lost_pod_timeout_ms);
    let now = pass.world.now;
    let pods = pass.world.all_pods().into_iter();
    let of_workers = pods.filter(|pod| pod.component == "worker");
    of_workers
        .filter(|pod| all || pod.incarnation < operation.incarnation)
        .filter(|pod| pod.deletion_timestamp.is_none_or(|end| end + timeout > now))
        .collect()
}
