//! Where a running job is asked for savepoints from within its process.
//!
//! Owns: the way to whichever coordinator leads now, between two attempts there is none; who hears of failed attempts.
//! Never: waits for an answer.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crossbeam_channel::{Receiver, Sender};

use super::RunError;
use super::control::{Answers, Line};

/// Someone who asks for a savepoint.
pub(super) struct Asked {
    /// Its id.
    pub(super) id: String,
    /// The way back.
    pub(super) answers: Answers,
}

/// A way to the coordinator, and what it tells of attempts.
#[derive(Default)]
pub struct Desk {
    asks: Mutex<Option<Sender<Asked>>>,
    on_failure: OnceLock<OnFailure>,
}

/// Hears why an attempt has failed that another one follows; `None`: that one runs.
type OnFailure = Box<dyn Fn(Option<&RunError>) + Send + Sync>;

impl Desk {
    /// Asks for a savepoint. What is received are the lines that `streamjob savepoint take` would see; a channel that ends
    /// without a last line is one of an attempt that has ended. `None`: nobody is there to be asked.
    pub fn ask(&self, id: String) -> Option<Receiver<Line>> {
        let (answers, lines) = Answers::channel();
        let open = self.lock();
        open.as_ref()?.try_send(Asked { id, answers }).ok()?;
        Some(lines)
    }

    /// Who hears of attempts that fail. Once.
    pub fn on_failure(&self, hears: impl Fn(Option<&RunError>) + Send + Sync + 'static) {
        // There is one who does.
        let _known = self.on_failure.set(Box::new(hears));
    }

    pub(super) fn failed(&self, error: Option<&RunError>) {
        if let Some(hears) = self.on_failure.get() {
            hears(error);
        }
    }

    /// From now on this coordinator is asked.
    pub(super) fn open(&self, asks: Sender<Asked>) {
        *self.lock() = Some(asks);
    }

    /// It has ended.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sender<Asked>>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("open", &self.lock().is_some()).finish()
    }
}
