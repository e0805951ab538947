//! The compacted topic that says which epoch of which slot is published.
//!
//! Owns: its settings, its records, and reading it up to an end behind which nothing of ours can be.
//! Never: guesses: an open transaction of someone else may hide our record, so it is waited for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use streamjob_checkpoint::planted::{self, Bug};
use streamjob_crds::{KafkaRole, PROGRESS_TOPIC};
use streamjob_plan::KafkaClusterPlan;

use super::error::KafkaSinkError;
use super::producer::check_topic;
use super::{CALL, GROUP, Life, SinkError, Target};
use crate::kafka::cluster::consumer_config;
use crate::kafka::{KafkaConfig, Watch, WatchedConsumer};

/// Its name.
pub(super) const TOPIC: &str = PROGRESS_TOPIC;
/// One, so that all of a job's records have one order and one end.
const PARTITION: i32 = 0;
/// Compaction keeps the newest record of each key; short segments let it begin soon.
const SETTINGS: &[(&str, &str)] =
    &[("cleanup.policy", "compact"), ("segment.bytes", "16777216"), ("segment.ms", "600000")];
/// How long someone else's open transaction is waited for before people are told.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(100);
/// How long a broker waits for more before it says that the end is reached.
const END_MS: &str = "10";
/// The version of a record's value.
const VERSION: u32 = 1;

/// The topic, which is there and is as it must be.
pub(super) struct ProgressTopic {
    /// Sees all records.
    any: WatchedConsumer,
    /// Sees committed ones.
    committed: WatchedConsumer,
}

/// What is published of a lineage.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Known {
    /// The newest epoch of each slot.
    slots: BTreeMap<u32, u64>,
    /// Where the topic ended: what forerunners have published stands before that.
    end: u64,
}

#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Value {
    version: u32,
    epoch: u64,
}

/// The key of a slot's records.
pub(super) fn key(lineage: &str, slot: u32) -> String {
    format!("{lineage}/{slot}")
}

/// The value that says that an epoch is published.
pub(super) fn value(epoch: u64) -> String {
    serde_json::to_string(&Value { version: VERSION, epoch }).expect("two numbers can be written")
}

impl Known {
    /// Whether a slot has published this epoch.
    pub(super) fn has(&self, slot: u32, epoch: u64) -> bool {
        if planted::is(Bug::OneSlotForAll) {
            return self.slots.values().any(|&published| published >= epoch);
        }
        self.slots.get(&slot).is_some_and(|&published| published >= epoch)
    }

    /// It has now.
    pub(super) fn published(&mut self, slot: u32, epoch: u64) {
        self.slots.insert(slot, epoch);
    }

    /// Where the topic ended.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// A record has been written since.
    pub(super) fn ends_at(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// Nothing is published that the state does not know of.
    pub(super) fn check_not_beyond(&self, newest: u64) -> Result<(), KafkaSinkError> {
        match self.slots.iter().find(|(_, published)| **published > newest) {
            Some((&slot, &published)) => Err(KafkaSinkError::OlderThanOutput { slot, published, newest }),
            None => Ok(()),
        }
    }

    fn read(&mut self, lineage: &str, message: &BorrowedMessage<'_>) -> Result<(), KafkaSinkError> {
        let slot = || -> Option<u32> {
            let key = std::str::from_utf8(message.key()?).ok()?;
            let (of, slot) = key.split_once('/')?;
            if of == lineage || planted::is(Bug::AnyLineage) { slot.parse().ok() } else { None }
        };
        let (Some(slot), Some(payload)) = (slot(), message.payload()) else { return Ok(()) };
        let value = serde_json::from_slice::<Value>(payload).ok().filter(|value| value.version == VERSION);
        let Some(value) = value else {
            let (offset, value) = (message.offset(), String::from_utf8_lossy(payload).into_owned());
            return Err(KafkaSinkError::ProgressTooNew { topic: TOPIC, offset, value });
        };
        self.published(slot, value.epoch);
        Ok(())
    }
}

impl ProgressTopic {
    /// Makes the topic, if it is not there, and checks it.
    pub(super) async fn ensure(cluster: &KafkaClusterPlan) -> Result<Self, SinkError> {
        let admin: AdminClient<Watch> =
            KafkaConfig::new(cluster, KafkaRole::Client)?.create(Watch::default())?;
        let consumer = |isolation: &str| -> Result<WatchedConsumer, SinkError> {
            let mut config = consumer_config(cluster)?;
            // Nothing is told to it; without one librdkafka lets nobody read.
            config.set("group.id", GROUP);
            config.set("isolation.level", isolation);
            config.set("fetch.wait.max.ms", END_MS);
            Ok(config.create(Watch::default())?)
        };
        let committed = match planted::is(Bug::ProgressUncommitted) {
            true => "read_uncommitted",
            false => "read_committed",
        };
        // They connect while the topic is looked for.
        let topic = Self { any: consumer("read_uncommitted")?, committed: consumer(committed)? };
        if !is_compacted(&admin).await? {
            create(&admin).await?;
            if !is_compacted(&admin).await? {
                // A broker may not have heard yet of a topic that was just made.
                return Err(looking(KafkaError::AdminOp(RDKafkaErrorCode::UnknownTopicOrPartition)).into());
            }
        }
        let metadata = topic.any.fetch_metadata(Some(TOPIC), CALL).map_err(looking)?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        if partitions > 1 {
            let what = format!("has {partitions} partitions and must have one");
            let remedy = "delete it while no job runs, it is made again";
            return Err(KafkaSinkError::ProgressTopic { topic: TOPIC, what, remedy }.into());
        }
        Ok(topic)
    }

    /// The topics that are written to are there.
    pub(super) fn check_targets(&self, topics: &BTreeMap<Target, String>) -> Result<(), KafkaSinkError> {
        topics
            .iter()
            .try_for_each(|(target, topic)| check_topic(self.any.client(), topic, &target.topic_field()))
    }

    /// What is published of a life. To be read after forerunners' transactions were ended: what they have committed
    /// is below the end that is seen first, and all below it is read, but for what the log knows to be of no interest.
    pub(super) async fn read(&self, life: &Life) -> Result<Known, KafkaSinkError> {
        let (low, high) = self.any.fetch_watermarks(TOPIC, PARTITION, CALL).map_err(looking)?;
        let from = match life.progress_from.and_then(|from| i64::try_from(from).ok()) {
            Some(from) if from > high && life.owes => {
                return Err(KafkaSinkError::ProgressLost { topic: TOPIC, from, high });
            }
            Some(from) if from <= high => from.max(low),
            Some(_) | None => low,
        };
        let began = Instant::now();
        let is_hidden = || -> Result<bool, KafkaSinkError> {
            let stable = self.committed.fetch_watermarks(TOPIC, PARTITION, CALL).map_err(looking)?.1;
            Ok(stable < high && !planted::is(Bug::NoWaitForStableOffset))
        };
        while is_hidden()? {
            if began.elapsed() >= PATIENCE {
                return Err(KafkaSinkError::ProgressUnknown { topic: TOPIC, high });
            }
            tokio::time::sleep(LOOK).await;
        }
        let mut partition = TopicPartitionList::new();
        partition.add_partition_offset(TOPIC, PARTITION, Offset::Offset(from)).map_err(looking)?;
        self.committed.assign(&partition).map_err(looking)?;
        let mut known = Known { end: u64::try_from(high).unwrap_or(0), ..Known::default() };
        let (began, mut records) = (Instant::now(), 0_u64);
        loop {
            match self.committed.poll(LOOK) {
                Some(Ok(message)) => {
                    records += 1;
                    known.read(&life.lineage, &message)?;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => return Err(looking(error)),
                None if began.elapsed() >= PATIENCE => {
                    return Err(looking(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)));
                }
                None => tokio::task::yield_now().await,
            }
        }
        self.committed.unassign().map_err(looking)?;
        tracing::debug!(from, end = high, records, "progress was read");
        Ok(known)
    }
}

async fn create(admin: &AdminClient<Watch>) -> Result<(), KafkaSinkError> {
    let new =
        SETTINGS.iter().fold(NewTopic::new(TOPIC, 1, TopicReplication::Fixed(-1)), |topic, (name, value)| {
            topic.set(name, value)
        });
    let options = AdminOptions::new().request_timeout(Some(CALL));
    let created = admin.create_topics([&new], &options).await.map_err(making)?;
    match created.into_iter().next() {
        None | Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, code))) => Err(making(KafkaError::AdminOp(code))),
    }
}

/// Whether the topic is as it must be; `false`: it is not there.
async fn is_compacted(admin: &AdminClient<Watch>) -> Result<bool, KafkaSinkError> {
    let options = AdminOptions::new().request_timeout(Some(CALL));
    let described =
        admin.describe_configs([&ResourceSpecifier::Topic(TOPIC)], &options).await.map_err(looking)?;
    let settings = described.into_iter().next().and_then(Result::ok);
    let policy = settings.and_then(|settings| settings.get("cleanup.policy")?.value.clone());
    let Some(policy) = policy.filter(|policy| !policy.is_empty()) else { return Ok(false) };
    if policy != "compact" {
        let what = format!(
            "has cleanup.policy `{policy}` and must have `compact`: what is published would be forgotten"
        );
        let remedy =
            "set it with kafka-configs --alter --entity-type topics --add-config cleanup.policy=compact";
        return Err(KafkaSinkError::ProgressTopic { topic: TOPIC, what, remedy });
    }
    Ok(true)
}

fn looking(cause: KafkaError) -> KafkaSinkError {
    KafkaSinkError::call(format!("read the topic `{TOPIC}`"))(cause)
}

fn making(cause: KafkaError) -> KafkaSinkError {
    KafkaSinkError::call(format!("create the topic `{TOPIC}`"))(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_published_an_epoch_if_it_has_published_that_or_a_later_one() {
        let mut known = Known::default();
        known.published(1, 7);

        let asked = [(1, 6), (1, 7), (1, 8), (0, 1)].map(|(slot, epoch)| known.has(slot, epoch));

        assert_eq!(asked, [true, true, false, false]);
    }

    #[test]
    fn output_beyond_the_newest_epoch_means_that_the_state_is_older() {
        let mut known = Known::default();
        known.published(3, 7);

        assert!(known.check_not_beyond(7).is_ok());
        let error = known.check_not_beyond(6).expect_err("it is beyond").to_string();
        assert!(error.starts_with("epoch 7 of slot 3 is published, but the newest record"), "{error}");
    }

    #[test]
    fn the_bytes_of_a_progress_record_are_a_promise() {
        assert_eq!((key("00ff", 12).as_str(), value(7).as_str()), ("00ff/12", r#"{"version":1,"epoch":7}"#));
    }
}
