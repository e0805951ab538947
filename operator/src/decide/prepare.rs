//! Prepare: everything that a start needs is there, and the API server would take it.
//!
//! Owns: the objects of a revision, and the question whether its set and pods would be accepted.
//! Never: stops anything.

use streamjob_crds::{Operation, Reason, Step};

use super::Action;
use super::engine::Go;
use super::facts::trouble;
use super::pass::Pass;
use crate::effective::Policy;
use crate::render;
use crate::revision::Revision;
use crate::world::{Kind, Object, StartArguments, Trouble, labels};

const ASK_AGAIN_MS: i64 = 5_000;
/// A refused generation is tried again so often: quotas and policies change without it.
const REFUSED_AGAIN_MS: i64 = 300_000;

pub(crate) fn step(pass: &mut Pass<'_>, operation: &mut Operation) -> Go {
    let Some(revision) = pass.revision(operation.to_revision.as_deref()) else {
        // Somebody deleted it, and the spec asks for another by now: the next choice finds that.
        return Go::Dropped;
    };
    needed(pass, &revision, 0);
    let id = format!("{}-{}", operation.id, revision.name);
    match answer(pass, &id) {
        Some(Ok(())) => Go::To(Step::Check),
        Some(Err(message)) => {
            pass.not_accepted = Some(refusal(&message));
            Go::Dropped
        }
        None => {
            ask(pass, &revision, id, operation.incarnation);
            if pass.is_past(operation.step_deadline.as_ref()) {
                operation.message =
                    Some("The API server does not say whether it would take the workers.".to_owned());
            }
            pass.again_in(ASK_AGAIN_MS);
            Go::Stay
        }
    }
}

/// Asks about a generation that was refused, without an operation. None: it would be taken now.
pub(crate) fn still_refused(pass: &mut Pass<'_>, wanted: &Revision, before: Trouble) -> Option<Trouble> {
    let id = format!("again-{}", wanted.name);
    match answer(pass, &id) {
        Some(Ok(())) => None,
        Some(Err(message)) => {
            pass.again_in(REFUSED_AGAIN_MS);
            Some(refusal(&message))
        }
        None => {
            let next = pass.facts.last_incarnation + 1;
            ask(pass, wanted, id, next);
            pass.again_in(REFUSED_AGAIN_MS);
            Some(before)
        }
    }
}

fn refusal(message: &str) -> Trouble {
    trouble(Reason::PodTemplateRejected, format!("The API server refuses the workers: {message}"))
}

fn answer(pass: &Pass<'_>, id: &str) -> Option<Result<(), String>> {
    let answer = pass.world.answers.dry_run.as_ref().filter(|answer| answer.id == id)?;
    Some(answer.verdict.clone())
}

fn ask(pass: &mut Pass<'_>, revision: &Revision, id: String, incarnation: i64) {
    let arguments = StartArguments {
        incarnation,
        parallelism: pass.facts.policy.parallelism,
        restore: "latest".to_owned(),
        cluster_id: pass.world.settings.cluster_id.clone(),
        token: pass.world.settings.token.clone(),
        ..StartArguments::default()
    };
    let set = render::set(&pass.facts.to(), revision, &arguments, "dry-run");
    let pod = render::pod_of(&set);
    pass.act(Action::DryRun { id, objects: vec![set, pod] });
}

/// Writes what a revision needs before its workers, as far as it is not there; `incarnation` is begun with it.
pub(crate) fn needed(pass: &mut Pass<'_>, revision: &Revision, incarnation: i64) {
    let to = pass.facts.to();
    let policy: Policy = pass.facts.policy.clone();
    let seen = pass.world.object(Kind::ControllerRevision, &revision.name);
    let begun = seen.and_then(Object::incarnation).unwrap_or(0).max(incarnation);
    let current = pass.status.revisions.as_ref().and_then(|known| known.current.as_ref());
    let ran =
        current == Some(&revision.name) || seen.is_some_and(|seen| seen.annotation(labels::RAN).is_some());
    let mut objects =
        vec![render::controller_revision(&to, revision, begun, ran), render::config_map(&to, revision)];
    objects.extend(render::shared(&to, revision, &policy));
    for object in objects {
        if super::children::must_be_applied(pass.world, &object) {
            pass.act(Action::Apply(object));
        }
    }
}
