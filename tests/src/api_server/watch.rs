//! Watches: what happened since a version, as a stream of lines.
//!
//! Owns: ADDED, MODIFIED, DELETED as a selector sees them, bookmarks, 410, the end after a while.
//! Never: holds the store while it waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Shared;
use super::kinds::KINDS;
use super::select::Selection;
use super::store::{Change, Page};

/// Bookmarks come this often; a real server takes a minute.
const BOOKMARK: Duration = Duration::from_millis(500);

/// What a watch asks for.
pub(crate) struct Ask {
    pub(crate) kind: usize,
    pub(crate) namespace: Option<String>,
    pub(crate) selection: Selection,
    pub(crate) from: Option<u64>,
    pub(crate) bookmarks: bool,
    pub(crate) initial: bool,
    pub(crate) metadata_only: bool,
    pub(crate) time: Duration,
}

struct Watch {
    shared: Arc<Shared>,
    ask: Ask,
    at: u64,
    waiting: VecDeque<Value>,
    changed: tokio::sync::watch::Receiver<u64>,
    bookmark: Instant,
    end: Instant,
    is_over: bool,
}

/// The lines of a watch.
pub(crate) fn lines(
    shared: Arc<Shared>,
    ask: Ask,
) -> impl Stream<Item = Result<String, std::io::Error>> + Send + 'static {
    let mut watch = Watch {
        changed: shared.changes(),
        at: 0,
        waiting: VecDeque::new(),
        bookmark: Instant::now() + BOOKMARK,
        end: Instant::now() + ask.time,
        is_over: false,
        shared,
        ask,
    };
    watch.begin();
    futures::stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((Ok(format!("{event}\n")), watch))
    })
}

impl Watch {
    /// Without a version it begins with all there is.
    fn begin(&mut self) {
        let store = self.shared.store();
        self.at = self.ask.from.unwrap_or_else(|| store.visible());
        if self.ask.from.is_some_and(|from| from > 0) && !self.ask.initial {
            return;
        }
        let page = Page {
            namespace: self.ask.namespace.as_deref(),
            selection: &self.ask.selection,
            limit: usize::MAX,
            after: None,
        };
        let listed = store.list(self.ask.kind, &page, true);
        self.at = listed.version;
        let events = listed.items.iter().map(|item| self.event("ADDED", item)).collect::<Vec<_>>();
        self.waiting.extend(events);
        if self.ask.initial {
            let mut bookmark = self.bookmark_event();
            bookmark["object"]["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
            self.waiting.push_back(bookmark);
        }
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.is_over || Instant::now() >= self.end {
                return None;
            }
            self.changed.borrow_and_update();
            self.gather();
            if !self.waiting.is_empty() {
                continue;
            }
            let until = self.bookmark.min(self.end);
            // Only a hint: after any change, and after a while, the log is read again.
            let _ = tokio::time::timeout_at(until, self.changed.changed()).await;
            if Instant::now() >= self.bookmark {
                self.bookmark = Instant::now() + BOOKMARK;
                if self.ask.bookmarks {
                    self.waiting.push_back(self.bookmark_event());
                }
            }
        }
    }

    fn gather(&mut self) {
        let (changes, visible) = {
            let store = self.shared.store();
            (store.changes_after(self.ask.kind, self.at), store.visible())
        };
        match changes {
            Err(refusal) => {
                self.waiting.push_back(json!({"type": "ERROR", "object": refusal.body()}));
                self.is_over = true;
            }
            Ok(changes) => {
                let events: Vec<Value> = changes.iter().filter_map(|change| self.seen(change)).collect();
                self.waiting.extend(events);
                self.at = self.at.max(visible);
            }
        }
    }

    /// How a change looks through the selector.
    fn seen(&self, change: &Change) -> Option<Value> {
        if self.ask.namespace.as_ref().is_some_and(|namespace| *namespace != change.key.namespace) {
            return None;
        }
        let now = self.ask.selection.matches(&change.object);
        let before = change.before.as_ref().is_some_and(|before| self.ask.selection.matches(before));
        let what = match (change.what, before, now) {
            ("DELETED", _, _) => (before || now).then_some("DELETED"),
            (_, true, true) => Some("MODIFIED"),
            (_, false, true) => Some("ADDED"),
            (_, true, false) => Some("DELETED"),
            (_, false, false) => None,
        }?;
        Some(self.event(what, &change.object))
    }

    fn event(&self, what: &str, object: &Value) -> Value {
        let object = if self.ask.metadata_only { super::http::only_metadata(object) } else { object.clone() };
        json!({"type": what, "object": object})
    }

    fn bookmark_event(&self) -> Value {
        let kind = &KINDS[self.ask.kind];
        json!({"type": "BOOKMARK", "object": {
            "apiVersion": kind.api_version(), "kind": kind.kind,
            "metadata": {"resourceVersion": self.at.to_string(), "creationTimestamp": null},
        }})
    }
}
