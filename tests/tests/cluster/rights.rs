//! What the operator may do, and what it does: the same.
//!
//! Owns: the comparison of its roles with the audit log of a job's whole life.
//! Never: reads the chart; the roles on the cluster count.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use streamjob_tests::cluster::{Kind, Kubernetes, LONG, OPERATOR_NAMESPACE, Scene, text, with_operator};

/// A verb, and what it is done to: `group/resource`, with `/subresource` if there is one.
type Right = (String, String);

fn texts<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    object[field].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// All that its roles allow; roles that every service account has are not its own.
fn granted(cluster: &Kubernetes) -> Result<BTreeSet<Right>> {
    let account = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:");
    let list = cluster.kubectl(&["get", "clusterroles,roles", "-A", "-o", "json"], "")?;
    let list: Value = serde_json::from_str(&list)?;
    let own = list["items"].as_array().context("a list")?.iter().filter(|role| {
        text(role, "/metadata/labels/app.kubernetes.io~1name") == "streamjob-operator"
            // Roles for people are aggregated into theirs.
            && !role["metadata"]["labels"].to_string().contains("rbac.authorization.k8s.io/aggregate")
    });
    let mut rights = BTreeSet::new();
    for rule in own.flat_map(|role| role["rules"].as_array().into_iter().flatten()) {
        for verb in texts(rule, "verbs") {
            for group in texts(rule, "apiGroups") {
                for resource in texts(rule, "resources") {
                    rights.insert((verb.to_owned(), format!("{group}/{resource}")));
                }
            }
        }
    }
    ensure!(!rights.is_empty(), "no roles of {account}");
    Ok(rights)
}

/// All that it has done; fails on what was refused to it.
fn done(cluster: &Kubernetes) -> Result<BTreeSet<Right>> {
    let mut rights = BTreeSet::new();
    let calls = cluster.operator_calls()?;
    for event in calls.iter().filter(|event| event.get("objectRef").is_some()) {
        let part = |name: &str| text(&event["objectRef"], &format!("/{name}")).to_owned();
        let (subresource, mut what) =
            (part("subresource"), format!("{}/{}", part("apiGroup"), part("resource")));
        if !subresource.is_empty() {
            what = format!("{what}/{subresource}");
        }
        let verb = text(event, "/verb").to_owned();
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or(0);
        ensure!(
            code != 403 || event["responseStatus"]["reason"] != "Forbidden" || is_no_right(event),
            "refused: {verb} {what}: {event}"
        );
        // Applied from nothing: the server asks for both rights, and logs one.
        if verb == "patch" && code == 201 {
            rights.insert(("create".to_owned(), what.clone()));
        }
        rights.insert((verb, what));
    }
    Ok(rights)
}

/// What this life does not need: the server itself asks for the finalizers of owners, and things are deleted one by one, or looked for by name,
/// when a spec takes them away, or something foreign has their name.
fn is_rare(verb: &str, what: &str) -> bool {
    (verb == "update" && what.ends_with("/finalizers")) || verb == "delete" || verb == "get"
}

/// Nothing can be made in a namespace that goes, or over its quota, by whoever asks.
fn is_no_right(event: &Value) -> bool {
    let event = event.to_string();
    ["being terminated", "exceeded quota"].iter().any(|why| event.contains(why))
}

#[test]
fn the_operator_does_all_that_it_may_and_nothing_else() {
    with_operator(|cluster| {
        let scene = Scene::running(cluster, "rights")?;
        let savepoint = json!({"apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJobSavepoint",
            "metadata": {"name": "one", "namespace": scene.namespace()}, "spec": {"streamJobName": Scene::JOB}});
        cluster.kubectl(&["apply", "-f", "-"], &savepoint.to_string())?;
        let complete = [
            "wait",
            "-n",
            scene.namespace(),
            "--for=condition=Complete",
            "streamjobsavepoint/one",
            "--timeout=60s",
        ];
        cluster.kubectl(&complete, "")?;
        scene.change(&json!({"workers": {"template": {"labels": {"example.com/color": "blue"}}}, "deletion": {"state": "Delete"}}))?;
        cluster.wait("the upgrade has begun", LONG, || Ok((scene.incarnation()? > 1).then_some(())))?;
        scene.wait_condition("Ready", "True", LONG)?;
        cluster.delete(Kind::JOB, scene.namespace(), Scene::JOB)?;
        cluster.wait_gone(Kind::JOB, scene.namespace(), Scene::JOB, LONG)?;

        let (may, did) = (granted(cluster)?, done(cluster)?);

        let unused: Vec<_> = may.difference(&did).filter(|(verb, what)| !is_rare(verb, what)).collect();
        ensure!(unused.is_empty(), "granted, and not needed for a job's whole life: {unused:#?}");
        Ok(())
    });
}
