//! What the API server itself refuses: each rule of the CRDs, on a real one.
//!
//! Owns: that every example of `crds/src/definition/refused.yaml` is refused as it says, and that no rule is without one.
//! Never: makes an object that an operator would act on.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use streamjob_tests::cluster::{Kind, Kubernetes, merge, on_cluster, text};

const REFUSED: &str = include_str!("../../../crds/src/definition/refused.yaml");
const SMALLEST: &str = include_str!("../../../crds/src/definition/smallest.yaml");
const SAVEPOINT: &str = include_str!("../../../crds/src/definition/savepoint.yaml");

const NAMESPACE: &str = "rules";

/// Something that is refused.
#[derive(Deserialize)]
struct Example {
    says: String,
    /// What is merged into the smallest manifest.
    patch: Value,
    /// What is merged into it later, and refused then.
    change: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Examples {
    stream_job: Vec<Example>,
    stream_job_savepoint: Vec<Example>,
}

/// What the API server says to an example, or that it took it.
fn refusal(cluster: &Kubernetes, good: &Value, example: &Example) -> Result<String> {
    let mut object = good.clone();
    // Nobody acts on a paused job.
    let surroundings = json!({"namespace": NAMESPACE, "annotations": {"streamjob.dev/reconcile": "paused"}});
    merge(&mut object, &json!({"metadata": surroundings}));
    merge(&mut object, &example.patch);
    let Some(change) = &example.change else {
        let said = cluster.kubectl(&["create", "--dry-run=server", "-f", "-"], &object.to_string());
        return Ok(said.unwrap_or_else(|refused| format!("{refused:#}")));
    };
    let name = format!("{}/{}", text(&object, "/kind"), text(&object, "/metadata/name"));
    cluster.kubectl(&["create", "-f", "-"], &object.to_string())?;
    let said =
        cluster.kubectl(&["patch", "-n", NAMESPACE, &name, "--type=merge", "-p", &change.to_string()], "");
    cluster.kubectl(&["delete", "-n", NAMESPACE, &name], "")?;
    Ok(said.unwrap_or_else(|refused| format!("{refused:#}")))
}

/// The messages of all rules below a schema.
fn rules(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let own = fields.get("x-kubernetes-validations").and_then(Value::as_array);
            found.extend(
                own.into_iter().flatten().filter_map(|rule| Some(rule["message"].as_str()?.to_owned())),
            );
            fields.values().for_each(|value| rules(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| rules(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_rule_of_the_definitions_refuses_what_breaks_it() {
    on_cluster(|cluster| {
        let Examples { stream_job, stream_job_savepoint } = serde_yaml::from_str(REFUSED)?;
        cluster.make_namespace(NAMESPACE)?;
        let mut left = BTreeSet::new();
        let mut wrong = Vec::new();
        let kinds = [
            ("streamjobs.streamjob.dev", SMALLEST, stream_job),
            ("streamjobsavepoints.streamjob.dev", SAVEPOINT, stream_job_savepoint),
        ];

        for (definition, good, examples) in kinds {
            let definition = cluster.kubectl(&["get", "crd", definition, "-o", "json"], "")?;
            rules(&serde_json::from_str(&definition)?, &mut left);
            let good = serde_yaml::from_str(good)?;
            for example in &examples {
                let said = refusal(cluster, &good, example)?;
                left.retain(|rule| !said.contains(rule.as_str()));
                if !said.contains(&example.says) {
                    wrong.push(format!("{}: not `{}`, but {said}", example.patch, example.says));
                }
            }
        }

        cluster.delete(Kind::NAMESPACE, "", NAMESPACE)?;
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        ensure!(left.is_empty(), "no example breaks these rules: {left:#?}");
        Ok(())
    });
}
