//! What a checkpoint is: all that a start needs to go on from it.
//!
//! Owns: the parts of a checkpoint as they stand in a log record.
//! Never: holds states or output; it names the objects and blocks that do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, Groups, Hash};

/// What a job had done at a barrier.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checkpoint {
    /// Its number.
    pub epoch: Epoch,
    /// How many slots wrote it. They are the old slots of a restart.
    pub parallelism: u32,
    /// What state depends on: field of the manifest to its value as text. A start with another value is refused.
    pub fingerprint: BTreeMap<String, String>,
    /// Of the whole manifest.
    pub spec_hash: Hash,
    /// Every partition of the source, by id.
    pub partitions: Vec<PartitionState>,
    /// Every old slot, by number.
    pub operators: Vec<OperatorState>,
    /// Every window that holds state, by its end.
    pub slices: Vec<SliceState>,
    /// What this epoch wants published. Empty when there was no output.
    pub outbox: Vec<OutboxObject>,
    /// The objects that `slices` and `outbox` are in, by name, each once.
    pub objects: Vec<Object>,
    /// Counts since the lineage began.
    pub counters: Counters,
}

/// An object in the store.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Object {
    /// Relative to the folder of the state or savepoint: `data/3-1/7-0-<uuid>.state.arrow`.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// Of all its bytes.
    pub hash: Hash,
}

/// One partition of the source.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PartitionState {
    /// The file's name, `topic/3`, or `generator-3`.
    pub name: String,
    /// The files that it consists of, fixed when the lineage began. Empty for other sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileIdentity>,
    /// The partition of a topic that it is, fixed when it was found. Absent for other sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicPartition>,
    /// What is read next.
    pub position: SourcePosition,
    /// The greatest event time so far; absent before the first row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_timestamp_ms: Option<i64>,
    /// Whether it takes part in time.
    pub status: PartitionStatus,
}

/// A file as it was when the lineage began.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileIdentity {
    /// Absolute.
    pub path: String,
    /// How long it is.
    pub bytes: u64,
    /// Of its first and last 4 KiB.
    pub ends: Hash,
}

/// A partition of a topic as it was when it was found.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopicPartition {
    /// The cluster's id.
    pub cluster: String,
    /// The topic's name.
    pub name: String,
    /// The topic's id: another topic of the same name has another.
    pub id: String,
    /// Its number in the topic.
    pub partition: u32,
    /// The offset that is not read any more; absent: it never ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
}

/// Where a partition is read on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum SourcePosition {
    /// In one of the partition's files, at the beginning of a record.
    File {
        /// Which of the partition's files; their number when all are read.
        file: u32,
        /// Bytes before it in the file, after decompression.
        byte: u64,
        /// The line of the file, from 1.
        line: u64,
        /// Records before it in the partition.
        record: u64,
    },
    /// A generated row.
    Row {
        /// Rows before it in the partition.
        row: u64,
        /// The wall clock, in epoch milliseconds, that timestamps without a fixed start count from.
        started_ms: i64,
    },
    /// A record of a topic.
    Topic {
        /// The offset that is read next.
        offset: u64,
    },
}

/// Whether a partition takes part in time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum PartitionStatus {
    /// It has rows, or may have them at any moment.
    Active,
    /// It is silent and does not hold time back.
    Idle,
    /// It has ended.
    Finished,
}

/// The windows of one old slot, but for their state.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperatorState {
    /// The key groups that the slot owned.
    pub groups: Groups,
    /// The combined watermark; absent before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark_ms: Option<i64>,
    /// Active partitions that had not caught up with that watermark.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<u32>,
}

/// A window that holds state.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SliceState {
    /// Its end, in epoch milliseconds.
    pub end_ms: i64,
    /// What each old slot had of it; slots that had nothing are left out. Ordered, without overlap.
    pub shares: Vec<Share>,
    /// The chain of its states. A key may be in several blocks: its state is their merge.
    pub blocks: Vec<Block>,
}

/// What one old slot had of a window.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Share {
    /// The key groups that the slot owned.
    pub groups: Groups,
    /// Input rows that went into it: the sum of its blocks' input rows.
    pub input_rows: u64,
    /// Which of its results are in the outbox of this epoch or an earlier one.
    pub emitted: Emitted,
}

/// How far a window has fired. Results come in the order (key group, key).
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Emitted {
    /// Not at all.
    Nothing,
    /// Up to this key, included.
    UpTo {
        /// Its key group.
        group: u16,
        /// Its canonical bytes, as hexadecimal digits.
        key: String,
    },
    /// All of it; it is kept for late rows.
    All,
}

/// States of one window: consecutive record batches of an object.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Block {
    /// The object's name.
    pub object: String,
    /// Where its first message begins.
    pub offset: u64,
    /// How long its messages are together.
    pub bytes: u64,
    /// Of those bytes.
    pub hash: Hash,
    /// Keys in it.
    pub keys: u64,
    /// Input rows that its states account for.
    pub input_rows: u64,
    /// Changes since the block before, or everything.
    pub kind: BlockKind,
    /// The key groups that count. Others that are in it were replaced, or belong to nobody any more.
    pub groups: Groups,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum BlockKind {
    /// What came in between two barriers.
    Delta,
    /// The whole state of its key groups, in place of all blocks before it.
    Base,
}

/// The output of one worker in an epoch.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutboxObject {
    /// The object's name.
    pub object: String,
    /// What is in it.
    pub parts: Vec<OutboxPart>,
}

/// What one slot wrote for one target.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutboxPart {
    /// The slot.
    pub slot: u32,
    /// The target: `results`, `late` or `deadLetters`.
    pub target: String,
    /// Rows.
    pub rows: u64,
    /// Encoded bytes.
    pub bytes: u64,
}

/// Counts since the lineage began.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counters {
    /// Records read, bad ones included.
    pub rows_in: u64,
    /// Results given to the sink.
    pub rows_out: u64,
    /// Rows whose windows had closed.
    pub late: u64,
    /// Records that could not be used.
    pub bad: u64,
}

/// What a slot reports of a barrier: its part of a checkpoint.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlotReport {
    /// Its number.
    pub slot: u32,
    /// The partitions that it reads, by id.
    pub partitions: BTreeMap<u32, PartitionState>,
    /// Its windows.
    pub operator: OperatorState,
    /// Every window it holds: end, and its share.
    pub shares: Vec<(i64, Share)>,
    /// The blocks that it wrote: end of the window, and block.
    pub blocks: Vec<(i64, Block)>,
    /// What it counted since the lineage began: slot 0 goes on from the counts of the checkpoint it started from, the
    /// others from zero, so that the sum over all slots is the job's.
    pub counters: Counters,
}

/// What a worker reports of a barrier, once all of it is in the store.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkerReport {
    /// Its slots.
    pub slots: Vec<SlotReport>,
    /// What it wants published, in this order. More than one object after an abandoned epoch.
    pub outbox: Vec<OutboxObject>,
    /// The objects that it wrote.
    pub objects: Vec<Object>,
}
