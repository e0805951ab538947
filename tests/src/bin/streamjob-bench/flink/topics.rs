//! Topics of the comparison: filling them, and reading what became of it.
//!
//! Owns: the driver's producer and consumers; partitions of the input.
//! Never: is the client of an engine.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use streamjob_tests::kafka::Cluster;

use crate::expect::Expected;
use crate::input::{Uniform, write_line};

/// Of every topic of the comparison: row *i* is in partition *i* modulo this.
pub(crate) const PARTITIONS: i32 = 2;

const WITHIN: Duration = Duration::from_secs(60);

/// Writes records into a topic.
pub(crate) struct Writer {
    producer: BaseProducer,
    topic: String,
}

impl Writer {
    /// Records wait for others at most so long.
    pub(crate) fn new(cluster: &Cluster, topic: &str, linger_ms: u32) -> Result<Self> {
        let mut config = cluster.client();
        config.set("linger.ms", linger_ms.to_string()).set("batch.size", "1000000");
        config.set("queue.buffering.max.messages", "1000000");
        Ok(Self { producer: config.create()?, topic: topic.to_owned() })
    }

    /// Sends a record, soon.
    pub(crate) fn send(&self, partition: i32, payload: &[u8]) -> Result<()> {
        let mut record: BaseRecord<'_, (), [u8]> =
            BaseRecord::to(&self.topic).partition(partition).payload(payload);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    self.producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(error).context(self.topic.clone()),
            }
        }
    }

    /// Lets the client take note of what was delivered.
    pub(crate) fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until the broker has all of them.
    pub(crate) fn flush(&self) -> Result<()> {
        Ok(self.producer.flush(WITHIN)?)
    }
}

/// Makes a topic with the rows of an input.
pub(crate) fn fill(cluster: &Cluster, topic: &str, input: &Uniform) -> Result<()> {
    cluster.create_topic(topic, PARTITIONS, &[])?;
    let writer = Writer::new(cluster, topic, 20)?;
    let mut line = Vec::new();
    for i in 0..input.rows {
        write_line(&mut line, &input.row(i));
        writer.send((i % PARTITIONS as u64) as i32, &line[..line.len() - 1])?;
        if i % 1_000 == 0 {
            writer.poll();
        }
    }
    writer.flush()
}

/// A consumer of all partitions of a topic, of what is committed.
pub(crate) fn reader(cluster: &Cluster, topic: &str) -> Result<BaseConsumer> {
    let mut config = cluster.client();
    config.set("group.id", "bench").set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    config.set("auto.offset.reset", "error").set("isolation.level", "read_committed");
    config.set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer = config.create()?;
    let mut offsets = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        offsets.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&offsets)?;
    Ok(consumer)
}

/// Up to where each partition is committed.
pub(crate) fn committed_ends(consumer: &BaseConsumer, topic: &str) -> Result<Vec<i64>> {
    (0..PARTITIONS).map(|partition| Ok(consumer.fetch_watermarks(topic, partition, WITHIN)?.1)).collect()
}

/// Fails unless the topic holds exactly these results, each under its key.
pub(crate) fn check(cluster: &Cluster, topic: &str, mut expected: Expected) -> Result<()> {
    let consumer = reader(cluster, topic)?;
    let (mut ended, mut last) = (0, Instant::now());
    while ended < PARTITIONS {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                take(&mut expected, &message)
                    .with_context(|| format!("{topic}, offset {}", message.offset()))?;
                last = Instant::now();
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => return Err(error).context(topic.to_owned()),
            None if last.elapsed() > WITHIN => bail!("{topic} does not end"),
            None => {}
        }
    }
    let missing = expected.missing();
    ensure!(missing == 0, "{missing} results are missing in {topic}");
    Ok(())
}

fn take(expected: &mut Expected, message: &BorrowedMessage<'_>) -> Result<()> {
    let line = std::str::from_utf8(message.payload().context("a result has a payload")?)?;
    let key = std::str::from_utf8(message.key().context("a result has a key")?)?;
    let is_keyed = line.strip_prefix("{\"key\":\"").and_then(|rest| rest.strip_prefix(key));
    ensure!(is_keyed.is_some_and(|rest| rest.starts_with('"')), "the key is {key}: {line}");
    expected.take(line).with_context(|| line.to_owned())
}
