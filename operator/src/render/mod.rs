//! The objects that a job is made of.
//!
//! Owns: what each looks like. The same input gives the same object, to the byte.
//! Never: asks whether it should be there.

mod batch;
mod manifest;
mod network;
mod pod;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::BTreeMap;

pub use batch::{check, janitor};
use serde_json::{Value, json};
pub use workers::{disruption_budget, pod_of, set};

use crate::effective::Policy;
use crate::names;
use crate::revision::{self, Revision};
use crate::world::{Kind, Object, Settings, labels};

/// The version of the templates. A set that another version made is not compared with what this one would make: an
/// upgrade of the operator restarts nothing.
pub const RENDERER: &str = "1";

/// The job that something is rendered for.
#[derive(Clone, Debug, PartialEq)]
pub struct For<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its uid: the audience of tokens, and the owner unless `orphan`.
    pub uid: &'a str,
    /// Whether objects get no owner: the janitor's must outlive a foreground deletion.
    pub orphan: bool,
    /// How the operator was started.
    pub settings: &'a Settings,
}

impl For<'_> {
    /// Kind, name, labels and owner of one of the job's objects, with the hash of what it says.
    fn object(&self, kind: Kind, name: &str, component: &str, mut rest: Value) -> Object {
        let mut metadata = json!({
            "name": name,
            "namespace": self.namespace,
            "labels": self.labels(component),
        });
        if !self.orphan {
            metadata["ownerReferences"] = json!([{
                "apiVersion": streamjob_crds::API_VERSION,
                "kind": streamjob_crds::KIND,
                "name": self.name,
                "uid": self.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }]);
        }
        rest["apiVersion"] = json!(kind.api_version());
        rest["kind"] = json!(kind.as_str());
        rest["metadata"] = metadata;
        Object(rest)
    }

    fn labels(&self, component: &str) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("app.kubernetes.io/name", "streamjob-worker".to_owned()),
            ("app.kubernetes.io/instance", self.name.to_owned()),
            (labels::MANAGED_BY, labels::OPERATOR.to_owned()),
            (labels::COMPONENT, component.to_owned()),
            (labels::JOB, self.name.to_owned()),
        ])
    }

    /// The service account of a revision's pods.
    pub fn service_account(&self, revision: &Revision) -> String {
        let named = revision.effective().workers.service_account_name.clone();
        named.unwrap_or_else(|| names::service_account(self.name))
    }
}

/// Adds the hash of what an object says, once it says all of it.
fn hashed(mut object: Object) -> Object {
    let hash = revision::hash(&object.0);
    object.0["metadata"]["annotations"][labels::APPLIED_HASH] = json!(hash);
    object
}

/// What a revision was made of; `incarnation` is the newest that was begun with it, 0 for none; `ran` says whether its
/// workers ever processed rows.
pub fn controller_revision(to: &For<'_>, revision: &Revision, incarnation: i64, ran: bool) -> Object {
    let data = serde_json::to_value(&revision.content).expect("a revision has a JSON form");
    let mut object =
        to.object(Kind::ControllerRevision, &revision.name, "worker", json!({"data": data, "revision": 1}));
    object.0["metadata"]["labels"][labels::INCARNATION] = json!(incarnation.to_string());
    if ran {
        object.0["metadata"]["annotations"] = json!({labels::RAN: "true"});
    }
    object
}

/// The manifest that workers read.
pub fn config_map(to: &For<'_>, revision: &Revision) -> Object {
    let data = json!({"job.json": manifest::text(to, revision)});
    let object =
        to.object(Kind::ConfigMap, &revision.name, "worker", json!({"immutable": true, "data": data}));
    hashed(object)
}

/// The names of workers.
pub fn service(to: &For<'_>) -> Object {
    let spec = json!({
        "clusterIP": "None",
        "publishNotReadyAddresses": true,
        "selector": {labels::JOB: to.name, labels::COMPONENT: "worker"},
        "ports": [{"name": "admin", "port": 8080, "targetPort": "admin", "protocol": "TCP"}],
    });
    hashed(to.object(Kind::Service, &names::service(to.name), "worker", json!({"spec": spec})))
}

/// Who workers are: nobody with any right.
pub fn service_account(to: &For<'_>) -> Object {
    let name = names::service_account(to.name);
    hashed(to.object(Kind::ServiceAccount, &name, "worker", json!({"automountServiceAccountToken": false})))
}

/// Who reaches workers.
pub fn network_policy(to: &For<'_>, revision: &Revision) -> Object {
    hashed(to.object(Kind::NetworkPolicy, to.name, "worker", json!({"spec": network::spec(to, revision)})))
}

/// What every revision of a job shares, as far as it is wanted.
pub fn shared(to: &For<'_>, revision: &Revision, policy: &Policy) -> Vec<Object> {
    let own_account = revision.effective().workers.service_account_name.is_none();
    let managed = policy.network == streamjob_crds::NetworkPolicyMode::Managed;
    let mut objects = Vec::new();
    if own_account {
        objects.push(service_account(to));
    }
    objects.push(service(to));
    if managed {
        objects.push(network_policy(to, revision));
    }
    objects
}
