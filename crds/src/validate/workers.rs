//! The pods of a job.
//!
//! Owns: the rules of `spec.workers`.
//! Never: asks a cluster; what it refuses is told by its dry run.

use std::collections::BTreeMap;

use super::{Findings, PARALLELISM_MAX, dns_label, names};
use crate::{Quantity, Resources, WorkerTemplate, Workers};

const WORKERS: &str = "spec.workers";
const TEMPLATE: &str = "spec.workers.template";
/// What the operator writes itself.
const OWN_PREFIXES: [&str; 2] = ["streamjob.dev/", "app.kubernetes.io/"];
/// Less than this leaves no room for a batch.
const MEMORY_MIN: i64 = 64 << 20;
const NAME_CHARS_MAX: usize = 63;

pub(super) fn check(findings: &mut Findings, workers: &Workers) {
    let path = |field: &str| format!("{WORKERS}.{field}");
    if let Some(image) = &workers.image {
        findings.not_blank(path("image"), image, "the name of an image, or leave it out");
    }
    if let Some(slots) = workers.slots {
        findings.range(path("slots"), slots, PARALLELISM_MAX);
    }
    let secrets = workers.image_pull_secrets.as_deref().unwrap_or_default();
    let secret_path = |i: usize| format!("{WORKERS}.imagePullSecrets[{i}].name");
    names::distinct(
        findings,
        secrets.iter().map(|secret| secret.name.as_str()),
        "the name of a Secret",
        secret_path,
    );
    if let Some(account) = &workers.service_account_name {
        dns_label(findings, &path("serviceAccountName"), account, NAME_CHARS_MAX);
    }
    if let Some(resources) = &workers.resources {
        check_resources(findings, resources);
    }
    if let Some(grace) = workers.termination_grace_period.as_ref().filter(|grace| grace.millis() < 1_000) {
        findings.add(
            path("terminationGracePeriod"),
            format!("`{grace}` is too short: write one of at least `1s`"),
        );
    }
    if let Some(template) = &workers.template {
        check_template(findings, template);
    }
}

fn check_resources(findings: &mut Findings, resources: &Resources) {
    let Resources { requests, limits } = resources;
    for (name, limit) in limits {
        if let Some(request) = requests.get(name).filter(|request| request.millis() > limit.millis()) {
            let remedy = "write a request of at most the limit";
            findings.add(
                format!("{WORKERS}.resources.requests.{name}"),
                format!("`{request}` is more than the limit, `{limit}`: {remedy}"),
            );
        }
    }
    let too_small = |memory: &&Quantity| memory.whole() < MEMORY_MIN;
    if let Some(memory) = limits.get("memory").filter(too_small) {
        let path = format!("{WORKERS}.resources.limits.memory");
        findings.add(path, format!("`{memory}` is too little for a worker: write at least `64Mi`"));
    }
}

fn check_template(findings: &mut Findings, template: &WorkerTemplate) {
    let own = |findings: &mut Findings, field: &str, texts: &BTreeMap<String, String>| {
        for name in texts.keys().filter(|name| OWN_PREFIXES.iter().any(|own| name.starts_with(own))) {
            findings.add(format!("{TEMPLATE}.{field}.{name}"), "is written by the operator: remove it");
        }
    };
    own(findings, "labels", &template.labels);
    own(findings, "annotations", &template.annotations);
    let variables = template.environment.as_deref().unwrap_or_default();
    let path = |i: usize| format!("{TEMPLATE}.environment[{i}].name");
    let named = variables.iter().map(|variable| variable.name.as_str());
    names::distinct(findings, named, "the name of a variable", path);
    for (i, variable) in variables.iter().enumerate() {
        let name = &variable.name;
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let fits = name.bytes().all(inner) && !name.starts_with(|first: char| first.is_ascii_digit());
        if !fits {
            findings.add(path(i), format!("`{name}` is not a variable: use letters, digits and `_`"));
        }
    }
}
