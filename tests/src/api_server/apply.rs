//! Server-side apply, and what other writes mean for the owners of fields.
//!
//! Owns: managers, merging, conflicts, and the removal of what a manager no longer sends.
//! Never: knows resource versions, or whether the object may change at all.

use serde_json::{Value, json};

use super::fields::{self, FieldSet, Path, Step, fields_of, keys_of, pattern, value_at};
use super::kinds::{Kind, Merge};
use super::refusal::Refusal;

/// Who wrote a part of an object, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manager {
    pub(crate) name: String,
    /// Whether by apply; all others are updates.
    pub(crate) applies: bool,
    /// Whether through the path of the status.
    pub(crate) status: bool,
    pub(crate) fields: FieldSet,
    pub(crate) time: String,
}

impl Manager {
    fn is(&self, writer: &Writer<'_>, applies: bool) -> bool {
        self.name == writer.name && self.status == writer.status && self.applies == applies
    }

    pub(crate) fn to_json(&self, kind: &Kind) -> Value {
        let mut entry = json!({
            "manager": self.name,
            "operation": if self.applies { "Apply" } else { "Update" },
            "apiVersion": kind.api_version(),
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields::to_fields_v1(&self.fields),
        });
        if self.status {
            entry["subresource"] = json!("status");
        }
        entry
    }
}

/// Who writes now.
pub(crate) struct Writer<'a> {
    pub(crate) name: &'a str,
    pub(crate) status: bool,
    pub(crate) force: bool,
    pub(crate) now: &'a str,
}

/// The object and its managers after an apply. `live` is nothing if it is created.
pub(crate) fn apply(
    kind: &Kind,
    live: Option<(&Value, &[Manager])>,
    sent: &Value,
    writer: &Writer<'_>,
) -> Result<(Value, Vec<Manager>), Refusal> {
    let wanted = fields_of(kind, sent);
    let (object, managers) = live.unwrap_or((&Value::Null, &[]));
    let mut managers = managers.to_vec();
    resolve_conflicts(kind, object, sent, &wanted, (&mut managers, writer))?;
    let before: FieldSet = managers
        .iter()
        .find(|manager| manager.is(writer, true))
        .map(|manager| manager.fields.clone())
        .unwrap_or_default();
    let mut merged = merge(kind, object, sent, &mut Vec::new());
    // Whole items first: an item without the fields that are its keys could not be found any more.
    for path in before.difference(&wanted) {
        let others = managers.iter().filter(|manager| !manager.is(writer, true));
        if !others.into_iter().any(|manager| owns(&manager.fields, path)) {
            fields::remove(kind, &mut merged, path);
        }
    }
    match managers.iter_mut().find(|manager| manager.is(writer, true)) {
        Some(manager) if manager.fields == wanted => {}
        Some(manager) => {
            manager.fields = wanted;
            manager.time = writer.now.to_owned();
        }
        None => managers.push(Manager {
            name: writer.name.to_owned(),
            applies: true,
            status: writer.status,
            fields: wanted,
            time: writer.now.to_owned(),
        }),
    }
    managers.retain(|manager| !manager.fields.is_empty());
    Ok((merged, managers))
}

/// Whether a set has the path or something inside it.
fn owns(set: &FieldSet, path: &Path) -> bool {
    set.range(path.clone()..).next().is_some_and(|first| first.starts_with(path))
}

fn resolve_conflicts(
    kind: &Kind,
    live: &Value,
    sent: &Value,
    wanted: &FieldSet,
    (managers, writer): (&mut [Manager], &Writer<'_>),
) -> Result<(), Refusal> {
    let mut conflicts = Vec::new();
    for manager in managers.iter_mut().filter(|manager| !manager.is(writer, true)) {
        let differs = |path: &&Path| {
            let is_item = matches!(path.last(), Some(Step::Keys(_)));
            !is_item && value_at(kind, live, path) != value_at(kind, sent, path)
        };
        let lost: Vec<Path> = manager.fields.intersection(wanted).filter(differs).cloned().collect();
        for path in lost {
            conflicts.push((format!("conflict with \"{}\"", manager.name), fields::dotted(&path)));
            if writer.force {
                manager.fields.remove(&path);
            }
        }
    }
    if conflicts.is_empty() || writer.force { Ok(()) } else { Err(Refusal::owned(&conflicts)) }
}

/// What is sent over what is there.
fn merge(kind: &Kind, live: &Value, sent: &Value, path: &mut Path) -> Value {
    match (live, sent) {
        (Value::Object(old), Value::Object(new)) if !kind.is_atomic_map(&pattern(path)) => {
            let mut merged = old.clone();
            for (name, value) in new {
                path.push(Step::Field(name.clone()));
                let inner = merge(kind, old.get(name).unwrap_or(&Value::Null), value, path);
                path.pop();
                merged.insert(name.clone(), inner);
            }
            Value::Object(merged)
        }
        (Value::Array(old), Value::Array(new)) => merge_lists(kind, old, new, path),
        _ => sent.clone(),
    }
}

fn merge_lists(kind: &Kind, old: &[Value], new: &[Value], path: &mut Path) -> Value {
    let mut merged = old.to_vec();
    match kind.merge_of_list(&pattern(path)) {
        Merge::Atomic => merged = new.to_vec(),
        Merge::Set => merged.extend(new.iter().filter(|item| !old.contains(item)).cloned()),
        Merge::ByKeys(names) => {
            for item in new {
                let keys = keys_of(item, names);
                let place = merged.iter().position(|known| keys_of(known, names) == keys);
                let before = place.map_or(Value::Null, |place| merged[place].clone());
                path.push(Step::Keys(keys));
                let inner = merge(kind, &before, item, path);
                path.pop();
                match place {
                    Some(place) => merged[place] = inner,
                    None => merged.push(inner),
                }
            }
        }
    }
    Value::Array(merged)
}

/// What another write than an apply means for the managers: who writes owns what changed.
pub(crate) fn note_update(
    kind: &Kind,
    before: &Value,
    after: &Value,
    managers: &mut Vec<Manager>,
    writer: &Writer<'_>,
) {
    let present = fields_of(kind, after);
    let changed: FieldSet = present
        .iter()
        .filter(|path| value_at(kind, before, path) != value_at(kind, after, path))
        .filter(|path| !matches!(path.last(), Some(Step::Keys(_))) || value_at(kind, before, path).is_none())
        .cloned()
        .collect();
    for manager in managers.iter_mut() {
        let own = manager.is(writer, false);
        manager
            .fields
            .retain(|path| value_at(kind, after, path).is_some() && (own || !changed.contains(path)));
    }
    if !changed.is_empty() {
        match managers.iter_mut().find(|manager| manager.is(writer, false)) {
            Some(manager) => {
                manager.fields.extend(changed);
                manager.time = writer.now.to_owned();
            }
            None => managers.push(Manager {
                name: writer.name.to_owned(),
                applies: false,
                status: writer.status,
                fields: changed,
                time: writer.now.to_owned(),
            }),
        }
    }
    managers.retain(|manager| !manager.fields.is_empty());
}
