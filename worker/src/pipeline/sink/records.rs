//! Rows on their way to a topic, as records of the epoch's outbox.
//!
//! Owns: the records that are gathered before they are handed on; that none is larger than a broker takes, or goes to what
//! cannot be a topic or is read.
//! Never: writes anywhere: the outbox belongs to the checkpoint, and is published after it is committed.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use streamjob_checkpoint::outbox::{OutboxRecord, Output};
use streamjob_crds::kafka_target_fault;
use streamjob_plan::{Cause, KafkaClusterPlan, KafkaRoute};

use super::{Chunk, Outbox, Sink, SinkError, Target};
use crate::pipeline::encode::{RecordBuffers, RecordEncoder};

/// Keys and values that are gathered before they are handed on.
const CHUNK_BYTES: usize = 256 * 1024;
/// Of a key that is told of.
const SHOWN_KEY_BYTES: usize = 64;

/// A topic that takes records.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// What of a row becomes headers of its record, or names another topic for it.
    pub route: KafkaRoute,
    /// Key, headers and value of a record together are at most this long.
    pub record_bytes_max: usize,
    /// Records are handed on when they are made: they wait for no checkpoint.
    pub at_once: bool,
}

/// How long key and value of a record for this cluster may be together: what a producer is told, less what a record has
/// around them.
pub fn record_bytes_max(cluster: &KafkaClusterPlan) -> usize {
    /// librdkafka's default, and Kafka's within some bytes.
    const MESSAGE_BYTES_MAX: usize = 1_000_000;
    /// Of a record and the batch around it, with room to spare.
    const AROUND: usize = 512;
    let set = cluster.properties.iter().find(|(name, _)| name == "message.max.bytes");
    let max = set.and_then(|(_, value)| value.parse().ok()).unwrap_or(MESSAGE_BYTES_MAX);
    max.saturating_sub(AROUND)
}

/// Encodes rows as records and hands them to an outbox.
pub struct RecordsSink {
    target: Target,
    topic: Topic,
    encoder: RecordEncoder,
    outbox: Box<dyn Outbox>,
    gathered: RecordBuffers,
    /// Topics that rows have named and that may be written to.
    named: BTreeSet<String>,
}

impl RecordsSink {
    /// A sink that puts records for this topic into this outbox.
    pub fn new(target: Target, topic: Topic, encoder: RecordEncoder, outbox: Box<dyn Outbox>) -> Self {
        let gathered = encoder.buffers();
        Self { target, topic, encoder, outbox, gathered, named: BTreeSet::new() }
    }

    /// Hands on what is gathered, if there is anything.
    fn hand_on(&mut self) {
        if !self.gathered.is_empty() {
            let output = Output::Records(self.gathered.finish());
            self.outbox.push(Chunk { target: self.target, output });
        }
    }
}

impl Topic {
    /// Why a row must not name this topic.
    fn fault(&self, name: &str) -> Option<Cause> {
        match kafka_target_fault(name) {
            Some(fault) if name.is_empty() => Some(Cause::plain(fault)),
            Some(fault) => Some(Cause::quoting(
                fault,
                "the value is no name of a topic (at most 249 letters, digits, `.`, `_` and `-`), or the name of one that \
                 belongs to Kafka or to StreamJob",
            )),
            None if self.route.read.iter().any(|read| read == name) => Some(Cause::quoting(
                format!("`{name}` is read by the source too: write to another topic"),
                "the topic is read by the source too: write to another one",
            )),
            None => None,
        }
    }

    /// A record that no broker takes, or that goes where it must not, would stop whoever publishes it for ever.
    fn check(&self, record: &OutboxRecord<'_>, named: &mut BTreeSet<String>) -> Result<(), SinkError> {
        if let Some(name) = record.topic
            && !named.contains(name)
        {
            if let Some(fault) = self.fault(name) {
                return Err(SinkError::TopicName { fault });
            }
            named.insert(name.to_owned());
        }
        let bytes = record.bytes();
        if bytes <= self.record_bytes_max {
            return Ok(());
        }
        let key = record.key.unwrap_or_default();
        Err(SinkError::RecordTooLarge {
            topic: record.topic.unwrap_or(&self.name).to_owned(),
            key: String::from_utf8_lossy(&key[..key.len().min(SHOWN_KEY_BYTES)]).into_owned(),
            bytes,
            bytes_max: self.record_bytes_max,
        })
    }
}

impl Sink for RecordsSink {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        let Self { topic, encoder, gathered, named, .. } = self;
        encoder.encode(rows, gathered, |record| topic.check(record, named))?;
        if self.topic.at_once || self.gathered.bytes() >= CHUNK_BYTES {
            self.hand_on();
        }
        Ok(())
    }

    fn on_barrier(&mut self) {
        self.hand_on();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use streamjob_plan::FormatPlan;

    use super::*;

    struct Nowhere;

    impl Outbox for Nowhere {
        fn push(&mut self, _chunk: Chunk) {}
    }

    /// What becomes of a result that names this topic.
    fn named(topic: Option<&str>, record_bytes_max: usize) -> Result<(), String> {
        let route = KafkaRoute { topic: Some(0), read: vec!["clicks".to_owned()], ..KafkaRoute::default() };
        let rows: ArrayRef = Arc::new(StringArray::from(vec![topic]));
        let rows = RecordBatch::try_from_iter_with_nullable([("to", rows, true)]).expect("one column");
        let encoder = RecordEncoder::new(&rows.schema(), &FormatPlan::Json, 1, &route);
        let encoder = encoder.expect("text can be written");
        let topic = Topic { name: "own".to_owned(), route, record_bytes_max, at_once: false };
        let mut sink = RecordsSink::new(Target::Results, topic, encoder, Box::new(Nowhere));
        sink.write(&rows).and_then(|()| sink.write(&rows)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_row_that_names_what_cannot_be_a_topic_or_is_read_is_refused_before_it_enters_the_outbox() {
        assert_eq!(named(None, 100), Ok(()));
        assert_eq!(named(Some("page.views_2-x"), 100), Ok(()));
        let refused = [
            ("a b", "`a b` cannot be a topic: use letters, digits, `.`, `_` and `-`"),
            ("", "must not be empty: write the name of a topic"),
            ("clicks", "`clicks` is read by the source too: write to another topic"),
            (
                "__streamjob_progress",
                "`__streamjob_progress` belongs to Kafka or to StreamJob: write to another topic",
            ),
        ];
        for (topic, fault) in refused {
            let expected = format!(
                "`sink.kafka.topicField` of a result names no topic to write to: {fault}; map such values with `select`, or leave the rows out with `where`"
            );
            assert_eq!(named(Some(topic), 100), Err(expected));
        }
    }

    #[test]
    fn what_is_told_of_a_name_without_quoting_it_says_what_is_wrong() {
        let route = KafkaRoute { read: vec!["canary".to_owned()], ..KafkaRoute::default() };
        let topic = Topic { name: "own".to_owned(), route, record_bytes_max: 100, at_once: false };
        let table = [
            ("", "must not be empty"),
            ("a canary", "the value is no name of a topic"),
            ("canary", "the topic is read by the source too"),
        ];
        for (name, told) in table {
            let fault = topic.fault(name).expect("it cannot be written to");

            let without = fault.without_values();
            assert!(without.starts_with(told) && !without.contains("canary"), "{without}");
        }
    }

    #[test]
    fn the_name_of_the_topic_counts_among_the_bytes_of_a_record() {
        let value = r#"{"to":"abc"}"#.len();

        assert_eq!(named(Some("abc"), value + 2 * 3), Ok(()));
        let error = named(Some("abc"), value + 2 * 3 - 1).expect_err("it is longer");
        assert!(error.starts_with("a record for the topic `abc` with the key `abc` has 18 bytes"), "{error}");
    }
}
