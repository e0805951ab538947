//! Records that are sent when they are made: at least once, without waiting for a checkpoint.
//!
//! Owns: one producer for all slots of a worker, and that everything sent has arrived before an epoch may be committed.
//! Never: takes back what was sent: after a failure some of it is sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::Array as _;
use rdkafka::error::KafkaError;
use rdkafka::producer::{Producer as _, ThreadedProducer};
use streamjob_checkpoint::outage::Outage;
use streamjob_checkpoint::outbox::{OutboxRecord, Records};
use streamjob_checkpoint::retry::Passing as _;
use streamjob_crds::KafkaRole;
use streamjob_plan::KafkaOutputPlan;
use tokio::time::timeout;

use super::error::KafkaSinkError;
use super::producer::{FIXED, Failed, ROUTE, Sending, TURN, check_topic, enqueue};
use super::{SinkError, Target};
use crate::kafka::KafkaConfig;

/// What the manifest may turn.
const DEFAULTS: &[(&str, &str)] =
    &[("linger.ms", "2"), ("compression.type", "lz4"), ("queue.buffering.max.kbytes", "65536")];
/// Between two looks at whether anybody still waits.
const LOOK: Duration = Duration::from_millis(100);
/// Where all is well records arrive sooner.
const SLOW: Duration = Duration::from_secs(1);

/// Sends records as they come.
pub struct DirectSink {
    producer: ThreadedProducer<Sending>,
    failed: Failed,
    outage: Arc<Outage>,
    servers: String,
    topics: BTreeMap<Target, String>,
    /// Topics that were there.
    there: BTreeSet<String>,
}

impl DirectSink {
    /// A producer for these topics. It connects when there is something to send; that nothing is taken is noted there.
    pub fn new(
        plan: &KafkaOutputPlan,
        topics: BTreeMap<Target, String>,
        outage: Arc<Outage>,
    ) -> Result<Self, SinkError> {
        let mut config = KafkaConfig::new(&plan.cluster, KafkaRole::Producer)?;
        config.set_defaults(DEFAULTS);
        config.set_all(FIXED);
        // Without a time-out librdkafka tries until it succeeds, in the order of sending.
        config.set("message.timeout.ms", "0");
        let failed = Failed::default();
        let producer = config.create(Sending::noting(&failed))?;
        let servers = plan.cluster.bootstrap_servers.clone();
        Ok(Self { producer, failed, outage, servers, topics, there: BTreeSet::new() })
    }

    /// That all targets are there; waits for whoever knows.
    pub async fn prepare(&mut self) -> Result<(), KafkaSinkError> {
        for (target, topic) in &self.topics {
            self.wait_for_topic(topic, &target.topic_field()).await?;
        }
        self.there.extend(self.topics.values().cloned());
        Ok(())
    }

    /// Sends records, waiting for room.
    pub async fn send(&mut self, target: Target, records: &Records) -> Result<(), KafkaSinkError> {
        for row in 0..records.values.len() {
            let record = records.get(row);
            let topic = record.topic.unwrap_or(&self.topics[&target]);
            if !self.there.contains(topic) {
                self.wait_for_topic(topic, ROUTE).await?;
                self.there.insert(topic.to_owned());
            }
            self.enqueue(topic, &record).await?;
        }
        Ok(())
    }

    /// Waits for room, and notes it if there is none for long.
    async fn enqueue(&self, topic: &str, record: &OutboxRecord<'_>) -> Result<(), KafkaSinkError> {
        loop {
            // Given up while it waits, it has sent nothing.
            match timeout(SLOW, enqueue(&self.producer, topic, record)).await {
                Ok(sent) => return sent.map_err(sending(topic)),
                Err(_late) => self.outage.failed(&self.why()),
            }
            self.check_refused()?;
        }
    }

    /// A client goes on with the password that it was given: one that is refused is to be followed by another.
    fn check_refused(&self) -> Result<(), KafkaSinkError> {
        match self.producer.client().context().refusal() {
            Some(reason) => Err(KafkaSinkError::Refused { servers: self.servers.clone(), reason }),
            None => Ok(()),
        }
    }

    fn why(&self) -> String {
        let trouble = self.producer.client().context().trouble();
        trouble.unwrap_or_else(|| "brokers do not say that records have arrived".to_owned())
    }

    /// That a topic is there; waits for whoever knows.
    async fn wait_for_topic(&self, topic: &str, field: &str) -> Result<(), KafkaSinkError> {
        loop {
            match check_topic(self.producer.client(), topic, field) {
                Err(error) if error.may_pass() => {
                    self.outage.failed(&error.to_string());
                    self.check_refused()?;
                    tokio::time::sleep(LOOK).await;
                }
                answer => return answer,
            }
        }
    }

    /// Waits until all that was sent has arrived.
    pub async fn flush(&mut self) -> Result<(), KafkaSinkError> {
        let began = Instant::now();
        loop {
            let flushed = self.producer.flush(TURN);
            if let Some(cause) = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(sending("the sink")(cause));
            }
            if flushed.is_ok() {
                self.outage.answered();
                return Ok(());
            }
            if began.elapsed() >= SLOW {
                self.outage.failed(&self.why());
                self.check_refused()?;
            }
            // Whoever waits for us may have gone.
            tokio::task::yield_now().await;
        }
    }
}

fn sending(topic: &str) -> impl FnOnce(KafkaError) -> KafkaSinkError + use<> {
    KafkaSinkError::call(format!("send a record to `{topic}`"))
}
