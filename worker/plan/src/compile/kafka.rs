//! Kafka in a job: the cluster, the topics that are read, those that are written to.
//!
//! Owns: defaults, instants as milliseconds, paths of secrets as absolute ones.
//! Never: reads a secret or asks a broker.

use std::path::Path;

use arrow::datatypes::{DataType, Schema};
use jiff::Timestamp;
use streamjob_crds::{
    Column, KafkaCluster, KafkaHeader, KafkaSink, KafkaSource, KafkaTls, Pipeline, SecretSource, Source,
    StartFrom,
};

use super::{format, paths};
use crate::error::Problems;
use crate::{
    KafkaClusterPlan, KafkaOutputPlan, KafkaRoute, KafkaSaslPlan, KafkaSourcePlan, KafkaStart, KafkaTlsPlan,
    KafkaUntil, MetadataColumn, PayloadPlan, SecretPlan, types,
};

const SOURCE: &str = "spec.pipeline.source.kafka";
const SINK: &str = "spec.pipeline.sink.kafka.cluster";

/// The source, with all declared columns.
pub(super) fn source(
    spec: &Source,
    kafka: &KafkaSource,
    job: &str,
    base: &Path,
    problems: &mut Problems,
) -> Option<KafkaSourcePlan> {
    let columns = spec.columns.as_ref().expect("validation asks for columns with kafka");
    let form = spec.format.as_ref().expect("validation asks for a format with kafka");
    let payload = match form.raw {
        Some(_) => PayloadPlan::Raw,
        None => PayloadPlan::Format(format::of_records(form)),
    };
    let in_payload = columns.iter().filter(|column| column.from.is_none());
    Some(KafkaSourcePlan {
        cluster: cluster(&kafka.cluster, &format!("{SOURCE}.cluster"), base, problems)?,
        topics: kafka.topics.clone(),
        group: kafka.consumer_group.clone().unwrap_or_else(|| job.to_owned()),
        start: start(kafka),
        until: kafka.until.as_deref().map(|until| match until {
            "Latest" => KafkaUntil::Latest,
            instant => KafkaUntil::Timestamp(millis(instant)),
        }),
        payload,
        declared: in_payload.map(|column| column.name.clone()).collect(),
        metadata: columns.iter().filter_map(metadata).collect(),
    })
}

fn metadata(column: &Column) -> Option<MetadataColumn> {
    let header = column.header.as_ref().unwrap_or(&column.name).clone();
    Some(MetadataColumn { name: column.name.clone(), from: column.from?, header })
}

fn start(kafka: &KafkaSource) -> KafkaStart {
    match kafka.start_from.unwrap_or_default() {
        StartFrom::Earliest => KafkaStart::Earliest,
        StartFrom::Latest => KafkaStart::Latest,
        StartFrom::Timestamp => {
            let time = kafka.start_time.as_deref().expect("validation asks for a time with Timestamp");
            KafkaStart::Timestamp(millis(time))
        }
        StartFrom::Offsets => {
            let offsets = kafka.start_offsets.iter().flatten();
            let offsets = offsets.map(|start| (start.topic.clone(), start.partition, start.offset));
            KafkaStart::Offsets(offsets.collect())
        }
    }
}

fn millis(instant: &str) -> i64 {
    instant.parse::<Timestamp>().expect("validation reads instants").as_millisecond()
}

/// How topics are written to, if any is.
pub(super) fn output(spec: &Pipeline, base: &Path, problems: &mut Problems) -> Option<KafkaOutputPlan> {
    let sink = spec.sink.kafka.as_ref();
    let late = spec.window.late.as_ref().is_some_and(|late| late.kafka.is_some());
    let dead = spec.source.bad_records.as_ref().is_some_and(|bad| bad.kafka.is_some());
    if sink.is_none() && !late && !dead {
        return None;
    }
    let cluster = match sink.and_then(|sink| sink.cluster.as_ref()) {
        Some(own) => cluster(own, SINK, base, problems)?,
        None => {
            let source = spec.source.kafka.as_ref().expect("validation asks for a cluster");
            // What is wrong with it is told as a problem of the source.
            cluster(&source.cluster, SINK, base, &mut Problems::default())?
        }
    };
    Some(KafkaOutputPlan { cluster, delivery: sink.and_then(|sink| sink.delivery).unwrap_or_default() })
}

/// What of a result becomes part of its record beside key and value.
pub(super) fn route(
    sink: &KafkaSink,
    pipeline: &Pipeline,
    result: &Schema,
    problems: &mut Problems,
) -> KafkaRoute {
    // What is not there is a column with a mistake of its own.
    let column = |name: &String| result.index_of(name).ok();
    let topic = sink.topic_field.as_ref().and_then(column);
    if let Some(field) = topic.map(|index| result.field(index))
        && *field.data_type() != DataType::Utf8
    {
        let found = types::a(field.data_type());
        let why = format!(
            "`{}` is {found}, and a topic is named by a String: convert it with `select`",
            field.name()
        );
        problems.add("spec.pipeline.sink.kafka.topicField", why);
    }
    let source = pipeline.source.kafka.as_ref().filter(|source| {
        let own = sink.cluster.as_ref().map(|cluster| &cluster.bootstrap_servers);
        own.is_none_or(|own| *own == source.cluster.bootstrap_servers)
    });
    let headers = sink.headers.iter().flatten();
    let header = |header: &KafkaHeader| {
        Some((header.name.clone(), column(header.field.as_ref().unwrap_or(&header.name))?))
    };
    let read = source.map(|source| source.topics.clone()).unwrap_or_default();
    KafkaRoute { topic, read, headers: headers.filter_map(header).collect() }
}

fn cluster(
    spec: &KafkaCluster,
    path: &str,
    base: &Path,
    problems: &mut Problems,
) -> Option<KafkaClusterPlan> {
    let tls = match &spec.tls {
        None => None,
        Some(spec) => Some(tls(spec, &format!("{path}.tls"), base, problems)?),
    };
    let sasl = match &spec.sasl {
        None => None,
        Some(sasl) => Some(KafkaSaslPlan {
            mechanism: sasl.mechanism,
            username: sasl.username.clone(),
            password: secret(&sasl.password, &format!("{path}.sasl.password"), base, problems)?,
        }),
    };
    let servers: Vec<&str> = spec.bootstrap_servers.split(',').map(str::trim).collect();
    let properties = spec.properties.iter().flatten();
    Some(KafkaClusterPlan {
        bootstrap_servers: servers.join(","),
        tls,
        sasl,
        properties: properties.map(|property| (property.name.clone(), property.value.clone())).collect(),
    })
}

fn tls(spec: &KafkaTls, path: &str, base: &Path, problems: &mut Problems) -> Option<KafkaTlsPlan> {
    let ca = match &spec.ca {
        None => None,
        Some(ca) => Some(secret(ca, &format!("{path}.ca"), base, problems)?),
    };
    let client = match &spec.client_certificate {
        None => None,
        Some(client) => {
            let path = format!("{path}.clientCertificate");
            let certificate = secret(&client.certificate, &format!("{path}.certificate"), base, problems)?;
            let key = secret(&client.private_key, &format!("{path}.privateKey"), base, problems)?;
            Some((certificate, key))
        }
    };
    Some(KafkaTlsPlan { ca, client })
}

fn secret(spec: &SecretSource, path: &str, base: &Path, problems: &mut Problems) -> Option<SecretPlan> {
    match (&spec.file, &spec.environment) {
        (Some(file), _) => {
            problems.keep(&format!("{path}.file"), paths::absolute(file, base)).map(SecretPlan::File)
        }
        (None, name) => {
            let name = name.as_ref().expect("validation leaves file or environment");
            Some(SecretPlan::Environment(name.clone()))
        }
    }
}
