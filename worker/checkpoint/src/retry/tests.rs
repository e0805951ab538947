//! Tests of trying again: pauses, patience, and what is said.

use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::protocol::tests::NoTime;

#[derive(Debug, thiserror::Error)]
#[error("the store is away")]
struct Away {
    passes: bool,
}

impl Passing for Away {
    fn may_pass(&self) -> bool {
        self.passes
    }
}

fn retries() -> Retries {
    Retries::paced_by(Arc::new(NoTime::default()))
}

#[test]
fn pauses_double_up_to_the_longest() {
    let pauses: Vec<u128> = (1..=9).map(|failures| Pauses::OF_A_CALL.after(failures).as_millis()).collect();

    assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    assert_eq!(Pauses::OF_A_CALL.after(u32::MAX), Pauses::OF_A_CALL.max);
}

#[tokio::test]
async fn a_call_is_made_again_until_it_succeeds() {
    let (retries, mut calls) = (retries(), 0);

    let call = || {
        calls += 1;
        std::future::ready(if calls < 40 { Err(Away { passes: true }) } else { Ok(calls) })
    };
    let answer = retries.run(Patience::Endless, call).await;

    assert_eq!(answer.expect("it comes back"), 40);
    let failures = retries.failures();
    assert_eq!((failures.retries.load(Relaxed), failures.waiting.load(Relaxed)), (39, 0));
}

#[tokio::test]
async fn patience_ends_before_a_pause_that_would_go_beyond_it() {
    for (millis, calls_expected) in [(0, 1), (99, 1), (100, 2), (700, 4), (5_000, 6)] {
        let (retries, mut calls) = (retries(), 0);

        let call = || {
            calls += 1;
            std::future::ready(Err::<(), _>(Away { passes: true }))
        };
        let answer = retries.run(Patience::Within(Duration::from_millis(millis)), call).await;

        assert!(answer.is_err());
        assert_eq!(calls, calls_expected, "within {millis} ms");
        assert!(retries.pacer().elapsed() <= Duration::from_millis(millis));
    }
}

#[tokio::test]
async fn an_error_that_does_not_pass_is_the_answer_at_once() {
    let (retries, mut calls) = (retries(), 0);

    let call = || {
        calls += 1;
        std::future::ready(Err::<(), _>(Away { passes: false }))
    };
    let answer = retries.run(Patience::Endless, call).await;

    assert!(answer.is_err());
    assert_eq!((calls, retries.pacer().elapsed()), (1, Duration::ZERO));
}

#[test]
fn people_are_told_at_once_and_then_every_ten_seconds() {
    let failures = Failures::default();

    let told: Vec<u64> = (0..30).filter(|&second| failures.is_due(Duration::from_secs(second))).collect();

    assert_eq!(told, [0, 10, 20]);
}

#[tokio::test]
async fn a_call_that_is_given_up_while_it_waits_does_not_wait_any_more() {
    let retries = Retries::default();
    let waiting = || retries.failures().waiting.load(Relaxed);

    let meanwhile = {
        let away = || std::future::ready(Err::<(), _>(Away { passes: true }));
        let mut call = std::pin::pin!(retries.run(Patience::Endless, away));
        assert!(futures::poll!(&mut call).is_pending());
        waiting()
    };

    assert_eq!((meanwhile, waiting()), (1, 0));
}
