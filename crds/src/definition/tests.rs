//! Tests of the definitions: the conventions of the Kubernetes API, field by field.
//!
//! Owns: one test for each convention.
//! Never: evaluates a rule; a real API server does, in the tests of the cluster.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{definitions, lacking, rules};

/// Every schema below `schema`, with its path.
fn walk<'a>(schema: &'a Value, path: &str, found: &mut Vec<(String, &'a Value)>) {
    found.push((path.to_owned(), schema));
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        walk(field, &format!("{path}.{name}"), found);
    }
    for (below, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[below].is_object() {
            walk(&schema[below], &format!("{path}{mark}"), found);
        }
    }
}

/// Every field of both kinds below spec and status.
fn fields(definitions: &[Value; 2]) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for definition in definitions {
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            walk(&schema["properties"][part], part, &mut found);
        }
    }
    found
}

fn offenders(wrong: impl Fn(&str, &Value) -> bool) -> Vec<String> {
    let definitions = definitions();
    fields(&definitions)
        .into_iter()
        .filter(|(path, field)| wrong(path, field))
        .map(|(path, _)| path)
        .collect()
}

#[test]
fn nothing_is_nullable_but_an_element_that_may_be_null() {
    let found = offenders(|_, field| field.get("nullable").is_some());

    assert_eq!(found, ["spec.pipeline.source.generator.columns[].choice.values[]"]);
}

#[test]
fn no_field_has_a_default_and_no_description_is_made_up() {
    let found = offenders(|_, field| field.get("default").is_some());

    assert_eq!(found, [""; 0]);
    assert!(!definitions().iter().any(|definition| definition.to_string().contains("Auto-generated")));
}

#[test]
fn every_field_of_ours_is_described() {
    let foreign = |path: &str| super::structural::FOREIGN.iter().any(|foreign| path.starts_with(foreign));
    let entry = |path: &str| path.ends_with("[]") || path.ends_with("{}");

    let found = offenders(|path, field| !foreign(path) && !entry(path) && field.get("description").is_none());

    assert_eq!(found, [""; 0]);
}

#[test]
fn every_list_says_how_it_is_merged_and_how_long_it_may_be() {
    let found = offenders(|_, field| {
        field["type"] == "array" && (field["x-kubernetes-list-type"].is_null() || !field["maxItems"].is_u64())
    });
    assert_eq!(found, [""; 0]);

    let without_keys = offenders(|_, field| {
        let required = field["items"]["required"].as_array().cloned().unwrap_or_default();
        let keys = field["x-kubernetes-list-map-keys"].as_array().cloned().unwrap_or_default();
        field["x-kubernetes-list-type"] == "map"
            && (keys.is_empty() || !keys.iter().all(|key| required.contains(key)))
    });
    assert_eq!(without_keys, [""; 0]);
}

#[test]
fn every_text_and_every_map_is_bounded() {
    let found = offenders(|_, field| {
        (field["type"] == "string" && field["enum"].is_null() && !field["maxLength"].is_u64())
            || (field["additionalProperties"].is_object() && !field["maxProperties"].is_u64())
    });

    assert_eq!(found, [""; 0]);
}

#[test]
fn numbers_are_whole_and_signed_with_whole_bounds() {
    let of_the_generator = "spec.pipeline.source.generator.columns[]";
    let found = offenders(|path, field| {
        let float = field["type"] == "number" && !path.starts_with(of_the_generator);
        let format = field["type"] == "integer" && field["format"] != "int32" && field["format"] != "int64";
        let bound = ["minimum", "maximum"].iter().any(|bound| field.get(*bound).is_some_and(Value::is_f64));
        float || format || bound
    });

    assert_eq!(found, [""; 0]);
}

#[test]
fn acronyms_keep_their_case_and_no_enum_reads_as_a_boolean() {
    let definitions = definitions();
    let names: BTreeSet<String> = fields(&definitions)
        .iter()
        .filter_map(|(path, _)| path.rsplit('.').next().map(|name| name.trim_end_matches("[]").to_owned()))
        .collect();
    let wrong = |name: &&String| ["Id", "Uri", "Url", "Uid"].iter().any(|end| name.ends_with(end));
    assert_eq!(names.iter().filter(wrong).collect::<Vec<_>>(), Vec::<&String>::new());

    let found = offenders(|_, field| {
        let names = field["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.into_iter().any(|name| {
            let plain = !name.starts_with(|first: char| first.is_ascii_uppercase());
            plain || ["On", "Off", "Yes", "No", "True", "False"].contains(&name)
        })
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn only_structural_keywords_are_used() {
    const KNOWN: [&str; 19] = [
        "additionalProperties",
        "anyOf",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "nullable",
        "pattern",
        "properties",
        "required",
        "type",
        "x-kubernetes-int-or-string",
    ];
    let found = offenders(|_, field| {
        let keys = field.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        let known = |key: &str| {
            KNOWN.contains(&key) || key.starts_with("x-kubernetes-list-") || key == "x-kubernetes-validations"
        };
        keys.into_iter().any(|key| !known(key)) || field["additionalProperties"] == false
    });

    assert_eq!(found, [""; 0]);
}

#[test]
fn each_rule_has_its_own_sentence_at_its_place() {
    for rules in [rules::STREAM_JOB, rules::SAVEPOINT] {
        let mut seen = BTreeSet::new();
        for rule in rules {
            assert!(seen.insert((rule.path, rule.message)), "{}: {}", rule.path, rule.message);
            let says = rule.message.contains("must ") || rule.message.contains("may ");
            assert!(
                says && !rule.message.contains("should") && !rule.message.ends_with('.'),
                "{}",
                rule.message
            );
        }
    }
}

#[test]
fn a_definition_is_small_enough_to_be_applied() {
    for definition in definitions() {
        let bytes = definition.to_string().len();
        assert!(bytes < 64 << 10, "{}: {bytes} bytes", definition["metadata"]["name"]);
    }
}

/// What an API server says of these definitions.
fn document(definitions: &[Value]) -> Value {
    let schemas = definitions.iter().map(|definition| {
        let kind = &definition["spec"]["names"]["kind"];
        let mut schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        schema["properties"]["metadata"] = json!({"allOf": [{"$ref": "#/components/schemas/ObjectMeta"}]});
        schema["x-kubernetes-group-version-kind"] =
            json!([{"group": "streamjob.dev", "version": "v1alpha1", "kind": kind}]);
        (format!("dev.streamjob.v1alpha1.{}", kind.as_str().unwrap_or_default()), schema)
    });
    json!({"components": {"schemas": schemas.collect::<serde_json::Map<_, _>>()}})
}

#[test]
fn definitions_that_lack_a_field_are_told_apart_from_those_that_have_more() {
    let [own, savepoint] = definitions();
    assert_eq!(lacking(&document(&[own.clone(), savepoint.clone()])), [""; 0]);

    let mut newer = own.clone();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    newer.pointer_mut(spec).expect("it has a spec")["fromTomorrow"] = json!({"type": "string"});
    assert_eq!(lacking(&document(&[newer, savepoint])), [""; 0]);

    let mut older = own;
    let fields = older
        .pointer_mut(&format!("{spec}/workers/properties/template/properties/tolerations/items/properties"));
    fields.and_then(Value::as_object_mut).expect("it has tolerations").remove("effect");
    let lacks = ["StreamJob.spec.workers.template.tolerations.effect", "StreamJobSavepoint"];
    assert_eq!(lacking(&document(&[older])), lacks);
}

#[test]
fn scale_columns_and_names_are_as_the_operator_needs_them() {
    let [job, savepoint] = definitions();
    let version = &job["spec"]["versions"][0];

    assert_eq!(version["subresources"]["scale"]["specReplicasPath"], ".spec.parallelism");
    assert_eq!(job["spec"]["names"]["shortNames"], json!(["sj"]));
    assert_eq!(savepoint["spec"]["names"]["shortNames"], json!(["sjs"]));
    for definition in [&job, &savepoint] {
        assert_eq!(definition["spec"]["names"]["categories"], json!(["streaming"]));
        assert!(definition["spec"]["versions"][0]["subresources"]["status"].is_object());
    }
}

#[test]
fn each_rule_has_an_example_that_breaks_it() {
    let refused: Value = serde_yaml::from_str(include_str!("refused.yaml")).expect("it is YAML");
    let tables = [("StreamJob", rules::STREAM_JOB), ("StreamJobSavepoint", rules::SAVEPOINT)];
    for (kind, rules) in tables {
        let says: Vec<&str> = refused[kind]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|example| example["says"].as_str())
            .collect();
        for rule in rules {
            let examples = says.iter().filter(|says| rule.message.starts_with(**says)).count();
            let places = rules.iter().filter(|other| other.message == rule.message).count();
            assert!(
                examples >= places,
                "{}: {} has {examples} of {places} examples",
                rule.path,
                rule.message
            );
        }
    }
}

#[test]
fn the_smallest_manifest_is_good_for_a_cluster() {
    let smallest: Value = serde_yaml::from_str(include_str!("smallest.yaml")).expect("it is YAML");
    let job: crate::StreamJob = serde_json::from_value(smallest).expect("it is a job");

    assert_eq!(crate::validate(&job, crate::Place::Cluster), []);
}

#[test]
fn the_objects_that_gitops_tools_are_tried_on_are_as_the_operator_writes_them() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/argocd");
    let read = |path: std::path::PathBuf| -> Value {
        serde_yaml::from_str(&std::fs::read_to_string(path).expect("it is a file")).expect("it is YAML")
    };
    let mut count = 0;
    for (kind, wanted) in [
        ("StreamJob", &crate::ConditionType::OF_A_JOB[..]),
        ("StreamJobSavepoint", &crate::ConditionType::OF_A_SAVEPOINT[..]),
    ] {
        for file in std::fs::read_dir(folder.join(kind).join("testdata")).expect("it is a folder") {
            let object = read(file.expect("it is a file").path());
            let conditions = match kind {
                "StreamJob" => serde_json::from_value::<crate::StreamJobObject>(object)
                    .expect("a job")
                    .status
                    .map(|status| status.conditions),
                _ => serde_json::from_value::<crate::SavepointObject>(object)
                    .expect("a savepoint")
                    .status
                    .map(|status| status.conditions),
            };
            let Some(conditions) = conditions else { continue };
            let types: Vec<&str> = conditions.iter().map(|condition| condition.type_.as_str()).collect();
            assert_eq!(types, wanted.iter().map(|wanted| wanted.as_str()).collect::<Vec<_>>());
            for condition in conditions {
                assert_ne!(
                    crate::Reason::parse(&condition.reason),
                    crate::Reason::Unknown,
                    "{}",
                    condition.reason
                );
            }
            count += 1;
        }
    }
    assert!(count >= 14, "only {count} objects were found");
}
