//! Sentences for people.
//!
//! Owns: how trouble is told together with what to do about it; what an operation waits for.
//! Never: has a number in it that changes while nothing happens.

use streamjob_crds::{Operation, Step};

use crate::decide::Pass;
use crate::names;
use crate::world::Trouble;

const REMEDY: &str = " To do: `";

/// What is wrong, the command that is tried first, and where the runbook has more.
pub fn with_remedy(trouble: &Trouble, namespace: &str, job: &str) -> String {
    let anchor = trouble.reason.anchor();
    match trouble.reason.remedy_for(namespace, job) {
        Some(remedy) => {
            let message = crate::decide::sentence(&trouble.message);
            format!("{message}{REMEDY}{remedy}`; see docs/runbook.md#{anchor}.")
        }
        None => trouble.message.clone(),
    }
}

/// What is wrong, as it was said without the remedy.
pub fn without_remedy(message: &str) -> String {
    message.split(REMEDY).next().unwrap_or(message).to_owned()
}

/// That a job runs.
pub(crate) fn runs(pass: &Pass<'_>) -> String {
    let revision = pass.status.revisions.as_ref().and_then(|known| known.current.as_deref());
    let slots = pass.facts.running().map_or(0, |set| set.arguments.parallelism);
    format!("Revision {} runs with {}.", revision.unwrap_or("unknown"), crate::decide::slots(slots))
}

/// What an operation is about.
pub(crate) fn operation(pass: &Pass<'_>, operation: &Operation) -> String {
    format!("{}. {}", crate::decide::what(pass, operation), step(pass, operation))
}

/// What an operation waits for.
pub(crate) fn step(pass: &Pass<'_>, operation: &Operation) -> String {
    if let Some(message) = &operation.message {
        return message.clone();
    }
    let until = operation.step_deadline.as_ref().map(|deadline| deadline.0.to_string()).unwrap_or_default();
    let revision = operation.to_revision.as_deref().unwrap_or_default();
    let set = names::set(&pass.world.job.name, operation.incarnation);
    match operation.step {
        Step::Prepare => {
            format!("Asking the API server whether it takes the workers of revision {revision}.")
        }
        Step::Check => {
            format!("Waiting for the check of revision {revision} until {until}; nothing was stopped.")
        }
        Step::Handover => format!("Waiting for the last checkpoint of the old workers until {until}."),
        Step::Teardown => format!("Waiting for the pods of the old workers to go, until {until}."),
        Step::Launch => format!("Waiting for {set} to process rows until {until}."),
        Step::Verify => {
            let wanted = pass.facts.policy.stable_after_checkpoints;
            format!("Waiting for {wanted} checkpoints of {set} until {until}.")
        }
        Step::Retire => "Deleting the state.".to_owned(),
    }
}
