//! Which settings of librdkafka a manifest may turn.
//!
//! Owns: the list of names, whom each is for, and which values are possible.
//! Never: lets a name through that is not in the list: some load code, run programs or open files.

use super::super::Findings;
use crate::{KafkaProperty, suggest};

/// Whom a property is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KafkaRole {
    /// Whoever talks to a broker.
    Client,
    /// Who reads.
    Consumer,
    /// Who writes.
    Producer,
}

#[derive(Clone, Copy)]
enum Values {
    /// A whole number from .. to.
    Whole(i64, i64),
    /// One of these.
    Of(&'static [&'static str]),
    /// Any text.
    Text,
}

use KafkaRole::{Client, Consumer, Producer};
use Values::{Of, Text, Whole};

const HOUR_MS: i64 = 3_600_000;
/// librdkafka's own limit of a message.
const MESSAGE_BYTES_MAX: i64 = 1_000_000_000;
/// What a compressed answer of a broker may grow to is bounded by what may be asked for at once.
const FETCH_BYTES_MAX: i64 = 104_857_600;

const PROPERTIES: &[(&str, KafkaRole, Values)] = &[
    ("broker.address.family", Client, Of(&["any", "v4", "v6"])),
    ("broker.address.ttl", Client, Whole(0, 86_400_000)),
    ("client.dns.lookup", Client, Of(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"])),
    ("client.id", Client, Text),
    ("client.rack", Client, Text),
    ("connections.max.idle.ms", Client, Whole(0, i32::MAX as i64)),
    ("metadata.max.age.ms", Client, Whole(1, 86_400_000)),
    ("reconnect.backoff.max.ms", Client, Whole(0, HOUR_MS)),
    ("reconnect.backoff.ms", Client, Whole(0, HOUR_MS)),
    ("retry.backoff.max.ms", Client, Whole(1, 300_000)),
    ("retry.backoff.ms", Client, Whole(1, 300_000)),
    ("socket.connection.setup.timeout.ms", Client, Whole(1_000, i32::MAX as i64)),
    ("socket.keepalive.enable", Client, Of(&["true", "false"])),
    ("socket.nagle.disable", Client, Of(&["true", "false"])),
    ("socket.receive.buffer.bytes", Client, Whole(0, 100_000_000)),
    ("socket.send.buffer.bytes", Client, Whole(0, 100_000_000)),
    ("socket.timeout.ms", Client, Whole(10, 300_000)),
    ("topic.metadata.refresh.interval.ms", Client, Whole(1_000, HOUR_MS)),
    ("fetch.max.bytes", Consumer, Whole(0, FETCH_BYTES_MAX)),
    ("fetch.min.bytes", Consumer, Whole(1, FETCH_BYTES_MAX)),
    ("fetch.wait.max.ms", Consumer, Whole(0, 300_000)),
    ("max.partition.fetch.bytes", Consumer, Whole(1, FETCH_BYTES_MAX)),
    ("queued.max.messages.kbytes", Consumer, Whole(1, 1_048_576)),
    ("batch.num.messages", Producer, Whole(1, 1_000_000)),
    ("batch.size", Producer, Whole(1, i32::MAX as i64)),
    ("compression.level", Producer, Whole(-1, 12)),
    ("compression.type", Producer, Of(&["none", "gzip", "snappy", "lz4", "zstd"])),
    ("linger.ms", Producer, Whole(0, 900_000)),
    ("message.max.bytes", Producer, Whole(1_000, MESSAGE_BYTES_MAX)),
    ("queue.buffering.max.kbytes", Producer, Whole(1, i32::MAX as i64)),
    ("request.timeout.ms", Producer, Whole(1, 900_000)),
    ("transaction.timeout.ms", Producer, Whole(1_000, 900_000)),
];

/// Names that have a field, or that only the job may turn: beginning of the name, and what to do instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("auto.offset.reset", "a job never skips records by itself; write `startFrom`"),
    ("bootstrap.servers", "write `bootstrapServers`"),
    ("enable.auto.", "positions are part of checkpoints"),
    ("group.id", "write `consumerGroup`"),
    ("isolation.level", "only committed records are read"),
    ("sasl.", "write `sasl`"),
    ("security.protocol", "write `tls`, `sasl` or both"),
    ("ssl.", "write `tls`"),
    ("transactional.id", "it is part of the job's state"),
];

/// Whom a property is for, if a manifest may set it.
pub fn kafka_property_role(name: &str) -> Option<KafkaRole> {
    PROPERTIES.iter().find(|(known, _, _)| *known == name).map(|(_, role, _)| *role)
}

pub(super) fn check(findings: &mut Findings, path: &str, property: &KafkaProperty) {
    let name = property.name.as_str();
    if let Some((_, _, values)) = PROPERTIES.iter().find(|(known, _, _)| *known == name) {
        return check_value(findings, path, &property.value, *values);
    }
    let path = format!("{path}.name");
    if name.is_empty() {
        return findings.add(path, "must not be empty: write the name of a property");
    }
    if let Some((_, instead)) = ELSEWHERE.iter().find(|(begin, _)| name.starts_with(begin)) {
        return findings.add(path, format!("`{name}` cannot be set by a property: {instead}"));
    }
    let known: Vec<&str> = PROPERTIES.iter().map(|(known, _, _)| *known).collect();
    let list = "docs/manifest.md lists those that may be set";
    let hint = suggest::nearest(name, &known)
        .map_or(format!(": {list}"), |near| format!("; did you mean `{near}`? {list}"));
    findings.add(path, format!("`{name}` may not be set{hint}"));
}

fn check_value(findings: &mut Findings, path: &str, value: &str, values: Values) {
    let wanted = match values {
        Text if value.trim().is_empty() => "some text".to_owned(),
        Text => return,
        Of(names) if names.contains(&value) => return,
        Of(names) => format!("one of {}", names.join(", ")),
        Whole(least, most) => match value.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => return,
            Ok(_) | Err(_) => format!("a whole number from {least} to {most}"),
        },
    };
    findings.add(format!("{path}.value"), format!("`{value}` is not possible: write {wanted}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_files_loads_code_or_guards_the_output_is_not_in_the_list() {
        for name in [
            "plugin.library.paths",
            "sasl.kerberos.kinit.cmd",
            "sasl.kerberos.keytab",
            "sasl.oauthbearer.token.endpoint.url",
            "https.ca.location",
            "ssl.ca.location",
            "ssl.key.location",
            "ssl.engine.location",
            "ssl.providers",
            "enable.ssl.certificate.verification",
            "debug",
            "test.mock.num.brokers",
            "enable.auto.commit",
            "isolation.level",
            "transactional.id",
            "auto.offset.reset",
            "enable.idempotence",
            "check.crcs",
            "group.id",
            "statistics.interval.ms",
            "log.queue",
        ] {
            assert_eq!(kafka_property_role(name), None, "{name}");
        }
    }
}
