//! Clients that are set up from a plan.
//!
//! Owns: which properties a plan gives, and that no secret shows.
//! Never: connects.

#![allow(clippy::unwrap_used)]

use rdkafka::consumer::{BaseConsumer, DefaultConsumerContext};
use rdkafka::producer::{BaseProducer, DefaultProducerContext};

use super::*;

/// A word that stands in no message.
const CANARY: &str = "canary-7f3a";

fn plain() -> KafkaClusterPlan {
    let servers = "127.0.0.1:1".to_owned();
    KafkaClusterPlan { bootstrap_servers: servers, tls: None, sasl: None, properties: Vec::new() }
}

fn with_password(password: SecretPlan, mechanism: SaslMechanism) -> KafkaClusterPlan {
    KafkaClusterPlan {
        sasl: Some(KafkaSaslPlan { mechanism, username: "reader".to_owned(), password }),
        ..plain()
    }
}

fn file(folder: &tempfile::TempDir, name: &str, content: &str) -> SecretPlan {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    SecretPlan::File(path)
}

#[test]
fn a_plan_gives_the_protocol_and_the_password_without_its_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let secret = || file(&folder, "password", "pass word\r\n");
    let cases = [
        (SaslMechanism::Plain, "PLAIN"),
        (SaslMechanism::ScramSha256, "SCRAM-SHA-256"),
        (SaslMechanism::ScramSha512, "SCRAM-SHA-512"),
    ];
    for (mechanism, name) in cases {
        let mut cluster = with_password(secret(), mechanism);
        for (tls, protocol) in [(false, "sasl_plaintext"), (true, "sasl_ssl")] {
            cluster.tls = tls.then_some(KafkaTlsPlan { ca: None, client: None });

            let config = KafkaConfig::new(&cluster, KafkaRole::Consumer).unwrap();

            assert_eq!(config.properties["sasl.password"], "pass word");
            assert_eq!(config.properties["sasl.mechanism"], name);
            assert_eq!(config.properties["security.protocol"], protocol);
        }
    }
    assert_eq!(
        KafkaConfig::new(&plain(), KafkaRole::Producer).unwrap().properties["security.protocol"],
        "plaintext"
    );
}

#[test]
fn properties_reach_only_the_role_that_they_are_for() {
    let mut cluster = plain();
    let pairs = [("linger.ms", "7"), ("fetch.min.bytes", "9"), ("client.rack", "a")];
    cluster.properties = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();

    let names = |role| KafkaConfig::new(&cluster, role).unwrap().properties.into_keys().collect::<Vec<_>>();
    let has = |role, name: &str| names(role).contains(&name.to_owned());

    assert!(has(KafkaRole::Consumer, "fetch.min.bytes") && !has(KafkaRole::Consumer, "linger.ms"));
    assert!(has(KafkaRole::Producer, "linger.ms") && !has(KafkaRole::Producer, "fetch.min.bytes"));
    assert!(has(KafkaRole::Producer, "client.rack") && has(KafkaRole::Consumer, "client.rack"));
    cluster.properties = vec![("plugin.library.paths".to_owned(), "/tmp/evil.so".to_owned())];
    let refused = KafkaConfig::new(&cluster, KafkaRole::Consumer).unwrap_err().to_string();
    assert_eq!(refused, "the Kafka property `plugin.library.paths` may not be set; remove it");
}

#[test]
fn librdkafka_knows_every_property_that_a_manifest_may_set() {
    let pairs = [
        "broker.address.family=v4 broker.address.ttl=1000 client.dns.lookup=use_all_dns_ips client.id=a",
        "client.rack=a connections.max.idle.ms=0 metadata.max.age.ms=1000 reconnect.backoff.max.ms=1000",
        "reconnect.backoff.ms=10 retry.backoff.max.ms=1000 retry.backoff.ms=10 socket.timeout.ms=5000",
        "socket.connection.setup.timeout.ms=1000 socket.keepalive.enable=true socket.nagle.disable=true",
        "socket.receive.buffer.bytes=65536 socket.send.buffer.bytes=65536",
        "topic.metadata.refresh.interval.ms=1000 fetch.max.bytes=1048576",
        "fetch.min.bytes=1 fetch.wait.max.ms=10 max.partition.fetch.bytes=1024",
        "queued.max.messages.kbytes=1024 batch.num.messages=10 batch.size=1000 compression.level=3",
        "compression.type=zstd linger.ms=7 message.max.bytes=2000 queue.buffering.max.kbytes=1000",
        "request.timeout.ms=1000 transaction.timeout.ms=9000",
    ]
    .join(" ");
    let pairs = pairs.split(' ').filter_map(|pair| pair.split_once('='));
    let mut cluster = plain();
    cluster.properties = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let consumer = KafkaConfig::new(&cluster, KafkaRole::Consumer).unwrap();
    let producer = KafkaConfig::new(&cluster, KafkaRole::Producer).unwrap();

    let read: Result<BaseConsumer<_>, _> = consumer.create(DefaultConsumerContext);
    let write: Result<BaseProducer<_>, _> = producer.create(DefaultProducerContext);

    assert_eq!((read.err().map(|e| e.to_string()), write.err().map(|e| e.to_string())), (None, None));
}

#[test]
fn a_secret_stands_in_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let password = with_password(file(&folder, "p", CANARY), SaslMechanism::ScramSha512);
    let config = KafkaConfig::new(&password, KafkaRole::Consumer).unwrap();
    let mut broken = KafkaConfig::new(&plain(), KafkaRole::Consumer).unwrap();
    broken.set("security.protocol", "ssl");
    broken.set("ssl.key.pem", CANARY);
    let mut wrong = config.clone();
    wrong.set("sasl.mechanism", "PLAIN");
    wrong.set("socket.timeout.ms", CANARY);

    let texts = [
        format!("{config:?} {config:#?} {:?}", password),
        format!("{:?}", broken.create::<_, BaseConsumer<_>>(DefaultConsumerContext).err().unwrap()),
        format!("{}", wrong.create::<_, BaseConsumer<_>>(DefaultConsumerContext).err().unwrap()),
    ];

    for text in texts {
        assert!(!text.contains(CANARY), "{text}");
    }
}

#[test]
fn a_secret_that_is_not_there_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let gone = SecretPlan::File(folder.path().join("gone"));
    let said = |secret| {
        let cluster = with_password(secret, SaslMechanism::Plain);
        let error = KafkaConfig::new(&cluster, KafkaRole::Consumer).unwrap_err().to_string();
        error.replace(&format!("{}/", folder.path().display()), "")
    };

    let of_file = "which the manifest names for Kafka";
    assert_eq!(said(gone), format!("cannot read gone, {of_file}; check that it exists and may be read"));
    assert_eq!(
        said(SecretPlan::Environment("STREAMJOB_NOT_SET".to_owned())),
        format!("the environment has no variable `STREAMJOB_NOT_SET`, {of_file}; set it and run again")
    );
    assert_eq!(
        said(file(&folder, "empty", "\n")),
        format!("empty, {of_file}, is empty; put the secret there and run again")
    );
}
