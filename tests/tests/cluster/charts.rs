//! The charts and the definitions: what they make, what they refuse, what an API server makes of them.
//!
//! Owns: rendering with the Helm of the cluster's tools; `helm test` of the installed release.
//! Never: changes the release that the other tests use.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use streamjob_tests::cluster::{Kubernetes, OPERATOR_NAMESPACE, on_cluster, with_operator};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn output(command: &mut Command) -> Result<String> {
    let done = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    ensure!(done.status.success(), "{command:?}: {said}");
    Ok(String::from_utf8(done.stdout)?)
}

/// The program that the cluster's tools were built with.
fn helm() -> Result<PathBuf> {
    let folder = output(Command::new(root().join("tests/cluster/tools/build")).arg("folder"))?;
    Ok(Path::new(folder.trim()).join("helm"))
}

/// The objects that the operator's chart makes with these values.
fn rendered(values: &[&str]) -> Result<Vec<Value>> {
    let mut command = Command::new(helm()?);
    command.args(["template", "streamjob-operator"]).arg(root().join("charts/streamjob-operator"));
    command.args(["--namespace", OPERATOR_NAMESPACE]);
    for value in values {
        command.args(["--set", value]);
    }
    documents(&output(&mut command)?)
}

fn documents(text: &str) -> Result<Vec<Value>> {
    let read = serde_yaml::Deserializer::from_str(text).map(Value::deserialize);
    let all: Vec<Value> = read.collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|object| !object.is_null()).collect())
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

#[test]
fn the_plain_bundle_is_what_the_charts_make() {
    on_cluster(|cluster| {
        let made = output(Command::new(root().join("charts/bundle")).env("HELM", helm()?))?;

        let found = std::fs::read_to_string(root().join("install/streamjob.yaml"))?;

        ensure!(found == made, "install/streamjob.yaml is not what the charts make: run `make bundle`");
        let path = root().join("install/streamjob.yaml").display().to_string();
        let arguments = ["apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", &path];
        // What is in a namespace cannot be tried before the namespace is there.
        cluster.kubectl(&["create", "namespace", OPERATOR_NAMESPACE], "").ok();
        let said = cluster.kubectl(&arguments, "")?;
        ensure!(said.contains("deployment.apps/streamjob-operator"), "{said}");
        Ok(())
    });
}

#[test]
fn values_that_the_operator_does_not_know_are_refused() {
    on_cluster(|_| {
        let wrong = [
            ("imag=a", "additional properties 'imag' not allowed"),
            ("networkPolicy.enable=false", "additional properties 'enable' not allowed"),
            ("replicas=0", "minimum"),
            ("watchNamespaces={a}", "/clusterID"),
            ("log.format=xml", "/log/format"),
        ];
        for (value, says) in wrong {
            let Err(error) = rendered(&[value]) else { bail!("`{value}` was taken") };
            ensure!(error.to_string().contains(says), "{value}: {error}");
        }
        Ok(())
    });
}

#[test]
fn the_operator_has_no_right_that_it_does_not_use() {
    on_cluster(|_| {
        let all = rendered(&[])?;
        let some = rendered(&["watchNamespaces={a,b}", "clusterID=here"])?;

        ensure!(of_kind(&some, "ClusterRole").is_empty(), "a ClusterRole although namespaces are given");
        let where_jobs_are: Vec<&str> =
            of_kind(&some, "Role").iter().filter_map(|role| role["metadata"]["namespace"].as_str()).collect();
        ensure!(["a", "b"].iter().all(|namespace| where_jobs_are.contains(namespace)), "{where_jobs_are:?}");
        for role in of_kind(&all, "ClusterRole").into_iter().chain(of_kind(&some, "Role")) {
            let rules = role["rules"].to_string();
            for never in
                ["secrets", "pods/exec", "\"*\"", "deletecollection", "impersonate", "escalate", "\"nodes\""]
            {
                ensure!(!rules.contains(never), "{}: {never}", role["metadata"]["name"]);
            }
            let pods = role["rules"].as_array().into_iter().flatten();
            let pods = pods.filter(|rule| rule["resources"].to_string().contains("\"pods\""));
            for rule in pods {
                ensure!(!rule["verbs"].to_string().contains("delete"), "pods may be deleted: {rule}");
            }
        }
        Ok(())
    });
}

#[test]
fn what_prometheus_reads_is_made_on_request() {
    on_cluster(|_| {
        ensure!(of_kind(&rendered(&[])?, "PodMonitor").is_empty(), "monitors without being asked for");

        let made = rendered(&["podMonitor.enabled=true", "prometheusRule.enabled=true"])?;

        ensure!(of_kind(&made, "PodMonitor").len() == 2, "one for the operator, one for all workers");
        let groups = &of_kind(&made, "PrometheusRule")[0]["spec"]["groups"];
        for alarm in
            groups.as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array()).flatten()
        {
            let said = [&alarm["annotations"]["summary"], &alarm["annotations"]["action"], &alarm["expr"]];
            ensure!(said.iter().all(|text| text.is_string()), "{alarm}");
        }
        Ok(())
    });
}

/// What the project gives as examples, and the smallest manifest.
fn manifests() -> Result<Vec<PathBuf>> {
    let mut found = vec![root().join("crds/src/definition/smallest.yaml")];
    for folder in std::fs::read_dir(root().join("examples"))? {
        for file in std::fs::read_dir(folder?.path()).into_iter().flatten() {
            found.push(file?.path());
        }
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    Ok(found)
}

#[test]
fn every_example_of_the_project_is_accepted_as_it_is() {
    on_cluster(|cluster| {
        let manifests = manifests()?;
        ensure!(manifests.len() > 5, "only {} manifests were found", manifests.len());

        for path in manifests {
            let path = path.display().to_string();
            cluster.kubectl(&["create", "--dry-run=server", "--validate=strict", "-f", &path], "")?;
        }
        Ok(())
    });
}

#[test]
fn a_job_scales_by_its_scale_subresource() {
    on_cluster(|cluster| {
        cluster.kubectl(&["create", "namespace", "scaled"], "")?;
        let text = std::fs::read_to_string(root().join("crds/src/definition/smallest.yaml"))?;
        let mut job = documents(&text)?.remove(0);
        // Nobody acts on it.
        job["metadata"]["annotations"] = json!({"streamjob.dev/reconcile": "paused"});
        cluster.kubectl(&["create", "-n", "scaled", "-f", "-"], &job.to_string())?;

        cluster.kubectl(&["scale", "-n", "scaled", "sj/clicks-per-page", "--replicas=6"], "")?;

        let asked = ["get", "-n", "scaled", "sj/clicks-per-page", "-o=jsonpath={.spec.parallelism}"];
        let found = cluster.kubectl(&asked, "")?;
        cluster.kubectl(&["delete", "namespace", "scaled", "--wait=false"], "")?;
        ensure!(found == "6", "parallelism is {found}");
        Ok(())
    });
}

/// What the API server refused to the operator, by its audit log.
fn refusals(cluster: &Kubernetes) -> Result<Vec<String>> {
    let log = std::fs::read_to_string(cluster.folder().join("log/audit.json"))?;
    let account = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:");
    let mut refused = Vec::new();
    for line in log.lines() {
        // The last line may be half written.
        let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
        let own = entry["user"]["username"].as_str().is_some_and(|user| user.starts_with(&account));
        if own && entry["annotations"]["authorization.k8s.io/decision"] == "forbid" {
            refused.push(format!("{} {}", entry["verb"], entry["requestURI"]));
        }
    }
    Ok(refused)
}

#[test]
fn the_test_of_the_release_passes_and_nothing_is_refused_to_the_operator() {
    with_operator(|cluster| {
        let mut command = Command::new(helm()?);
        command.args(["test", "streamjob-operator", "--namespace", OPERATOR_NAMESPACE, "--timeout", "2m"]);
        let said = output(&mut command)?;

        ensure!(said.contains("Succeeded"), "{said}");
        let refused = refusals(cluster)?;
        ensure!(refused.is_empty(), "refused: {refused:#?}");
        Ok(())
    });
}
