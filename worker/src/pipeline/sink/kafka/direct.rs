//! Records that are sent when they are made: at least once, without waiting for a checkpoint.
//!
//! Owns: one producer for all slots of a worker, and that everything sent has arrived before an epoch may be committed.
//! Never: takes back what was sent: after a failure some of it is sent again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::Array as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use streamjob_checkpoint::outbox::Records;
use streamjob_crds::KafkaRole;
use streamjob_plan::KafkaOutputPlan;

use super::error::KafkaSinkError;
use super::producer::{Deliveries, Failed};
use super::{SinkError, Target};
use crate::kafka::KafkaConfig;

/// What we set, whatever the manifest says. Without a time-out librdkafka tries until it succeeds, in the order of sending.
const FIXED: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("partitioner", "murmur2_random"),
    ("message.timeout.ms", "0"),
];
/// What the manifest may turn.
const DEFAULTS: &[(&str, &str)] =
    &[("linger.ms", "2"), ("compression.type", "lz4"), ("queue.buffering.max.kbytes", "65536")];
/// Between two looks at a queue that is full, or at whether anybody still waits.
const LOOK: Duration = Duration::from_millis(100);
const FULL_PAUSE: Duration = Duration::from_millis(2);

/// Sends records as they come.
pub struct DirectSink {
    producer: ThreadedProducer<Deliveries>,
    failed: Failed,
    topics: BTreeMap<Target, String>,
}

/// Nobody waits for the records any more.
#[derive(Debug)]
pub struct GivenUp;

impl DirectSink {
    /// A producer for these topics. It connects when there is something to send.
    pub fn new(plan: &KafkaOutputPlan, topics: BTreeMap<Target, String>) -> Result<Self, SinkError> {
        let mut config = KafkaConfig::new(&plan.cluster, KafkaRole::Producer)?;
        config.set_defaults(DEFAULTS);
        config.set_all(FIXED);
        let failed: Failed = Arc::new(Mutex::new(None));
        let producer = config.create(Deliveries { failed: Arc::clone(&failed) })?;
        Ok(Self { producer, failed, topics })
    }

    /// Sends records, waiting for room as long as `waits` says so.
    pub fn send(
        &mut self,
        target: Target,
        records: &Records,
        waits: impl Fn() -> bool,
    ) -> Result<Result<(), GivenUp>, KafkaSinkError> {
        let topic = &self.topics[&target];
        for row in 0..records.values.len() {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).payload(records.values.value(row));
            record.key = records.keys.is_valid(row).then(|| records.keys.value(row));
            loop {
                match self.producer.send(record) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                        if !waits() {
                            return Ok(Err(GivenUp));
                        }
                        record = back;
                        std::thread::sleep(FULL_PAUSE);
                    }
                    Err((error, _)) => return Err(sending(topic)(error)),
                }
            }
        }
        Ok(Ok(()))
    }

    /// Waits until all that was sent has arrived, as long as `waits` says so.
    pub fn flush(&mut self, waits: impl Fn() -> bool) -> Result<Result<(), GivenUp>, KafkaSinkError> {
        loop {
            let flushed = self.producer.flush(LOOK);
            if let Some(cause) = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(sending("the sink")(cause));
            }
            match flushed {
                Ok(()) => return Ok(Ok(())),
                Err(_) if waits() => {}
                Err(_) => return Ok(Err(GivenUp)),
            }
        }
    }
}

fn sending(topic: &str) -> impl FnOnce(KafkaError) -> KafkaSinkError + use<> {
    KafkaSinkError::call(format!("send a record to `{topic}`"))
}
