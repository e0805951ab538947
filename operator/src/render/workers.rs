//! An incarnation: a StatefulSet of workers, and what holds evictions back.
//!
//! Owns: the set and its start arguments.
//! Never: changes one that exists: another start is another incarnation.

use serde_json::{Value, json};
use streamjob_crds::names::{ADMIN_PORT, CONTROL_PORT, JOB_FILE};

use super::pod::{Role, template};
use super::{For, RENDERER, hashed, manifest};
use crate::names;
use crate::revision::Revision;
use crate::world::{Kind, Object, StartArguments, labels};

/// The StatefulSet of an incarnation; `operation` is what made it, `restored` the last restore that was done before or
/// by it.
pub fn set(to: &For<'_>, revision: &Revision, arguments: &StartArguments, operation: &str) -> Object {
    let incarnation = arguments.incarnation;
    let role = Role {
        component: "worker",
        config_map: &revision.name,
        arguments: run(to, revision, arguments),
        incarnation: Some(incarnation),
    };
    let spec = json!({
        "replicas": 1,
        "serviceName": names::service(to.name),
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"},
        "revisionHistoryLimit": 1,
        "selector": {"matchLabels": {
            labels::JOB: to.name,
            labels::INCARNATION: incarnation.to_string(),
        }},
        "template": template(to, revision, role),
    });
    let name = names::set(to.name, incarnation);
    let mut object = to.object(Kind::StatefulSet, &name, "worker", json!({"spec": spec}));
    let all = &mut object.0["metadata"];
    all["labels"][labels::INCARNATION] = json!(incarnation.to_string());
    all["labels"][labels::REVISION] = json!(revision.name);
    all["annotations"] = json!({labels::OPERATION: operation, labels::RENDERER: RENDERER});
    hashed(object)
}

/// One pod of a set, to be tried: Pod Security and quotas act on pods only.
pub fn pod_of(set: &Object) -> Object {
    let template = &set.0["spec"]["template"];
    let mut metadata = template["metadata"].clone();
    metadata["name"] = json!(format!("{}-0", set.name()));
    metadata["namespace"] = set.0["metadata"]["namespace"].clone();
    Object(json!({
        "apiVersion": Kind::Pod.api_version(),
        "kind": Kind::Pod.as_str(),
        "metadata": metadata,
        "spec": template["spec"],
    }))
}

/// What holds evictions of an incarnation back, owned by its set.
pub fn disruption_budget(to: &For<'_>, set: &Object, incarnation: i64) -> Object {
    let matched: Value = json!({labels::JOB: to.name, labels::INCARNATION: incarnation.to_string()});
    let spec = json!({
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": matched},
    });
    let name = names::set(to.name, incarnation);
    let mut object = to.object(Kind::PodDisruptionBudget, &name, "worker", json!({"spec": spec}));
    let metadata = &mut object.0["metadata"];
    metadata["labels"][labels::INCARNATION] = json!(incarnation.to_string());
    metadata["ownerReferences"] = json!([{
        "apiVersion": Kind::StatefulSet.api_version(),
        "kind": Kind::StatefulSet.as_str(),
        "name": set.name(),
        "uid": set.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    }]);
    hashed(object)
}

fn run(to: &For<'_>, revision: &Revision, arguments: &StartArguments) -> Vec<String> {
    let mut all = vec!["run".to_owned()];
    all.extend(common(to, revision));
    all.extend(arguments.written());
    all.push(format!("--admin=[::]:{ADMIN_PORT}"));
    all.push(format!("--control=[::]:{CONTROL_PORT}"));
    all.push(format!("--token-audience={}", to.uid));
    all.push("--termination-log=/dev/termination-log".to_owned());
    all.push(format!("--grace={}", revision.effective().workers.termination_grace_seconds));
    all
}

/// What `run`, `check` and `janitor` have in common, but the cluster's id.
pub(super) fn common(to: &For<'_>, revision: &Revision) -> Vec<String> {
    let effective = revision.effective();
    let mut all = vec![
        format!("--job={JOB_FILE}"),
        format!("--namespace={}", to.namespace),
        format!("--state-id={}", effective.state_id()),
    ];
    if let Some(location) = &effective.state.location {
        let folder = location.credentials.as_ref().map(|secret| manifest::path(&secret.name, ""));
        all.extend(folder.map(|folder| format!("--store-credentials={}", folder.trim_end_matches('/'))));
        let ca = location.ca.as_ref().map(|ca| manifest::path(&ca.name, &ca.key));
        all.extend(ca.map(|file| format!("--store-ca={file}")));
    }
    all
}
