//! The rules of a manifest that need nothing but the manifest.
//!
//! Owns: every check that takes neither a file, nor a clock, nor a compiled expression.
//! Never: stops at the first mistake.

mod cluster;
mod generator;
mod kafka;
mod lifecycle;
mod names;
mod pipeline;
mod source;
mod state;
mod targets;
mod workers;

use crate::{FieldError, StreamJob};
pub use cluster::notes;
pub use kafka::{KafkaRole, PROGRESS_TOPIC, kafka_property_role, kafka_target_fault};

/// The value of `apiVersion`.
pub const API_VERSION: &str = "streamjob.dev/v1alpha1";
/// The value of `kind`.
pub const KIND: &str = "StreamJob";
/// The most slots, partitions of a generator, and so on: one for each key group.
const PARALLELISM_MAX: u32 = 65_536;
const NAME_CHARS_MAX: usize = 40;
const NAMESPACE_CHARS_MAX: usize = 63;

/// Where a job is to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// On one machine, or in a pod whose manifest was made for it.
    Machine,
    /// On a cluster, by the operator.
    Cluster,
}

/// Everything that is wrong with a job and can be seen without compiling its expressions; empty if nothing is.
pub fn validate(job: &StreamJob, place: Place) -> Vec<FieldError> {
    let mut findings = Findings { errors: Vec::new(), place };
    if job.api_version != API_VERSION {
        findings.add("apiVersion", format!("`{}` is not known here: write `{API_VERSION}`", job.api_version));
    }
    if job.kind != KIND {
        findings.add("kind", format!("`{}` is not known here: write `{KIND}`", job.kind));
    }
    dns_label(&mut findings, "metadata.name", &job.metadata.name, NAME_CHARS_MAX);
    if let Some(namespace) = &job.metadata.namespace {
        dns_label(&mut findings, "metadata.namespace", namespace, NAMESPACE_CHARS_MAX);
    }
    findings.range("spec.parallelism", job.spec.parallelism, PARALLELISM_MAX);
    let pipeline = &job.spec.pipeline;
    source::check(&mut findings, &pipeline.source);
    pipeline::check(&mut findings, pipeline);
    targets::check(&mut findings, pipeline);
    if let Some(state) = &job.spec.state {
        state::check(&mut findings, state);
    }
    lifecycle::check(&mut findings, &job.spec);
    if let Some(workers) = &job.spec.workers {
        workers::check(&mut findings, workers);
    }
    cluster::check(&mut findings, job);
    findings.errors
}

fn dns_label(findings: &mut Findings, path: &str, name: &str, chars_max: usize) {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let ends = !name.starts_with('-') && !name.ends_with('-');
    if name.is_empty() || !ends || !name.bytes().all(inner) {
        findings.add(
            path,
            format!(
                "`{name}` is not a DNS label: use a to z, 0 to 9 and `-`, with a letter or digit at both ends"
            ),
        );
    } else if name.len() > chars_max {
        findings
            .add(path, format!("`{name}` has {} characters: at most {chars_max} are allowed", name.len()));
    }
}

/// The mistakes found so far, and for which place.
struct Findings {
    errors: Vec<FieldError>,
    place: Place,
}

impl Findings {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(FieldError::new(path, message));
    }

    /// A count from 1 to `max`.
    fn range(&mut self, path: impl Into<String>, value: u32, max: u32) {
        if value == 0 || value > max {
            self.add(path, format!("{value} is out of range: write a number from 1 to {max}"));
        }
    }

    /// A text that must hold more than white space.
    fn not_blank(&mut self, path: impl Into<String>, text: &str, what: &str) {
        if text.trim().is_empty() {
            self.add(path, format!("must not be empty: write {what}"));
        }
    }

    /// A union: exactly one of its members, given as (name, is set), may be set.
    fn exactly_one(&mut self, path: &str, members: &[(&str, bool)]) {
        let names = |wanted: bool| -> Vec<&str> {
            members.iter().filter(|&&(_, set)| set == wanted || !wanted).map(|&(name, _)| name).collect()
        };
        let (set, all) = (names(true), names(false).join(", "));
        match set.as_slice() {
            [_] => {}
            [] => self.add(path, format!("nothing is chosen: write exactly one of {all}")),
            [..] => self
                .add(path, format!("{} exclude each other: write exactly one of {all}", set.join(" and "))),
        }
    }
}
