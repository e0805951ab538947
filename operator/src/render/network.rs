//! Who reaches workers, and whom they reach.
//!
//! Owns: the rules of a job's NetworkPolicy.
//! Never: restricts Kafka or the store: their addresses are the user's.

use serde_json::{Value, json};

use super::For;
use crate::revision::Revision;
use crate::world::labels;

/// Where clouds hand out a node's credentials.
const NODE_CREDENTIALS: [(&str, &str); 2] =
    [("0.0.0.0/0", "169.254.169.254/32"), ("::/0", "fd00:ec2::254/128")];

pub(super) fn spec(to: &For<'_>, revision: &Revision) -> Value {
    let namespace =
        |name: &str| json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}});
    let port = |name: &str| json!({"protocol": "TCP", "port": name});
    let operator = &to.settings.operator_namespace;
    let metrics = to.settings.metrics_namespace.as_ref().map(|name| namespace(name));
    let metrics = metrics.unwrap_or_else(|| json!({"namespaceSelector": {}}));
    let mut spec = json!({
        "podSelector": {"matchLabels": {labels::JOB: to.name}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [{"podSelector": {"matchLabels": {labels::JOB: to.name}}}]},
            {"from": [namespace(operator)], "ports": [port("admin"), port("control")]},
            {"from": [metrics], "ports": [port("admin")]},
        ],
    });
    // A job that brings its own credentials has no use for the node's; one that does not needs them.
    let location = revision.effective().state.location.as_ref();
    if location.is_some_and(|location| location.credentials.is_some()) {
        let blocks = NODE_CREDENTIALS.map(|(all, but)| json!({"ipBlock": {"cidr": all, "except": [but]}}));
        let mut peers = vec![json!({"namespaceSelector": {}})];
        peers.extend(blocks);
        spec["policyTypes"] = json!(["Ingress", "Egress"]);
        spec["egress"] = json!([{"to": peers}]);
    }
    spec
}
