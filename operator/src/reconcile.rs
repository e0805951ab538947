//! One turn for one job: observe, decide, act, and once more if something came back.
//!
//! Owns: the order of the three, and how often they are repeated in a turn.
//! Never: keeps anything from one turn to the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::act::{Done, act};
use crate::api::{ApiError, At};
use crate::context::Context;
use crate::decide::{Decision, decide, without_job};
use crate::observe::{observe, observe_savepoint};
use crate::world::{Answers, World};

/// Passes of one turn: a question to the API server or to a worker, and what follows from its answer.
const PASSES_MAX: u32 = 4;
/// After a conflict the caches are behind; the next look is a live one.
const CONFLICT: Duration = Duration::from_millis(200);

/// A savepoint without a job is looked at again after this long.
const WITHOUT_JOB: Duration = Duration::from_secs(60);

/// What a turn came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Turn {
    /// When to look again if nothing happens before; never for a job that is gone.
    pub requeue: Option<Duration>,
    /// Somebody else changed the job in between.
    pub conflict: bool,
}

/// A turn for the job of this name.
pub async fn reconcile(context: &Arc<Context>, at: (&str, &str)) -> Result<Turn, ApiError> {
    let began = Instant::now();
    let result = passes(context, at).await;
    let outcome = match &result {
        Ok(turn) if turn.conflict => "conflict",
        Ok(_) => "done",
        Err(_) => "transient",
    };
    context.metrics.reconciled(outcome, began.elapsed());
    result
}

/// A turn for a savepoint whose job may not be there; those of a job are seen to in the job's own turns.
pub async fn reconcile_savepoint(
    context: &Arc<Context>,
    (namespace, name): (&str, &str),
) -> Result<Turn, ApiError> {
    let requeue = Some(WITHOUT_JOB);
    let Some(savepoint) = observe_savepoint(context, (namespace, name)).await? else {
        return Ok(Turn { requeue: None, conflict: false });
    };
    if let Some(status) = without_job(&savepoint, namespace, context.now()) {
        let at = At { kind: "StreamJobSavepoint", namespace, name };
        let status = serde_json::json!(status);
        match context.server.apply_status(at, &savepoint.resource_version, &status).await {
            Err(error) if !error.is_conflict() && !error.is_not_found() => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(Turn { requeue, conflict: false })
}

async fn passes(context: &Arc<Context>, at: (&str, &str)) -> Result<Turn, ApiError> {
    let mut answers = Answers::default();
    let mut requeue = CONFLICT;
    for _ in 0..PASSES_MAX {
        let Some(world) = seen(context, at, answers).await? else {
            context.forget(at.0, at.1);
            return Ok(Turn { requeue: None, conflict: false });
        };
        let decision = decided(context, &world);
        let status = decision.status.as_ref().or(world.job.status.as_ref());
        let phase = status.and_then(|status| status.phase).map(|phase| format!("{phase:?}"));
        context.metrics.set_phase(at.0, at.1, Some(phase.as_deref().unwrap_or("Unknown")));
        requeue = decision.requeue;
        answers = match act(context, &world, &decision).await? {
            Done::Conflict => return Ok(Turn { requeue: Some(CONFLICT), conflict: true }),
            Done::All(answers) => answers,
        };
        if is_empty(&answers) {
            break;
        }
    }
    Ok(Turn { requeue: Some(requeue), conflict: false })
}

#[cfg(not(feature = "planted-bugs"))]
async fn seen(context: &Arc<Context>, at: (&str, &str), answers: Answers) -> Result<Option<World>, ApiError> {
    observe(context, at, answers).await
}

#[cfg(not(feature = "planted-bugs"))]
fn decided(_context: &Context, world: &World) -> Decision {
    decide(world)
}

#[cfg(feature = "planted-bugs")]
async fn seen(context: &Arc<Context>, at: (&str, &str), answers: Answers) -> Result<Option<World>, ApiError> {
    let mut world = observe(context, at, answers).await?;
    if let Some(world) = &mut world {
        crate::planted::distort(context, world);
    }
    Ok(world)
}

#[cfg(feature = "planted-bugs")]
fn decided(context: &Context, world: &World) -> Decision {
    let mut decision = decide(world);
    crate::planted::misjudge(context, world, &mut decision);
    decision
}

fn is_empty(answers: &Answers) -> bool {
    let Answers { dry_run, stop, savepoints, refused } = answers;
    dry_run.is_none() && stop.is_none() && savepoints.is_empty() && refused.is_empty()
}
