//! Nothing is lost and nothing is doubled, whatever dies at whatever instant.
//!
//! Owns: how large the tests are, here and under `STREAMJOB_LONG`; seeds.
//! Never: looks at a part that a crate can test alone.

mod abandons;
mod buckets;
mod checker;
mod clock;
mod fail_points;
mod kills;
mod pipelines;
mod places;
mod planted;
mod rounds;
mod soak;
mod topics;
mod two_roles;
mod zombies;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether the full figures are asked for.
fn is_long() -> bool {
    std::env::var_os("STREAMJOB_LONG").is_some_and(|value| value != "0")
}

/// A figure of a quarter of an hour or one of a minute.
fn sized<T>(long: T, short: T) -> T {
    if is_long() { long } else { short }
}

/// `STREAMJOB_SEED`, or a new seed; printed, so that a run can be repeated.
fn seed(test: &str) -> u64 {
    let chosen = std::env::var("STREAMJOB_SEED").ok().and_then(|text| text.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    let seed = chosen.unwrap_or(now.as_nanos() as u64 % 1_000_000_007);
    println!("{test}: STREAMJOB_SEED={seed}");
    seed
}

/// Whether only a job reaches this fail point that publishes into topics.
fn is_of_records(fail_point: &str) -> bool {
    fail_point.starts_with("publish.records.")
}

/// Tests that keep all processors busy, or measure, run one after another.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
