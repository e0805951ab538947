//! The reference of the API: every field, with type, bounds and meaning, and every rule.
//!
//! Owns: docs/api.md, which is made from the definitions.
//! Never: says anything that the types do not say.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Kind, rules, structural};
use crate::Reason;

const HEAD: &str = "# The API

Made from the types by `make generate`; a test keeps it so. [manifest.md](manifest.md) explains the pipeline,
[operator.md](operator.md) what the operator does with the rest.

No field has a default in the schema: what is not written stays unwritten, and the default that is said here is applied by
whoever reads the field. Durations are one to four whole numbers with `h`, `m`, `s` or `ms`: `10s`, `1m30s`.
";

/// The whole text.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for kind in [Kind::stream_job(), Kind::savepoint()] {
        let _ = write!(text, "\n## {}\n\n{}\n", kind.name, kind.description);
        let _ = writeln!(
            text,
            "`kubectl get {}`, short `{}`; all of StreamJob's kinds are in the category `streaming`.",
            kind.plural, kind.short_name
        );
        for (part, raw) in [("spec", &kind.spec), ("status", &kind.status)] {
            block(&mut text, raw, part);
        }
        rules_of(&mut text, kind.rules);
    }
    reasons(&mut text);
    text
}

/// A table for the block at `path`, then one for each block in it.
fn block(text: &mut String, raw: &Value, path: &str) {
    let schema = structural::structural(raw, path);
    let _ = write!(text, "\n### {path}\n\n");
    if let Some(Value::String(description)) = schema.get("description") {
        let _ = write!(text, "{description}\n\n");
    }
    text.push_str("| field | type | meaning |\n| --- | --- | --- |\n");
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut below: Vec<(String, Value)> = Vec::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let raw_field = &raw_of(raw)["properties"][name];
        let needed = if required.contains(&name.as_str()) { ", required" } else { "" };
        let meaning = meaning(field, raw_field);
        let _ = writeln!(text, "| `{name}` | {}{needed} | {meaning} |", type_of(field));
        let (inner, suffix) = match field["type"].as_str() {
            Some("array") => (raw_of(raw_field)["items"].clone(), "[]"),
            _ => (raw_field.clone(), ""),
        };
        let path = format!("{path}.{name}{suffix}");
        if structural::structural(&inner, &path)["properties"].is_object() && !foreign(&path) {
            below.push((path, inner));
        }
    }
    for (path, raw) in below {
        block(text, &raw, &path);
    }
}

/// `Option<T>` as `T`.
fn raw_of(raw: &Value) -> Value {
    let any_of = raw["anyOf"].as_array().into_iter().flatten();
    any_of.into_iter().find(|one| one["type"] != "null").unwrap_or(raw).clone()
}

/// Kubernetes' own blocks are described there.
fn foreign(path: &str) -> bool {
    structural::FOREIGN.iter().any(|foreign| path.starts_with(foreign))
}

fn type_of(field: &Value) -> String {
    if field["x-kubernetes-int-or-string"] == true {
        return "quantity".to_owned();
    }
    let bound = |name: &str| field[name].as_i64().filter(|bound| *bound < i64::MAX);
    match field["type"].as_str().unwrap_or_default() {
        "string" if field["enum"].is_array() => {
            let names = field["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
            names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        }
        "string" if field["format"] == "date-time" => "time".to_owned(),
        "string" if field["pattern"].is_string() => "duration".to_owned(),
        "string" => "text".to_owned(),
        "integer" => match (bound("minimum"), bound("maximum")) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("{min} or more"),
            (None, _) => "whole number".to_owned(),
        },
        "array" => format!("list of {}", type_of(&field["items"])),
        "object" if field["additionalProperties"].is_object() => {
            format!("map of {}", type_of(&field["additionalProperties"]))
        }
        "object" => "block".to_owned(),
        other => other.to_owned(),
    }
}

/// The description of a field and, if it is an enum, of its names.
fn meaning(field: &Value, raw: &Value) -> String {
    let mut meaning = field["description"].as_str().unwrap_or_default().to_owned();
    for (name, description) in structural::variants(raw).unwrap_or_default() {
        if !description.is_empty() {
            let _ = write!(meaning, " `{name}`: {description}");
        }
    }
    meaning.replace('|', "\\|")
}

fn rules_of(text: &mut String, rules: &[rules::Rule]) {
    text.push_str("\n### Rules\n\nThe API server refuses an object that breaks one of them.\n\n");
    for rule in rules {
        let place = if rule.path.is_empty() { "the object" } else { rule.path };
        let _ = writeln!(text, "- `{place}`: {}", rule.message);
    }
}

fn reasons(text: &mut String) {
    text.push_str("\n## Reasons\n\nOf conditions, events and of workers that end. What has a first step has a chapter in the runbook.\n\n");
    text.push_str("| reason | meaning | first step |\n| --- | --- | --- |\n");
    for reason in Reason::ALL {
        let (name, remedy) = match reason.remedy() {
            Some(remedy) => (format!("[{reason}](runbook.md#{})", reason.anchor()), format!("`{remedy}`")),
            None => (reason.to_string(), String::new()),
        };
        let _ = writeln!(text, "| {name} | {} | {remedy} |", reason.meaning());
    }
}
