//! Kafka: clusters, what is read of them and what is written to them.
//!
//! Owns: how a cluster is reached and with which rights; the Kafka source and the Kafka targets.
//! Never: holds a secret; it says where one is found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A cluster, and how it is reached.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaCluster {
    /// `host:port` of one broker or, divided by commas, of several.
    pub bootstrap_servers: String,
    /// Set: connections are encrypted, and the brokers' certificates are checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<KafkaTls>,
    /// Who the job is to the brokers. Unset: nobody, or whom the client certificate names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<KafkaSasl>,
    /// Settings of librdkafka, those that are safe to turn. Names must differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<Vec<KafkaProperty>>,
}

/// Encrypted connections.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaTls {
    /// The authorities that brokers' certificates are checked against, as PEM. Default: those of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<SecretSource>,
    /// What the job shows to brokers that ask for a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<KafkaClientCertificate>,
}

/// A certificate and its key.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaClientCertificate {
    /// The certificate, with its chain, as PEM.
    pub certificate: SecretSource,
    /// Its private key, as PEM, not encrypted.
    pub private_key: SecretSource,
}

/// Who the job is to the brokers.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSasl {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// The user.
    pub username: String,
    /// Where the password is.
    pub password: SecretSource,
}

/// How a password is proved to a broker.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum SaslMechanism {
    /// The password itself is sent: meant for use with TLS.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Salted challenge and response with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Salted challenge and response with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// Where a secret is: on one machine exactly one of `file` and `environment`, on a cluster `name` and `key`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretSource {
    /// A path; relative ones are relative to the manifest. Of a password a line end at its end is no part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The name of an environment variable of the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// On a cluster: the name of a Secret in the job's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With `name`: the Secret's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A setting of librdkafka.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaProperty {
    /// One of the names that docs/manifest.md lists.
    pub name: String,
    /// Its value, as text.
    pub value: String,
}

/// Topics to read.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSource {
    /// Where they are.
    pub cluster: KafkaCluster,
    /// Their names. At least one.
    pub topics: Vec<String>,
    /// The group that offsets are committed to after each checkpoint, for dashboards of lag; nothing is read from it.
    /// Default: the job's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_group: Option<String>,
    /// Where each partition is begun, when there is no state to go on from. Default Earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_from: Option<StartFrom>,
    /// With Timestamp: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// With Offsets: one for each partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_offsets: Option<Vec<StartOffset>>,
    /// Where each partition ends, so that the job can: `Latest`, the end of each when the job began, or an RFC 3339
    /// instant. Unset: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// Where a partition is begun.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum StartFrom {
    /// With the oldest record that there is.
    #[default]
    Earliest,
    /// Behind the newest.
    Latest,
    /// With the first record of `startTime` or later.
    Timestamp,
    /// Where `startOffsets` says.
    Offsets,
}

/// Where one partition is begun.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartOffset {
    /// One of `topics`.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// The offset of the first record to read.
    pub offset: u64,
}

/// A topic that gets results.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSink {
    /// Where the topic is. Default: the source's cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<KafkaCluster>,
    /// Its name; it must exist. The key of a record is the key column's text, a JSON array of them if there are several.
    pub topic: String,
    /// The result column that names the topic of each record; where it is null the record goes to `topic`. Type String.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_field: Option<String>,
    /// What each record has as headers. Names must differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<KafkaHeader>>,
    /// Default ExactlyOnce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}

/// A header of the records that are written.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaHeader {
    /// Its name.
    pub name: String,
    /// The result column whose text is its value. Default: the column of the header's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// How often a record may arrive.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Delivery {
    /// Once to readers of committed records, in a transaction for each checkpoint.
    #[default]
    ExactlyOnce,
    /// When it is made; after a failure some again.
    AtLeastOnce,
}

/// A topic that gets late rows or dead letters, in the sink's cluster; without one there, in the source's.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaTarget {
    /// Its name; it must exist.
    pub topic: String,
}
