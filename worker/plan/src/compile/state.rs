//! Where the state of a job is kept.
//!
//! Owns: the folder of a job's state, and the defaults.
//! Never: creates a folder.

use std::path::Path;

use streamjob_crds::{Duration, State};

use super::paths;
use crate::StatePlan;
use crate::error::Problems;

/// Beside the manifest, when no location is given.
const LOCATION: &str = ".streamjob";
const INTERVAL_MS: u64 = 10_000;
const TIMEOUT_MS: u64 = 600_000;
const RETAIN: u32 = 3;

pub(super) fn compile(
    spec: Option<&State>,
    job: &str,
    base: &Path,
    problems: &mut Problems,
) -> Option<StatePlan> {
    let location = spec.and_then(|state| state.location.as_ref());
    let uri = location.map_or(LOCATION, |location| location.uri.as_str());
    let location = problems.keep("spec.state.location.uri", paths::absolute(uri, base))?;
    let checkpoint = spec.and_then(|state| state.checkpoint.clone()).unwrap_or_default();
    Some(StatePlan {
        folder: location.join(job),
        interval_ms: millis(checkpoint.interval, INTERVAL_MS),
        timeout_ms: millis(checkpoint.timeout, TIMEOUT_MS),
        retain: checkpoint.retain.unwrap_or(RETAIN),
    })
}

fn millis(written: Option<Duration>, default: u64) -> u64 {
    written.map_or(default, |written| written.millis().unsigned_abs())
}
