//! What a plan says of Kafka.
//!
//! Owns: how topics, where they begin and end, and a cluster's security are told.
//! Never: tells a secret or where it lies.

use arrow::datatypes::Schema;
use streamjob_crds::{ColumnFrom, Delivery};

use super::format_of;
use super::text::{Text, count};
use crate::{
    FormatPlan, KafkaClusterPlan, KafkaOutputPlan, KafkaRoute, KafkaSourcePlan, KafkaStart, KafkaUntil,
    PayloadPlan, types,
};

pub(super) fn source(kafka: &KafkaSourcePlan, text: &mut Text) {
    let payload = match &kafka.payload {
        PayloadPlan::Format(FormatPlan::Json) => "a JSON object a record".to_owned(),
        PayloadPlan::Format(format) => format_of(format),
        PayloadPlan::Raw => "records as they are".to_owned(),
    };
    text.entry("source", &format!("Kafka, {payload}; each partition of a topic is a partition"));
    text.line(&format!("  {} at {}", kafka.topics.join(", "), cluster(&kafka.cluster)));
    let start = match &kafka.start {
        KafkaStart::Earliest => "with the oldest record".to_owned(),
        KafkaStart::Latest => "behind the newest record".to_owned(),
        KafkaStart::Timestamp(time) => format!("with the first record from {} on", instant(*time)),
        KafkaStart::Offsets(offsets) => format!("at the offsets of {}", count(offsets.len(), "partition")),
    };
    let end = match kafka.until {
        None => "never ends".to_owned(),
        Some(KafkaUntil::Latest) => "ends where they end when the job begins".to_owned(),
        Some(KafkaUntil::Timestamp(time)) => {
            format!("ends before the first record from {} on", instant(time))
        }
    };
    text.line(&format!("begins {start}; {end}"));
    text.line(&format!("offsets are committed to group {}, for dashboards only", kafka.group));
}

pub(super) fn columns(schema: &Schema, kafka: &KafkaSourcePlan, text: &mut Text) {
    let row = |field: &std::sync::Arc<arrow::datatypes::Field>| {
        let mut row = vec![field.name().clone(), types::name(field.data_type())];
        let metadata = kafka.metadata.iter().find(|column| column.name == *field.name());
        row.extend(metadata.map(|column| match column.from {
            ColumnFrom::Header => format!("= header {}", column.header),
            ColumnFrom::Key => "= key of the record".to_owned(),
            ColumnFrom::Timestamp => "= timestamp of the record".to_owned(),
            ColumnFrom::Topic => "= topic".to_owned(),
            ColumnFrom::Partition => "= partition".to_owned(),
            ColumnFrom::Offset => "= offset".to_owned(),
        }));
        row
    };
    text.table(schema.fields().iter().map(row).collect());
}

/// Which other topics records may go to, and their headers.
pub(super) fn route(route: &KafkaRoute, result: &Schema) -> String {
    let topic = route.topic.map(|column| format!(" or the one that `{}` names", result.field(column).name()));
    let headers: Vec<&str> = route.headers.iter().map(|(name, _)| name.as_str()).collect();
    let headers =
        if headers.is_empty() { String::new() } else { format!(" with headers {}", headers.join(", ")) };
    format!("{}{headers}", topic.unwrap_or_default())
}

/// Where topics are written to, and how.
pub(super) fn output(output: &KafkaOutputPlan) -> String {
    let delivery = match output.delivery {
        Delivery::ExactlyOnce => "exactly once",
        Delivery::AtLeastOnce => "at least once",
    };
    format!("{}, {delivery}", cluster(&output.cluster))
}

fn cluster(cluster: &KafkaClusterPlan) -> String {
    let tls = match &cluster.tls {
        None => "",
        Some(tls) if tls.client.is_some() => ", TLS with a client certificate",
        Some(_) => ", TLS",
    };
    let sasl = cluster.sasl.as_ref().map_or(String::new(), |sasl| format!(", as {}", sasl.username));
    format!("{}{tls}{sasl}", cluster.bootstrap_servers)
}

fn instant(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |time| time.to_string())
}
