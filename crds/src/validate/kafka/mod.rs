//! The rules of Kafka clusters, topics and where they are begun and ended.
//!
//! Owns: what every `kafka` block must hold by itself.
//! Never: asks a broker.

mod properties;

use jiff::Timestamp;

use super::{Findings, Place, names};
use crate::{Column, ColumnFrom, ColumnType, KafkaCluster, KafkaSink, KafkaSource, SecretSource, StartFrom};
pub use properties::{KafkaRole, kafka_property_role};

const TOPIC_CHARS_MAX: usize = 249;
/// The topic that remembers which output is published.
pub const PROGRESS_TOPIC: &str = "__streamjob_progress";
/// Topics that are not written to.
const OWN_TOPICS: [&str; 3] = [PROGRESS_TOPIC, "__consumer_offsets", "__transaction_state"];

pub(super) fn source(findings: &mut Findings, path: &str, kafka: &KafkaSource) {
    cluster(findings, &format!("{path}.cluster"), &kafka.cluster);
    let topic_path = |i: usize| format!("{path}.topics[{i}]");
    if kafka.topics.is_empty() {
        findings.add(format!("{path}.topics"), "must not be empty: write at least one topic");
    }
    names::distinct(findings, kafka.topics.iter().map(String::as_str), "the name of a topic", topic_path);
    for (i, name) in kafka.topics.iter().enumerate() {
        topic(findings, topic_path(i), name);
    }
    if let Some(group) = &kafka.consumer_group {
        findings.not_blank(format!("{path}.consumerGroup"), group, "the name of a group, or leave it out");
    }
    start(findings, path, kafka);
    if let Some(until) = &kafka.until
        && until != "Latest"
    {
        let wanted = "write `Latest` or an RFC 3339 instant such as `2026-01-31T08:00:00Z`";
        if until.parse::<Timestamp>().is_err() {
            findings.add(format!("{path}.until"), format!("`{until}` is no end: {wanted}"));
        }
    }
}

fn start(findings: &mut Findings, path: &str, kafka: &KafkaSource) {
    let from = kafka.start_from.unwrap_or_default();
    match (&kafka.start_time, from == StartFrom::Timestamp) {
        (Some(time), true) if time.parse::<Timestamp>().is_err() => {
            let wanted = "write one such as `2026-01-31T08:00:00Z`";
            findings
                .add(format!("{path}.startTime"), format!("`{time}` is not an RFC 3339 instant: {wanted}"));
        }
        (Some(_), false) => {
            findings.add(format!("{path}.startTime"), "only used with `startFrom: Timestamp`: remove it");
        }
        (None, true) => {
            let remedy = "add it, such as `startTime: \"2026-01-31T08:00:00Z\"`";
            findings.add(path, format!("`startTime` is missing: `startFrom: Timestamp` needs it; {remedy}"));
        }
        (Some(_), true) | (None, false) => {}
    }
    match (&kafka.start_offsets, from == StartFrom::Offsets) {
        (Some(offsets), true) => {
            for (i, start) in offsets.iter().enumerate() {
                let path = format!("{path}.startOffsets[{i}]");
                if !kafka.topics.contains(&start.topic) {
                    let message = format!("`{}` is not one of `topics`: add it there", start.topic);
                    findings.add(format!("{path}.topic"), message);
                }
                let same = |other: &crate::StartOffset| {
                    (&other.topic, other.partition) == (&start.topic, start.partition)
                };
                if offsets[..i].iter().any(same) {
                    let partition = format!("{} of {}", start.partition, start.topic);
                    findings.add(path, format!("partition {partition} is given twice: remove one"));
                }
            }
        }
        (Some(_), false) => {
            findings.add(format!("{path}.startOffsets"), "only used with `startFrom: Offsets`: remove it");
        }
        (None, true) => {
            let remedy = "add it, such as `startOffsets: [{topic: clicks, partition: 0, offset: 100}]`";
            findings.add(path, format!("`startOffsets` is missing: `startFrom: Offsets` needs it; {remedy}"));
        }
        (None, false) => {}
    }
}

pub(super) fn cluster(findings: &mut Findings, path: &str, cluster: &KafkaCluster) {
    let servers_path = format!("{path}.bootstrapServers");
    findings.not_blank(&servers_path, &cluster.bootstrap_servers, "`host:port` of a broker");
    for server in cluster.bootstrap_servers.split(',').map(str::trim) {
        if !cluster.bootstrap_servers.trim().is_empty() && !is_server(server) {
            let wanted = "write `host:port`, several divided by commas";
            findings.add(&servers_path, format!("`{server}` is not the address of a broker: {wanted}"));
        }
    }
    if let Some(tls) = &cluster.tls {
        if let Some(ca) = &tls.ca {
            secret(findings, &format!("{path}.tls.ca"), ca);
        }
        if let Some(client) = &tls.client_certificate {
            let path = format!("{path}.tls.clientCertificate");
            secret(findings, &format!("{path}.certificate"), &client.certificate);
            secret(findings, &format!("{path}.privateKey"), &client.private_key);
        }
    }
    if let Some(sasl) = &cluster.sasl {
        findings.not_blank(format!("{path}.sasl.username"), &sasl.username, "the name of a user");
        secret(findings, &format!("{path}.sasl.password"), &sasl.password);
    }
    let properties = cluster.properties.as_deref().unwrap_or_default();
    let property_path = |i: usize| format!("{path}.properties[{i}].name");
    let named = properties.iter().map(|property| property.name.as_str()).filter(|name| !name.is_empty());
    names::distinct(findings, named, "the name of a property", property_path);
    for (i, property) in properties.iter().enumerate() {
        properties::check(findings, &format!("{path}.properties[{i}]"), property);
    }
}

fn secret(findings: &mut Findings, path: &str, source: &SecretSource) {
    let SecretSource { file, environment, name, key } = source;
    let (local, remote) = match findings.place {
        Place::Machine => ("", "belongs to a cluster: on one machine write `file` or `environment`"),
        Place::Cluster => ("belongs to one machine: on a cluster write `name` and `key` of a Secret", ""),
    };
    let fields = [
        ("file", file, local, "the path of a file"),
        ("environment", environment, local, "the name of a variable"),
        ("name", name, remote, "the name of a Secret"),
        ("key", key, remote, "the name of a key"),
    ];
    for (field, value, misplaced, wanted) in fields {
        match value {
            Some(_) if !misplaced.is_empty() => findings.add(format!("{path}.{field}"), misplaced),
            Some(value) => findings.not_blank(format!("{path}.{field}"), value, wanted),
            None => {}
        }
    }
    match findings.place {
        Place::Machine => {
            findings.exactly_one(path, &[("file", file.is_some()), ("environment", environment.is_some())]);
        }
        Place::Cluster if name.is_none() || key.is_none() => {
            findings.add(
                path,
                "a secret is missing: write `name` and `key` of one, such as `{name: kafka, key: password}`",
            );
        }
        Place::Cluster => {}
    }
}

fn is_server(server: &str) -> bool {
    let Some((host, port)) = server.rsplit_once(':') else { return false };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_one = match bare {
        Some(address) => !address.is_empty(),
        None => !host.is_empty() && !host.contains([':', '/', ' ']),
    };
    host_is_one && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Reports a name that no topic can have. An empty one is told of elsewhere.
fn topic(findings: &mut Findings, path: String, name: &str) {
    if !name.is_empty()
        && let Some(message) = name_fault(name)
    {
        findings.add(path, message);
    }
}

/// Why no topic can have this name, which is not empty, and what to do.
fn name_fault(name: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !name.bytes().all(allowed) || matches!(name, "." | "..") {
        Some(format!("`{name}` cannot be a topic: use letters, digits, `.`, `_` and `-`"))
    } else if name.len() > TOPIC_CHARS_MAX {
        Some(format!("`{name}` has {} characters: at most {TOPIC_CHARS_MAX} are allowed", name.len()))
    } else {
        None
    }
}

/// Why a topic is not to be written to, and what to do.
pub fn kafka_target_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("must not be empty: write the name of a topic".to_owned());
    }
    if OWN_TOPICS.contains(&name) {
        return Some(format!("`{name}` belongs to Kafka or to StreamJob: write to another topic"));
    }
    name_fault(name)
}

/// What the records of a sink carry beside key and value; `columns` are those of its results.
pub(super) fn sink(findings: &mut Findings, path: &str, kafka: &KafkaSink, columns: &[&str]) {
    if let Some(field) = &kafka.topic_field {
        findings.not_blank(format!("{path}.topicField"), field, "the name of a column");
        names::known(findings, format!("{path}.topicField"), field, columns);
    }
    let headers = kafka.headers.as_deref().unwrap_or_default();
    let name_path = |i: usize| format!("{path}.headers[{i}].name");
    let named = headers.iter().map(|header| header.name.as_str());
    names::distinct(findings, named, "the name of a header", name_path);
    for (i, header) in headers.iter().enumerate() {
        match &header.field {
            Some(field) => {
                findings.not_blank(format!("{path}.headers[{i}].field"), field, "the name of a column");
                names::known(findings, format!("{path}.headers[{i}].field"), field, columns);
            }
            None => names::known(findings, name_path(i), &header.name, columns),
        }
    }
}

/// The rules of a column of a Kafka source.
pub(super) fn column(findings: &mut Findings, path: &str, column: &Column) {
    let Some(from) = column.from else { return };
    let (fits, wanted) = match from {
        ColumnFrom::Key | ColumnFrom::Header | ColumnFrom::Topic => {
            (column.column_type == ColumnType::String, "String")
        }
        ColumnFrom::Timestamp => (
            matches!(column.column_type, ColumnType::TimestampMillis | ColumnType::Int64),
            "TimestampMillis or Int64",
        ),
        ColumnFrom::Partition => {
            (matches!(column.column_type, ColumnType::Int32 | ColumnType::Int64), "Int32 or Int64")
        }
        ColumnFrom::Offset => (column.column_type == ColumnType::Int64, "Int64"),
    };
    if !fits {
        findings.add(format!("{path}.type"), format!("`from: {from:?}` gives {wanted}: write that"));
    }
}
