//! Topics and records of a test's cluster.
//!
//! Owns: making and deleting topics, writing records in every way there is, reading what is committed.
//! Never: is what the product reads or writes with.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::Cluster;

const WITHIN: Duration = Duration::from_secs(30);

/// A record to write, or one that was read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Its payload; `None`: a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Names and values.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Epoch milliseconds; `None`: now.
    pub timestamp_ms: Option<i64>,
}

impl Record {
    /// A record without a key.
    pub fn of(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: Some(payload.into()), ..Self::default() }
    }

    /// The same with a key.
    pub fn keyed(self, key: impl Into<Vec<u8>>) -> Self {
        Self { key: Some(key.into()), ..self }
    }
}

/// How records are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Producing<'a> {
    /// `gzip`, `snappy`, `lz4`, `zstd`; `None`: not compressed.
    pub codec: Option<&'a str>,
    /// In a transaction of this id, committed or aborted at the end.
    pub transaction: Option<(&'a str, bool)>,
}

/// A record with its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Read {
    /// Which partition.
    pub partition: i32,
    /// Where in it.
    pub offset: i64,
    /// What it is.
    pub record: Record,
}

impl Cluster {
    /// Makes a topic, with settings such as `cleanup.policy=compact`.
    pub fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        let replicas = i32::try_from(self.spec.brokers.min(3))?;
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
        for (name, value) in settings {
            topic = topic.set(name, value);
        }
        let admin = self.admin()?;
        let made = wait(admin.create_topics([&topic], &AdminOptions::new()))?;
        made.into_iter().try_for_each(|made| made.map(drop).map_err(|(name, code)| named(&name, code)))?;
        self.settled(name, |found| usize::try_from(partitions).is_ok_and(|wanted| found == wanted))
    }

    /// Adds partitions to a topic.
    pub fn grow_topic(&self, name: &str, partitions: usize) -> Result<()> {
        let admin = self.admin()?;
        let grown =
            wait(admin.create_partitions([&NewPartitions::new(name, partitions)], &AdminOptions::new()))?;
        grown.into_iter().try_for_each(|grown| grown.map(drop).map_err(|(name, code)| named(&name, code)))?;
        self.settled(name, |found| found == partitions)
    }

    /// Deletes a topic, and waits until it is gone.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        let admin = self.admin()?;
        let gone = wait(admin.delete_topics(&[name], &AdminOptions::new()))?;
        gone.into_iter().try_for_each(|gone| gone.map(drop).map_err(|(name, code)| named(&name, code)))?;
        self.settled(name, |found| found == 0)
    }

    /// What retention does: the records of a partition before an offset are gone.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(before))?;
        let admin = self.admin()?;
        wait(admin.delete_records(&offsets, &AdminOptions::new()))?;
        let consumer = self.reader("0")?;
        let began = Instant::now();
        while consumer.fetch_watermarks(topic, partition, WITHIN)?.0 < before {
            ensure!(began.elapsed() < WITHIN, "the records of {topic} are still there");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Writes records to one partition, in order, and waits until all brokers have them.
    pub fn produce(&self, topic: &str, partition: i32, records: &[Record], how: Producing<'_>) -> Result<()> {
        let mut config = self.client();
        // An idempotent producer takes half a second to begin.
        config.set("linger.ms", "5").set("max.in.flight", "1");
        config.set("compression.codec", how.codec.unwrap_or("none"));
        if let Some((id, _)) = how.transaction {
            config.set("transactional.id", id);
        }
        let producer: BaseProducer = config.create()?;
        if how.transaction.is_some() {
            producer.init_transactions(WITHIN)?;
            producer.begin_transaction()?;
        }
        for record in records {
            send(&producer, topic, partition, record)?;
        }
        producer.flush(WITHIN)?;
        match how.transaction {
            Some((_, true)) => producer.commit_transaction(WITHIN)?,
            Some((_, false)) => producer.abort_transaction(WITHIN)?,
            None => {}
        }
        Ok(())
    }

    /// All committed records of a topic, up to where its partitions end now.
    pub fn consume(&self, topic: &str) -> Result<Vec<Read>> {
        let consumer = self.reader("0")?;
        let metadata = consumer.fetch_metadata(Some(topic), WITHIN)?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        let mut offsets = TopicPartitionList::new();
        for partition in 0..i32::try_from(partitions)? {
            offsets.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&offsets)?;
        let (mut read, mut ended, began) = (Vec::new(), 0, Instant::now());
        while ended < partitions {
            ensure!(began.elapsed() < WITHIN, "{topic} does not end");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => read.push(Read {
                    partition: message.partition(),
                    offset: message.offset(),
                    record: Record {
                        key: message.key().map(<[u8]>::to_vec),
                        payload: message.payload().map(<[u8]>::to_vec),
                        headers: message.headers().map(headers).unwrap_or_default(),
                        timestamp_ms: message.timestamp().to_millis(),
                    },
                }),
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(error)) => return Err(error).context(topic.to_owned()),
                None => {}
            }
        }
        Ok(read)
    }

    /// The offsets of a group, by partition of a topic.
    pub fn group_offsets(&self, group: &str, topic: &str, partitions: i32) -> Result<Vec<Option<i64>>> {
        let consumer = self.reader(group)?;
        let mut asked = TopicPartitionList::new();
        for partition in 0..partitions {
            asked.add_partition(topic, partition);
        }
        let found = consumer.committed_offsets(asked, WITHIN)?;
        Ok(found.elements().iter().map(|element| element.offset().to_raw().filter(|&at| at >= 0)).collect())
    }

    /// The broker that coordinates the transactions of an id; from 0.
    pub fn coordinator(&self, id: &str) -> Result<usize> {
        const TOPIC: &str = "__transaction_state";
        let hash = id.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)));
        let metadata = self.reader("0")?.fetch_metadata(None, WITHIN)?;
        let partitions = metadata
            .topics()
            .iter()
            .find(|topic| topic.name() == TOPIC)
            .map_or(&[][..], |topic| topic.partitions());
        ensure!(!partitions.is_empty(), "no {TOPIC}");
        let of = &partitions[hash.unsigned_abs() as usize % partitions.len()];
        usize::try_from(of.leader() - 1).context("it has no leader")
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.client().create()?)
    }

    fn reader(&self, group: &str) -> Result<BaseConsumer> {
        let mut config = self.client();
        config.set("group.id", group).set("enable.auto.commit", "false").set("enable.partition.eof", "true");
        config.set("auto.offset.reset", "error").set("isolation.level", "read_committed");
        // An end is seen when a broker answers that there is nothing more.
        config.set("fetch.wait.max.ms", "10");
        Ok(config.create()?)
    }

    /// Waits until every client sees so many partitions of a topic.
    fn settled(&self, topic: &str, is: impl Fn(usize) -> bool) -> Result<()> {
        let consumer = self.reader("0")?;
        let began = Instant::now();
        loop {
            let metadata = consumer.fetch_metadata(None, WITHIN)?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            let led =
                found.is_none_or(|found| found.partitions().iter().all(|partition| partition.leader() >= 0));
            if led && is(found.map_or(0, |found| found.partitions().len())) {
                return Ok(());
            }
            if began.elapsed() > WITHIN {
                bail!("{topic} does not settle");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, record: &Record) -> Result<()> {
    let mut base: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition);
    base.key = record.key.as_deref();
    base.payload = record.payload.as_deref();
    base.timestamp = record.timestamp_ms;
    if !record.headers.is_empty() {
        let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
            headers.insert(Header { key: name, value: value.as_deref() })
        });
        base = base.headers(headers);
    }
    loop {
        match producer.send(base) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                base = again;
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => return Err(error).context(topic.to_owned()),
        }
    }
}

fn headers<H: Headers>(headers: &H) -> Vec<(String, Option<Vec<u8>>)> {
    headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
}

fn named(topic: &str, code: RDKafkaErrorCode) -> anyhow::Error {
    anyhow::anyhow!("{topic}: {code}")
}

fn wait<T>(asked: impl Future<Output = Result<T, KafkaError>>) -> Result<T> {
    Ok(futures::executor::block_on(asked)?)
}
