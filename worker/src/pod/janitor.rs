//! `streamjob-worker janitor`: deletes the state of a job that was deleted.
//!
//! Owns: the order: the end is in the log before anything goes.
//! Never: deletes savepoints, the end itself, or what a newer incarnation writes.

use std::time::Duration;

use streamjob_checkpoint::erase::erase;
use streamjob_checkpoint::ids::WriterId;
use streamjob_checkpoint::log::Log;
use streamjob_checkpoint::protocol::DeleteRequest;
use streamjob_checkpoint::retry::Patience;
use streamjob_crds::worker::Termination;
use uuid::Uuid;

use super::args::JanitorArgs;
use super::reasons;
use super::setup::Setup;
use crate::pipeline::clock::{Clock, SystemClock};
use crate::runtime::State;

/// Ends the state for good, and deletes it. Once more, it deletes what was left.
pub(super) fn clean(args: &JanitorArgs, setup: &Setup) -> Result<(), Termination> {
    let state = State::over(setup.store()?).map_err(|error| reasons::of_run(&error))?;
    let patience = Patience::Within(Duration::from_secs(args.patience));
    let log = Log::new(state.store.clone().with_patience(patience));
    let request = DeleteRequest {
        owner: setup.owner.clone(),
        incarnation: args.incarnation,
        writer: WriterId(Uuid::new_v4().as_u128()),
        now_ms: SystemClock::new().now_ms(),
    };
    let ended = state.runtime().block_on(log.end(&request)).map_err(|error| reasons::of_log(&error))?;
    let Some(ended) = ended else {
        tracing::info!(state = state.store.shown(), "there is no state");
        return Ok(());
    };
    let erased = state.runtime().block_on(erase(&log, &ended)).map_err(|error| reasons::of_store(&error))?;
    tracing::info!(
        state = state.store.shown(),
        objects = erased.objects,
        records = erased.records,
        "deleted; savepoints and the mark of the deletion are left"
    );
    Ok(())
}
