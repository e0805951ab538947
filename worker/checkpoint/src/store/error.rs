//! What a store can refuse, as its user reads it.
//!
//! Owns: the words; which error means that something is not there, and which may pass.
//! Never: tries again.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use object_store::Error;
use object_store::client::HttpError;

use super::remote::Answer;
use crate::retry::{Passing, io_may_pass};

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
    /// An object ends too early.
    #[error("{name} in {store} has {found} bytes where at least {wanted} were expected: it was cut off")]
    Short {
        /// The object.
        name: String,
        /// The store.
        store: String,
        /// The bytes that were asked for end here.
        wanted: u64,
        /// Its length.
        found: u64,
    },
    /// It cannot be asked at all.
    #[error("cannot use {store}: {why}")]
    BadLocation {
        /// The store.
        store: String,
        /// Why, with the remedy.
        why: String,
    },
    /// A store over the network refuses.
    #[error("cannot {what} {name} in {store}: it says {answer}")]
    Answered {
        /// `read`, `create`, `list`, …
        what: &'static str,
        /// The object.
        name: String,
        /// The store.
        store: String,
        /// What it says.
        answer: Box<Answer>,
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

    /// Whether the store, or this machine, does not let us.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Denied { .. } => true,
            Self::Answered { answer, .. } => answer.is_denied(),
            Self::Missing { .. }
            | Self::TimedOut { .. }
            | Self::Full { .. }
            | Self::Unfit { .. }
            | Self::BadName { .. }
            | Self::NameTaken { .. }
            | Self::Short { .. }
            | Self::BadLocation { .. }
            | Self::Failed { .. } => false,
        }
    }
}

impl Passing for StoreError {
    fn may_pass(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Full { .. } => true,
            Self::Answered { answer, .. } => answer.may_pass(),
            Self::Failed { source, .. } => source.downcast_ref().is_none_or(call_may_pass),
            Self::Missing { .. }
            | Self::Denied { .. }
            | Self::Unfit { .. }
            | Self::BadName { .. }
            | Self::NameTaken { .. }
            | Self::BadLocation { .. }
            | Self::Short { .. } => false,
        }
    }

    fn not_before(&self) -> Duration {
        match self {
            Self::Answered { answer, .. } => answer.retry_after().unwrap_or_default(),
            Self::Missing { .. }
            | Self::TimedOut { .. }
            | Self::Denied { .. }
            | Self::Full { .. }
            | Self::Unfit { .. }
            | Self::BadName { .. }
            | Self::NameTaken { .. }
            | Self::Short { .. }
            | Self::BadLocation { .. }
            | Self::Failed { .. } => Duration::ZERO,
        }
    }
}

/// What was asked of which store.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) what: &'static str,
    pub(super) name: &'a str,
    pub(super) store: &'a str,
}

impl Asked<'_> {
    pub(super) fn timed_out(self, after: Duration) -> StoreError {
        StoreError::TimedOut {
            what: self.what,
            name: self.name.to_owned(),
            store: self.store.to_owned(),
            after,
        }
    }

    pub(super) fn refused(self, error: Error) -> StoreError {
        let (what, name, store) = (self.what, self.name.to_owned(), self.store.to_owned());
        if let Some(answer) = cause::<Answer>(&error) {
            return StoreError::Answered { what, name, store, answer: Box::new(answer.clone()) };
        }
        if let Some(error) = cause::<HttpError>(&error) {
            // Around it are addresses, which may hold a signature.
            let source = crate::retry::with_causes(error.source().unwrap_or(error)).into();
            return StoreError::Failed { what, name, store, source };
        }
        if matches!(error, Error::NotFound { .. }) {
            return StoreError::Missing { name, store };
        }
        if matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) {
            return StoreError::Denied { what, name, store };
        }
        if matches!(error, Error::AlreadyExists { .. }) {
            return StoreError::NameTaken { name, store };
        }
        match io_kind(&error) {
            Some(io::ErrorKind::NotFound) => StoreError::Missing { name, store },
            Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                StoreError::Denied { what, name, store }
            }
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                StoreError::Full { what, name, store }
            }
            Some(_) | None => StoreError::Failed { what, name, store, source: Box::new(error) },
        }
    }
}

/// Whether the same call may succeed later: unless the store does not know such calls, or has stopped.
fn call_may_pass(error: &Error) -> bool {
    let lasting = matches!(
        error,
        Error::InvalidPath { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::UnknownConfigurationKey { .. }
            | Error::JoinError { .. }
    );
    !lasting && io_kind(error).is_none_or(io_may_pass)
}

/// The operating system's answer, if it was that.
fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    cause::<io::Error>(error).map(io::Error::kind)
}

/// The first of its causes that is of this type.
fn cause<E: std::error::Error + 'static>(error: &Error) -> Option<&E> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<E>() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}
