//! Asks a running job to stop, to hand over, or to leave: at the next record boundary.
//!
//! Owns: what is wanted now; clones share it.
//! Never: handles signals, or knows what comes of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a job is to end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stop {
    /// With a last epoch and a Final record, however long that takes.
    End,
    /// The same for an incarnation that follows, and the record names who asked. If its time is over before, the job goes on.
    HandOver(HandOver),
    /// With a last epoch, but without Final: the incarnation goes on in another process. If its time is over before, without
    /// that epoch.
    Leave {
        /// When its time is over, on the job's clock.
        until: Duration,
    },
}

/// A hand-over that someone asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HandOver {
    /// Of the request.
    pub operation: String,
    /// When its time is over, on the job's clock.
    pub until: Duration,
}

impl Stop {
    /// When its time is over.
    pub fn until(&self) -> Option<Duration> {
        match self {
            Self::End => None,
            Self::HandOver(HandOver { until, .. }) | Self::Leave { until } => Some(*until),
        }
    }
}

/// What is wanted of a job.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    wanted: Mutex<Wanted>,
    /// Grows with each change, so that a look is cheap.
    version: AtomicU64,
}

#[derive(Clone, Debug, Default)]
struct Wanted {
    end: bool,
    hand_over: Option<HandOver>,
    /// Its time was over before anything was written that would make it come true.
    given_up: bool,
    /// The record that ends the incarnation may be in the log: whoever claims that next knows.
    may_have_ended: bool,
    leave: Option<Duration>,
}

impl StopFlag {
    /// Asks the job to stop for good.
    pub fn set(&self) {
        self.change(|wanted| wanted.end = true);
    }

    /// Asks it to hand over.
    pub fn hand_over(&self, hand_over: HandOver) {
        self.change(|wanted| {
            wanted.hand_over = Some(hand_over);
            wanted.given_up = false;
        });
    }

    /// Asks it to leave. A hand-over under way goes on within that time.
    pub fn leave(&self, until: Duration) {
        self.change(|wanted| wanted.leave = Some(until));
    }

    /// Whether the record that ends the incarnation may be written now, which must not be from `until` on. If so, only the log
    /// knows what becomes of a hand-over.
    pub fn may_end(&self, until: Option<Duration>, now: impl FnOnce() -> Duration) -> bool {
        let mut wanted = self.wanted();
        // Behind the lock: what is given up is not written afterwards.
        let in_time = until.is_none_or(|until| now() < until);
        wanted.may_have_ended |= in_time;
        in_time
    }

    /// Gives up a hand-over whose time is over, unless the log may say otherwise. Once for each.
    pub fn give_up_late(&self, now: impl FnOnce() -> Duration) -> Option<HandOver> {
        let mut wanted = self.wanted();
        let now = now();
        if wanted.given_up || wanted.may_have_ended {
            return None;
        }
        let late = wanted.hand_over.clone().filter(|hand_over| hand_over.until <= now)?;
        wanted.given_up = true;
        Some(late)
    }

    /// The log was claimed, and has no end: the job goes on. Gives a hand-over whose time is over, if it was not given up before.
    pub fn resume(&self, now: Duration) -> Option<HandOver> {
        let mut late = None;
        self.change(|wanted| {
            wanted.may_have_ended = false;
            late = wanted.hand_over.take_if(|hand_over| hand_over.until <= now);
            if std::mem::take(&mut wanted.given_up) {
                late = None;
            }
        });
        late
    }

    /// Whether the process is to end, so that no other attempt follows.
    pub fn is_set(&self) -> bool {
        let wanted = self.wanted();
        wanted.end || wanted.leave.is_some()
    }

    /// Whether someone asked it to leave.
    pub fn leaves(&self) -> bool {
        self.wanted().leave.is_some()
    }

    /// Until when it is to have left.
    pub fn leave_until(&self) -> Option<Duration> {
        self.wanted().leave
    }

    /// The hand-over that is under way, as it was asked for.
    pub fn handing_over(&self) -> Option<HandOver> {
        let wanted = self.wanted();
        wanted.hand_over.clone().filter(|_| !wanted.given_up)
    }

    /// What is wanted now: a hand-over also if it is given up, so that what works on it notices that it is late.
    pub fn stop(&self) -> Option<Stop> {
        let wanted = self.wanted().clone();
        match (wanted.end, wanted.hand_over, wanted.leave) {
            (true, _, _) => Some(Stop::End),
            (false, Some(HandOver { operation, until }), leave) => Some(Stop::HandOver(HandOver {
                operation,
                until: leave.map_or(until, |leave| leave.min(until)),
            })),
            (false, None, Some(until)) => Some(Stop::Leave { until }),
            (false, None, None) => None,
        }
    }

    /// Changes whenever something else is wanted.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    fn change(&self, how: impl FnOnce(&mut Wanted)) {
        how(&mut self.wanted());
        self.0.version.fetch_add(1, Ordering::Release);
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn hand_over(until: Duration) -> HandOver {
        HandOver { operation: "g2-upgrade-8".to_owned(), until }
    }

    #[test]
    fn a_hand_over_goes_on_when_the_process_is_told_to_leave_but_not_beyond_that() {
        let flag = StopFlag::default();
        flag.hand_over(hand_over(60 * SECOND));
        let before = flag.version();

        flag.leave(20 * SECOND);

        assert_eq!(flag.stop(), Some(Stop::HandOver(hand_over(20 * SECOND))));
        assert!(flag.version() > before && flag.is_set() && flag.leaves());
        flag.resume(60 * SECOND);
        assert_eq!(flag.stop(), Some(Stop::Leave { until: 20 * SECOND }));
    }

    #[test]
    fn a_hand_over_alone_does_not_end_the_process() {
        let flag = StopFlag::default();

        flag.hand_over(hand_over(SECOND));

        assert!(!flag.is_set() && !flag.leaves());
        assert_eq!(flag.handing_over(), Some(hand_over(SECOND)));
        assert_eq!((flag.resume(SECOND / 2), flag.resume(SECOND)), (None, Some(hand_over(SECOND))));
        assert_eq!((flag.stop(), flag.handing_over()), (None, None));
    }

    #[test]
    fn a_hand_over_is_given_up_when_its_time_is_over_and_nothing_ends_the_incarnation_afterwards() {
        let flag = StopFlag::default();
        flag.hand_over(hand_over(SECOND));

        let early = flag.give_up_late(|| SECOND / 2);
        let late = [flag.give_up_late(|| SECOND), flag.give_up_late(|| SECOND)];
        let ends = flag.may_end(Some(SECOND), || SECOND);

        assert_eq!((early, late), (None, [Some(hand_over(SECOND)), None]));
        assert!(!ends && flag.handing_over().is_none());
        // Whatever works on it learns of the time that is over, and not that nothing is wanted.
        assert_eq!(flag.stop(), Some(Stop::HandOver(hand_over(SECOND))));
        flag.hand_over(hand_over(3 * SECOND));
        assert!(flag.handing_over().is_some() && flag.may_end(Some(3 * SECOND), || 2 * SECOND));
    }

    #[test]
    fn what_may_be_in_the_log_is_not_given_up_before_it_is_claimed_again() {
        let flag = StopFlag::default();
        flag.hand_over(hand_over(SECOND));
        assert!(flag.may_end(Some(SECOND), || SECOND / 2));

        let late = flag.give_up_late(|| SECOND);

        assert_eq!((late, flag.handing_over()), (None, Some(hand_over(SECOND))));
        assert_eq!(flag.resume(SECOND), Some(hand_over(SECOND)));
        flag.hand_over(hand_over(2 * SECOND));
        assert_eq!(flag.give_up_late(|| 2 * SECOND), Some(hand_over(2 * SECOND)));
    }
}
