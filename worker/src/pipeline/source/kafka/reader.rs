//! Reads one partition of a topic.
//!
//! Owns: the position, what is kept of the last batch, and what it means when there is nothing.
//! Never: goes past a record that it has not handed on.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use streamjob_checkpoint::checkpoint::{SourcePosition, TopicPartition};
use tracing::{debug, warn};

use super::consumers::{Consumers, Shared};
use super::rows::Rows;
use super::{check_bounds, check_identity};
use crate::kafka::native::{Message, PartitionQueue};
use crate::kafka::{Cluster, TopicError, may_pass};
use crate::pipeline::records::{
    BadRecord, DecodedRows, PartitionReader, Position, Progress, RECORD_BYTES_MAX, Read, SourceError,
};

/// About how much of payloads and keys is handed on at once.
const BATCH_BYTES: usize = 256 * 1024;
/// The most that is taken from the queue at once.
const TAKE_MAX: usize = 4_096;
/// How long to stay away when there is nothing: from the first to the last of several times.
const WAIT: Duration = Duration::from_millis(1);
const WAIT_MAX: Duration = Duration::from_millis(16);
/// How often a partition that could not be read is begun anew where it stands, while nothing comes.
const AGAIN: Duration = Duration::from_secs(5);

/// A partition of a topic.
pub(in crate::pipeline::source) struct KafkaReader {
    known: TopicPartition,
    name: Arc<str>,
    rows: Rows,
    /// What was taken from the queue.
    taken: Vec<Message>,
    /// Of that, the records of the last batch, and which of them are good; `None`: all.
    last: Range<usize>,
    good: Option<Vec<u32>>,
    /// The offset to be read next.
    next: u64,
    at_end: bool,
    /// Since when it is not known whether it can be read: it cannot be taken for silent.
    doubted: Option<Instant>,
    /// An epoch has been committed since the last read.
    committed: bool,
    wait: Duration,
    read: Progress,
    // Dropped after the messages, and before the consumer.
    queue: PartitionQueue,
    shared: Arc<Shared>,
    consumers: Arc<Consumers>,
}

impl KafkaReader {
    /// Begins at an offset.
    pub(in crate::pipeline::source) fn open(
        known: &TopicPartition,
        offset: u64,
        schema: &SchemaRef,
        consumers: &Arc<Consumers>,
    ) -> Result<Self, SourceError> {
        let shared = consumers.of_this_thread()?;
        let number = i32::try_from(known.partition).unwrap_or(i32::MAX);
        let fails = |cause: String| TopicError::Failed {
            topic: known.name.clone(),
            partition: known.partition,
            offset,
            cause,
        };
        let queue = PartitionQueue::new(&shared.consumer, &known.name, number)
            .ok_or_else(|| fails("librdkafka has no queue for it".to_owned()))?;
        if known.end.is_none_or(|end| offset < end) {
            let mut assigned = TopicPartitionList::new();
            let at = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
            let added = assigned.add_partition_offset(&known.name, number, at);
            let assigned = added.and_then(|()| shared.consumer.incremental_assign(&assigned));
            assigned.map_err(|error| fails(error.to_string()))?;
        }
        Ok(Self {
            known: known.clone(),
            name: format!("{}/{}", known.name, known.partition).into(),
            rows: Rows::new(consumers.plan(), schema, &known.name, known.partition),
            taken: Vec::new(),
            last: 0..0,
            good: None,
            next: offset,
            at_end: false,
            doubted: None,
            committed: false,
            wait: WAIT,
            read: Progress::default(),
            queue,
            shared,
            consumers: Arc::clone(consumers),
        })
    }

    fn is_finished(&self) -> bool {
        self.known.end.is_some_and(|end| self.next >= end)
    }

    /// Decodes the next records of what was taken.
    fn decode(&mut self, rows_max: usize) -> DecodedRows {
        let first_row = self.next;
        let from = self.last.end;
        let (mut bytes, mut offsets, mut bad, mut good) = (0, Vec::new(), Vec::new(), Vec::new());
        let mut at = from;
        while let Some(message) = self.taken.get(at)
            && message.error().is_none()
            && at - from < rows_max
            && bytes < BATCH_BYTES
        {
            let offset = message.offset().max(0).unsigned_abs();
            if self.known.end.is_some_and(|end| offset >= end) {
                self.next = offset;
                break;
            }
            let payload = message.payload().unwrap_or_default();
            bytes += payload.len() + message.key().map_or(0, <[u8]>::len);
            let added = match payload.len() {
                length if length > RECORD_BYTES_MAX => Err("the record is longer than 16 MiB".to_owned()),
                _ => self.rows.add(message),
            };
            match added {
                Ok(()) => {
                    offsets.push(offset);
                    good.push(u32::try_from(at - from).expect("a batch is short"));
                }
                Err(cause) => {
                    let (raw, file) = (payload.to_vec(), Arc::clone(&self.name));
                    bad.push(BadRecord { record: offset, cause, raw, file, line: 0 });
                }
            }
            self.next = offset + 1;
            at += 1;
        }
        self.last = from..at;
        self.read.rows += (at - from) as u64;
        self.read.bytes += bytes as u64;
        // Compaction and markers of transactions leave gaps.
        let dense = bad.is_empty()
            && offsets
                .first()
                .zip(offsets.last())
                .is_some_and(|(first, last)| *first == first_row && last - first + 1 == offsets.len() as u64);
        self.good = (!bad.is_empty()).then_some(good);
        DecodedRows {
            rows: self.rows.finish(),
            first_row,
            numbers: (!dense).then_some(offsets),
            bad,
            bytes: bytes as u64,
        }
    }

    /// What comes in place of a record.
    fn on_error(&mut self, code: RDKafkaErrorCode, text: &str, offset: i64) -> Result<(), SourceError> {
        let (topic, partition, offset_now) = (self.known.name.clone(), self.known.partition, self.next);
        if code == RDKafkaErrorCode::PartitionEOF {
            (self.at_end, self.doubted) = (true, None);
            // What lies between is aborted or a marker.
            self.next = self.next.max(offset.max(0).unsigned_abs());
            return Ok(());
        }
        if code == RDKafkaErrorCode::AutoOffsetReset || code == RDKafkaErrorCode::OffsetOutOfRange {
            return Err(self.why_out_of_range(text)?.into());
        }
        if code == RDKafkaErrorCode::BadMessage || code == RDKafkaErrorCode::InvalidMessage {
            let cause = text.to_owned();
            return Err(TopicError::Damaged { topic, partition, offset: offset_now, cause }.into());
        }
        if code == RDKafkaErrorCode::UnknownTopicOrPartition || code == RDKafkaErrorCode::UnknownPartition {
            // The next look at the topics says whether it is gone.
            debug!(topic, partition, text, "the topic is not known there");
            self.doubt();
            return Ok(());
        }
        let rights = code == RDKafkaErrorCode::TopicAuthorizationFailed;
        if rights || may_pass(code) {
            warn!(topic, partition, offset = offset_now, cause = text, "cannot read; tried again");
            self.doubt();
            return Ok(());
        }
        let cause = text.to_owned();
        Err(TopicError::Failed { topic, partition, offset: offset_now, cause }.into())
    }

    /// The position is not there any more: asks why.
    fn why_out_of_range(&self, text: &str) -> Result<TopicError, SourceError> {
        let plan = self.consumers.plan();
        let cluster = Cluster::new(&plan.cluster, &plan.group)?;
        let found = cluster.topics(std::slice::from_ref(&self.known.name))?;
        let found = found.into_iter().find_map(|(_, topic)| topic);
        if let Err(error) = check_identity(&self.known, found.as_ref()) {
            return Ok(error);
        }
        let bounds = cluster.bounds(&self.known.name, self.known.partition)?;
        Ok(match check_bounds(&self.known, self.next, bounds) {
            Err(error) => error,
            Ok(()) => TopicError::Failed {
                topic: self.known.name.clone(),
                partition: self.known.partition,
                offset: self.next,
                cause: text.to_owned(),
            },
        })
    }

    /// New partitions are read by another attempt.
    fn end_if_grown(&self) -> Result<(), TopicError> {
        self.consumers.grown(&self.shared).map_or(Ok(()), Err)
    }

    fn doubt(&mut self) {
        self.at_end = false;
        self.doubted.get_or_insert_with(Instant::now);
    }

    /// librdkafka tells of a trouble and of an end once. Begun anew where it stands, it tells again what is so now.
    fn ask_again(&mut self) {
        if self.doubted.is_some_and(|since| since.elapsed() >= AGAIN) {
            self.doubted = Some(Instant::now());
            let number = i32::try_from(self.known.partition).unwrap_or(i32::MAX);
            let at = Offset::Offset(i64::try_from(self.next).unwrap_or(i64::MAX));
            // Without a time limit it does not wait for an answer.
            let asked = self.shared.consumer.seek(&self.known.name, number, at, Duration::ZERO);
            if let Err(error) = asked {
                debug!(partition = %self.name, %error, "cannot begin it anew yet");
            }
        }
    }

    fn nothing(&mut self) -> Read {
        self.ask_again();
        let pause = self.wait;
        self.wait = (self.wait * 2).min(WAIT_MAX);
        if self.at_end && self.shared.is_fresh() { Read::Wait(pause) } else { Read::Stalled(pause) }
    }

    /// The message of a row of the last batch.
    fn message(&self, row: u32) -> &Message {
        let index = self.good.as_ref().map_or(row, |good| good[row as usize]);
        &self.taken[self.last.start + index as usize]
    }
}

impl PartitionReader for KafkaReader {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn read(&mut self, rows_max: usize) -> Result<Read, SourceError> {
        assert!(rows_max > 0, "a batch has room for a row");
        // Behind a commit another attempt has next to nothing to read again.
        if std::mem::take(&mut self.committed) {
            self.end_if_grown()?;
        }
        loop {
            if self.is_finished() {
                return Ok(Read::End);
            }
            if self.last.end == self.taken.len() {
                self.shared.look(&self.known)?;
                self.taken.clear();
                self.last = 0..0;
                self.queue.take(&mut self.taken, TAKE_MAX.min(rows_max));
                if self.taken.is_empty() {
                    self.end_if_grown()?;
                    return Ok(self.nothing());
                }
            }
            let message = &self.taken[self.last.end];
            if let Some(code) = message.error() {
                let (text, offset) = (message.error_text(), message.offset());
                self.last = self.last.end + 1..self.last.end + 1;
                self.on_error(code, &text, offset)?;
                continue;
            }
            let decoded = self.decode(rows_max);
            if self.last.is_empty() {
                // A record behind the end: there is nothing more before it.
                continue;
            }
            (self.at_end, self.doubted, self.wait) = (false, None, WAIT);
            return Ok(Read::Rows(decoded));
        }
    }

    fn raw(&self, row: u32) -> &[u8] {
        self.message(row).payload().unwrap_or_default()
    }

    fn position(&self, row: u32) -> Position {
        let record = self.message(row).offset().max(0).unsigned_abs();
        Position { file: Arc::clone(&self.name), line: 0, record, byte: 0 }
    }

    fn next_position(&self) -> SourcePosition {
        let end = self.known.end.unwrap_or(u64::MAX);
        SourcePosition::Topic { offset: self.next.min(end) }
    }

    fn progress(&self) -> Progress {
        let left = self.known.end.map(|end| end.saturating_sub(self.next));
        Progress { rows_total: left.map(|left| self.read.rows + left), ..self.read }
    }

    fn on_committed(&mut self, position: &SourcePosition) {
        self.committed = true;
        let SourcePosition::Topic { offset } = position else { return };
        let number = i32::try_from(self.known.partition).unwrap_or(i32::MAX);
        let mut committed = TopicPartitionList::new();
        let at = Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
        let added = committed.add_partition_offset(&self.known.name, number, at);
        let told = added.and_then(|()| self.shared.consumer.commit(&committed, CommitMode::Async));
        if let Err(error) = told {
            debug!(partition = %self.name, %error, "the group's offset is not told");
        }
    }
}
