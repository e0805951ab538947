//! What failed is tried again: the one place that says when, for how long, and what people hear of it.
//!
//! Owns: pauses that double, patience, the line in the log, the counts.
//! Never: knows which errors pass: each says that of itself.
//!
//! A store that tries again by itself, as those over HTTP do, must give up well within the deadline of a call
//! (`store::DEADLINE`): or else each of our tries is many of its own, and no error is ever heard of.

use std::error::Error;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::outage::Outage;

#[cfg(test)]
mod tests;

/// How often people are told that something is still being tried again.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Time, as whoever tries again needs it.
#[async_trait]
pub trait Pacer: std::fmt::Debug + Send + Sync {
    /// Waits about this long.
    async fn pause(&self, about: Duration);

    /// Since some fixed instant. Never goes back.
    fn elapsed(&self) -> Duration;

    /// The wall clock in epoch milliseconds.
    fn now_ms(&self) -> i64;
}

/// The clock and timer of the machine. Waits between half and one and a half of what it is asked to.
#[derive(Clone, Copy, Debug)]
pub struct TokioPacer {
    started: tokio::time::Instant,
}

impl Default for TokioPacer {
    fn default() -> Self {
        Self { started: tokio::time::Instant::now() }
    }
}

#[async_trait]
impl Pacer for TokioPacer {
    async fn pause(&self, about: Duration) {
        let [byte, ..] = uuid::Uuid::new_v4().into_bytes();
        tokio::time::sleep(about.mul_f64(0.5 + f64::from(byte) / 255.0)).await;
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn now_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }
}

/// An error that says of itself whether the same call may succeed later.
pub trait Passing: Error {
    /// Whether time, or somebody else, may mend it without a word of ours.
    fn may_pass(&self) -> bool;

    /// How long whoever refused asks to be left alone.
    fn not_before(&self) -> Duration {
        Duration::ZERO
    }

    /// Who has to do something.
    fn waits_for(&self) -> &'static str {
        "store"
    }
}

/// Whether what the operating system says may pass: a full disk and a broken connection do, a missing right does not.
pub fn io_may_pass(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::AlreadyExists
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::InvalidInput
            | ErrorKind::InvalidData
            | ErrorKind::InvalidFilename
            | ErrorKind::Unsupported
            | ErrorKind::CrossesDevices
    )
}

/// Pauses between tries: the first, doubled with each failure, up to the longest.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// The first.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
}

impl Pauses {
    /// Between two tries of one call.
    pub const OF_A_CALL: Self = Self { min: Duration::from_millis(100), max: Duration::from_secs(10) };

    /// After so many failures in a row, the first of which is 1.
    pub fn after(self, failures: u32) -> Duration {
        self.min.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.max)
    }
}

/// For how long a call that fails is tried again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Patience {
    /// So long; then the last error is the answer.
    Within(Duration),
    /// Until it succeeds, or whoever waits for it goes away.
    Endless,
}

impl Patience {
    /// One try.
    pub const NONE: Self = Self::Within(Duration::ZERO);
}

/// The tries of one call.
#[derive(Clone, Copy, Debug)]
pub struct Tries {
    patience: Patience,
    since: Duration,
    failures: u32,
}

impl Tries {
    /// Of a call that begins now.
    pub fn new(patience: Patience, now: Duration) -> Self {
        Self { patience, since: now, failures: 0 }
    }

    /// One more has failed. The pause before the next; `None`: there is none.
    pub fn failed(&mut self, now: Duration) -> Option<Duration> {
        self.failures += 1;
        let pause = Pauses::OF_A_CALL.after(self.failures);
        match self.patience {
            Patience::Within(limit) if now.saturating_sub(self.since) + pause > limit => None,
            Patience::Within(_) | Patience::Endless => Some(pause),
        }
    }
}

/// What is known of calls that have failed.
#[derive(Debug)]
pub struct Failures {
    /// How often one was tried again.
    pub retries: AtomicU64,
    /// Calls that have failed and are made again.
    pub waiting: AtomicU64,
    /// Whether what is called is away: none of the calls that failed has succeeded since.
    pub outage: Arc<Outage>,
    said: Mutex<Option<Duration>>,
    /// What the last of them said.
    cause: Mutex<String>,
}

impl Default for Failures {
    fn default() -> Self {
        Self::of(Outage::of("the store"))
    }
}

impl Failures {
    /// What is waited for, in the words of the call that failed last; `None`: nothing is.
    pub fn waiting_for(&self) -> Option<String> {
        let waits = self.waiting.load(Ordering::Relaxed) > 0;
        waits.then(|| self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// None so far, of calls of this.
    pub fn of(outage: Outage) -> Self {
        let outage = Arc::new(outage);
        Self {
            retries: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            outage,
            said: Mutex::default(),
            cause: Mutex::default(),
        }
    }

    /// A call has succeeded. While others go on failing that is no end of an outage.
    fn answered(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            self.outage.answered();
        }
    }

    /// Whether it is time to tell people; then it is told.
    fn is_due(&self, now: Duration) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let due = said.is_none_or(|said| now.saturating_sub(said) >= SAY_EVERY);
        if due {
            *said = Some(now);
        }
        due
    }
}

/// Tries again. Clones share their time and their counts.
#[derive(Clone, Debug)]
pub struct Retries {
    pacer: Arc<dyn Pacer>,
    failures: Arc<Failures>,
}

impl Default for Retries {
    fn default() -> Self {
        Self::paced_by(Arc::new(TokioPacer::default()))
    }
}

impl Retries {
    /// In this time.
    pub fn paced_by(pacer: Arc<dyn Pacer>) -> Self {
        let failures = Failures::of(Outage::paced_by("the store", Arc::clone(&pacer)));
        Self { pacer, failures: Arc::new(failures) }
    }

    /// The same, of calls whose failures are known elsewhere.
    pub fn known_to(self, failures: Arc<Failures>) -> Self {
        Self { failures, ..self }
    }

    /// Its time.
    pub fn pacer(&self) -> &dyn Pacer {
        &*self.pacer
    }

    /// What is known of calls that have failed.
    pub fn failures(&self) -> &Arc<Failures> {
        &self.failures
    }

    /// The tries of a call that begins now.
    pub fn begin(&self, patience: Patience) -> Tries {
        Tries::new(patience, self.pacer.elapsed())
    }

    /// Makes a call until it succeeds, fails with an error that does not pass, or patience ends.
    pub async fn run<T, E: Passing, F: Future<Output = Result<T, E>>>(
        &self,
        patience: Patience,
        mut call: impl FnMut() -> F,
    ) -> Result<T, E> {
        let mut tries = self.begin(patience);
        // From its first failure on, while it is made again, too.
        let mut failing = None;
        loop {
            match call().await {
                Ok(answer) => {
                    drop(failing);
                    self.answered();
                    return Ok(answer);
                }
                Err(error) if error.may_pass() => {
                    failing.get_or_insert_with(|| Waiting::begin(&self.failures));
                    if !self.pause_after(&mut tries, &error).await {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A call has succeeded that is not made by [`Self::run`].
    pub fn answered(&self) {
        self.failures.answered();
    }

    /// Waits after a failure; false: there is no further try.
    pub async fn wait(&self, tries: &mut Tries, error: &impl Passing) -> bool {
        let _failing = Waiting::begin(&self.failures);
        self.pause_after(tries, error).await
    }

    async fn pause_after(&self, tries: &mut Tries, error: &impl Passing) -> bool {
        let now = self.pacer.elapsed();
        let Some(pause) = tries.failed(now).filter(|_| error.may_pass()) else { return false };
        let pause = pause.max(error.not_before());
        self.failures.retries.fetch_add(1, Ordering::Relaxed);
        self.failures.outage.failed(&with_causes(error));
        let Tries { failures, .. } = tries;
        *self.failures.cause.lock().unwrap_or_else(PoisonError::into_inner) =
            format!("{}: {}", error.waits_for(), with_causes(error));
        if self.failures.is_due(now) {
            tracing::warn!(
                failures,
                again_in_ms = pause.as_millis() as u64,
                "{}; it is tried again",
                with_causes(error)
            );
        } else {
            tracing::debug!(failures, "{}; it is tried again", with_causes(error));
        }
        self.pacer.pause(pause).await;
        true
    }
}

/// A call that fails. Dropped early, it is given up.
struct Waiting<'a>(&'a Failures);

impl<'a> Waiting<'a> {
    fn begin(failures: &'a Failures) -> Self {
        failures.waiting.fetch_add(1, Ordering::Relaxed);
        Self(failures)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An error and what it comes from, in one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // A transparent error says what its cause says.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
