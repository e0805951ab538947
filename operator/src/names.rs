//! The names of what a job is made of.
//!
//! Owns: how they are put together.
//! Never: is longer than what the API server takes: jobs have at most 40 characters.

use streamjob_crds::StreamJobStatus;

use crate::world::Kind;

/// The StatefulSet of an incarnation, and its PodDisruptionBudget.
pub fn set(job: &str, incarnation: i64) -> String {
    format!("{job}-{incarnation}")
}

/// The headless Service that gives workers their names.
pub fn service(job: &str) -> String {
    format!("{job}-workers")
}

/// The ServiceAccount of workers, unless the job names one.
pub fn service_account(job: &str) -> String {
    format!("{job}-worker")
}

/// The Job that tries a revision before anything is stopped.
pub fn check(job: &str, revision: &str) -> String {
    let hash = revision.rsplit('-').next().unwrap_or(revision);
    format!("{job}-check-{hash}")
}

/// The Job that deletes the state of a deleted job, and what it needs.
pub fn janitor(job: &str, incarnation: i64) -> String {
    format!("{job}-janitor-{incarnation}")
}

/// What is looked up by name, whether or not it has our labels: an object that somebody else made must be seen.
pub fn wanted(job: &str, status: Option<&StreamJobStatus>) -> Vec<(Kind, String)> {
    let mut names = vec![
        (Kind::Service, service(job)),
        (Kind::ServiceAccount, service_account(job)),
        (Kind::NetworkPolicy, job.to_owned()),
    ];
    let last = status.and_then(|status| status.incarnation).unwrap_or_default();
    for incarnation in [last, last + 1] {
        names.push((Kind::StatefulSet, set(job, incarnation)));
        names.push((Kind::PodDisruptionBudget, set(job, incarnation)));
    }
    let revisions = status.and_then(|status| status.revisions.as_ref());
    let revisions = revisions.into_iter().flat_map(|known| [&known.current, &known.update, &known.stable]);
    for revision in revisions.flatten() {
        names.push((Kind::ControllerRevision, revision.clone()));
        names.push((Kind::ConfigMap, revision.clone()));
    }
    names.sort();
    names.dedup();
    names
}
