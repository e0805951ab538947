//! What goes wrong between a client and the server, and where the client is stopped.
//!
//! Owns: the planned faults, the count of calls that change something, the place at which the client dies.
//! Never: changes an object.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// What a client asked for.
#[derive(Clone, Debug)]
pub struct Call {
    /// get, list, watch, create, update, patch, delete; token for a TokenRequest.
    pub verb: &'static str,
    /// The kind, such as `StatefulSet`.
    pub kind: &'static str,
    /// Empty for kinds of the cluster.
    pub namespace: String,
    /// Empty for lists.
    pub name: String,
    /// Whether the path ends in `/status`.
    pub status: bool,
    /// Whether nothing is kept.
    pub dry_run: bool,
}

impl Call {
    /// Whether it changes something.
    pub fn is_write(&self) -> bool {
        matches!(self.verb, "create" | "update" | "patch" | "delete") && !self.dry_run
    }
}

/// What happens to a call.
#[derive(Clone, Copy, Debug)]
pub enum Effect {
    /// Nothing is done, and an error answered; with seconds for `Retry-After`.
    Refuse(u16, Option<u32>),
    /// It is done, and an error answered.
    RefuseAfter(u16),
    /// It is done, and the connection breaks.
    LoseAnswer,
    /// Nothing is done, and the connection breaks.
    LoseRequest,
    /// It takes longer.
    Delay(Duration),
    /// Nothing is done until [`Faults::release`]; then it is done.
    Hold,
    /// There is never an answer.
    Hang,
}

type Matches = Box<dyn Fn(&Call) -> bool + Send + Sync>;

struct Fault {
    matches: Matches,
    effect: Effect,
    left: usize,
}

/// All planned faults; the first that matches counts.
#[derive(Default)]
pub struct Faults {
    planned: Mutex<Vec<Fault>>,
    /// Whether a call is held.
    held: watch::Sender<bool>,
}

impl Faults {
    /// Plans an effect for the next so many calls of this sort.
    pub fn plan(
        &self,
        times: usize,
        effect: Effect,
        matches: impl Fn(&Call) -> bool + Send + Sync + 'static,
    ) {
        let fault = Fault { matches: Box::new(matches), effect, left: times };
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// Everything works again.
    pub fn clear(&self) {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Comes back once a call is held.
    pub async fn until_held(&self) {
        self.until(true).await;
    }

    /// What is held goes on.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    pub(crate) async fn hold(&self) {
        self.held.send_replace(true);
        self.until(false).await;
    }

    async fn until(&self, held: bool) {
        let mut seen = self.held.subscribe();
        seen.wait_for(|now| *now == held).await.expect("the sender is our own");
    }

    pub(crate) fn effect_on(&self, call: &Call) -> Option<Effect> {
        let mut faults = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = faults.iter_mut().find(|fault| fault.left > 0 && (fault.matches)(call))?;
        fault.left -= 1;
        Some(fault.effect)
    }
}

/// Where the client dies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum When {
    /// Before the call is done.
    Before,
    /// After it was done, and before its answer came.
    After,
}

/// Counts the calls of a client that change something outside, and stops the client at one of them.
#[derive(Default)]
pub struct Positions {
    inner: Mutex<Inner>,
    stopped: Notify,
}

#[derive(Default)]
struct Inner {
    names: Vec<String>,
    stop_at: Option<(usize, When)>,
    is_stopped: bool,
}

/// What to do with a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Go,
    /// Do not do it, and never answer.
    Stop,
    /// Do it, and never answer.
    GoAndStop,
}

impl Positions {
    /// For the parts of a test that share it.
    pub fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// Forgets the count; from here the client dies at the call of this number, from 0.
    pub fn stop_at(&self, at: Option<(usize, When)>) {
        *self.lock() = Inner { stop_at: at, ..Inner::default() };
    }

    /// The calls that were counted.
    pub fn names(&self) -> Vec<String> {
        self.lock().names.clone()
    }

    /// Whether the client was stopped and not started again.
    pub fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// Comes back once the client is stopped.
    pub async fn until_stopped(&self) {
        let notified = self.stopped.notified();
        if self.is_stopped() {
            return;
        }
        notified.await;
    }

    /// A new client may call.
    pub fn revive(&self) {
        let mut inner = self.lock();
        inner.is_stopped = false;
        inner.stop_at = None;
    }

    /// What to do with a call; only those that change something are counted.
    pub(crate) fn arrive(&self, is_write: bool, name: impl FnOnce() -> String) -> Verdict {
        let mut inner = self.lock();
        if inner.is_stopped {
            return Verdict::Stop;
        }
        if !is_write {
            return Verdict::Go;
        }
        let number = inner.names.len();
        inner.names.push(name());
        let verdict = match inner.stop_at {
            Some((at, When::Before)) if at == number => Verdict::Stop,
            Some((at, When::After)) if at == number => Verdict::GoAndStop,
            Some(_) | None => Verdict::Go,
        };
        if verdict == Verdict::Stop {
            inner.is_stopped = true;
            self.stopped.notify_waiters();
        }
        verdict
    }

    /// The call at which the client dies was done.
    pub(crate) fn stop(&self) {
        self.lock().is_stopped = true;
        self.stopped.notify_waiters();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
