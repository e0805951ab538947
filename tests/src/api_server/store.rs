//! The objects, their versions, and what happened to them.
//!
//! Owns: every object, the resource version, the log of changes that watches read.
//! Never: speaks HTTP, or decides whether a write is allowed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::apply::Manager;
use super::kinds::{KINDS, Kind};
use super::refusal::Refusal;
use super::select::Selection;

/// Which object.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key {
    /// The place in [`KINDS`].
    pub(crate) kind: usize,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn kind(&self) -> &'static Kind {
        &KINDS[self.kind]
    }

    pub(crate) fn not_found(&self) -> Refusal {
        Refusal::not_found(&self.kind().resource(), &self.name)
    }
}

/// An object and who wrote its fields.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    /// Without `managedFields`.
    pub(crate) object: Value,
    pub(crate) managers: Vec<Manager>,
}

impl Stored {
    /// As a reader gets it.
    pub(crate) fn render(&self, kind: &Kind) -> Value {
        let mut object = self.object.clone();
        if !self.managers.is_empty() {
            let entries: Vec<Value> = self.managers.iter().map(|manager| manager.to_json(kind)).collect();
            object["metadata"]["managedFields"] = json!(entries);
        }
        object
    }
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: Key,
    /// ADDED, MODIFIED or DELETED.
    pub(crate) what: &'static str,
    pub(crate) object: Arc<Value>,
    pub(crate) before: Option<Arc<Value>>,
}

/// What a list returns.
pub(crate) struct Listed {
    pub(crate) items: Vec<Value>,
    pub(crate) version: u64,
    /// Where the next page begins.
    pub(crate) next: Option<String>,
}

/// What a list asks for.
pub(crate) struct Page<'a> {
    pub(crate) namespace: Option<&'a str>,
    pub(crate) selection: &'a Selection,
    pub(crate) limit: usize,
    pub(crate) after: Option<&'a str>,
}

/// What the clock of the server says.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Changes that a watch may still ask for.
const LOG_MAX: usize = 10_000;

/// Everything the server knows.
pub(crate) struct Store {
    pub(crate) objects: BTreeMap<Key, Stored>,
    pub(crate) version: u64,
    log: VecDeque<Change>,
    /// Changes up to here are forgotten.
    oldest: u64,
    uids: u64,
    clock: Clock,
    /// Whether our own kinds are defined.
    pub(crate) has_own_kinds: bool,
    /// What caches show since they were stopped: their objects and version.
    stale: Option<(BTreeMap<Key, Stored>, u64)>,
}

impl Store {
    pub(crate) fn new(clock: Clock) -> Self {
        let mut store = Self {
            objects: BTreeMap::new(),
            version: 1_000,
            log: VecDeque::new(),
            oldest: 1_000,
            uids: 0,
            clock,
            has_own_kinds: true,
            stale: None,
        };
        for namespace in ["default", "kube-system"] {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            let key = Key { kind: 0, namespace: String::new(), name: namespace.to_owned() };
            let now = store.now_text();
            let writer = super::apply::Writer { name: "bootstrap", status: false, force: false, now: &now };
            super::write::create(&mut store, &key, object, &super::write::Terms::by(&writer))
                .expect("nothing is there yet");
        }
        store
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The time in whole seconds, as objects carry it.
    pub(crate) fn now_text(&self) -> String {
        super::whole_seconds(self.now())
    }

    pub(crate) fn new_uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.uids)
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Value, Refusal> {
        let stored = self.objects.get(key).ok_or_else(|| key.not_found())?;
        Ok(stored.render(key.kind()))
    }

    /// Puts an object in its place, under a new version, and tells the watches.
    pub(crate) fn put(&mut self, key: &Key, mut stored: Stored) -> Value {
        self.version += 1;
        stored.object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = stored.render(key.kind());
        let before = self.objects.insert(key.clone(), stored);
        let what = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.note(key, what, (&object, before.map(|before| before.render(key.kind()))));
        object
    }

    /// Takes an object away.
    pub(crate) fn take(&mut self, key: &Key) -> Option<Value> {
        let mut stored = self.objects.remove(key)?;
        let before = stored.render(key.kind());
        self.version += 1;
        stored.object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = stored.render(key.kind());
        self.note(key, "DELETED", (&object, Some(before)));
        Some(object)
    }

    fn note(&mut self, key: &Key, what: &'static str, (object, before): (&Value, Option<Value>)) {
        self.log.push_back(Change {
            version: self.version,
            key: key.clone(),
            what,
            object: Arc::new(object.clone()),
            before: before.map(Arc::new),
        });
        while self.log.len() > LOG_MAX {
            self.oldest = self.log.pop_front().map_or(self.oldest, |change| change.version);
        }
    }

    /// Objects of a kind, in the order of their names. With `cached` caches answer, which may be behind.
    pub(crate) fn list(&self, kind: usize, page: &Page<'_>, cached: bool) -> Listed {
        let (objects, version) = match &self.stale {
            Some((objects, version)) if cached => (objects, *version),
            Some(_) | None => (&self.objects, self.version),
        };
        let mut listed = Listed { items: Vec::new(), version, next: None };
        let mut last = String::new();
        for (key, stored) in objects.iter().filter(|(key, _)| key.kind == kind) {
            let place = format!("{}/{}", key.namespace, key.name);
            let elsewhere = page.namespace.is_some_and(|namespace| namespace != key.namespace);
            let before = page.after.is_some_and(|after| place.as_str() <= after);
            if elsewhere || before || !page.selection.matches(&stored.object) {
                continue;
            }
            if listed.items.len() == page.limit {
                listed.next = Some(last);
                break;
            }
            listed.items.push(stored.render(key.kind()));
            last = place;
        }
        listed
    }

    /// What happened to a kind after a version; an error if that is forgotten.
    pub(crate) fn changes_after(&self, kind: usize, version: u64) -> Result<Vec<Change>, Refusal> {
        if version < self.oldest {
            return Err(Refusal::gone(version, self.oldest));
        }
        let until = self.visible();
        let wanted =
            |change: &&Change| change.key.kind == kind && change.version > version && change.version <= until;
        Ok(self.log.iter().filter(wanted).cloned().collect())
    }

    /// The version that caches and watches have come to.
    pub(crate) fn visible(&self) -> u64 {
        self.stale.as_ref().map_or(self.version, |(_, version)| *version)
    }

    /// Stops caches and watches where they are, or lets them go on.
    pub(crate) fn hold_caches(&mut self, hold: bool) {
        self.stale = hold.then(|| (self.objects.clone(), self.version));
    }

    /// Forgets the past: whoever watches from before now gets 410.
    pub(crate) fn compact(&mut self) {
        self.log.clear();
        self.oldest = self.version;
    }
}
