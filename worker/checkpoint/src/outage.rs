//! Something that is waited for is away: since when, why, and what people hear of it.
//!
//! Owns: a warning once it is away for a while, again and again while it is, and a line when it is back.
//! Never: asks or waits: whoever does says what came of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::retry::{Pacer, TokioPacer};

/// Shorter ones are everyday life: whoever tries again says why.
const WORTH_TELLING: Duration = Duration::from_secs(5);
/// Between two warnings.
const TOLD_AGAIN: Duration = Duration::from_secs(30);

/// Whether something is away.
#[derive(Debug)]
pub struct Outage {
    what: &'static str,
    pacer: Arc<dyn Pacer>,
    is_away: AtomicBool,
    away: Mutex<Option<Away>>,
}

#[derive(Clone, Debug)]
struct Away {
    since: Duration,
    told: Option<Duration>,
    cause: String,
}

impl Outage {
    /// Of something that is called like this in the middle of a sentence; it is there.
    pub fn of(what: &'static str) -> Self {
        Self::paced_by(what, Arc::new(TokioPacer::default()))
    }

    /// The same in this time.
    pub fn paced_by(what: &'static str, pacer: Arc<dyn Pacer>) -> Self {
        Self { what, pacer, is_away: AtomicBool::new(false), away: Mutex::default() }
    }

    /// What was asked has failed, and is asked again.
    pub fn failed(&self, cause: &str) {
        let now = self.pacer.elapsed();
        let mut lock = self.lock();
        let away = lock.get_or_insert_with(|| Away { since: now, told: None, cause: String::new() });
        if away.cause != cause {
            away.cause = cause.to_owned();
        }
        self.is_away.store(true, Ordering::Relaxed);
        let length = now.saturating_sub(away.since);
        let due = away.told.is_none_or(|told| now.saturating_sub(told) >= TOLD_AGAIN);
        if length >= WORTH_TELLING && due {
            away.told = Some(now);
            let away_s = length.as_secs();
            tracing::warn!(
                waits_for = self.what,
                away_s,
                cause,
                "no answer for {away_s} s; the job waits and goes on by itself"
            );
        }
    }

    /// There was an answer. Costs nothing while nothing is away.
    pub fn answered(&self) {
        if !self.is_away.load(Ordering::Relaxed) {
            return;
        }
        let now = self.pacer.elapsed();
        let mut lock = self.lock();
        self.is_away.store(false, Ordering::Relaxed);
        // What nobody was told of is over without a word.
        if let Some(Away { since, told: Some(_), .. }) = lock.take() {
            let away_s = now.saturating_sub(since).as_secs();
            tracing::info!(waited_for = self.what, away_s, "it answers again, after {away_s} s");
        }
    }

    /// For how long it has been away; `None`: it is not.
    pub fn length(&self) -> Option<Duration> {
        let now = self.pacer.elapsed();
        self.lock().as_ref().map(|away| now.saturating_sub(away.since))
    }

    /// What is waited for, for how long, and why; nothing while that is short.
    pub fn waiting_for(&self) -> Option<String> {
        let length = self.length().filter(|length| *length >= WORTH_TELLING)?;
        let cause = self.lock().as_ref()?.cause.clone();
        Some(format!("{} for {} s: {cause}", self.what, length.as_secs()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Away>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::tests::NoTime;

    #[tokio::test]
    async fn an_outage_lasts_from_the_first_failure_to_the_first_answer() {
        let time = Arc::new(NoTime::default());
        let outage = Outage::paced_by("the store", time.clone());
        let before = (outage.length(), outage.waiting_for());

        outage.failed("connection refused");
        time.pause(Duration::from_secs(4)).await;
        let short = (outage.length(), outage.waiting_for());
        time.pause(Duration::from_secs(8)).await;
        outage.failed("timed out");
        let long = (outage.length(), outage.waiting_for());
        outage.answered();

        assert_eq!(before, (None, None));
        assert_eq!(short, (Some(Duration::from_secs(4)), None));
        let expected = Some("the store for 12 s: timed out".to_owned());
        assert_eq!(long, (Some(Duration::from_secs(12)), expected));
        assert_eq!((outage.length(), outage.waiting_for()), (None, None));
    }

    #[tokio::test]
    async fn the_next_outage_begins_anew() {
        let time = Arc::new(NoTime::default());
        let outage = Outage::paced_by("the store", time.clone());
        outage.failed("connection refused");
        time.pause(Duration::from_secs(60)).await;
        outage.answered();

        outage.failed("connection refused");

        assert_eq!(outage.length(), Some(Duration::ZERO));
    }
}
