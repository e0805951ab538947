//! A revision: what workers were made from, kept so that they can be made again as they were.
//!
//! Owns: the hash of what the user asks for; the form of a ControllerRevision's data.
//! Never: renders today's defaults into a revision that exists.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use streamjob_crds::{SignedDuration, StreamJobSpec};
use xxhash_rust::xxh3::xxh3_128;

use crate::effective::Effective;
use crate::world::{Fingerprint, Object};

/// The form of [`Content`]; one that is newer is left alone.
const FORMAT: u32 = 1;

/// A revision and its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The name of its ControllerRevision and ConfigMap.
    pub name: String,
    /// What it is made of.
    pub content: Content,
}

/// What a ControllerRevision holds.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// The form of this value.
    format: u32,
    /// The hash of what the user asked for: as long as it is the same, nothing is started anew.
    pub user: String,
    /// What workers are made from, with the defaults and the image of the day it was made.
    pub effective: Effective,
    /// What state depends on.
    pub fingerprint: Fingerprint,
    /// The slots it was made with: only for the manifest that workers read, where it must be something.
    pub parallelism: u32,
}

impl Revision {
    /// A new revision of a spec.
    pub fn of(job: &str, spec: &StreamJobSpec, effective: Effective, fingerprint: &Fingerprint) -> Self {
        let content = Content {
            format: FORMAT,
            user: user_hash(spec),
            effective,
            fingerprint: fingerprint.clone(),
            parallelism: spec.parallelism,
        };
        // Not the parallelism: the same revision runs with any.
        let same = Content { parallelism: 0, ..content.clone() };
        let name =
            format!("{job}-{}", hash(&serde_json::to_value(same).expect("a revision has a JSON form")));
        Self { name, content }
    }

    /// Reads a ControllerRevision; None if it is none of ours or newer than this program.
    pub fn read(object: &Object) -> Option<Self> {
        let content: Content = serde_json::from_value(object.0.get("data")?.clone()).ok()?;
        (content.format <= FORMAT).then(|| Self { name: object.name().to_owned(), content })
    }

    /// What workers are made from.
    pub fn effective(&self) -> &Effective {
        &self.content.effective
    }
}

/// The hash of all that makes a new revision when the user changes it, whatever the spelling of durations. The worker's
/// image counts only if the user names one, so a new operator restarts nothing.
pub fn user_hash(spec: &StreamJobSpec) -> String {
    let all = serde_json::to_value(spec).expect("a spec has a JSON form");
    let mut seen = serde_json::Map::new();
    for field in ["pipeline", "state", "workers", "observability", "restartedAt"] {
        if let Some(value) = all.get(field) {
            seen.insert(field.to_owned(), value.clone());
        }
    }
    if let Some(workers) = seen.get_mut("workers").and_then(Value::as_object_mut) {
        workers.remove("podDisruptionBudget");
        workers.remove("slots");
    }
    for field in ["initialBackoff", "maxBackoff"] {
        if let Some(value) = all["recovery"].get(field) {
            seen.insert(field.to_owned(), value.clone());
        }
    }
    let mut seen = Value::Object(seen);
    durations_as_millis(&mut seen);
    drop_empty(&mut seen);
    hash(&seen)
}

/// The fields that hold durations, by name; labels and the like, where users choose names, are left as they are.
const DURATIONS: &[&str] = &[
    "allowedLateness",
    "idleTimeout",
    "initialBackoff",
    "interval",
    "maxBackoff",
    "maxDrift",
    "maxFuture",
    "maxOutOfOrderness",
    "offset",
    "size",
    "terminationGracePeriod",
    "timeout",
];

fn durations_as_millis(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                if name == "template" {
                    continue;
                }
                let text = field.as_str().filter(|_| DURATIONS.contains(&name.as_str()));
                match text.and_then(|text| SignedDuration::parse(text).ok()) {
                    Some(duration) => *field = Value::from(duration.millis()),
                    None => durations_as_millis(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(durations_as_millis),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `workers: {}` asks for the same as no workers at all.
fn drop_empty(value: &mut Value) {
    if let Value::Object(fields) = value {
        for name in ["workers", "observability"] {
            if fields.get(name).and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
                fields.remove(name);
            }
        }
    }
}

/// Ten hexadecimal digits that depend on nothing but what is said, not on the order of fields.
pub fn hash(value: &Value) -> String {
    let mut text = Vec::new();
    canonical(value, &mut text);
    let full = xxh3_128(&text);
    format!("{full:032x}")[..10].to_owned()
}

fn canonical(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            text.push(b'{');
            for name in names {
                write(name, text);
                text.push(b':');
                canonical(&fields[name], text);
                text.push(b',');
            }
            text.push(b'}');
        }
        Value::Array(items) => {
            text.push(b'[');
            for item in items {
                canonical(item, text);
                text.push(b',');
            }
            text.push(b']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => write(value, text),
    }
}

fn write(value: &impl Serialize, text: &mut Vec<u8>) {
    serde_json::to_writer(text, value).expect("text can be written to memory");
}
