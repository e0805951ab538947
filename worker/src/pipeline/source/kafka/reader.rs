//! Reads one partition of a topic.
//!
//! Owns: the position, what is kept of the last batch of rows, and what it means when nothing comes.
//! Never: goes past a record that it has not handed on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use crossbeam_utils::sync::Unparker;
use streamjob_checkpoint::checkpoint::{SourcePosition, TopicPartition};
use streamjob_fetch::{Batch, Chunk, Damaged, Partition, Place, Record, ResponseError, Standing, Trouble};
use streamjob_plan::Cause;
use tracing::{debug, warn};

use super::rows::Rows;
use super::topics::Topics;
use super::{check_bounds, check_identity};
use crate::kafka::{Cluster, TopicError};
use crate::pipeline::records::{
    BadRecord, DecodedRows, PartitionReader, Position, Progress, RECORD_BYTES_MAX, Read, SourceError,
};

/// About how much of payloads and keys is handed on at once.
const BATCH_BYTES: usize = 256 * 1024;
/// How long to stay away when there is nothing, from the first to the last of several times: what comes is told.
const WAIT: Duration = Duration::from_millis(4);
const WAIT_MAX: Duration = Duration::from_millis(64);
/// The same trouble is not told again before this.
const TOLD_AGAIN: Duration = Duration::from_secs(30);

/// A partition of a topic.
pub(in crate::pipeline::source) struct KafkaReader {
    known: TopicPartition,
    name: Arc<str>,
    rows: Rows,
    partition: Partition,
    /// What has come and is not looked into yet.
    chunks: VecDeque<Chunk>,
    /// The record batches that the last rows lie in. The last of them is being read.
    batches: Vec<Batch>,
    /// Where its next record begins, and how many it still has.
    at: usize,
    left: usize,
    /// The records of the last rows.
    places: Vec<(u32, Place)>,
    /// What comes behind the last rows.
    damaged: Option<Damaged>,
    /// The offset to be read next.
    next: u64,
    /// An epoch has been committed since the last read.
    committed: bool,
    wait: Duration,
    told: Option<(Trouble, Instant)>,
    read: Progress,
    topics: Arc<Topics>,
}

impl KafkaReader {
    /// Begins at an offset.
    pub(in crate::pipeline::source) fn open(
        known: &TopicPartition,
        offset: u64,
        schema: &SchemaRef,
        topics: &Arc<Topics>,
    ) -> Self {
        Self {
            known: known.clone(),
            name: format!("{}/{}", known.name, known.partition).into(),
            rows: Rows::new(topics.plan(), schema, &known.name, known.partition),
            partition: topics.fetch(known, offset),
            chunks: VecDeque::new(),
            batches: Vec::new(),
            at: 0,
            left: 0,
            places: Vec::new(),
            damaged: None,
            next: offset,
            committed: false,
            wait: WAIT,
            told: None,
            read: Progress::default(),
            topics: Arc::clone(topics),
        }
    }

    fn is_finished(&self) -> bool {
        self.known.end.is_some_and(|end| self.next >= end)
    }

    /// Decodes the next records of what has come. Nothing: there is none in it.
    fn decode(&mut self, rows_max: usize) -> Result<Option<DecodedRows>, Damaged> {
        let first_row = self.next;
        let (mut taken, mut bytes) = (0, 0);
        let (mut offsets, mut bad) = (Vec::new(), Vec::new());
        self.places.clear();
        // The rows before are done with.
        self.batches.drain(..self.batches.len().saturating_sub(1));
        while taken < rows_max && bytes < BATCH_BYTES && !self.is_finished() {
            match self.next_record() {
                Ok(Some(place)) => {
                    let batch = self.batches.last().expect("a record lies in a batch");
                    let record = batch.record(place);
                    // What a batch has of records before the position is known.
                    if record.offset() < self.next {
                        continue;
                    }
                    if self.known.end.is_some_and(|end| record.offset() >= end) {
                        self.next = record.offset();
                        break;
                    }
                    taken += 1;
                    bytes += record.value().map_or(0, <[u8]>::len) + record.key().map_or(0, <[u8]>::len);
                    self.next = record.offset() + 1;
                    match add(&mut self.rows, record) {
                        Ok(()) => {
                            offsets.push(record.offset());
                            self.places.push((self.batches.len() as u32 - 1, place));
                        }
                        Err(cause) => bad.push(BadRecord {
                            record: record.offset(),
                            cause,
                            raw: record.value().unwrap_or_default().to_vec(),
                            file: Arc::clone(&self.name),
                            line: 0,
                        }),
                    }
                }
                Ok(None) => break,
                Err(damaged) if taken == 0 => return Err(damaged),
                Err(damaged) => {
                    self.damaged = Some(damaged);
                    break;
                }
            }
        }
        self.read.rows += taken as u64;
        self.read.bytes += bytes as u64;
        if taken == 0 {
            return Ok(None);
        }
        // Compaction and markers of transactions leave gaps.
        let span = offsets.first().zip(offsets.last());
        let dense = bad.is_empty()
            && span
                .is_some_and(|(first, last)| *first == first_row && last - first + 1 == offsets.len() as u64);
        Ok(Some(DecodedRows {
            rows: self.rows.finish(),
            first_row,
            numbers: (!dense).then_some(offsets),
            bad,
            bytes: bytes as u64,
        }))
    }

    /// The next record, whose batch is the last. Where there is none, the position is behind what has come.
    fn next_record(&mut self) -> Result<Option<Place>, Damaged> {
        if let Some(damaged) = self.damaged.take() {
            return Err(damaged);
        }
        loop {
            if let (Some(batch), true) = (self.batches.last(), self.left > 0) {
                self.left -= 1;
                return batch.place(&mut self.at).map(Some);
            }
            // The last records of a batch, or all, may have been compacted away.
            self.pass(self.batches.last().map_or(0, Batch::next));
            let Some(chunk) = self.chunks.front_mut() else { return Ok(None) };
            let behind = chunk.next();
            match chunk.batch()? {
                Some(batch) => {
                    (self.at, self.left) = (0, batch.len());
                    self.batches.push(batch);
                }
                None => {
                    self.chunks.pop_front();
                    self.pass(behind);
                }
            }
        }
    }

    fn pass(&mut self, offset: u64) {
        self.next = self.next.max(offset);
    }

    /// What it means that nothing has come.
    fn nothing(&mut self, standing: Standing) -> Result<Read, SourceError> {
        let at_end = standing == Standing::AtEnd;
        if let Standing::Troubled(trouble) = standing {
            self.on_trouble(&trouble)?;
            let again = |(told, at): &(Trouble, Instant)| *told != trouble || at.elapsed() >= TOLD_AGAIN;
            if self.told.as_ref().is_none_or(again) {
                self.tell(&trouble);
                self.told = Some((trouble, Instant::now()));
            }
        } else {
            self.told = None;
        }
        let pause = self.wait;
        self.wait = (self.wait * 2).min(WAIT_MAX);
        Ok(if at_end { Read::Wait(pause) } else { Read::Stalled(pause) })
    }

    /// Ends the job if time does not mend it.
    fn on_trouble(&self, trouble: &Trouble) -> Result<(), SourceError> {
        use ResponseError as Error;
        let (topic, partition, offset) = (self.known.name.clone(), self.known.partition, self.next);
        let error = match trouble {
            Trouble::Truncated(end) => {
                return Err(TopicError::BeyondEnd { topic, partition, offset, end: *end }.into());
            }
            Trouble::Away(_) => return Ok(()),
            Trouble::Told(error) => *error,
        };
        let cause = error.to_string();
        let for_ever = [
            Error::InvalidTopicException,
            Error::UnsupportedVersion,
            Error::UnsupportedForMessageFormat,
            Error::UnsupportedCompressionType,
        ];
        if error == Error::OffsetOutOfRange {
            Err(self.why_out_of_range(&cause)?.into())
        } else if error == Error::CorruptMessage {
            Err(TopicError::Damaged { topic, partition, offset, cause }.into())
        } else if for_ever.contains(&error) {
            Err(TopicError::Failed { topic, partition, offset, cause }.into())
        } else {
            Ok(())
        }
    }

    /// That it is waited for. Of brokers that are away the fetcher tells, and of topics that are gone the next look.
    fn tell(&self, trouble: &Trouble) {
        use ResponseError as Error;
        let Trouble::Told(error) = trouble else { return };
        let (topic, partition, offset) = (&self.known.name, self.known.partition, self.next);
        let moves = error.is_retriable() && *error != Error::TopicAuthorizationFailed;
        if moves {
            debug!(topic, partition, offset, cause = %error, "cannot read; tried again");
        } else {
            warn!(topic, partition, offset, cause = %error, "cannot read; tried again");
        }
    }

    /// The position is not there any more: asks why.
    fn why_out_of_range(&self, text: &str) -> Result<TopicError, SourceError> {
        let plan = self.topics.plan();
        let cluster = Cluster::new(&plan.cluster, self.topics.outage())?;
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

    fn damaged(&self, damaged: &Damaged) -> TopicError {
        let (topic, partition, offset) = (self.known.name.clone(), self.known.partition, self.next);
        TopicError::Damaged { topic, partition, offset, cause: damaged.to_string() }
    }

    /// New partitions are read by another attempt.
    fn end_if_grown(&self) -> Result<(), TopicError> {
        self.topics.grown().map_or(Ok(()), Err)
    }

    /// The record of one of the last rows.
    fn record(&self, row: u32) -> Record<'_> {
        let (batch, place) = self.places[row as usize];
        self.batches[batch as usize].record(place)
    }
}

/// The error says why the record is bad.
fn add(rows: &mut Rows, record: Record<'_>) -> Result<(), Cause> {
    if record.value().is_some_and(|value| value.len() > RECORD_BYTES_MAX) {
        return Err(Cause::plain("the record is longer than 16 MiB"));
    }
    rows.add(record)
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
            let decoded = self.decode(rows_max).map_err(|damaged| self.damaged(&damaged))?;
            if let Some(decoded) = decoded {
                self.wait = WAIT;
                return Ok(Read::Rows(decoded));
            }
            if self.is_finished() {
                return Ok(Read::End);
            }
            self.topics.look(&self.known)?;
            let standing = self.partition.take(&mut self.chunks);
            if self.chunks.is_empty() {
                self.end_if_grown()?;
                return self.nothing(standing);
            }
        }
    }

    fn raw(&self, row: u32) -> &[u8] {
        self.record(row).value().unwrap_or_default()
    }

    fn position(&self, row: u32) -> Position {
        Position { file: Arc::clone(&self.name), line: 0, record: self.record(row).offset(), byte: 0 }
    }

    fn next_position(&self) -> SourcePosition {
        let end = self.known.end.unwrap_or(u64::MAX);
        SourcePosition::Topic { offset: self.next.min(end) }
    }

    fn progress(&self) -> Progress {
        let left = self.known.end.map(|end| end.saturating_sub(self.next));
        Progress { rows_total: left.map(|left| self.read.rows + left), ..self.read }
    }

    fn wake_with(&mut self, waker: Unparker) {
        self.partition.wake_with(Box::new(move || waker.unpark()));
    }

    fn has_come(&self) -> bool {
        self.partition.has_come()
    }

    fn on_committed(&mut self, position: &SourcePosition) {
        self.committed = true;
        if let SourcePosition::Topic { offset } = position {
            self.topics.tell_group(&self.known, *offset);
        }
    }
}
