//! Verify: the new workers complete checkpoints, and with that the revision is good.
//!
//! Owns: when an operation that started workers is over.
//! Never: counts a job that runs as one that works.

use streamjob_crds::worker::WorkerPhase;
use streamjob_crds::{Operation, ParallelismStatus, Step};

use super::engine::Go;
use super::launch;
use super::pass::Pass;

pub(crate) fn step(pass: &mut Pass<'_>, operation: &mut Operation) -> Go {
    if pass.facts.set(operation.incarnation).is_none() {
        // Somebody deleted it: it is made again as it was.
        return Go::To(Step::Launch);
    }
    if let Some(revision) = pass.revision(operation.to_revision.as_deref()) {
        super::prepare::needed(pass, &revision, operation.incarnation);
    }
    let wanted = pass.facts.policy.stable_after_checkpoints;
    let status = pass.world.worker(operation.incarnation);
    let good = status.is_some_and(|status| {
        status.phase == WorkerPhase::Finished
            || (status.phase == WorkerPhase::Running && status.checkpoints_since_start >= wanted)
    });
    if good {
        let slots = i64::from(operation.parallelism);
        let desired = pass.status.parallelism.map_or(slots, |parallelism| parallelism.desired);
        pass.status.parallelism = Some(ParallelismStatus { current: slots, desired });
        let revisions = pass.revisions();
        revisions.stable.clone_from(&operation.to_revision);
        return Go::Done;
    }
    launch::unless_failed(pass, operation)
}
