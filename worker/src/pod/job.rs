//! The job of a pod, on a thread of its own: from the store to the end of the incarnation.
//!
//! Owns: with what it begins; that a start which may pass later is made again.
//! Never: ends the process.

use std::sync::Arc;
use std::time::Duration;

use streamjob_checkpoint::ids::{Generation, Seq};
use streamjob_checkpoint::log::{Log, LogError};
use streamjob_checkpoint::protocol::{BeginAt, Claimant, Refusal};
use streamjob_checkpoint::record::{Restore, Stored};
use streamjob_checkpoint::retry::{Passing, Patience, Pauses};
use streamjob_checkpoint::savepoint;
use streamjob_crds::Reason;
use streamjob_crds::worker::Termination;

use super::args::{RestoreFrom, RunArgs};
use super::hub::{Ended, Hub};
use super::reasons;
use super::setup::Setup;
use super::termination::failure;
use crate::runtime::{
    Begun, Ending, Inputs, Job, Options, RunError, SourceInputs, Started, Starting, State, start_as,
};

/// The longest that a request to leave is not noticed in a pause.
const POLL: Duration = Duration::from_millis(50);

/// What came of a job.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The incarnation has ended, and its log says so.
    Ended(Ended),
    /// The process was asked to leave.
    Left,
}

/// All that a job is run from.
pub(super) struct PodJob {
    pub(super) args: Box<RunArgs>,
    pub(super) setup: Setup,
    pub(super) state: State,
    pub(super) hub: Arc<Hub>,
    pub(super) unpublished_bytes_max: u64,
}

/// Why there is nothing to run.
enum Stopped {
    Failed(Termination),
    Outcome(Outcome),
}

impl PodJob {
    /// Runs it to its end.
    pub(super) fn run(self) -> Result<Outcome, Termination> {
        self.state.probe(Patience::Endless).map_err(|error| reasons::of_run(&error))?;
        let inputs = SourceInputs::new(Arc::clone(&self.setup.plan), Arc::clone(&self.hub.clock));
        let inputs = inputs.with_outages(&self.state.outages);
        let inputs: Arc<dyn Inputs> = Arc::new(inputs);
        let begun = match self.begin(&inputs) {
            Ok(begun) => begun,
            Err(Stopped::Failed(termination)) => return Err(termination),
            Err(Stopped::Outcome(outcome)) => return Ok(outcome),
        };
        tracing::info!(attempt = begun.generation().attempt, "{}", begun.beginning);
        self.hub.metrics.grow_partitions(begun.partition_names());
        let (hub, state) = (Arc::clone(&self.hub), self.state.clone());
        let job = self.job(inputs, begun);
        match job.run().map_err(|error| reasons::of_run(&error))? {
            Ending::Finished | Ending::Stopped => {
                state.runtime().block_on(how_it_ended(&state.log)).map(Outcome::Ended)
            }
            Ending::Left => Ok(Outcome::Left),
            Ending::OutOfTime => {
                let operation = hub.stop.handing_over().map(|wanted| wanted.operation);
                tracing::warn!(
                    operation,
                    "no last checkpoint was complete in time; the one before is gone on from"
                );
                Ok(Outcome::Left)
            }
        }
    }

    fn job(self, inputs: Arc<dyn Inputs>, begun: Begun) -> Job {
        let Self { args, setup, state, hub, unpublished_bytes_max } = self;
        let (min, max) = setup.pauses;
        let options = Options {
            batch_rows: args.batch_rows,
            unpublished_bytes_max,
            desk: Some(Arc::clone(&hub.desk)),
            pauses: Pauses { min, max },
            ..Options::default()
        };
        Job {
            plan: setup.plan,
            inputs,
            state,
            begun,
            options,
            metrics: Arc::clone(&hub.metrics),
            clock: Arc::clone(&hub.clock),
            stop: hub.stop.clone(),
        }
    }

    /// Claims the state, again and again while what forbids it may pass.
    fn begin(&self, inputs: &Arc<dyn Inputs>) -> Result<Begun, Stopped> {
        let (min, max) = self.setup.pauses;
        let pauses = Pauses { min, max };
        for failures in 1.. {
            let starting = self.starting()?;
            let with = (&**inputs, &*self.hub.clock);
            let error = match start_as(&starting, &self.state, &self.setup.plan, with) {
                Ok(Started::Begun(begun)) => return Ok(*begun),
                Ok(Started::Finished(last)) => return Err(ended(&last)),
                Err(RunError::Log(LogError::Refused(Refusal::Ended { .. }))) => {
                    let handle = self.state.runtime().handle();
                    let ended = handle.block_on(how_it_ended(&self.state.log));
                    return Err(
                        ended.map_or_else(Stopped::Failed, |ended| Stopped::Outcome(Outcome::Ended(ended)))
                    );
                }
                Err(error) => error,
            };
            let failure = reasons::of_run(&error);
            if !error.may_pass() || self.hub.stop.is_set() {
                return Err(Stopped::Failed(failure));
            }
            tracing::warn!(
                reason = failure.reason.as_str(),
                "the start has failed, it is tried again: {}",
                failure.message
            );
            self.hub.failed(Some(failure));
            if !self.pause(pauses.after(failures)) {
                return Err(Stopped::Outcome(Outcome::Left));
            }
        }
        unreachable!("it is tried for ever")
    }

    /// Whether it goes on after the pause.
    fn pause(&self, pause: Duration) -> bool {
        let until = self.hub.clock.elapsed() + pause;
        while !self.hub.stop.is_set() {
            let left = until.saturating_sub(self.hub.clock.elapsed());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(POLL));
        }
        false
    }

    fn starting(&self) -> Result<Starting, Stopped> {
        Ok(Starting {
            owner: self.setup.owner.clone(),
            take_over: self.args.take_over.clone(),
            claimant: Claimant::Incarnation(self.args.incarnation),
            begin: self.begin_at()?,
            // Where nothing is, nothing can be taken over: that is another place than was meant.
            floor: self.args.floor.map(Seq).or(self.args.take_over.as_ref().map(|_| Seq::FIRST)),
        })
    }

    /// With what the job begins. A savepoint is copied into its state first, unless its request was done before.
    fn begin_at(&self) -> Result<BeginAt, Stopped> {
        let request =
            |from: &str| self.args.restore_request.clone().map(|id| Restore { id, from: from.to_owned() });
        let uri = match &self.args.restore {
            RestoreFrom::Latest => return Ok(BeginAt::Latest),
            RestoreFrom::Nothing => {
                let request = request("nothing");
                return Ok(BeginAt::Nothing { discard: request.is_some(), request });
            }
            RestoreFrom::Savepoint(uri) => uri,
        };
        let request = request(uri).ok_or_else(|| {
            Stopped::Failed(failure(
                Reason::ConfigurationInvalid,
                "`--restore` names a savepoint, and `--restore-request` is missing: it would be restored at each start",
                false,
            ))
        })?;
        let handle = self.state.runtime().handle();
        let failed = |error: LogError| Stopped::Failed(reasons::of_log(&error));
        let head = handle.block_on(self.log().head()).map_err(failed)?;
        let done = head.as_ref().and_then(|head| head.record.restore.as_ref());
        if done.is_some_and(|done| done.id == request.id) {
            return Ok(BeginAt::Latest);
        }
        let generation = self.next_generation(head.as_ref());
        let from = self.setup.savepoint(uri).map_err(Stopped::Failed)?.with_patience(Patience::Endless);
        let failed = |error| Stopped::Failed(reasons::of_savepoint(&error));
        let opened = handle.block_on(savepoint::open(&from)).map_err(failed)?;
        let copying = savepoint::import(&from, &opened, &self.state.store, generation);
        let checkpoint = handle.block_on(copying).map_err(failed)?;
        Ok(BeginAt::From { request, checkpoint: Box::new(checkpoint) })
    }

    /// The generation that this start will claim. If it does not come to that, a later one deletes the copies.
    fn next_generation(&self, head: Option<&Stored>) -> Generation {
        let incarnation = self.args.incarnation;
        let newest =
            head.map(|head| head.record.generation).filter(|newest| newest.incarnation == incarnation);
        Generation { incarnation, attempt: newest.map_or(0, |newest| newest.attempt) + 1 }
    }

    fn log(&self) -> Log {
        Log::new(self.state.store.clone().with_patience(Patience::Endless))
    }
}

/// The end of the incarnation, as the log has it.
async fn how_it_ended(log: &Log) -> Result<Ended, Termination> {
    let log = Log::new(log.store().clone().with_patience(Patience::Endless));
    let head = log.head().await.map_err(|error| reasons::of_log(&error))?;
    head.as_ref().and_then(|head| Ended::of(&head.record)).ok_or_else(|| match head {
        // Someone has begun after us.
        Some(head) => reasons::of_run(&RunError::Fenced { by: head.record.generation }),
        None => failure(Reason::StateMissing, "the log was deleted under the job", false),
    })
}

fn ended(last: &Stored) -> Stopped {
    match Ended::of(&last.record) {
        Some(ended) => Stopped::Outcome(Outcome::Ended(ended)),
        None => {
            Stopped::Failed(failure(Reason::Internal, "a job that is finished has no Final record", false))
        }
    }
}
