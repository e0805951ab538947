//! YAML for people: block mappings, plain texts where nobody can misread them.
//!
//! Owns: how a value is laid out.
//! Never: relies on a text being read as it looks; in doubt it is quoted.

use serde_json::Value;

/// A mapping or list as a block, each line indented by `indent` spaces.
pub(crate) fn block(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(members) if !members.is_empty() => members
            .iter()
            .map(|(name, value)| format!("{pad}{}:{}", key(name), below(value, indent)))
            .collect(),
        Value::Array(entries) if !entries.is_empty() => {
            entries.iter().map(|entry| listed(entry, indent)).collect()
        }
        Value::Object(_)
        | Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => {
            format!("{pad}{}\n", scalar(value))
        }
    }
}

/// What follows `name:`, the line end included.
fn below(value: &Value, indent: usize) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => format!("\n{}", block(value, indent + 2)),
        Value::Array(entries) if !entries.is_empty() => format!("\n{}", block(value, indent)),
        Value::Object(_)
        | Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => {
            format!(" {}\n", scalar(value))
        }
    }
}

fn listed(entry: &Value, indent: usize) -> String {
    let inner = block(entry, indent + 2);
    let text = inner.strip_prefix(&" ".repeat(indent + 2)).unwrap_or(&inner);
    format!("{}- {text}", " ".repeat(indent))
}

fn key(name: &str) -> String {
    scalar(&Value::String(name.to_owned()))
}

/// A value without lines of its own; empty mappings and lists are such, too.
pub(crate) fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Object(_)
        | Value::Array(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => value.to_string(),
    }
}

/// Words that begin with a letter and have nothing that YAML reads as anything else.
fn is_plain(text: &str) -> bool {
    let odd = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let inner =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | ',' | '/' | '-' | '_' | '(' | ')');
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(inner)
        && !text.ends_with(' ')
        && !odd.contains(&text.to_ascii_lowercase().as_str())
}
