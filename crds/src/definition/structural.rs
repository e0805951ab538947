//! From the schema that a derive makes to the one that an API server takes.
//!
//! Owns: the conventions that hold for every field: bounds, list types, no defaults, no nulls, whole bounds.
//! Never: knows a rule that joins two fields.

use serde_json::{Map, Value, json};

use super::limits;

/// Blocks that are Kubernetes' own: what they say about themselves is left out, as it is long and known.
pub(super) const FOREIGN: [&str; 4] = [
    "spec.workers.template.affinity",
    "spec.workers.template.tolerations",
    "spec.workers.template.topologySpreadConstraints",
    "status.conditions",
];
/// The one place where null is a value.
const NULLABLE: &str = "spec.pipeline.source.generator.columns[].choice.values[]";

/// The structural schema of the field at `path`; entries of a list are at `path[]`, values of a map at `path{}`.
pub(super) fn structural(raw: &Value, path: &str) -> Value {
    let merged = without_null(raw);
    let mut out = Map::new();
    if !FOREIGN.iter().any(|foreign| path.strip_prefix(foreign).is_some_and(|below| !below.is_empty()))
        && let Some(Value::String(text)) = merged.get("description")
    {
        out.insert("description".to_owned(), json!(text.replace('\n', " ")));
    }
    if path == NULLABLE {
        out.insert("nullable".to_owned(), json!(true));
    }
    if merged.get("x-kubernetes-int-or-string") == Some(&json!(true)) {
        out.insert("x-kubernetes-int-or-string".to_owned(), json!(true));
        out.insert("anyOf".to_owned(), json!([{"type": "integer"}, {"type": "string"}]));
        copy(&merged, "pattern", &mut out);
        out.insert("maxLength".to_owned(), json!(32));
        return Value::Object(out);
    }
    let kind = kind_of(&merged);
    out.insert("type".to_owned(), json!(kind));
    match kind {
        "object" => object(&merged, path, &mut out),
        "array" => list(&merged, path, &mut out),
        "string" => text(&merged, path, &mut out),
        "integer" => integer(&merged, path, &mut out),
        _ => {}
    }
    Value::Object(out)
}

/// The names of an enum and what each means, if the raw schema of a field is one.
pub(super) fn variants(raw: &Value) -> Option<Vec<(String, String)>> {
    let merged = without_null(raw);
    let named = |variant: &Value| -> Option<(String, String)> {
        let name = variant["const"].as_str()?.to_owned();
        Some((name, variant["description"].as_str().unwrap_or_default().replace('\n', " ")))
    };
    if let Some(Value::Array(one_of)) = merged.get("oneOf") {
        // Variants without a description of their own are in an `enum` among them.
        let plain = one_of.iter().flat_map(|variant| variant["enum"].as_array()).flatten();
        let plain = plain.filter_map(Value::as_str).map(|name| (name.to_owned(), String::new()));
        return Some(one_of.iter().filter_map(named).chain(plain).collect());
    }
    let names = merged.get("enum")?.as_array()?;
    Some(names.iter().filter_map(Value::as_str).map(|name| (name.to_owned(), String::new())).collect())
}

/// `Option<T>` as `T`: the description of the field, all else of the type.
fn without_null(raw: &Value) -> Map<String, Value> {
    let mut members = raw.as_object().cloned().unwrap_or_default();
    if let Some(Value::Array(any_of)) = members.remove("anyOf") {
        let inner = any_of.iter().find(|one| one["type"] != "null");
        let inner = inner.map(without_null).unwrap_or_default();
        for (name, value) in inner {
            members.entry(name).or_insert(value);
        }
    }
    members
}

fn kind_of(members: &Map<String, Value>) -> &'static str {
    let named = match members.get("type") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        Some(Value::String(name)) => Some(name.as_str()),
        Some(_) | None => None,
    };
    match named {
        Some("object") => "object",
        Some("array") => "array",
        Some("integer") => "integer",
        Some("number") => "number",
        Some("boolean") => "boolean",
        Some(_) | None => "string",
    }
}

fn copy(members: &Map<String, Value>, name: &str, out: &mut Map<String, Value>) {
    if let Some(value) = members.get(name) {
        out.insert(name.to_owned(), value.clone());
    }
}

fn object(members: &Map<String, Value>, path: &str, out: &mut Map<String, Value>) {
    copy(members, "required", out);
    if let Some(Value::Object(fields)) = members.get("properties") {
        let fields =
            fields.iter().map(|(name, raw)| (name.clone(), structural(raw, &format!("{path}.{name}"))));
        out.insert("properties".to_owned(), Value::Object(fields.collect()));
    }
    if let Some(values) = members.get("additionalProperties").filter(|values| values.is_object()) {
        out.insert("additionalProperties".to_owned(), structural(values, &format!("{path}{{}}")));
        out.insert("maxProperties".to_owned(), json!(limits::PROPERTIES_MAX));
    }
}

fn list(members: &Map<String, Value>, path: &str, out: &mut Map<String, Value>) {
    let entry = format!("{path}[]");
    out.insert("items".to_owned(), structural(&members["items"], &entry));
    out.insert("maxItems".to_owned(), json!(limits::items_max(path)));
    if limits::at_least_one(path) {
        out.insert("minItems".to_owned(), json!(1));
    }
    let (list_type, keys) = limits::list_type(path);
    out.insert("x-kubernetes-list-type".to_owned(), json!(list_type));
    if !keys.is_empty() {
        out.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
    }
}

fn text(members: &Map<String, Value>, path: &str, out: &mut Map<String, Value>) {
    if let Some(variants) = variants(&Value::Object(members.clone())) {
        let names: Vec<String> = variants.into_iter().map(|(name, _)| name).collect();
        out.insert("enum".to_owned(), json!(names));
        return;
    }
    copy(members, "pattern", out);
    if members.get("format") == Some(&json!("date-time")) {
        out.insert("format".to_owned(), json!("date-time"));
    }
    out.insert(
        "maxLength".to_owned(),
        members.get("maxLength").cloned().unwrap_or(json!(limits::length_max(path))),
    );
    if limits::not_empty(path) {
        out.insert("minLength".to_owned(), json!(1));
    }
}

fn integer(members: &Map<String, Value>, path: &str, out: &mut Map<String, Value>) {
    let format = members.get("format").and_then(Value::as_str).unwrap_or("int64");
    let (wide, unsigned) = match format {
        "uint64" => (true, true),
        "int64" => (true, false),
        "uint32" | "uint16" | "uint8" => (false, true),
        _ => (false, false),
    };
    out.insert("format".to_owned(), json!(if wide { "int64" } else { "int32" }));
    match limits::range(path) {
        Some((min, max)) => {
            out.insert("minimum".to_owned(), json!(min));
            out.extend(max.map(|max| ("maximum".to_owned(), json!(max))));
        }
        None if unsigned => {
            out.insert("minimum".to_owned(), json!(0));
        }
        None => {}
    }
}
