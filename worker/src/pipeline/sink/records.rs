//! Rows on their way to a topic, as records of the epoch's outbox.
//!
//! Owns: the records that are gathered before they are handed on; that none is larger than a broker takes.
//! Never: writes anywhere: the outbox belongs to the checkpoint, and is published after it is committed.

use arrow::array::{BinaryBuilder, LargeBinaryBuilder, RecordBatch};
use streamjob_checkpoint::outbox::{Output, Records};
use streamjob_plan::KafkaClusterPlan;

use super::{Chunk, Outbox, Sink, SinkError, Target};
use crate::pipeline::encode::RecordEncoder;

/// Keys and values that are gathered before they are handed on.
const CHUNK_BYTES: usize = 256 * 1024;
/// Of a key that is told of.
const SHOWN_KEY_BYTES: usize = 64;

/// A topic that takes records.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Key and value of a record together are at most this long.
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
    keys: BinaryBuilder,
    values: LargeBinaryBuilder,
}

impl RecordsSink {
    /// A sink that puts records for this topic into this outbox.
    pub fn new(target: Target, topic: Topic, encoder: RecordEncoder, outbox: Box<dyn Outbox>) -> Self {
        let (keys, values) = (BinaryBuilder::new(), LargeBinaryBuilder::new());
        Self { target, topic, encoder, outbox, keys, values }
    }

    /// Hands on what is gathered, if there is anything.
    fn hand_on(&mut self) {
        if self.values.offsets_slice().len() <= 1 {
            return;
        }
        let records = Records { keys: self.keys.finish(), values: self.values.finish() };
        self.outbox.push(Chunk { target: self.target, output: Output::Records(records) });
    }

    fn gathered(&self) -> usize {
        self.keys.values_slice().len() + self.values.values_slice().len()
    }
}

impl Sink for RecordsSink {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        let Topic { name, record_bytes_max, at_once } = &self.topic;
        let at_once = *at_once;
        self.encoder.encode(rows, (&mut self.keys, &mut self.values), |size, key| {
            let bytes = size.key + size.value;
            if bytes <= *record_bytes_max {
                return Ok(());
            }
            let shown = &key[..key.len().min(SHOWN_KEY_BYTES)];
            Err(SinkError::RecordTooLarge {
                topic: name.clone(),
                key: String::from_utf8_lossy(shown).into_owned(),
                bytes,
                bytes_max: *record_bytes_max,
            })
        })?;
        if at_once || self.gathered() >= CHUNK_BYTES {
            self.hand_on();
        }
        Ok(())
    }

    fn on_barrier(&mut self) {
        self.hand_on();
    }
}
