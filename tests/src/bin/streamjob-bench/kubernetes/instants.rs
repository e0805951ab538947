//! When things happened, by the lines that a worker writes.
//!
//! Owns: which line stands for which instant.
//! Never: compares clocks of two machines; all of the cluster is on this one.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use streamjob_tests::cluster::{Kubernetes, text};

/// The lines of a pod's log, the oldest first.
#[derive(Debug)]
pub(super) struct Lines(Vec<Value>);

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    jiff::Timestamp::now().as_duration().as_secs_f64()
}

/// Of a text as RFC 3339 has it.
pub(super) fn instant_of(text: &str) -> Option<f64> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_duration().as_secs_f64())
}

impl Lines {
    /// What a pod's container has said until now.
    pub(super) fn of(cluster: &Kubernetes, pod: &Value) -> Result<Self> {
        Self::read(&cluster.logs(pod, false)?)
    }

    /// What it says until it ends.
    pub(super) fn to_the_end(cluster: &Kubernetes, pod: &Value) -> Result<Self> {
        Self::read(&cluster.logs(pod, true)?)
    }

    fn read(log: &str) -> Result<Self> {
        let lines: Result<Vec<Value>, _> = log.lines().map(serde_json::from_str).collect();
        let lines = lines.context("a line of a worker's log is not JSON")?;
        ensure!(!lines.is_empty(), "a worker has said nothing");
        Ok(Self(lines))
    }

    fn when(&self, what: &str, is: impl Fn(&Value) -> bool) -> Result<f64> {
        let line = self.0.iter().find(|line| is(line)).with_context(|| format!("no line: {what}"))?;
        instant_of(text(line, "/timestamp")).with_context(|| format!("no instant in {line}"))
    }

    /// The first word of the process.
    pub(super) fn began(&self) -> Result<f64> {
        self.when("the first line", |_| true)
    }

    /// The first row that was read is in its window.
    pub(super) fn first_row(&self) -> Result<f64> {
        self.when("the first row", |line| text(line, "/message") == "the first rows are in windows")
    }

    /// The barrier after which no row is read any more.
    pub(super) fn last_barrier(&self) -> Result<f64> {
        self.when("the last barrier", |line| text(line, "/message") == "barrier" && line["last"] == true)
    }

    /// The log has the record that ends the incarnation.
    pub(super) fn handed_over(&self) -> Result<f64> {
        let ended = "the incarnation has ended; waiting to be torn down";
        self.when("the end", |line| text(line, "/message") == ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_those_of_the_lines() -> Result<()> {
        let log = r#"{"timestamp":"2026-11-22T10:00:00.5Z","message":"listening"}
{"timestamp":"2026-11-22T10:00:01Z","message":"the first rows are in windows"}
{"timestamp":"2026-11-22T10:00:02Z","message":"barrier","last":false}
{"timestamp":"2026-11-22T10:00:03.25Z","message":"barrier","last":true}"#;
        let lines = Lines::read(log)?;

        let began = lines.began()?;

        assert_eq!(lines.first_row()? - began, 0.5);
        assert_eq!(lines.last_barrier()? - began, 2.75);
        assert!(lines.handed_over().is_err_and(|error| error.to_string().contains("no line")));
        Ok(())
    }
}
