//! Creating, changing and deleting objects.
//!
//! Owns: preconditions, what a write may touch, generations, finalizers and the steps of a deletion.
//! Never: collects what a deleted owner leaves behind.

use serde_json::{Map, Value, json};

use super::apply::{self, Writer};
use super::refusal::Refusal;
use super::rules;
use super::store::{Key, Store, Stored};

/// On which terms something is written.
pub(crate) struct Terms<'a> {
    pub(crate) writer: &'a Writer<'a>,
    pub(crate) dry_run: bool,
}

impl<'a> Terms<'a> {
    pub(crate) fn by(writer: &'a Writer<'a>) -> Self {
        Self { writer, dry_run: false }
    }
}

/// What a deletion asks for.
#[derive(Debug, Default)]
pub(crate) struct Deletion {
    pub(crate) uid: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) grace: Option<i64>,
    pub(crate) propagation: Option<String>,
    pub(crate) dry_run: bool,
}

/// Makes a new object.
pub(crate) fn create(
    store: &mut Store,
    key: &Key,
    mut body: Value,
    terms: &Terms<'_>,
) -> Result<Value, Refusal> {
    drop_nulls(&mut body);
    if store.objects.contains_key(key) {
        return Err(Refusal::exists(&key.kind().resource(), &key.name));
    }
    let mut managers = Vec::new();
    without_status(key, &mut body);
    apply::note_update(key.kind(), &Value::Null, &body, &mut managers, terms.writer);
    insert(store, key, Stored { object: body, managers }, terms.dry_run)
}

/// What `status` a creation brings is dropped.
fn without_status(key: &Key, body: &mut Value) {
    if let (true, Some(map)) = (key.kind().status, body.as_object_mut()) {
        map.remove("status");
    }
}

fn insert(store: &mut Store, key: &Key, mut stored: Stored, dry_run: bool) -> Result<Value, Refusal> {
    let kind = key.kind();
    check_namespace(store, key)?;
    let uid = if dry_run { String::new() } else { store.new_uid() };
    let metadata = metadata_of(&mut stored.object);
    for name in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields"] {
        metadata.remove(name);
    }
    metadata.insert("uid".to_owned(), json!(uid));
    metadata.insert("name".to_owned(), json!(key.name));
    metadata.insert("creationTimestamp".to_owned(), json!(store.now_text()));
    if kind.namespaced {
        metadata.insert("namespace".to_owned(), json!(key.namespace));
    }
    if kind.generation {
        metadata.insert("generation".to_owned(), json!(1));
    }
    stored.object["apiVersion"] = json!(kind.api_version());
    stored.object["kind"] = json!(kind.kind);
    rules::set_defaults(kind, &mut stored.object);
    rules::check(kind, None, &stored.object)?;
    if dry_run { Ok(stored.render(kind)) } else { Ok(store.put(key, stored)) }
}

fn check_namespace(store: &Store, key: &Key) -> Result<(), Refusal> {
    if !key.kind().namespaced {
        return Ok(());
    }
    let namespace = Key { kind: 0, namespace: String::new(), name: key.namespace.clone() };
    let found = store.objects.get(&namespace).ok_or_else(|| namespace.not_found())?;
    if found.object["metadata"].get("deletionTimestamp").is_some() {
        return Err(Refusal::terminating(&key.kind().resource(), &key.name, &key.namespace));
    }
    Ok(())
}

/// Changes an object through a server-side apply, or makes it.
pub(crate) fn apply(
    store: &mut Store,
    key: &Key,
    mut body: Value,
    terms: &Terms<'_>,
) -> Result<Value, Refusal> {
    drop_nulls(&mut body);
    let kind = key.kind();
    if let Some(map) = body.as_object_mut() {
        if terms.writer.status {
            // Only the status travels on this path; what else is sent serves as precondition.
            map.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
        } else if kind.status {
            map.remove("status");
        }
    }
    let Some(live) = store.objects.get(key).cloned() else {
        return apply_new(store, key, body, terms);
    };
    check_sent_metadata(key, &live.object, &body)?;
    let mut fields = body.clone();
    if terms.writer.status {
        metadata_of(&mut fields).clear();
    }
    let (object, managers) = apply::apply(kind, Some((&live.object, &live.managers)), &fields, terms.writer)?;
    change(store, key, &live, Stored { object, managers }, terms)
}

fn apply_new(store: &mut Store, key: &Key, body: Value, terms: &Terms<'_>) -> Result<Value, Refusal> {
    let kind = key.kind();
    if terms.writer.status {
        return Err(key.not_found());
    }
    if let Some(uid) = body["metadata"]["uid"].as_str() {
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        return Err(Refusal::conflict(&kind.resource(), &key.name, &why));
    }
    let (object, managers) = apply::apply(kind, None, &body, terms.writer)?;
    insert(store, key, Stored { object, managers }, terms.dry_run)
}

/// Changes an object in any other way.
pub(crate) fn update(
    store: &mut Store,
    key: &Key,
    terms: &Terms<'_>,
    edit: impl FnOnce(&mut Value) -> Result<(), Refusal>,
) -> Result<Value, Refusal> {
    let live = store.objects.get(key).cloned().ok_or_else(|| key.not_found())?;
    let mut object = live.object.clone();
    // Only a version that the writer sends itself is a precondition.
    edit(&mut object)?;
    drop_nulls(&mut object);
    metadata_of(&mut object).remove("managedFields");
    check_sent_metadata(key, &live.object, &object)?;
    keep_other_half(key, &live.object, &mut object, terms.writer.status);
    let mut managers = live.managers.clone();
    apply::note_update(key.kind(), &live.object, &object, &mut managers, terms.writer);
    change(store, key, &live, Stored { object, managers }, terms)
}

/// The path of the status changes nothing else, the other path everything else.
fn keep_other_half(key: &Key, live: &Value, object: &mut Value, is_status: bool) {
    if !key.kind().status {
        return;
    }
    let status = if is_status { object.get("status") } else { live.get("status") }.cloned();
    if is_status {
        *object = live.clone();
    }
    if let Some(map) = object.as_object_mut() {
        match status {
            Some(status) => map.insert("status".to_owned(), status),
            None => map.remove("status"),
        };
    }
}

fn check_sent_metadata(key: &Key, live: &Value, sent: &Value) -> Result<(), Refusal> {
    let resource = key.kind().resource();
    let differs = |field: &str| {
        let sent = sent["metadata"].get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        sent.filter(|sent| live["metadata"][field].as_str() != Some(sent))
    };
    if let Some(uid) = differs("uid") {
        let found = live["metadata"]["uid"].as_str().unwrap_or_default();
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {found}");
        return Err(Refusal::conflict(&resource, &key.name, &why));
    }
    if differs("resourceVersion").is_some() {
        return Err(Refusal::modified(&resource, &key.name));
    }
    if let Some(name) = differs("name") {
        return Err(Refusal::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            key.name
        )));
    }
    Ok(())
}

fn change(
    store: &mut Store,
    key: &Key,
    live: &Stored,
    mut new: Stored,
    terms: &Terms<'_>,
) -> Result<Value, Refusal> {
    let kind = key.kind();
    let kept = [
        "uid",
        "name",
        "namespace",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "resourceVersion",
    ];
    let metadata = metadata_of(&mut new.object);
    for name in kept {
        match live.object["metadata"].get(name) {
            Some(value) => metadata.insert(name.to_owned(), value.clone()),
            None => metadata.remove(name),
        };
    }
    rules::set_defaults(kind, &mut new.object);
    rules::check(kind, Some(&live.object), &new.object)?;
    if new == *live {
        return Ok(live.render(kind));
    }
    if kind.generation && wish(&new.object) != wish(&live.object) {
        let generation = live.object["metadata"]["generation"].as_i64().unwrap_or_default() + 1;
        new.object["metadata"]["generation"] = json!(generation);
    }
    if terms.dry_run {
        return Ok(new.render(kind));
    }
    let is_over = is_deleting(&new.object)
        && finalizers(&new.object).is_empty()
        && new.object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or_default() == 0;
    let object = store.put(key, new);
    if is_over {
        store.take(key);
    }
    Ok(object)
}

/// What a user asks for: all but metadata and status.
fn wish(object: &Value) -> Value {
    let mut map = object.as_object().cloned().unwrap_or_default();
    map.remove("metadata");
    map.remove("status");
    Value::Object(map)
}

/// Deletes an object, or begins to.
pub(crate) fn delete(store: &mut Store, key: &Key, deletion: &Deletion) -> Result<Value, Refusal> {
    let mut stored = store.objects.get(key).cloned().ok_or_else(|| key.not_found())?;
    check_deletion(key, &stored.object, deletion)?;
    let kind = key.kind();
    let mut finalizers = finalizers(&stored.object);
    match deletion.propagation.as_deref() {
        Some("Foreground") => finalizers.push("foregroundDeletion".to_owned()),
        Some("Orphan") => finalizers.push("orphan".to_owned()),
        Some(_) | None => {}
    }
    if kind.kind == "Namespace" {
        finalizers.push("kubernetes".to_owned());
    }
    finalizers.dedup();
    let grace = if kind.kind == "Pod" { pod_grace(&stored.object, deletion.grace) } else { 0 };
    if deletion.dry_run {
        return Ok(stored.render(kind));
    }
    if finalizers.is_empty() && grace == 0 {
        return store.take(key).ok_or_else(|| key.not_found());
    }
    let was_deleting = is_deleting(&stored.object);
    let now = super::whole_seconds(store.now() + jiff::SignedDuration::from_secs(grace));
    let generation = stored.object["metadata"]["generation"].as_i64();
    let metadata = metadata_of(&mut stored.object);
    if !was_deleting {
        metadata.insert("deletionTimestamp".to_owned(), json!(now));
        if let (true, Some(generation)) = (kind.generation, generation) {
            metadata.insert("generation".to_owned(), json!(generation + 1));
        }
    }
    metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(grace));
    if !finalizers.is_empty() {
        metadata.insert("finalizers".to_owned(), json!(finalizers));
    }
    if store.objects.get(key) == Some(&stored) { Ok(stored.render(kind)) } else { Ok(store.put(key, stored)) }
}

fn check_deletion(key: &Key, object: &Value, deletion: &Deletion) -> Result<(), Refusal> {
    let found = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    let pairs = [
        ("UID", &deletion.uid, found("uid")),
        ("ResourceVersion", &deletion.version, found("resourceVersion")),
    ];
    for (name, wanted, found) in pairs {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| **wanted != found) {
            let why = format!(
                "Precondition failed: {name} in precondition: {wanted}, {name} in object meta: {found}"
            );
            return Err(Refusal::conflict(&key.kind().resource(), &key.name, &why));
        }
    }
    Ok(())
}

/// A pod that no node has is gone at once; else its kubelet ends it.
fn pod_grace(pod: &Value, asked: Option<i64>) -> i64 {
    if pod["spec"].get("nodeName").is_none() {
        return 0;
    }
    let own = pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let running = pod["metadata"]["deletionGracePeriodSeconds"].as_i64();
    let wanted = asked.unwrap_or(own);
    running.map_or(wanted, |running| running.min(wanted))
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some()
}

pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    let list = object["metadata"]["finalizers"].as_array().into_iter().flatten();
    list.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn metadata_of(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"].as_object_mut().expect("it was made a mapping above")
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
