//! What a running job is made of, as long as it runs: what somebody changed or deleted is made as it was.
//!
//! Owns: the comparison of what is there with what we would write; what is no longer needed.
//! Never: takes what another version of the operator wrote, or what the cluster filled in, for damage.

use serde_json::Value;
use streamjob_crds::Quantity;
use streamjob_crds::names::LABEL_COMPONENT;

use super::Action;
use super::held;
use super::pass::Pass;
use crate::names;
use crate::render;
use crate::revision::Revision;
use crate::world::{Kind, Object, SetSeen, StartArguments, World, labels};

/// Repairs what a job without an operation has, or makes its set again.
pub(crate) fn repair(pass: &mut Pass<'_>) {
    let Some(set) = pass.facts.running() else {
        if !pass.facts.policy.suspend && can_be_made_again(pass) {
            make_again(pass);
        }
        return;
    };
    let Some(revision) = pass.revision(set.revision) else { return };
    super::prepare::needed(pass, &revision, set.incarnation);
    repair_set(pass, &set, &revision);
}

/// Deletes the set of a job that has nothing left to do.
pub(crate) fn stop(pass: &mut Pass<'_>) {
    if let Some(set) = pass.facts.running() {
        let name = set.object.name().to_owned();
        delete(pass, Kind::StatefulSet, &name);
    }
}

/// A set as it was made, and what holds its evictions back.
pub(crate) fn repair_set(pass: &mut Pass<'_>, set: &SetSeen<'_>, revision: &Revision) {
    if differs(pass, set) {
        let object = rendered(pass, set, revision);
        pass.act(Action::Apply(object));
    }
    let budget = render::disruption_budget(&pass.facts.to(), set.object, set.incarnation);
    if pass.facts.policy.disruption_budget {
        if must_be_applied(pass.world, &budget) {
            pass.act(Action::Apply(budget));
        }
    } else {
        delete(pass, Kind::PodDisruptionBudget, budget.name());
    }
    if pass.facts.policy.network == streamjob_crds::NetworkPolicyMode::None {
        let name = pass.world.job.name.clone();
        delete(pass, Kind::NetworkPolicy, &name);
    }
}

/// Whether a set is not as it was made. One that another version of the templates made is judged by its replicas only.
pub(crate) fn differs(pass: &Pass<'_>, set: &SetSeen<'_>) -> bool {
    let replicas = set.object.number("/spec/replicas") != Some(1);
    let Some(revision) = pass.revision(set.revision) else { return false };
    let ours = set.object.annotation(labels::RENDERER) == Some(render::RENDERER);
    if !ours {
        return replicas;
    }
    // Its own start arguments are part of what it is: neither the cluster's keys nor the operator's name of today are.
    let object = rendered(pass, set, &revision);
    let same_input = object.annotation(labels::APPLIED_HASH) == set.object.annotation(labels::APPLIED_HASH);
    if same_input { !covers(&set.object.0, &object.0, "") } else { replicas }
}

fn rendered(pass: &Pass<'_>, set: &SetSeen<'_>, revision: &Revision) -> Object {
    let operation = set.object.annotation(labels::OPERATION).unwrap_or_default();
    let arguments = StartArguments { incarnation: set.incarnation, ..set.arguments.clone() };
    render::set(&pass.facts.to(), revision, &arguments, operation)
}

/// Whether the set of the newest incarnation is gone though it ran, and is to run.
pub(crate) fn can_be_made_again(pass: &Pass<'_>) -> bool {
    let gone = pass.status.incarnation.is_some_and(|last| {
        last == pass.facts.last_incarnation && !pass.world.sets().iter().any(|set| set.incarnation == last)
    });
    gone && held::was_made_once(pass)
        && (pass.facts.wanted.is_err() || held::same_as_wanted(pass))
        && !held::finished(pass)
        && pass.facts.current(&pass.status).is_some()
}

/// The same incarnation goes on: its workers took a checkpoint when they were told to go.
fn make_again(pass: &mut Pass<'_>) {
    let Some(revision) = pass.facts.current(&pass.status).cloned() else { return };
    let incarnation = pass.status.incarnation.unwrap_or_default();
    let slots = pass.status.parallelism.map_or(0, |slots| slots.current);
    let arguments = StartArguments {
        cluster_id: pass.world.settings.cluster_id.clone(),
        incarnation,
        parallelism: u32::try_from(slots).unwrap_or(pass.facts.policy.parallelism),
        restore: "latest".to_owned(),
        restore_request: None,
        take_over: None,
        floor: pass.facts.floor(&pass.status, &revision),
        token: pass.world.settings.token.clone(),
    };
    super::prepare::needed(pass, &revision, incarnation);
    let generation = pass.world.job.generation;
    let set =
        render::set(&pass.facts.to(), &revision, &arguments, &format!("g{generation}-again-{incarnation}"));
    pass.act(Action::Apply(set));
    pass.again_in(1_000);
}

/// Whether an object is missing, or is not what we would write.
pub(crate) fn must_be_applied(world: &World, object: &Object) -> bool {
    let kind = object.kind().expect("only known kinds are rendered");
    let Some(seen) = world.object(kind, object.name()) else { return true };
    match kind {
        // What they say cannot change, and another version of the operator may spell it otherwise.
        Kind::ControllerRevision => {
            let marks =
                |object: &Object| (object.incarnation(), object.annotation(labels::RAN).map(str::to_owned));
            marks(seen) != marks(object) || seen.owner() != object.owner()
        }
        Kind::ConfigMap => seen.owner() != object.owner(),
        Kind::Service
        | Kind::ServiceAccount
        | Kind::StatefulSet
        | Kind::Pod
        | Kind::PodDisruptionBudget
        | Kind::NetworkPolicy
        | Kind::Job => !covers(&seen.0, &object.0, ""),
    }
}

/// Whether everything that `wanted` says is so in `seen`; what `seen` has besides is the cluster's or somebody else's.
pub(crate) fn covers(seen: &Value, wanted: &Value, field: &str) -> bool {
    match (seen, wanted) {
        (Value::Object(seen), Value::Object(wanted)) => wanted.iter().all(|(name, value)| {
            // The hash says what was applied once; whether it is still so is told by the fields.
            name == labels::APPLIED_HASH
                || seen.get(name).map_or(is_nothing(value), |found| covers(found, value, name))
        }),
        (Value::Array(seen), Value::Array(wanted)) if field == "ownerReferences" => {
            wanted.iter().all(|value| seen.iter().any(|found| covers(found, value, "")))
        }
        (Value::Array(seen), Value::Array(wanted)) => {
            seen.len() == wanted.len()
                && seen.iter().zip(wanted).all(|(found, value)| covers(found, value, ""))
        }
        (Value::String(found), Value::String(value)) if found != value => same_quantity(found, value),
        (found, value) => found == value,
    }
}

/// What the API server leaves out when it is told so.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// `1000m` comes back as `1`.
fn same_quantity(found: &str, value: &str) -> bool {
    match (Quantity::parse(found), Quantity::parse(value)) {
        (Ok(found), Ok(value)) => found.millis() == value.millis(),
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

fn delete(pass: &mut Pass<'_>, kind: Kind, name: &str) {
    let seen = pass.world.object(kind, name).filter(|object| pass.world.is_ours(object) || is_budget(object));
    if let Some(object) = seen.filter(|object| object.deletion_timestamp().is_none()) {
        pass.act(Action::Delete { kind, name: name.to_owned(), uid: object.uid().to_owned() });
    }
}

fn is_budget(object: &Object) -> bool {
    object.kind() == Some(Kind::PodDisruptionBudget)
        && object.label(labels::MANAGED_BY) == Some(labels::OPERATOR)
}

/// Deletes what is not needed any more: older sets, checks that are over, revisions beyond the limit.
pub(crate) fn prune(pass: &mut Pass<'_>) {
    let running = pass.facts.running().map(|set| set.incarnation);
    for set in pass.world.sets().iter().filter(|set| set.stays() && Some(set.incarnation) < running) {
        let name = set.object.name().to_owned();
        delete(pass, Kind::StatefulSet, &name);
    }
    let wanted =
        pass.facts.wanted.as_ref().ok().map(|wanted| names::check(&pass.world.job.name, &wanted.name));
    let refused = pass.not_accepted.is_some();
    let checks: Vec<String> = pass
        .world
        .of_kind(Kind::Job)
        .filter(|job| job.label(LABEL_COMPONENT) == Some("check"))
        .map(|job| job.name().to_owned())
        // The check of a refused generation is the memory of that.
        .filter(|name| !(refused && Some(name) == wanted.as_ref()))
        .collect();
    for name in checks {
        delete(pass, Kind::Job, &name);
    }
    prune_revisions(pass);
}

fn prune_revisions(pass: &mut Pass<'_>) {
    let known = pass.status.revisions.clone().unwrap_or_default();
    let mut kept: Vec<String> = [known.current, known.update, known.stable].into_iter().flatten().collect();
    kept.extend(pass.facts.wanted.as_ref().ok().map(|wanted| wanted.name.clone()));
    kept.extend(pass.world.sets().iter().filter_map(|set| set.revision.map(str::to_owned)));
    let mut old: Vec<&Object> = pass
        .world
        .of_kind(Kind::ControllerRevision)
        .filter(|object| pass.world.is_ours(object) && !kept.iter().any(|name| name == object.name()))
        .collect();
    // The newest incarnations first.
    old.sort_by_key(|object| (std::cmp::Reverse(object.incarnation()), object.name().to_owned()));
    let gone: Vec<String> =
        old.iter().skip(pass.facts.policy.history).map(|object| object.name().to_owned()).collect();
    for name in gone {
        delete(pass, Kind::ConfigMap, &name);
        delete(pass, Kind::ControllerRevision, &name);
    }
}
