//! Sets of fields: who owns which part of an object.
//!
//! Owns: paths into objects, how they are written in `managedFields`, and what lies at them.
//! Never: decides who wins a conflict.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::kinds::{Kind, Merge};

/// One step of a path.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Step {
    /// A field of a mapping.
    Field(String),
    /// An item of a list, by its keys, as canonical JSON.
    Keys(String),
    /// An item of a set, as canonical JSON.
    Item(String),
}

/// Where a field is.
pub(crate) type Path = Vec<Step>;

/// The fields of one manager.
pub(crate) type FieldSet = BTreeSet<Path>;

/// What no manager owns: the server sets it, or it names the object.
const NOBODYS: &[&str] = &[
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// All fields that an object sets.
pub(crate) fn fields_of(kind: &Kind, object: &Value) -> FieldSet {
    let mut walk = Walk { kind, found: FieldSet::new() };
    for (name, value) in object.as_object().into_iter().flatten() {
        if name == "apiVersion" || name == "kind" {
            continue;
        }
        walk.visit(value, vec![Step::Field(name.clone())]);
    }
    walk.found.retain(|path| !is_nobodys(path));
    walk.found
}

fn is_nobodys(path: &Path) -> bool {
    let metadata = Step::Field("metadata".to_owned());
    match path.as_slice() {
        [only] => *only == metadata,
        [first, Step::Field(name), ..] => *first == metadata && NOBODYS.contains(&name.as_str()),
        _ => false,
    }
}

struct Walk<'a> {
    kind: &'a Kind,
    found: FieldSet,
}

impl Walk<'_> {
    fn visit(&mut self, value: &Value, path: Path) {
        match value {
            Value::Object(map) if !map.is_empty() && !self.kind.is_atomic_map(&pattern(&path)) => {
                for (name, value) in map {
                    self.visit(value, child(&path, Step::Field(name.clone())));
                }
            }
            Value::Array(items) => self.visit_list(items, path),
            Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.found.insert(path);
            }
        }
    }

    fn visit_list(&mut self, items: &[Value], path: Path) {
        match self.kind.merge_of_list(&pattern(&path)) {
            Merge::Atomic => {
                self.found.insert(path);
            }
            Merge::Set => {
                self.found.extend(items.iter().map(|item| child(&path, Step::Item(item.to_string()))));
            }
            Merge::ByKeys(keys) => {
                for item in items {
                    let at = child(&path, Step::Keys(keys_of(item, keys)));
                    self.found.insert(at.clone());
                    self.visit(item, at);
                }
            }
        }
    }
}

fn child(path: &Path, step: Step) -> Path {
    let mut path = path.clone();
    path.push(step);
    path
}

/// The path without what tells items apart, as the table of kinds has it.
pub(crate) fn pattern(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) => {
                text.push('.');
                text.push_str(name);
            }
            Step::Keys(_) | Step::Item(_) => text.push_str("[]"),
        }
    }
    text
}

/// As a conflict names it: `.spec.replicas`.
pub(crate) fn dotted(path: &[Step]) -> String {
    let steps = path.iter().map(|step| match step {
        Step::Field(name) => format!(".{name}"),
        Step::Keys(keys) | Step::Item(keys) => format!("[{keys}]"),
    });
    steps.collect()
}

/// What tells an item of a list from the others. A port without a protocol is a TCP port.
pub(crate) fn keys_of(item: &Value, keys: &[&str]) -> String {
    let mut found = Map::new();
    for key in keys {
        let value = match item.get(key) {
            Some(value) => value.clone(),
            None if *key == "protocol" => json!("TCP"),
            None => continue,
        };
        found.insert((*key).to_owned(), value);
    }
    Value::Object(found).to_string()
}

/// An item of a set, as steps have it.
fn canonical(item: &Value) -> String {
    item.to_string()
}

/// What lies at a path.
pub(crate) fn value_at<'a>(kind: &Kind, object: &'a Value, path: &[Step]) -> Option<&'a Value> {
    let mut at = object;
    for (depth, step) in path.iter().enumerate() {
        at = match step {
            Step::Field(name) => at.get(name)?,
            Step::Item(item) => at.as_array()?.iter().find(|value| value.to_string() == *item)?,
            Step::Keys(keys) => {
                let Merge::ByKeys(names) = kind.merge_of_list(&pattern(&path[..depth])) else { return None };
                at.as_array()?.iter().find(|value| keys_of(value, names) == *keys)?
            }
        };
    }
    Some(at)
}

/// Takes a path out of an object, and mappings that are empty then.
pub(crate) fn remove(kind: &Kind, object: &mut Value, path: &[Step]) {
    let Some((last, before)) = path.split_last() else { return };
    let merge = kind.merge_of_list(&pattern(before));
    let Some(parent) = value_at_mut(kind, object, before) else { return };
    match (last, parent) {
        (Step::Field(name), Value::Object(map)) => {
            map.remove(name);
        }
        (Step::Item(item), Value::Array(items)) => items.retain(|value| canonical(value) != *item),
        (Step::Keys(keys), Value::Array(items)) => {
            if let Merge::ByKeys(names) = merge {
                items.retain(|value| keys_of(value, names) != *keys);
            }
        }
        _ => {}
    }
    let is_empty = value_at(kind, object, before).is_some_and(|value| match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    });
    // `spec` and `metadata` stay, whatever is in them.
    if is_empty && before.len() > 1 {
        remove(kind, object, before);
    }
}

fn value_at_mut<'a>(kind: &Kind, object: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    let mut at = object;
    for (depth, step) in path.iter().enumerate() {
        at = match step {
            Step::Field(name) => at.get_mut(name)?,
            Step::Item(item) => at.as_array_mut()?.iter_mut().find(|value| value.to_string() == *item)?,
            Step::Keys(keys) => {
                let Merge::ByKeys(names) = kind.merge_of_list(&pattern(&path[..depth])) else { return None };
                at.as_array_mut()?.iter_mut().find(|value| keys_of(value, names) == *keys)?
            }
        };
    }
    Some(at)
}

/// As `managedFields` writes a set.
pub(crate) fn to_fields_v1(set: &FieldSet) -> Value {
    let mut root = json!({});
    for path in set {
        let mut at = &mut root;
        for step in path {
            let name = match step {
                Step::Field(name) => format!("f:{name}"),
                Step::Keys(keys) => format!("k:{keys}"),
                Step::Item(item) => format!("v:{item}"),
            };
            at = at.as_object_mut().expect("every step is a mapping").entry(name).or_insert(json!({}));
        }
        if let (Some(Step::Keys(_)), Some(map)) = (path.last(), at.as_object_mut()) {
            map.insert(".".to_owned(), json!({}));
        }
    }
    root
}
