//! What the readers of a source share.
//!
//! Owns: the fetcher, the client that looks whether topics are still the same, and telling the group how far it is.
//! Never: takes a record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use rdkafka::{Offset, TopicPartitionList};
use streamjob_checkpoint::checkpoint::{PartitionState, TopicPartition};
use streamjob_checkpoint::outage::Outage;
use streamjob_fetch::{Assigned, Fetcher, Partition};
use streamjob_plan::KafkaSourcePlan;
use tracing::debug;
use uuid::Uuid;

use super::{check_identity, known_partitions};
use crate::kafka::cluster::consumer_config;
use crate::kafka::fetch::fetch_settings;
use crate::kafka::native::{Described, Describing, Telling};
use crate::kafka::{TopicError, Watch, WatchedConsumer, unreachable};
use crate::pipeline::records::SourceError;

/// How often the cluster is asked whether the topics are still the same.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// An answer takes no longer. While no broker can be reached, a question that waits makes librdkafka try thousands of
/// times a second, whatever pauses are set.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a group is told how far partitions are before that is given up, and after a failure nothing is told to it.
const TOLD: Duration = Duration::from_secs(2);
const NOT_TOLD: Duration = Duration::from_secs(5);
/// At the end, how long is waited for that.
const TOLD_LAST: Duration = Duration::from_millis(500);
/// How often events are taken.
const EVENTS_EVERY: Duration = Duration::from_millis(100);

/// The topics of a source.
pub(in crate::pipeline::source) struct Topics {
    plan: KafkaSourcePlan,
    /// How many partitions of each topic there are to read.
    known: BTreeMap<String, u32>,
    fetcher: Fetcher,
    outage: Arc<Outage>,
    look: Mutex<Look>,
}

struct Look {
    consumer: Arc<WatchedConsumer>,
    events_at: Instant,
    asked_at: Instant,
    waiting: bool,
    answer: Vec<Described>,
    describing: Describing,
    group: Group,
}

/// What the source's group is told.
struct Group {
    /// By topic and partition, what it is to hear next.
    offsets: BTreeMap<(String, u32), u64>,
    /// What it is being told.
    told: BTreeMap<(String, u32), u64>,
    /// Not before that.
    at: Instant,
    telling: Telling,
}

impl Topics {
    /// Sets clients up. They connect by themselves; nothing is read yet.
    pub(in crate::pipeline::source) fn new(
        plan: &KafkaSourcePlan,
        states: &[PartitionState],
        outage: Arc<Outage>,
    ) -> Result<Self, SourceError> {
        let known: BTreeMap<_, _> =
            plan.topics.iter().map(|topic| (topic.clone(), known_partitions(states, topic))).collect();
        let settings = fetch_settings(&plan.cluster, states.len())?;
        let fetcher = Fetcher::start(settings).map_err(|source| SourceError::Thread { source })?;
        let look = Mutex::new(Look::new(plan)?);
        Ok(Self { plan: plan.clone(), known, fetcher, outage, look })
    }

    /// What is read.
    pub(super) fn plan(&self) -> &KafkaSourcePlan {
        &self.plan
    }

    /// Where it is noted if brokers do not answer.
    pub(super) fn outage(&self) -> &Arc<Outage> {
        &self.outage
    }

    /// Fetches a partition from an offset on.
    pub(super) fn fetch(&self, known: &TopicPartition, offset: u64) -> Partition {
        self.fetcher.partition(Assigned {
            topic: known.name.clone(),
            id: id(&known.id),
            number: i32::try_from(known.partition).unwrap_or(i32::MAX),
            offset,
            end: known.end,
        })
    }

    /// The topic that has more partitions than are read, if there is one and the job has no end.
    pub(super) fn grown(&self) -> Option<TopicError> {
        let look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        let endless = look.answer.iter().filter(|_| self.plan.until.is_none());
        let grown = endless.filter_map(|described| {
            let (topic, found) = (&described.name, described.topic.as_ref().ok()?.partitions);
            let known = *self.known.get(topic)?;
            (found > known).then(|| TopicError::Grown { topic: topic.clone(), known, found })
        });
        grown.last()
    }

    /// Takes events, and looks at what the cluster says of the topics. Never waits.
    ///
    /// The error: the topic of this partition is gone or another one.
    pub(super) fn look(&self, known: &TopicPartition) -> Result<(), TopicError> {
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now.duration_since(look.events_at) >= EVENTS_EVERY {
            look.events_at = now;
            // Errors are told by the watch; librdkafka tries again by itself.
            let _event = look.consumer.poll(Duration::ZERO);
            match self.fetcher.away() {
                Some(cause) => self.outage.failed(&unreachable(&cause)),
                None => self.outage.answered(),
            }
        }
        look.group.go_on(now, !self.fetcher.is_cut_off());
        if look.waiting {
            if let Some(answer) = look.describing.answer(0) {
                look.waiting = false;
                look.answer = answer.unwrap_or_else(|_| std::mem::take(&mut look.answer));
            }
        } else if now.duration_since(look.asked_at) >= LOOK_EVERY && !self.fetcher.is_cut_off() {
            (look.asked_at, look.waiting) = (now, true);
            look.describing.ask(&self.plan.topics, milliseconds(ANSWER));
        }
        let described = look.answer.iter().find(|described| described.name == known.name);
        match described.map(|described| &described.topic) {
            Some(Ok(topic)) => check_identity(known, Some(topic)),
            Some(Err(code)) if *code == rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition => {
                check_identity(known, None)
            }
            // Rights may come back, and so may what else passes.
            Some(Err(_)) | None => Ok(()),
        }
    }

    /// Tells the group how far a partition is. For dashboards: nothing is read from it.
    pub(super) fn tell_group(&self, known: &TopicPartition, offset: u64) {
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        look.group.offsets.insert((known.name.clone(), known.partition), offset);
        look.group.go_on(Instant::now(), !self.fetcher.is_cut_off());
    }
}

impl Group {
    fn new(consumer: &Arc<WatchedConsumer>, name: &str) -> Self {
        let telling = Telling::new(consumer, name);
        Self { offsets: BTreeMap::new(), told: BTreeMap::new(), at: Instant::now(), telling }
    }

    /// Tells it what there is to tell, one thing after another. Never waits.
    fn go_on(&mut self, now: Instant, may_tell: bool) {
        if !self.told.is_empty() {
            self.hear(0, now);
        }
        if may_tell && self.told.is_empty() && !self.offsets.is_empty() && now >= self.at {
            self.tell(TOLD);
        }
    }

    fn hear(&mut self, wait_ms: i32, now: Instant) {
        match self.telling.answer(wait_ms) {
            None => {}
            Some(Ok(())) => self.told.clear(),
            Some(Err(error)) => {
                debug!(%error, "the group is not told how far partitions are");
                self.at = now + NOT_TOLD;
                for (partition, offset) in std::mem::take(&mut self.told) {
                    self.offsets.entry(partition).or_insert(offset);
                }
            }
        }
    }

    fn tell(&mut self, within: Duration) {
        let mut offsets = TopicPartitionList::new();
        self.told = std::mem::take(&mut self.offsets);
        for ((topic, partition), &offset) in &self.told {
            let number = i32::try_from(*partition).unwrap_or(i32::MAX);
            let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
            if let Err(error) = offsets.add_partition_offset(topic, number, offset) {
                debug!(topic, partition, %error, "the group cannot be told of an offset");
            }
        }
        self.telling.tell(&offsets, milliseconds(within));
    }
}

impl Drop for Group {
    /// What is told last is what dashboards show for long. A cluster that has not listened is not waited for.
    fn drop(&mut self) {
        let until = Instant::now() + TOLD_LAST;
        loop {
            let now = Instant::now();
            let all_told = self.told.is_empty() && self.offsets.is_empty();
            if all_told || now >= until || self.at > until {
                return;
            }
            if self.told.is_empty() {
                self.tell(TOLD_LAST);
            }
            self.hear(milliseconds(until - now), now);
        }
    }
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).expect("seconds are few")
}

impl Look {
    fn new(plan: &KafkaSourcePlan) -> Result<Self, SourceError> {
        let config = consumer_config(&plan.cluster)?;
        let consumer: Arc<WatchedConsumer> = Arc::new(config.create(Watch::default())?);
        let (now, describing) = (Instant::now(), Describing::new(&consumer));
        let group = Group::new(&consumer, &plan.group);
        let (waiting, answer) = (false, Vec::new());
        Ok(Self { consumer, events_at: now, asked_at: now, waiting, answer, describing, group })
    }
}

/// The id as checkpoints have it, in base64. Brokers that know no ids say nil.
fn id(text: &str) -> Uuid {
    let text = text.trim_end_matches('=');
    let bytes = BASE64_STANDARD_NO_PAD.decode(text).or_else(|_| BASE64_URL_SAFE_NO_PAD.decode(text));
    bytes.ok().and_then(|bytes| Uuid::from_slice(&bytes).ok()).unwrap_or_default()
}
