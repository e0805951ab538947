//! Merge patches and JSON patches.
//!
//! Owns: RFC 7386, and of RFC 6902 the operations test, add, replace and remove.
//! Never: knows what it patches.

use serde_json::Value;

use super::refusal::Refusal;

/// RFC 7386.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let map = target.as_object_mut().expect("it was made a mapping above");
    for (name, change) in changes {
        if change.is_null() {
            map.remove(name);
        } else {
            merge(map.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

/// RFC 6902; all of it or nothing.
pub(crate) fn json(target: &mut Value, patch: &Value) -> Result<(), Refusal> {
    let operations =
        patch.as_array().ok_or_else(|| Refusal::bad_request("a JSON patch is a list of operations"))?;
    let mut changed = target.clone();
    for operation in operations {
        one(&mut changed, operation)?;
    }
    *target = changed;
    Ok(())
}

fn one(target: &mut Value, operation: &Value) -> Result<(), Refusal> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (op, path) = (text("op"), text("path"));
    let value = operation.get("value").cloned().unwrap_or(Value::Null);
    if op == "test" {
        let found = target.pointer(&path);
        return if found == Some(&value) { Ok(()) } else { Err(failed(&path, "the test failed")) };
    }
    let (parent, last) = path.rsplit_once('/').ok_or_else(|| failed(&path, "not a pointer"))?;
    let name = last.replace("~1", "/").replace("~0", "~");
    let parent = target.pointer_mut(parent).ok_or_else(|| failed(&path, "there is no such place"))?;
    match parent {
        Value::Object(map) => match op.as_str() {
            "add" => {
                map.insert(name, value);
            }
            "replace" if map.contains_key(&name) => {
                map.insert(name, value);
            }
            "remove" if map.contains_key(&name) => {
                map.remove(&name);
            }
            _ => return Err(failed(&path, "there is nothing to replace or remove")),
        },
        Value::Array(items) => {
            in_list(items, (&op, &name), value).ok_or_else(|| failed(&path, "no such item"))?
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(failed(&path, "neither a mapping nor a list"));
        }
    }
    Ok(())
}

fn in_list(items: &mut Vec<Value>, (op, place): (&str, &str), value: Value) -> Option<()> {
    let at = if place == "-" { items.len() } else { place.parse().ok()? };
    match op {
        "add" if at <= items.len() => items.insert(at, value),
        "replace" if at < items.len() => items[at] = value,
        "remove" if at < items.len() => {
            items.remove(at);
        }
        _ => return None,
    }
    Some(())
}

fn failed(path: &str, why: &str) -> Refusal {
    Refusal::invalid("JSON patch", path, path, why)
}
