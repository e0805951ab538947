//! What is seen of workers, as the status tells it.
//!
//! Owns: which observations are written, and how often.
//! Never: decides by them.

use streamjob_crds::worker::{WorkerPhase, WorkerStatus};
use streamjob_crds::{CheckpointStatus, WorkersStatus};

use super::pass::{Pass, millis_between, time};
use crate::world::labels;

/// A checkpoint is reported when the last report is this old.
const CHECKPOINT_EVERY_MS: i64 = 60_000;

/// Takes over what the newest workers say.
pub(crate) fn workers(pass: &mut Pass<'_>) {
    let running = pass.facts.running();
    let incarnation = running.as_ref().map(|set| set.incarnation);
    let replicas = i64::from(running.is_some());
    let pods = incarnation.map(|incarnation| pass.world.pods(incarnation)).unwrap_or_default();
    let ready = pods.iter().filter(|pod| pod.ready && pod.stays()).count();
    let ready = i64::try_from(ready).unwrap_or(i64::MAX);
    pass.status.workers = Some(WorkersStatus { replicas, ready, summary: format!("{ready}/{replicas}") });
    pass.status.selector = incarnation.map(|incarnation| {
        format!("{}={},{}={incarnation}", labels::JOB, pass.world.job.name, labels::INCARNATION)
    });
    if let Some(wanted) = wanted_state_id(pass) {
        pass.status.state_id = Some(wanted);
    }
    let Some(status) = incarnation.and_then(|incarnation| pass.world.worker(incarnation)) else { return };
    let status = status.clone();
    // A process that starts again is an attempt too.
    let restarts = pods.iter().map(|pod| pod.restarts).sum::<i64>().max(status.attempt - 1);
    pass.status.restarts = Some(restarts);
    if status.attempt > 0 {
        pass.status.attempt = Some(status.attempt);
    }
    checkpoint(pass, &status);
}

fn wanted_state_id(pass: &Pass<'_>) -> Option<String> {
    let current = pass.facts.current(&pass.status).or(pass.facts.wanted.as_ref().ok())?;
    Some(current.effective().state_id().to_owned())
}

fn checkpoint(pass: &mut Pass<'_>, status: &WorkerStatus) {
    let Some(last) = status.last_checkpoint else { return };
    let known = pass.status.last_checkpoint.as_ref();
    // Before its first own checkpoint a worker tells of the one that it restored.
    if status.checkpoints_since_start == 0 && known.is_some() {
        return;
    }
    let stopped = matches!(status.phase, WorkerPhase::Stopped | WorkerPhase::Finished);
    let due = known.is_none_or(|known| {
        known.incarnation != status.incarnation
            || millis_between(known.completion_time.0, last.completion_time) >= CHECKPOINT_EVERY_MS
            || (stopped && known.seq != last.seq)
    });
    if !due {
        return;
    }
    pass.status.floor = pass.status.floor.max(Some(status.head.max(last.seq)));
    pass.status.last_checkpoint = Some(CheckpointStatus {
        epoch: last.epoch,
        seq: last.seq,
        completion_time: time(last.completion_time),
        size_bytes: last.size_bytes,
        duration_millis: last.duration_millis,
        incarnation: status.incarnation,
    });
}
