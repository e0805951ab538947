//! Paths, URLs and topics: what is written may not collide.
//!
//! Owns: that every path is local, and that every target has a folder or a topic of its own.
//! Never: asks the file system; two spellings that meet only through a link are not seen.

use super::{Findings, kafka};
use crate::{KafkaSource, Pipeline};

pub(super) fn check(findings: &mut Findings, pipeline: &Pipeline) {
    let dead_letters = pipeline.source.bad_records.as_ref().and_then(|bad| bad.files.as_ref());
    let late_rows = pipeline.window.late.as_ref().and_then(|late| late.files.as_ref());
    let targets = [
        ("spec.pipeline.sink.files.url", pipeline.sink.files.as_ref()),
        ("spec.pipeline.window.late.files.url", late_rows),
        ("spec.pipeline.source.badRecords.files.url", dead_letters),
    ];
    let mut seen: Vec<(&str, String)> = Vec::new();
    for (path, target) in targets {
        let Some(target) = target else { continue };
        findings.not_blank(path, &target.url, "the path of a folder");
        if target.url.trim().is_empty() || !local(findings, path.to_owned(), &target.url) {
            continue;
        }
        let folder = normal(&target.url);
        match seen.iter().find(|(_, other)| *other == folder) {
            Some((other, _)) => {
                findings
                    .add(path, format!("`{}` is the folder of {other} too: each needs its own", target.url));
            }
            None => seen.push((path, folder)),
        }
    }
    check_topics(findings, pipeline);
}

fn check_topics(findings: &mut Findings, pipeline: &Pipeline) {
    let dead_letters = pipeline.source.bad_records.as_ref().and_then(|bad| bad.kafka.as_ref());
    let late_rows = pipeline.window.late.as_ref().and_then(|late| late.kafka.as_ref());
    let sink = pipeline.sink.kafka.as_ref();
    let targets = [
        ("spec.pipeline.sink.kafka", sink.map(|sink| &sink.topic)),
        ("spec.pipeline.window.late.kafka", late_rows.map(|late| &late.topic)),
        ("spec.pipeline.source.badRecords.kafka", dead_letters.map(|dead| &dead.topic)),
    ];
    let source = pipeline.source.kafka.as_ref();
    let own = sink.and_then(|sink| sink.cluster.as_ref());
    let no_cluster = own.is_none() && source.is_none();
    let written = own.map(|cluster| cluster.bootstrap_servers.as_str());
    let read = |topic: &String| {
        let same = |source: &&KafkaSource| {
            written.is_none_or(|servers| servers == source.cluster.bootstrap_servers)
                && source.topics.contains(topic)
        };
        source.filter(same).is_some()
    };
    let mut seen: Vec<(String, &String)> = Vec::new();
    for (path, topic) in targets {
        let Some(topic) = topic else { continue };
        if no_cluster {
            let remedy = "the source has none either; add it to the sink, such as `cluster: {bootstrapServers: \"127.0.0.1:9092\"}`";
            findings.add(path, format!("`cluster` is missing: {remedy}"));
        }
        let path = format!("{path}.topic");
        if let Some(fault) = kafka::kafka_target_fault(topic) {
            findings.add(path, fault);
            continue;
        }
        if read(topic) {
            findings
                .add(path.clone(), format!("`{topic}` is read by the source too: write to another topic"));
        } else if let Some((other, _)) = seen.iter().find(|(_, other)| *other == topic) {
            findings.add(path.clone(), format!("`{topic}` is the topic of {other} too: each needs its own"));
        }
        seen.push((path, topic));
    }
}

/// Which targets a side output names.
pub(super) struct Side {
    pub(super) files: bool,
    pub(super) kafka: bool,
}

impl Side {
    /// `wanted`: the action writes, to a folder such as this one.
    pub(super) fn check(&self, findings: &mut Findings, path: &str, action: &str, wanted: Option<&str>) {
        let set = [("files", self.files), ("kafka", self.kafka)];
        match wanted {
            None => {
                for (name, _) in set.iter().filter(|(_, set)| *set) {
                    let message = format!("only used with `action: {action}`: remove it");
                    findings.add(format!("{path}.{name}"), message);
                }
            }
            Some(folder) if !self.files && !self.kafka => {
                let remedy = format!("add it, such as `files: {{url: {folder}}}`");
                let message = format!("`files` or `kafka` is missing: {action} needs one; {remedy}");
                findings.add(path, message);
            }
            Some(_) => findings.exactly_one(path, &set),
        }
    }
}

/// Reports a URL that is not a path on this machine.
pub(super) fn local(findings: &mut Findings, path: String, url: &str) -> bool {
    local_or(findings, path, url, "a `file://` URL")
}

/// The same where `other` may be written, too.
pub(super) fn local_or(findings: &mut Findings, path: String, url: &str, other: &str) -> bool {
    let message = match url.split_once("://") {
        None => return true,
        Some(("file", rest)) if rest.starts_with('/') => return true,
        Some(("file", _)) => {
            format!("`{url}` names a host: write `file:///` and an absolute path, or a plain path")
        }
        Some((scheme, _)) => format!("`{scheme}` URLs are not supported: write a path or {other}"),
    };
    findings.add(path, message);
    false
}

/// The same text for `out`, `./out/`, `a/../out` and `out//`.
fn normal(url: &str) -> String {
    let path = url.strip_prefix("file://").unwrap_or(url);
    let root = if path.starts_with('/') { "/" } else { "" };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if !root.is_empty() => {}
            _ => parts.push(part),
        }
    }
    format!("{root}{}", parts.join("/"))
}
