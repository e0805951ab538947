//! Where state is kept, and how often it is saved.
//!
//! Owns: the rules of `spec.state`.
//! Never: asks the file system.

use super::{Findings, Place, targets};
use crate::bucket::{BucketUrl, StoreKind, endpoint_problem};
use crate::state::{Checkpoints, State, StateLocation};

const LOCATION: &str = "spec.state.location";
const CHECKPOINT: &str = "spec.state.checkpoint";
/// More often than this, checkpoints would do little else than wait for the disk.
const INTERVAL_MIN_MS: i64 = 50;
/// When `interval` is not written.
const INTERVAL_MS: i64 = 10_000;
/// When `timeout` is not written.
const TIMEOUT_MS: i64 = 600_000;
const RETAIN_MAX: u32 = 1_000;

pub(super) fn check(findings: &mut Findings, state: &State) {
    if let Some(location) = &state.location {
        check_location(findings, location);
    }
    if let Some(checkpoint) = &state.checkpoint {
        check_checkpoints(findings, checkpoint);
    }
}

fn check_location(findings: &mut Findings, location: &StateLocation) {
    let path = format!("{LOCATION}.uri");
    let StateLocation { uri, ephemeral, endpoint, region, path_style, credentials, ca } = location;
    findings.exactly_one(LOCATION, &[("uri", uri.is_some()), ("ephemeral", ephemeral.is_some())]);
    let kind = match uri.as_deref().map(|uri| (uri, BucketUrl::parse(uri))) {
        None => None,
        Some((uri, None)) => {
            findings.not_blank(&path, uri, "the path of a folder, or `s3://BUCKET/FOLDER`");
            local_folder(findings, path, uri);
            None
        }
        Some((_, Some(Ok(url)))) => Some(url.kind),
        Some((_, Some(Err(problem)))) => return findings.add(path, problem),
    };
    for (field, set) in [("credentials", credentials.is_some()), ("ca", ca.is_some())] {
        let path = format!("{LOCATION}.{field}");
        if set && findings.place == Place::Machine {
            findings
                .add(path, "belongs to a cluster: on one machine the environment says who asks the store");
        } else if set && ephemeral.is_some() {
            findings.add(path, "belongs to a store: remove it, or write a `uri`");
        }
    }
    let of_s3 =
        [("endpoint", endpoint.is_some()), ("region", region.is_some()), ("pathStyle", path_style.is_some())];
    for (field, _) in of_s3.iter().filter(|(_, set)| *set && kind != Some(StoreKind::S3)) {
        findings.add(format!("{LOCATION}.{field}"), "belongs to an `s3://` URL: leave it out, or write one");
    }
    if let Some(problem) = endpoint.as_deref().and_then(endpoint_problem) {
        findings.add(format!("{LOCATION}.endpoint"), problem);
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if let Some(region) = region.as_ref().filter(|region| region.is_empty() || !region.chars().all(fits)) {
        let problem = format!("`{region}` is not a region: write one such as `eu-central-1`");
        findings.add(format!("{LOCATION}.region"), problem);
    }
}

fn local_folder(findings: &mut Findings, path: String, uri: &str) {
    let stores = "an `s3://`, `gs://` or `az://` URL";
    match findings.place {
        Place::Machine => {
            targets::local_or(findings, path, uri, stores);
        }
        Place::Cluster => {
            findings.add(
                path,
                format!(
                    "`{uri}` is lost with its pod: write {stores}, or `ephemeral: {{}}` instead of `uri`"
                ),
            );
        }
    }
}

fn check_checkpoints(findings: &mut Findings, spec: &Checkpoints) {
    if let Some(interval) = &spec.interval
        && interval.millis() < INTERVAL_MIN_MS
    {
        let remedy = format!("write one of at least `{INTERVAL_MIN_MS}ms`");
        findings.add(format!("{CHECKPOINT}.interval"), format!("`{interval}` is too short: {remedy}"));
    }
    let interval_ms = spec.interval.as_ref().map_or(INTERVAL_MS, |interval| interval.millis());
    let timeout_ms = spec.timeout.as_ref().map_or(TIMEOUT_MS, |timeout| timeout.millis());
    if timeout_ms <= interval_ms {
        let interval = spec.interval.as_ref().map_or("10s".to_owned(), ToString::to_string);
        let (field, found) = match &spec.timeout {
            Some(timeout) => {
                ("timeout", format!("`{timeout}` is not longer than the interval, `{interval}`"))
            }
            None => ("interval", format!("`{interval}` is not shorter than the timeout, which is `10m`")),
        };
        let remedy = "give a checkpoint more time with `timeout`";
        findings.add(format!("{CHECKPOINT}.{field}"), format!("{found}: {remedy}"));
    }
    if let Some(retain) = spec.retain {
        findings.range(format!("{CHECKPOINT}.retain"), retain, RETAIN_MAX);
    }
}
