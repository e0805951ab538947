//! Where a job stands in its log, and whether its coordinator still turns.
//!
//! Owns: what is told of that to whoever asks the process.
//! Never: decides anything by it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use streamjob_checkpoint::ids::{Epoch, Generation, Seq};

/// Where a job stands. Written by its coordinator.
#[derive(Debug, Default)]
pub struct Standing {
    attempt: Mutex<Option<Attempt>>,
    head: AtomicU64,
    turning: AtomicBool,
    turned_nanos: AtomicU64,
}

/// One start of the dataflow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// As whom.
    pub generation: Generation,
    /// The checkpoint that it went on from, and its record; `None`: from the beginning.
    pub restored_from: Option<(Epoch, Seq)>,
    /// Since when it processes rows, in epoch milliseconds.
    pub running_since_ms: Option<i64>,
}

impl Standing {
    /// An attempt begins, whose claim is this record.
    pub fn begin(&self, generation: Generation, restored_from: Option<(Epoch, Seq)>, claim: Seq) {
        self.reached(claim);
        *self.lock() = Some(Attempt { generation, restored_from, running_since_ms: None });
    }

    /// It processes rows.
    pub fn runs(&self, now_ms: i64) {
        if let Some(attempt) = &mut *self.lock() {
            attempt.running_since_ms.get_or_insert(now_ms);
        }
    }

    /// The attempt that was begun last.
    pub fn attempt(&self) -> Option<Attempt> {
        *self.lock()
    }

    /// This record is in the log.
    pub fn reached(&self, head: Seq) {
        self.head.store(head.0, Ordering::Relaxed);
    }

    /// The newest record that is known to be in the log.
    pub fn head(&self) -> Seq {
        Seq(self.head.load(Ordering::Relaxed))
    }

    /// The coordinator has come round once more.
    pub fn turned(&self, now: Duration) {
        self.turned_nanos.store(nanos(now), Ordering::Relaxed);
        self.turning.store(true, Ordering::Release);
    }

    /// There is none any more.
    pub fn at_rest(&self) {
        self.turning.store(false, Ordering::Release);
    }

    /// Whether there is one.
    pub fn is_turning(&self) -> bool {
        self.turning.load(Ordering::Acquire)
    }

    /// Since when it has not come round; nothing while there is none.
    pub fn stuck_for(&self, now: Duration) -> Duration {
        if !self.turning.load(Ordering::Acquire) {
            return Duration::ZERO;
        }
        now.saturating_sub(Duration::from_nanos(self.turned_nanos.load(Ordering::Relaxed)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Attempt>> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_come_round_is_stuck_but_not_who_is_at_rest() {
        let standing = Standing::default();
        let at = Duration::from_secs;
        assert_eq!(standing.stuck_for(at(100)), at(0));

        standing.turned(at(100));

        assert_eq!(standing.stuck_for(at(131)), at(31));
        standing.at_rest();
        assert_eq!(standing.stuck_for(at(200)), at(0));
    }

    #[test]
    fn an_attempt_runs_since_it_first_said_so() {
        let standing = Standing::default();
        let generation = Generation { incarnation: 8, attempt: 3 };
        standing.begin(generation, Some((Epoch(7), Seq(40))), Seq(41));

        standing.runs(5);
        standing.runs(9);

        let attempt =
            Attempt { generation, restored_from: Some((Epoch(7), Seq(40))), running_since_ms: Some(5) };
        assert_eq!((standing.attempt(), standing.head()), (Some(attempt), Seq(41)));
    }
}
