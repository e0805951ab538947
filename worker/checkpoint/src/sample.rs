//! A small checkpoint with everything that a checkpoint can have, for tests.
//!
//! Owns: its objects, its record, its bytes: golden files are made of it.
//! Never: has anything random in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field};
use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use uuid::Uuid;

use crate::bundle::{
    About, NewBlock, StateRows, StateWriter, outbox_name, state_batch, state_name, state_schema,
};
use crate::checkpoint::{
    Block, BlockKind, Checkpoint, Counters, Emitted, FileIdentity, Object, OperatorState, OutboxObject,
    PartitionState, PartitionStatus, Share, SliceState, SourcePosition,
};
use crate::ids::{Epoch, Generation, Groups, Hash, Lineage, Seq, WriterId};
use crate::outbox::{OutboxChunk, OutboxRecord, OutboxWriter, Output, Records};
use crate::record::{Body, Operation, Owner, Record, Restore};
use crate::store::StateStore;

pub(crate) const GENERATION: Generation = Generation { incarnation: 3, attempt: 1 };
const LINEAGE: Lineage = Lineage(0x0a11_ce00_0b0b_0000_0000_0000_0000_0001);

/// A store with the sample's objects in it.
pub(crate) struct Sample {
    pub(crate) memory: Arc<dyn ObjectStore>,
    pub(crate) store: StateStore,
    pub(crate) checkpoint: Checkpoint,
}

impl Sample {
    pub(crate) async fn new() -> Self {
        let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let store = StateStore::new(memory.clone(), Path::default(), "memory".to_owned());
        let (blocks, states) = write_states(&store).await;
        let (outbox, output) = write_outbox(&store).await;
        let checkpoint = checkpoint(blocks, outbox, vec![states, output]);
        checkpoint.validate().expect("it is consistent");
        Self { memory, store, checkpoint }
    }

    /// The bytes of an object.
    pub(crate) async fn bytes(&self, name: &str) -> Vec<u8> {
        self.store.get(name).await.expect("it is there").to_vec()
    }

    /// Puts other bytes in place of an object.
    pub(crate) async fn replace(&self, name: &str, bytes: Vec<u8>) {
        self.memory.put(&Path::from(name), bytes.into()).await.expect("memory takes them");
    }
}

pub(crate) fn about() -> About {
    About { lineage: LINEAGE, job: "flights".to_owned(), generation: GENERATION, epoch: Epoch(7) }
}

/// Two keys of the lower key groups, three of the upper; nulls among them.
pub(crate) fn rows(slot: u32) -> StateRows {
    let (groups, keys, sums, counts) = match slot {
        0 => (vec![17_u16, 30_000], vec![Some("AA"), None], vec![Some(12), Some(-1)], vec![3, 1]),
        _ => (
            vec![32_768, 40_000, 65_535],
            vec![Some("DL"), Some(""), Some("Ünïcøde")],
            vec![None, Some(i128::from(i64::MAX)), Some(0)],
            vec![1, 2, 9],
        ),
    };
    let sums = Decimal128Array::from(sums).with_precision_and_scale(38, 0).expect("they fit");
    StateRows {
        groups: groups.into(),
        keys: vec![Arc::new(StringArray::from(keys)) as ArrayRef],
        states: vec![Arc::new(sums), Arc::new(Int64Array::from(counts))],
    }
}

pub(crate) fn chunks() -> Vec<OutboxChunk<'static>> {
    let text = |slot, target, rows, value: &'static str| {
        let record = OutboxRecord { value: value.as_bytes(), ..OutboxRecord::default() };
        OutboxChunk { slot, target, rows, record }
    };
    let record = |record| OutboxChunk { slot: 1, target: "deadLetters", rows: 1, record };
    vec![
        text(0, "results", 2, "{\"carrier\":\"AA\",\"flights\":3}\n{\"carrier\":null,\"flights\":1}\n"),
        text(1, "late", 1, "{\"carrier\":\"DL\"}\n"),
        text(1, "results", 1, "{\"carrier\":\"\",\"flights\":2}\n"),
        record(OutboxRecord { key: Some(b"UA"), headers: HEADERS, topic: Some("bad"), value: b"{}" }),
        record(OutboxRecord { value: b"[]", ..OutboxRecord::default() }),
    ]
}

/// `trace` with the value `t1`, and `empty` without one.
const HEADERS: &[u8] = b"\x05\0\0\0trace\x02\0\0\0t1\x05\0\0\0empty\xff\xff\xff\xff";

async fn write_states(store: &StateStore) -> (Vec<Block>, Object) {
    let keys = [Field::new("carrier", DataType::Utf8, true)];
    let states = [
        Field::new("total.sum", DataType::Decimal128(38, 0), true),
        Field::new("flights.count", DataType::Int64, true),
    ];
    let schema = state_schema(&keys, &states, &about());
    let name = state_name(GENERATION, Epoch(7), 0, Uuid::from_u128(1));
    let mut writer = StateWriter::new(store.writer(&name), schema.clone()).expect("it can be begun");
    let mut blocks = Vec::new();
    for (slot, kind) in [(0, BlockKind::Base), (1, BlockKind::Delta)] {
        let rows = rows(slot);
        let groups = rows.groups.values().to_vec();
        let batch = state_batch(&schema, 1_704_067_200_000, groups, rows.keys, rows.states);
        let new = NewBlock { kind, groups: Groups::of_slot(slot, 2), input_rows: 4 + u64::from(slot) };
        let block = writer.write_block(new, [batch.expect("the columns fit")].into_iter()).await;
        blocks.extend(block.expect("it can be written"));
    }
    (blocks, writer.finish().await.expect("it can be finished").expect("it has blocks"))
}

async fn write_outbox(store: &StateStore) -> (OutboxObject, Object) {
    let name = outbox_name(GENERATION, Epoch(7), 0, Uuid::from_u128(2));
    let mut writer = OutboxWriter::new(name, &about()).expect("it can be begun");
    let chunks = chunks();
    let (texts, records) = chunks.split_at(3);
    for OutboxChunk { slot, target, rows, record } in texts {
        let output = Output::Text { rows: *rows, bytes: Bytes::from_static(record.value) };
        writer.write(*slot, target, output).expect("it can be written");
    }
    let records = Records {
        keys: records.iter().map(|chunk| chunk.record.key).collect(),
        topics: Some(records.iter().map(|chunk| chunk.record.topic).collect()),
        headers: Some(records.iter().map(|chunk| Some(chunk.record.headers)).collect()),
        values: records.iter().map(|chunk| Some(chunk.record.value)).collect(),
    };
    writer.write(1, "deadLetters", Output::Records(records)).expect("it can be written");
    let sealed = writer.seal().expect("it can be ended").expect("it has rows");
    let (object, outbox) = sealed.store(store).await.expect("it can be stored");
    (outbox, object)
}

fn checkpoint(blocks: Vec<Block>, outbox: OutboxObject, objects: Vec<Object>) -> Checkpoint {
    let share =
        |slot: u32, input_rows, emitted| Share { groups: Groups::of_slot(slot, 2), input_rows, emitted };
    let up_to = Emitted::UpTo { group: 30_000, key: "0102ff".to_owned() };
    let operator =
        |slot, watermark_ms, behind| OperatorState { groups: Groups::of_slot(slot, 2), watermark_ms, behind };
    let file = FileIdentity { path: "/data/flights.csv.gz".to_owned(), bytes: 1_234, ends: Hash(0xf11e) };
    Checkpoint {
        epoch: Epoch(7),
        parallelism: 2,
        fingerprint: BTreeMap::from([("spec.pipeline.keyBy".to_owned(), "[carrier]".to_owned())]),
        spec_hash: Hash(0x5bec),
        partitions: vec![
            PartitionState {
                name: "flights.csv.gz".to_owned(),
                files: vec![file],
                topic: None,
                position: SourcePosition::File { file: 0, byte: 4_096, line: 12, record: 10 },
                max_timestamp_ms: Some(1_704_067_199_999),
                status: PartitionStatus::Active,
            },
            PartitionState {
                name: "generator-0".to_owned(),
                files: Vec::new(),
                topic: None,
                position: SourcePosition::Row { row: 9, started_ms: 1_704_000_000_000 },
                max_timestamp_ms: None,
                status: PartitionStatus::Idle,
            },
        ],
        operators: vec![operator(0, Some(1_704_067_100_000), vec![1]), operator(1, None, Vec::new())],
        slices: vec![SliceState {
            end_ms: 1_704_067_200_000,
            shares: vec![share(0, 4, up_to), share(1, 5, Emitted::Nothing)],
            blocks,
        }],
        outbox: vec![outbox],
        objects,
        counters: Counters { rows_in: 12, rows_out: 3, late: 1, bad: 2 },
    }
}

/// A record with everything that a record can carry.
pub(crate) fn record(seq: u64, body: Body) -> Record {
    Record {
        seq: Seq(seq),
        previous: (seq > 1).then_some(Hash(0xbef0)),
        generation: GENERATION,
        writer: WriterId(0x0123_4567_89ab_cdef),
        at_ms: 1_704_067_201_000,
        lineage: LINEAGE,
        formerly: Vec::new(),
        owner: Owner {
            cluster: "local".to_owned(),
            namespace: "/jobs".to_owned(),
            name: "flights".to_owned(),
        },
        sink: BTreeMap::from([("results".to_owned(), "/jobs/out".to_owned())]),
        last_epoch: (seq > 1).then_some(Epoch(7)),
        begins_at: Seq(seq),
        unpublished: (seq > 1).then_some(Seq(seq)),
        progress_from: None,
        restore: (seq > 1).then(|| Restore { id: "r-1".to_owned(), from: "epoch 6".to_owned() }),
        operation: (seq > 1)
            .then(|| Operation { id: "o-1".to_owned(), result: "/jobs/savepoints/one".to_owned() }),
        body,
    }
}
