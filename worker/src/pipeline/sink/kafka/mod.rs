//! Publishing into topics, exactly once: an epoch's records and a progress record in one transaction for each slot.
//!
//! Owns: the producers, which epoch of each slot is published, and what is done when nobody knows whether one is.
//! Never: decides which generation leads: whoever calls has asked the log before it lets producers be made.
//!
//! The protocol: the records of an epoch are durable before the first of them is sent, so a transaction whose outcome is
//! unknown is not asked about but repeated: a new producer with the same transactional id ends whatever its forerunners
//! had open, and only then the progress records that are committed tell whether the epoch is published. In the other
//! order a forerunner could commit behind the look. The same is done after a commit that librdkafka may have asked for
//! twice: brokers take a request that arrives late for the end of the transaction that is open by then.

mod direct;
mod error;
mod producer;
mod progress;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{try_join, try_join_all};
use streamjob_checkpoint::fail_point;
use streamjob_checkpoint::outage::Outage;
use streamjob_checkpoint::outbox::OutboxRecord;
use streamjob_checkpoint::planted::{self, Bug};
use streamjob_crds::KafkaRole;
use streamjob_plan::{KafkaClusterPlan, KafkaOutputPlan};

pub use self::direct::DirectSink;
pub use self::error::KafkaSinkError;
use self::producer::{Committed, Producer};
use self::progress::{Known, ProgressTopic};
use super::{SinkError, Target};
use crate::kafka::{Cluster, KafkaConfig};

/// How long one call of the cluster may take; calls that take longer are made again.
const CALL: Duration = Duration::from_secs(5);
/// The group of our consumers, which joins none.
const GROUP: &str = "streamjob-progress";

/// Whose output a publisher publishes.
#[derive(Clone, Debug)]
pub struct Life {
    /// The job.
    pub job: String,
    /// The life of its state.
    pub lineage: String,
    /// Slots that have written what may not be published: those of the job, and of its last checkpoint.
    pub slots: u32,
    /// The greatest epoch that the lineage has used: nothing beyond it can be published.
    pub newest: u64,
    /// From which offset on the topic of progress tells about what may not be published; `None`: from its beginning.
    pub progress_from: Option<u64>,
    /// Whether there is such output: without what the topic tells nobody knows what became of it.
    pub owes: bool,
}

/// Publishes epochs into topics.
pub struct KafkaPublisher {
    plan: KafkaOutputPlan,
    topics: BTreeMap<Target, String>,
    life: Life,
    outage: Arc<Outage>,
    ready: Option<Ready>,
    /// What was known before, if a planted bug does not look again.
    stale: Option<Known>,
}

/// Producers that have fenced their forerunners, and what was published before.
struct Ready {
    producers: BTreeMap<u32, Producer>,
    known: Known,
    /// Topics that records have named and that were there.
    there: BTreeSet<String>,
}

/// An epoch that is being published. Dropped before its end, nobody sees any of it.
pub struct KafkaPublication<'a> {
    publisher: &'a mut KafkaPublisher,
    epoch: u64,
    /// Those with an open transaction.
    slots: BTreeSet<u32>,
}

/// The id of the cluster that is written to: what stays while brokers and their addresses change. Waits for brokers.
/// That there is no answer is noted there.
pub fn cluster_id(cluster: &KafkaClusterPlan, outage: &Arc<Outage>) -> Result<String, SinkError> {
    Ok(Cluster::new(cluster, outage)?.id().map_err(KafkaSinkError::Cluster)?)
}

impl KafkaPublisher {
    /// A publisher into these topics. It talks to the cluster with [`prepare`](Self::prepare), and notes it in `outage`
    /// if there is no answer.
    pub fn new(
        plan: KafkaOutputPlan,
        topics: BTreeMap<Target, String>,
        life: Life,
        outage: Arc<Outage>,
    ) -> Self {
        Self { plan, topics, life, outage, ready: None, stale: None }
    }

    /// Whether records of this target go to a topic.
    pub fn takes(&self, target: Target) -> bool {
        self.topics.contains_key(&target)
    }

    /// Whether the next epoch can be published without looking for what was published before.
    pub fn is_ready(&self) -> bool {
        self.ready.is_some()
    }

    /// Ends what forerunners have open, and finds out what is published. Once more, it changes nothing.
    ///
    /// The caller has just read the log, and leads.
    pub async fn prepare(&mut self) -> Result<(), SinkError> {
        if self.ready.is_some() {
            return Ok(());
        }
        let early = match planted::is(Bug::ProgressBeforeFence) {
            true => Some(ProgressTopic::ensure(&self.plan.cluster).await?.read(&self.life).await?),
            false => None,
        };
        let (topic, producers) = try_join(self.topics_are_there(), self.fence()).await?;
        let known = match early.or_else(|| self.stale.take()) {
            Some(known) => known,
            None => topic.read(&self.life).await?,
        };
        fail_point::hit("publish.records.look.after");
        known.check_not_beyond(self.life.newest)?;
        // Whenever it is looked at again, an epoch is being published.
        self.life.owes = true;
        self.ready = Some(Ready { producers, known, there: BTreeSet::new() });
        Ok(())
    }

    async fn topics_are_there(&self) -> Result<ProgressTopic, SinkError> {
        let topic = ProgressTopic::ensure(&self.plan.cluster).await?;
        topic.check_targets(&self.topics)?;
        Ok(topic)
    }

    /// The producers of all slots: none of their forerunners can commit any more.
    async fn fence(&self) -> Result<BTreeMap<u32, Producer>, SinkError> {
        let config = KafkaConfig::new(&self.plan.cluster, KafkaRole::Producer)?;
        fail_point::hit("publish.records.fence.before");
        let mut producers = BTreeMap::new();
        for slot in 0..self.life.slots {
            let mut id = format!("streamjob.{}.{}.{slot}", self.life.job, self.life.lineage);
            if planted::is(Bug::IdOfProcess) {
                id += &format!(".{}", std::process::id());
            }
            let servers = &self.plan.cluster.bootstrap_servers;
            producers.insert(slot, Producer::new(&config, &id, servers, &self.outage)?);
        }
        try_join_all(producers.values().map(Producer::fence)).await?;
        fail_point::hit("publish.records.fence.after");
        Ok(producers)
    }

    /// All that was published so far has its progress before this offset, all that follows behind it.
    pub fn progress_from(&self) -> Option<u64> {
        self.life.progress_from
    }

    /// Begins to publish an epoch: a transaction for each of these slots that has not published it.
    pub fn begin(
        &mut self,
        epoch: u64,
        slots: impl IntoIterator<Item = u32>,
    ) -> Result<KafkaPublication<'_>, SinkError> {
        self.life.newest = self.life.newest.max(epoch);
        let ready = self.ready.as_mut().expect("a publisher is prepared before it publishes");
        let slots: BTreeSet<u32> = slots.into_iter().filter(|&slot| !ready.known.has(slot, epoch)).collect();
        let mut publication = KafkaPublication { publisher: self, epoch, slots: BTreeSet::new() };
        for slot in slots {
            producer(&mut publication.publisher.ready, slot).begin()?;
            publication.slots.insert(slot);
        }
        fail_point::hit("publish.records.begin.after");
        Ok(publication)
    }

    /// Slots from this one on will publish nothing more: an earlier parallelism had them.
    pub fn close_from(&mut self, slot: u32) {
        if let Some(ready) = &mut self.ready {
            ready.producers.retain(|&of, _| of < slot);
        }
        self.life.slots = self.life.slots.min(slot);
    }

    /// Nobody knows what became of the last transaction: the next epoch begins with finding out.
    fn forget(&mut self) {
        let ready = self.ready.take();
        self.stale = ready.map(|ready| ready.known).filter(|_| planted::is(Bug::LookNotRepeated));
    }
}

impl KafkaPublication<'_> {
    /// Whether records of this target go to a topic.
    pub fn takes(&self, target: Target) -> bool {
        self.publisher.takes(target)
    }

    /// Sends a record, if its slot has not published the epoch before.
    pub async fn send(
        &mut self,
        (target, slot): (Target, u32),
        record: &OutboxRecord<'_>,
    ) -> Result<(), SinkError> {
        if !self.slots.contains(&slot) {
            return Ok(());
        }
        let KafkaPublisher { topics, ready, .. } = &mut *self.publisher;
        let Some(named) = record.topic else {
            return Ok(producer(ready, slot).send(&topics[&target], record).await?);
        };
        if !ready.as_ref().is_some_and(|ready| ready.there.contains(named)) {
            // librdkafka would wait half a minute for it, and then not say which one.
            producer(ready, slot).check_topic(named)?;
            ready.as_mut().map(|ready| ready.there.insert(named.to_owned()));
        }
        Ok(producer(ready, slot).send(named, record).await?)
    }

    /// Makes all of it visible to readers of committed records.
    pub async fn commit(mut self) -> Result<(), SinkError> {
        let (epoch, mut asked_again) = (self.epoch, false);
        fail_point::hit("publish.records.send.after");
        for &slot in &self.slots {
            let key = progress::key(&self.publisher.life.lineage, slot);
            let value = progress::value(epoch);
            let producer = producer(&mut self.publisher.ready, slot);
            if planted::is(Bug::ProgressOutsideTransaction) {
                producer.commit().await?;
                fail_point::hit("publish.records.commit.before");
                producer.begin()?;
            }
            let record = OutboxRecord {
                key: Some(key.as_bytes()),
                value: value.as_bytes(),
                ..OutboxRecord::default()
            };
            producer.send_progress(progress::TOPIC, &record).await?;
        }
        // What was sent is under way for all of them.
        while let Some(slot) = self.slots.first().copied() {
            let producer = producer(&mut self.publisher.ready, slot);
            fail_point::hit("publish.records.commit.before");
            asked_again |= producer.commit().await? == Committed::PerhapsAskedAgain;
            fail_point::hit("publish.records.commit.after");
            let end = producer.progress_end();
            self.slots.remove(&slot);
            let ready = self.publisher.ready.as_mut().expect("it was prepared");
            ready.known.published(slot, epoch);
            ready.known.ends_at(end);
        }
        // Only now: until all slots have published, what one of them has is looked for from where it was before.
        self.publisher.life.progress_from = self.publisher.ready.as_ref().map(|ready| ready.known.end());
        if asked_again && !planted::is(Bug::ProducerKeptAfterRetry) {
            tracing::debug!(epoch, "a commit took so long that it may have been asked for twice");
            // Successors of these producers are out of reach of what these have sent.
            self.publisher.forget();
        }
        Ok(())
    }
}

fn producer(ready: &mut Option<Ready>, slot: u32) -> &mut Producer {
    let ready = ready.as_mut().expect("a publisher is prepared before it publishes");
    ready.producers.get_mut(&slot).expect("every slot has a producer")
}

impl Drop for KafkaPublication<'_> {
    fn drop(&mut self) {
        if !self.slots.is_empty() {
            self.publisher.forget();
        }
    }
}
