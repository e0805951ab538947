//! What of a plan is about Kafka.
//!
//! Owns: the types that source, targets and whoever asks a cluster run by.
//! Never: holds a secret; it says where one is found.

use std::path::PathBuf;

use streamjob_crds::{ColumnFrom, Delivery, SaslMechanism};

use crate::FormatPlan;

/// How a cluster is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KafkaClusterPlan {
    /// `host:port`, several divided by commas.
    pub bootstrap_servers: String,
    /// `None`: connections are not encrypted.
    pub tls: Option<KafkaTlsPlan>,
    /// `None`: nobody is told who the job is.
    pub sasl: Option<KafkaSaslPlan>,
    /// Names of the allow-list and values.
    pub properties: Vec<(String, String)>,
}

/// Encrypted connections.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KafkaTlsPlan {
    /// `None`: the authorities of this machine.
    pub ca: Option<SecretPlan>,
    /// Certificate and private key.
    pub client: Option<(SecretPlan, SecretPlan)>,
}

/// Who the job is to the brokers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KafkaSaslPlan {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// The user.
    pub username: String,
    /// Where the password is.
    pub password: SecretPlan,
}

/// Where a secret is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SecretPlan {
    /// In a file. Absolute.
    File(PathBuf),
    /// In a variable of the environment.
    Environment(String),
}

/// Topics to read.
#[derive(Clone, Debug)]
pub struct KafkaSourcePlan {
    /// Where they are.
    pub cluster: KafkaClusterPlan,
    /// Their names, in the order of the manifest.
    pub topics: Vec<String>,
    /// The group that offsets are committed to, for dashboards.
    pub group: String,
    /// Where partitions are begun.
    pub start: KafkaStart,
    /// Where they end; `None`: never.
    pub until: Option<KafkaUntil>,
    /// What payloads are.
    pub payload: PayloadPlan,
    /// The names of the columns that are in the payload, read or not: the fields of CSV, in this order.
    pub declared: Vec<String>,
    /// The columns of [`crate::SourcePlan::schema`] that are not in the payload, and what each is.
    pub metadata: Vec<MetadataColumn>,
}

/// Where partitions are begun.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KafkaStart {
    /// With the oldest record.
    Earliest,
    /// Behind the newest.
    Latest,
    /// With the first record of this time or later, in epoch milliseconds.
    Timestamp(i64),
    /// Topic, partition, offset: for every partition there is.
    Offsets(Vec<(String, u32, u64)>),
}

/// Where partitions end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KafkaUntil {
    /// Where they end when the job begins.
    Latest,
    /// Before the first record of this time or later, in epoch milliseconds.
    Timestamp(i64),
}

/// What payloads are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PayloadPlan {
    /// A record of this format.
    Format(FormatPlan),
    /// One text column, as it is.
    Raw,
}

/// A column that is not in the payload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MetadataColumn {
    /// Its name in the schema.
    pub name: String,
    /// Which part of the record it is.
    pub from: ColumnFrom,
    /// With Header: which one.
    pub header: String,
}

/// How topics are written to: all of a job lie in one cluster, as a slot writes them in one transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KafkaOutputPlan {
    /// Where they are.
    pub cluster: KafkaClusterPlan,
    /// How often a record may arrive.
    pub delivery: Delivery,
}

/// What of a row becomes part of its record beside key and value. Columns are those of the rows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KafkaRoute {
    /// The text column that names the topic of a record; null: the target's own.
    pub topic: Option<usize>,
    /// Topics that it may not name: they are read.
    pub read: Vec<String>,
    /// Names of headers and the columns of their values.
    pub headers: Vec<(String, usize)>,
}
