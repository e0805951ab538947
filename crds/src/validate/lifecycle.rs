//! Policies and commands of the spec: upgrades, restores, failures, what the workers say.
//!
//! Owns: the rules of the blocks beside pipeline, state and workers.
//! Never: asks whether a savepoint exists.

use super::Findings;
use crate::bucket::BucketUrl;
use crate::{Recovery, Restore, RestoreFrom, StreamJobSpec, Upgrade};

const LIMIT_MAX: u32 = 100;
const RESTARTS_MAX: u32 = 10_000;
const TEXT_CHARS_MAX: usize = 63;

pub(super) fn check(findings: &mut Findings, spec: &StreamJobSpec) {
    if let Some(limit) = spec.revision_history_limit {
        findings.range("spec.revisionHistoryLimit", limit, LIMIT_MAX);
    }
    if let Some(time) = &spec.restarted_at {
        short_text(findings, "spec.restartedAt", time, "any text, such as the time of day");
    }
    if let Some(upgrade) = &spec.upgrade {
        check_upgrade(findings, upgrade);
    }
    if let Some(restore) = &spec.restore {
        check_restore(findings, restore);
    }
    if let Some(recovery) = &spec.recovery {
        check_recovery(findings, recovery);
    }
    let timeout = spec.deletion.as_ref().and_then(|deletion| deletion.timeout.as_ref());
    positive(findings, "spec.deletion.timeout", timeout);
    let filter = spec.observability.as_ref().and_then(|observability| observability.log_filter.as_ref());
    if let Some(filter) = filter {
        findings.not_blank("spec.observability.logFilter", filter, "a filter such as `info`");
    }
}

fn short_text(findings: &mut Findings, path: &str, text: &str, wanted: &str) {
    findings.not_blank(path, text, wanted);
    let chars = text.chars().count();
    if chars > TEXT_CHARS_MAX {
        findings.add(path, format!("has {chars} characters: at most {TEXT_CHARS_MAX} are allowed"));
    }
}

fn positive(findings: &mut Findings, path: &str, duration: Option<&crate::Duration>) {
    if let Some(duration) = duration.filter(|duration| duration.millis() == 0) {
        findings.add(path, format!("`{duration}` is no time at all: write a longer one"));
    }
}

fn check_upgrade(findings: &mut Findings, upgrade: &Upgrade) {
    let rollback = upgrade.rollback.as_ref();
    positive(findings, "spec.upgrade.handoverTimeout", upgrade.handover_timeout.as_ref());
    let deadline = rollback.and_then(|rollback| rollback.progress_deadline.as_ref());
    positive(findings, "spec.upgrade.rollback.progressDeadline", deadline);
    if let Some(count) = rollback.and_then(|rollback| rollback.stable_after_checkpoints) {
        findings.range("spec.upgrade.rollback.stableAfterCheckpoints", count, LIMIT_MAX);
    }
}

fn check_restore(findings: &mut Findings, restore: &Restore) {
    const PATH: &str = "spec.restore";
    short_text(findings, "spec.restore.requestID", &restore.request_id, "any text that was not used before");
    let members = [
        (
            "savepointName",
            restore.savepoint_name.is_some(),
            restore.from == RestoreFrom::Savepoint,
            "Savepoint",
        ),
        ("uri", restore.uri.is_some(), restore.from == RestoreFrom::Uri, "URI"),
    ];
    for (field, set, wanted, from) in members {
        if set && !wanted {
            findings.add(format!("{PATH}.{field}"), format!("only used with `from: {from}`: remove it"));
        } else if wanted && !set {
            findings.add(PATH, format!("`{field}` is missing: `from: {from}` needs it"));
        }
    }
    if let Some(name) = &restore.savepoint_name {
        findings.not_blank("spec.restore.savepointName", name, "the name of a StreamJobSavepoint");
    }
    if let Some(uri) = &restore.uri {
        match BucketUrl::parse(uri) {
            Some(Ok(_)) => {}
            Some(Err(problem)) => findings.add("spec.restore.uri", problem),
            None => findings.add(
                "spec.restore.uri",
                format!("`{uri}` is no address of a savepoint: write its `status.uri`"),
            ),
        }
    }
    let allowed = restore.allow_state_loss == Some(true);
    if restore.from == RestoreFrom::Nothing && !allowed {
        let remedy = "write `allowStateLoss: true` if that is meant";
        findings.add(PATH, format!("`from: Nothing` loses the state of the job: {remedy}"));
    }
    if restore.from != RestoreFrom::Nothing && allowed {
        findings.add("spec.restore.allowStateLoss", "only used with `from: Nothing`: remove it");
    }
}

fn check_recovery(findings: &mut Findings, recovery: &Recovery) {
    positive(findings, "spec.recovery.initialBackoff", recovery.initial_backoff.as_ref());
    positive(findings, "spec.recovery.healthyAfter", recovery.healthy_after.as_ref());
    positive(findings, "spec.recovery.lostPodTimeout", recovery.lost_pod_timeout.as_ref());
    let initial = recovery.initial_backoff.as_ref().map_or(1_000, |backoff| backoff.millis());
    let max = recovery.max_backoff.as_ref().map_or(300_000, |backoff| backoff.millis());
    if max < initial {
        findings.add("spec.recovery.maxBackoff", "is shorter than `initialBackoff`: write a longer one");
    }
    if let Some(count) = recovery.max_restarts {
        findings.range("spec.recovery.maxRestarts", count, RESTARTS_MAX);
    }
}
