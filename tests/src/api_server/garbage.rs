//! What a real cluster's collectors do: dependents of objects that are gone, and the contents of deleted namespaces.
//!
//! Owns: owner references, foreground deletion, orphans, the end of a namespace.
//! Never: runs by itself; whoever holds the server says when.

use serde_json::{Value, json};

use super::kinds::KINDS;
use super::store::{Key, Store};
use super::write::{self, Deletion};

/// One pass; whether anything changed.
pub(crate) fn collect(store: &mut Store) -> bool {
    let before = store.version;
    let keys: Vec<Key> = store.objects.keys().cloned().collect();
    let uids: Vec<String> =
        store.objects.values().filter_map(|stored| uid_of(&stored.object).map(str::to_owned)).collect();
    for key in &keys {
        let Some(stored) = store.objects.get(key) else { continue };
        let object = stored.object.clone();
        if key.kind().kind == "Namespace" {
            empty_namespace(store, key, &object);
        } else if is_orphaned(&object, &uids) && !write::is_deleting(&object) {
            let deletion = Deletion { uid: uid_of(&object).map(str::to_owned), ..Deletion::default() };
            // It may be gone by now, which is as well.
            let _ = write::delete(store, key, &deletion);
        } else {
            finish(store, key, &object);
        }
    }
    store.version != before
}

fn uid_of(object: &Value) -> Option<&str> {
    object["metadata"]["uid"].as_str()
}

fn owners(object: &Value) -> Vec<&str> {
    let list = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    list.filter_map(|owner| owner["uid"].as_str()).collect()
}

fn is_orphaned(object: &Value, uids: &[String]) -> bool {
    let owners = owners(object);
    !owners.is_empty() && owners.iter().all(|owner| !uids.iter().any(|uid| uid == owner))
}

/// The finalizers of the collector itself.
fn finish(store: &mut Store, key: &Key, object: &Value) {
    let finalizers = write::finalizers(object);
    let uid = uid_of(object).unwrap_or_default().to_owned();
    let dependents: Vec<Key> = store
        .objects
        .iter()
        .filter(|(_, stored)| owners(&stored.object).contains(&uid.as_str()))
        .map(|(key, _)| key.clone())
        .collect();
    if finalizers.iter().any(|name| name == "foregroundDeletion") {
        for dependent in &dependents {
            let _ = write::delete(store, dependent, &Deletion::default());
        }
        if dependents.is_empty() {
            drop_finalizer(store, key, "foregroundDeletion");
        }
    }
    if finalizers.iter().any(|name| name == "orphan") {
        for dependent in &dependents {
            let Some(mut stored) = store.objects.get(dependent).cloned() else { continue };
            if let Some(list) = stored.object["metadata"]["ownerReferences"].as_array_mut() {
                list.retain(|owner| owner["uid"].as_str() != Some(uid.as_str()));
            }
            store.put(dependent, stored);
        }
        drop_finalizer(store, key, "orphan");
    }
}

fn drop_finalizer(store: &mut Store, key: &Key, name: &str) {
    let Some(mut stored) = store.objects.get(key).cloned() else { return };
    let rest: Vec<String> =
        write::finalizers(&stored.object).into_iter().filter(|known| known != name).collect();
    let is_over = rest.is_empty();
    stored.object["metadata"]["finalizers"] = json!(rest);
    store.put(key, stored);
    if is_over {
        store.take(key);
    }
}

fn empty_namespace(store: &mut Store, key: &Key, object: &Value) {
    if !write::is_deleting(object) {
        return;
    }
    let inside: Vec<Key> = store
        .objects
        .keys()
        .filter(|inner| KINDS[inner.kind].namespaced && inner.namespace == key.name)
        .cloned()
        .collect();
    for inner in &inside {
        let is_deleting = store.objects.get(inner).is_some_and(|stored| write::is_deleting(&stored.object));
        if !is_deleting {
            let _ = write::delete(store, inner, &Deletion::default());
        }
    }
    if inside.is_empty() {
        drop_finalizer(store, key, "kubernetes");
    }
}
