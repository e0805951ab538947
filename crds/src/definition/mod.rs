//! The CustomResourceDefinitions: what a cluster is told about the kinds.
//!
//! Owns: from the Rust types to the definitions, columns and subresources included.
//! Never: is written by hand anywhere else; charts and reference are made from it.

mod columns;
mod limits;
mod reference;
mod rules;
mod structural;
#[cfg(test)]
mod tests;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::names::{ANNOTATION_SCHEMA_HASH, GROUP};
use crate::{StreamJobSavepointSpec, StreamJobSavepointStatus, StreamJobSpec, StreamJobStatus};
pub use reference::reference;

const VERSION: &str = "v1alpha1";

/// One of the kinds, as its definition has it.
struct Kind {
    name: &'static str,
    plural: &'static str,
    singular: &'static str,
    short_name: &'static str,
    description: &'static str,
    spec: Value,
    status: Value,
    rules: &'static [rules::Rule],
    columns: Value,
    scales: bool,
    selectable: &'static [&'static str],
}

impl Kind {
    fn stream_job() -> Self {
        Self {
            name: "StreamJob",
            plural: "streamjobs",
            singular: "streamjob",
            short_name: "sj",
            description: "A keyed, windowed, exactly-once pipeline whose state survives its pods.",
            spec: raw::<StreamJobSpec>(),
            status: raw::<StreamJobStatus>(),
            rules: rules::STREAM_JOB,
            columns: columns::stream_job(),
            scales: true,
            selectable: &[],
        }
    }

    fn savepoint() -> Self {
        Self {
            name: "StreamJobSavepoint",
            plural: "streamjobsavepoints",
            singular: "streamjobsavepoint",
            short_name: "sjs",
            description: "A copy of a job's state that stays: made once, when this object is created.",
            spec: raw::<StreamJobSavepointSpec>(),
            status: raw::<StreamJobSavepointStatus>(),
            rules: rules::SAVEPOINT,
            columns: columns::savepoint(),
            scales: false,
            selectable: &[".spec.streamJobName"],
        }
    }

    /// The schema of the whole object.
    fn schema(&self) -> Value {
        let mut schema = json!({
            "description": self.description,
            "type": "object",
            "required": ["metadata", "spec"],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {"type": "object"},
                "spec": structural::structural(&self.spec, "spec"),
                "status": structural::structural(&self.status, "status"),
            },
        });
        for rule in self.rules {
            rule.add_to(&mut schema);
        }
        schema
    }

    fn definition(&self) -> Value {
        let mut subresources = json!({"status": {}});
        if self.scales {
            subresources["scale"] = json!({
                "specReplicasPath": ".spec.parallelism",
                "statusReplicasPath": ".status.parallelism.current",
                "labelSelectorPath": ".status.selector",
            });
        }
        let mut version = json!({
            "name": VERSION,
            "served": true,
            "storage": true,
            "additionalPrinterColumns": self.columns,
            "subresources": subresources,
            "schema": {"openAPIV3Schema": self.schema()},
        });
        if !self.selectable.is_empty() {
            let fields = self.selectable.iter().map(|path| json!({"jsonPath": path}));
            version["selectableFields"] = fields.collect();
        }
        let spec = json!({
            "group": GROUP,
            "names": {
                "kind": self.name,
                "plural": self.plural,
                "singular": self.singular,
                "shortNames": [self.short_name],
                "categories": ["streaming"],
            },
            "scope": "Namespaced",
            "versions": [version],
        });
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{}.{GROUP}", self.plural),
                "annotations": {ANNOTATION_SCHEMA_HASH: hash(&spec)},
            },
            "spec": spec,
        })
    }
}

/// The definitions of StreamJob and StreamJobSavepoint.
pub fn definitions() -> [Value; 2] {
    [Kind::stream_job().definition(), Kind::savepoint().definition()]
}

/// Which fields of this build a cluster does not know, by the OpenAPI document (version 3) that its API server has of our group and version.
///
/// Newer definitions lack none. What is written to a field that is lacking is dropped by the server without a word.
pub fn lacking(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for own in definitions() {
        let kind = &own["spec"]["names"]["kind"];
        let name = kind.as_str().unwrap_or_default();
        let schemas = document["components"]["schemas"].as_object();
        let is_of_kind = |schema: &&Value| {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            kinds.into_iter().flatten().any(|of| of["kind"] == *kind && of["version"] == VERSION)
        };
        match schemas.into_iter().flat_map(Map::values).find(is_of_kind) {
            Some(served) => {
                compare(&own["spec"]["versions"][0]["schema"]["openAPIV3Schema"], served, name, &mut found);
            }
            None => found.push(name.to_owned()),
        }
    }
    found
}

fn compare(own: &Value, served: &Value, path: &str, found: &mut Vec<String>) {
    if served["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    for (name, field) in own["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match served["properties"].get(name) {
            Some(served) => compare(field, served, &path, found),
            None => found.push(path),
        }
    }
    for below in ["items", "additionalProperties"] {
        if own[below].is_object() {
            compare(&own[below], &served[below], path, found);
        }
    }
}

/// The schema of a type as its derive makes it.
fn raw<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Sixteen hexadecimal digits that differ when a definition does.
fn hash(spec: &Value) -> String {
    let text = serde_json::to_string(&sorted(spec)).expect("a value has a JSON form");
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}

/// The same value, the members of its mappings in order, whatever the map type keeps.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut entries: Vec<(&String, &Value)> = members.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            Value::Object(
                entries.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
