//! A pod: one container that may do nothing but run the worker.
//!
//! Owns: its security, mounts, probes, and what the user may add.
//! Never: takes a security context, a container or a volume from the user.

use serde_json::{Map, Value, json};
use streamjob_crds::names::{ADMIN_PORT, CONTROL_PORT, JOB_FILE, SECRETS_FOLDER};

use super::{For, manifest};
use crate::revision::Revision;
use crate::world::labels;

/// The user of the image.
const USER: u32 = 65_532;
/// How long a pod stays bound to a node that cannot be reached; the cluster's default is five minutes.
const LOST_NODE_SECONDS: u32 = 30;

/// What a pod of a revision is for.
pub(super) struct Role<'a> {
    pub(super) component: &'static str,
    pub(super) config_map: &'a str,
    pub(super) arguments: Vec<String>,
    pub(super) incarnation: Option<i64>,
}

/// A pod template: labels, annotations, spec.
pub(super) fn template(to: &For<'_>, revision: &Revision, role: Role<'_>) -> Value {
    let user = &revision.effective().workers.template;
    let mut all: Map<String, Value> =
        user.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    for (name, value) in to.labels(role.component) {
        all.insert(name.to_owned(), json!(value));
    }
    if let Some(incarnation) = role.incarnation {
        all.insert(labels::INCARNATION.to_owned(), json!(incarnation.to_string()));
        all.insert(labels::REVISION.to_owned(), json!(revision.name));
    }
    let mut metadata = json!({"labels": all});
    if !user.annotations.is_empty() {
        metadata["annotations"] = json!(user.annotations);
    }
    json!({"metadata": metadata, "spec": spec(to, revision, &role)})
}

fn spec(to: &For<'_>, revision: &Revision, role: &Role<'_>) -> Value {
    let workers = &revision.effective().workers;
    let user = &workers.template;
    let mut spec = json!({
        "serviceAccountName": to.service_account(revision),
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": workers.termination_grace_seconds,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container(revision, role)],
        "volumes": volumes(revision, role),
        "tolerations": tolerations(revision),
    });
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            spec[name] = value;
        }
    };
    let some = |value: Value| Some(value).filter(|value| *value != json!([]) && *value != json!({}));
    set("imagePullSecrets", some(json!(workers.image_pull_secrets)));
    set("nodeSelector", some(json!(user.node_selector)));
    set("affinity", user.affinity.as_ref().map(|affinity| json!(affinity)));
    set("topologySpreadConstraints", user.topology_spread_constraints.as_ref().map(|all| json!(all)));
    set("priorityClassName", user.priority_class_name.as_ref().map(|name| json!(name)));
    set("runtimeClassName", user.runtime_class_name.as_ref().map(|name| json!(name)));
    spec
}

fn container(revision: &Revision, role: &Role<'_>) -> Value {
    let workers = &revision.effective().workers;
    let mut environment = vec![
        json!({"name": "POD_UID", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}}}),
    ];
    let user = workers.template.environment.iter().flatten();
    environment.extend(user.map(|variable| json!({"name": variable.name, "value": variable.value})));
    let mut container = json!({
        "name": "worker",
        "image": workers.image,
        "imagePullPolicy": workers.image_pull_policy.as_str(),
        "args": role.arguments,
        "env": environment,
        "resources": {"requests": workers.resources.requests, "limits": workers.resources.limits},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts(revision),
    });
    if role.component == "worker" {
        let probe = |path: &str, period: u32, failures: u32| {
            json!({
                "httpGet": {"path": path, "port": "admin", "scheme": "HTTP"},
                "periodSeconds": period,
                "timeoutSeconds": 5,
                "failureThreshold": failures,
            })
        };
        container["ports"] = json!([
            {"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"},
            {"name": "control", "containerPort": CONTROL_PORT, "protocol": "TCP"},
        ]);
        container["livenessProbe"] = probe("/healthz", 10, 3);
        container["readinessProbe"] = probe("/readyz", 2, 1);
    }
    container
}

fn mounts(revision: &Revision) -> Value {
    let folder = JOB_FILE.trim_end_matches("/job.json");
    let mut mounts = vec![
        json!({"name": "job", "mountPath": folder, "readOnly": true}),
        json!({"name": "tmp", "mountPath": "/tmp"}),
    ];
    for (number, name) in manifest::mounted(revision).iter().enumerate() {
        let path = format!("{SECRETS_FOLDER}/{name}");
        mounts.push(json!({"name": format!("secret-{number}"), "mountPath": path, "readOnly": true}));
    }
    json!(mounts)
}

fn volumes(revision: &Revision, role: &Role<'_>) -> Value {
    let mut volumes = vec![
        json!({"name": "job", "configMap": {"name": role.config_map}}),
        json!({"name": "tmp", "emptyDir": {}}),
    ];
    for (number, name) in manifest::mounted(revision).iter().enumerate() {
        volumes.push(json!({"name": format!("secret-{number}"), "secret": {"secretName": name}}));
    }
    json!(volumes)
}

/// The user's, and for nodes that cannot be reached ours, unless the user says something about those.
fn tolerations(revision: &Revision) -> Value {
    let user = revision.effective().workers.template.tolerations.clone().unwrap_or_default();
    let mut all: Vec<Value> = user.iter().map(|toleration| json!(toleration)).collect();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if !user.iter().any(|toleration| toleration.key.as_deref().is_none_or(|named| named == key)) {
            all.push(json!({
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": LOST_NODE_SECONDS,
            }));
        }
    }
    json!(all)
}
