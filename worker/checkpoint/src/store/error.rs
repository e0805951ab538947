//! What a store can refuse, as its user reads it.
//!
//! Owns: the words; which error means that something is not there.
//! Never: decides whether to try again.

use std::time::Duration;

/// An answer of the store that is not the one that was wanted.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object or the whole folder is not there.
    #[error("{name} is not in {store}")]
    Missing {
        /// The object; `.` is the folder itself.
        name: String,
        /// The store.
        store: String,
    },
    /// The store did not answer in time. A write may still have been made.
    #[error("{store} did not answer within {} s when asked to {what} {name}", .after.as_secs_f64())]
    TimedOut {
        /// `read`, `create`, `list`, …
        what: &'static str,
        /// The object.
        name: String,
        /// The store.
        store: String,
        /// The deadline.
        after: Duration,
    },
    /// It may not be read or written.
    #[error("no permission to {what} {name} in {store}: give this user the right, or name another location")]
    Denied {
        /// `read`, `create`, `list`, …
        what: &'static str,
        /// The object.
        name: String,
        /// The store.
        store: String,
    },
    /// The disk is full.
    #[error("no space left in {store} to {what} {name}: free some")]
    Full {
        /// `create`, …
        what: &'static str,
        /// The object.
        name: String,
        /// The store.
        store: String,
    },
    /// It is not a store that a state can be kept in.
    #[error("{store} cannot keep state: {why}")]
    Unfit {
        /// The store.
        store: String,
        /// What it did.
        why: &'static str,
    },
    /// A name that leaves the folder, or that no object can have.
    #[error("`{name}` is not a name of an object in {store}")]
    BadName {
        /// The name.
        name: String,
        /// The store.
        store: String,
    },
    /// An object that had to be new was there already.
    #[error("{name} is in {store} already: object names must never be used again")]
    NameTaken {
        /// The object.
        name: String,
        /// The store.
        store: String,
    },
    /// Anything else.
    #[error("cannot {what} {name} in {store}")]
    Failed {
        /// `read`, `create`, `list`, …
        what: &'static str,
        /// The object.
        name: String,
        /// The store.
        store: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// The object or folder is not there: as good an answer as any, where others say that nothing is known.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}
