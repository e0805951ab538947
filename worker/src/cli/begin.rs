//! What `streamjob run` begins with, as `--from`, `--fresh` and `--discard-state` say.
//!
//! Owns: from the name of a checkpoint or savepoint to what the log is asked for; what a fresh start would lose.
//! Never: decides whether a start is allowed: the log does, when it appends.

use streamjob_checkpoint::checkpoint::Checkpoint;
use streamjob_checkpoint::ids::Generation;
use streamjob_checkpoint::protocol::BeginAt;
use streamjob_checkpoint::record::{Body, Record, Restore};
use streamjob_checkpoint::savepoint;
use streamjob_plan::Plan;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::args::{RestorePoint, RunArgs};
use super::checkpoints::view::ago;
use super::state::{
    JobState, Point, StateError, check_fingerprint, newest, now_ms, reader, savepoint_in, savepoint_point,
};
use crate::progress::format::{bytes, count, instant};
use crate::runtime::location;

/// What a run begins with. A savepoint is copied into the job's state, so that it may be deleted afterwards.
pub(super) fn begin_at(args: &RunArgs, plan: &Plan) -> Result<BeginAt, StateError> {
    if args.fresh {
        if !args.discard_state {
            refuse_to_lose(plan)?;
        }
        return Ok(BeginAt::Nothing { discard: args.discard_state, request: None });
    }
    let Some(named) = &args.from else { return Ok(BeginAt::Latest) };
    let state = existing(plan)?;
    // A connection to a store lives on the runtime that made it.
    let elsewhere = reader()?;
    let runtime = state.as_ref().map_or(&elsewhere, JobState::runtime);
    let point = match (&state, named) {
        (Some(state), named) => state.find(Some(named))?,
        // A savepoint of another place can begin a state.
        (None, RestorePoint::Savepoint(folder)) => from_elsewhere(folder, plan, runtime)?,
        (None, RestorePoint::Epoch(_)) => return Err(StateError::no_state(plan)),
    };
    check_fingerprint(&point.name, &point.checkpoint, plan, |_| true)?;
    let request = Restore { id: Uuid::new_v4().simple().to_string(), from: point.name.clone() };
    let checkpoint = Box::new(runtime.block_on(own_objects(point, plan, state.as_ref()))?);
    Ok(BeginAt::From { request, checkpoint })
}

/// The checkpoint, with all its objects in the job's own state.
async fn own_objects(point: Point, plan: &Plan, state: Option<&JobState>) -> Result<Checkpoint, StateError> {
    let Some(opened) = &point.savepoint else { return Ok(point.checkpoint) };
    let head = match state {
        Some(state) => state.log.head().await?,
        None => None,
    };
    // The generation that this start will claim. If it does not come to that, a later one deletes the copies.
    let incarnation = head.map_or(0, |head| head.record.generation.incarnation) + 1;
    let into = location::open(&plan.state.location)?;
    let generation = Generation { incarnation, attempt: 1 };
    Ok(savepoint::import(&point.store, opened, &into, generation).await?)
}

/// The job's state, if there is one.
fn existing(plan: &Plan) -> Result<Option<JobState>, StateError> {
    match JobState::of(plan.clone()) {
        Ok(state) => Ok(Some(state)),
        Err(StateError::NoState { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn from_elsewhere(folder: &str, plan: &Plan, runtime: &Runtime) -> Result<Point, StateError> {
    match savepoint_in(folder) {
        Ok(store) => {
            let opened = runtime.block_on(savepoint::open(&store))?;
            Ok(savepoint_point(store, opened))
        }
        Err(error) if error.is_missing() => Err(StateError::NoSavepoint {
            named: folder.to_owned(),
            folder: format!("{}/savepoints", plan.state.location),
            there: format!("{} has no state, so it has none of its own", plan.job),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Says what a fresh start would lose; the log refuses it once more, whatever happens in between.
fn refuse_to_lose(plan: &Plan) -> Result<(), StateError> {
    let Some(state) = existing(plan)? else { return Ok(()) };
    let stored = match state.records() {
        Ok(stored) => stored,
        Err(StateError::NoState { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let records: Vec<&Record> = stored.iter().map(|stored| &stored.record).collect();
    match records.last().map(|head| &head.body) {
        None | Some(Body::Deleted) => Ok(()),
        Some(Body::Genesis { .. } | Body::Claim { .. } | Body::Epoch { .. } | Body::Final { .. }) => {
            Err(StateError::WouldLose { job: plan.job.clone(), lost: lost(&records, now_ms()) })
        }
    }
}

/// What is in a state, in one sentence.
pub(super) fn lost(records: &[&Record], now_ms: i64) -> String {
    let Some(record) = newest(records) else { return "a state without a checkpoint".to_owned() };
    let Some(checkpoint) = record.checkpoint() else { return "a state without a checkpoint".to_owned() };
    let size = checkpoint.objects.iter().map(|object| object.bytes).sum();
    let finished = match record.body {
        Body::Final { finished: true, .. } => ", finished",
        Body::Final { finished: false, .. }
        | Body::Genesis { .. }
        | Body::Claim { .. }
        | Body::Epoch { .. }
        | Body::Deleted => "",
    };
    format!(
        "epoch {} of {} ({}){finished}, {} rows read, {} open windows with {} of state",
        checkpoint.epoch,
        instant(record.at_ms),
        ago(record.at_ms, now_ms),
        count(checkpoint.counters.rows_in),
        count(checkpoint.slices.len() as u64),
        bytes(size),
    )
}
