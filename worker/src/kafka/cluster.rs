//! What is asked of a cluster before rows are read.
//!
//! Owns: asking again while a broker is away, and saying so; consumers' settings.
//! Never: reads a record.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use streamjob_checkpoint::outage::Outage;
use streamjob_checkpoint::retry::Pauses;
use streamjob_crds::{KafkaRole, PROGRESS_TOPIC};
use streamjob_plan::KafkaClusterPlan;
use tracing::warn;

use super::native::{Described, Describing, Topic};
use super::{ConfigError, KafkaConfig, TopicError, Watch, WatchedConsumer, may_pass, unreachable};

/// An answer takes no longer; then it is asked for again.
const ANSWER: Duration = Duration::from_secs(10);
const FIRST_ANSWER: Duration = Duration::from_secs(2);
/// Trouble that is older has nothing to do with what fails now.
const RECENT: Duration = Duration::from_secs(12);
/// More than come between two questions.
const EVENTS_MAX: usize = 64;
const PAUSES: Pauses = Pauses { min: Duration::from_millis(200), max: Duration::from_secs(10) };

/// What every consumer is set up with: they ask and tell, and read what the sink has noted. Records of a source are
/// fetched elsewhere.
const CONSUMER: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    // The end of a partition is that of its committed records.
    ("isolation.level", "read_committed"),
    ("check.crcs", "true"),
    ("enable.partition.eof", "true"),
];

/// The settings of a consumer that asks and tells. It has no group: librdkafka does not let go of one that has before all that
/// was told to the group has an answer, for a minute from a broker that is silent, and for ever where a password is refused.
pub fn consumer_config(plan: &KafkaClusterPlan) -> Result<KafkaConfig, ConfigError> {
    let mut config = KafkaConfig::new(plan, KafkaRole::Client)?;
    config.set_all(CONSUMER);
    Ok(config)
}

/// A cluster that can be asked.
pub struct Cluster {
    consumer: Arc<WatchedConsumer>,
    servers: String,
    outage: Arc<Outage>,
}

impl Cluster {
    /// Sets a client up. It connects when something is asked; that there is no answer is noted there.
    pub fn new(plan: &KafkaClusterPlan, outage: &Arc<Outage>) -> Result<Self, ConfigError> {
        let consumer = Arc::new(consumer_config(plan)?.create(Watch::default())?);
        let outage = Arc::clone(outage);
        Ok(Self { consumer, servers: plan.bootstrap_servers.clone(), outage })
    }

    /// The cluster's id.
    pub fn id(&self) -> Result<String, TopicError> {
        self.patiently("tell its id", || {
            // The first to be asked: a refusal is to be told soon. The id comes with any metadata, for which alone
            // librdkafka connects before a second is over.
            let client = self.consumer.client();
            client.fetch_metadata(Some(PROGRESS_TOPIC), FIRST_ANSWER).map_err(|error| code(&error))?;
            client.fetch_cluster_id(FIRST_ANSWER).ok_or(RDKafkaErrorCode::OperationTimedOut)
        })
    }

    /// The topics, as they are now; `None`: it is not there.
    pub fn topics(&self, names: &[String]) -> Result<Vec<(String, Option<Topic>)>, TopicError> {
        self.describe(names, Describing::ask)
    }

    /// The same, and what may be done with them.
    pub fn topics_with_rights(&self, names: &[String]) -> Result<Vec<(String, Option<Topic>)>, TopicError> {
        self.describe(names, Describing::ask_with_rights)
    }

    fn describe(
        &self,
        names: &[String],
        ask: impl Fn(&Describing, &[String], i32),
    ) -> Result<Vec<(String, Option<Topic>)>, TopicError> {
        let what = format!("describe {}", names.join(", "));
        self.patiently(&what, || {
            let asking = Describing::new(&self.consumer);
            let limit = i32::try_from(ANSWER.as_millis()).expect("seconds are few");
            ask(&asking, names, limit);
            let answer = asking.answer(limit + 1_000).unwrap_or(Err(RDKafkaErrorCode::OperationTimedOut))?;
            answer.into_iter().map(there).collect()
        })
    }

    /// The oldest offset of a partition and the one behind its last committed record.
    pub fn bounds(&self, topic: &str, partition: u32) -> Result<(u64, u64), TopicError> {
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let bounds = self.patiently(&format!("tell the offsets of {topic}/{partition}"), || {
            self.consumer.fetch_watermarks(topic, number, ANSWER).map_err(|error| code(&error))
        })?;
        Ok((bounds.0.max(0).unsigned_abs(), bounds.1.max(0).unsigned_abs()))
    }

    /// The offset of a partition's first record of this time or later; `None`: there is none.
    pub fn offset_at(&self, topic: &str, partition: u32, time_ms: i64) -> Result<Option<u64>, TopicError> {
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        self.patiently(&format!("tell the offset of a time in {topic}/{partition}"), || {
            let mut asked = TopicPartitionList::new();
            asked
                .add_partition_offset(topic, number, Offset::Offset(time_ms))
                .map_err(|error| code(&error))?;
            let found = self.consumer.offsets_for_times(asked, ANSWER).map_err(|error| code(&error))?;
            let Some(element) = found.find_partition(topic, number) else {
                return Err(RDKafkaErrorCode::UnknownPartition);
            };
            element.error().map_err(|error| code(&error))?;
            Ok(element.offset().to_raw().and_then(|offset| u64::try_from(offset).ok()))
        })
    }

    /// Asks until there is an answer, or one that no time mends.
    fn patiently<T>(
        &self,
        what: &str,
        mut ask: impl FnMut() -> Result<T, RDKafkaErrorCode>,
    ) -> Result<T, TopicError> {
        let mut failures = 0;
        loop {
            let error = match ask() {
                Ok(answer) => {
                    self.outage.answered();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            // Events wait in the consumer's queue for someone who looks: each call takes one.
            for _ in 0..EVENTS_MAX {
                let _event = self.consumer.poll(Duration::ZERO);
            }
            let watch = self.consumer.context();
            let refusal = watch.refusal(RECENT);
            if !may_pass(error) || refusal.is_some() {
                let reason = refusal.unwrap_or_else(|| error.to_string());
                return Err(TopicError::Refused {
                    servers: self.servers.clone(),
                    what: what.to_owned(),
                    reason,
                });
            }
            let cause = watch.trouble(RECENT).map_or_else(|| error.to_string(), |(_, reason)| reason);
            let cause = unreachable(&cause);
            self.outage.failed(&format!("{} does not {what}: {cause}", self.servers));
            warn!(servers = self.servers, what, cause, "no answer from Kafka; asked again");
            failures += 1;
            std::thread::sleep(PAUSES.after(failures));
        }
    }
}

fn there(described: Described) -> Result<(String, Option<Topic>), RDKafkaErrorCode> {
    match described.topic {
        Ok(topic) if topic.led == topic.partitions => Ok((described.name, Some(topic))),
        Ok(_) => Err(RDKafkaErrorCode::LeaderNotAvailable),
        Err(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Ok((described.name, None))
        }
        Err(error) => Err(error),
    }
}

fn code(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)
}
