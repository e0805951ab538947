//! Where the state of a job is kept.
//!
//! Owns: the folder of a job's state, and the defaults.
//! Never: creates a folder, or asks a store.

use std::path::Path;

use streamjob_crds::names::EPHEMERAL_FOLDER;
use streamjob_crds::{BucketUrl, Duration, State, StateLocation};

use super::paths;
use crate::error::Problems;
use crate::{LocationPlan, StatePlan};

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
    let written = spec.and_then(|state| state.location.as_ref());
    let id = spec.and_then(|state| state.id.as_deref()).unwrap_or(job);
    let location = problems.keep("spec.state.location.uri", location(written, id, base))?;
    let checkpoint = spec.and_then(|state| state.checkpoint.clone()).unwrap_or_default();
    Some(StatePlan {
        id: id.to_owned(),
        location,
        interval_ms: millis(checkpoint.interval, INTERVAL_MS),
        timeout_ms: millis(checkpoint.timeout, TIMEOUT_MS),
        retain: checkpoint.retain.unwrap_or(RETAIN),
    })
}

fn location(written: Option<&StateLocation>, id: &str, base: &Path) -> Result<LocationPlan, String> {
    let uri = match written {
        None => LOCATION,
        // Validation leaves one of them.
        Some(location) => location.uri.as_deref().unwrap_or(EPHEMERAL_FOLDER),
    };
    let Some(url) = BucketUrl::parse(uri) else {
        return Ok(LocationPlan::Folder(paths::absolute(uri, base)?.join(id)));
    };
    let mut url = url?;
    url.prefix = [url.prefix.as_str(), id].join("/").trim_start_matches('/').to_owned();
    Ok(LocationPlan::Bucket {
        url,
        endpoint: written.and_then(|location| location.endpoint.clone()),
        region: written.and_then(|location| location.region.clone()),
        path_style: written.and_then(|location| location.path_style),
    })
}

fn millis(written: Option<Duration>, default: u64) -> u64 {
    written.map_or(default, |written| written.millis().unsigned_abs())
}
