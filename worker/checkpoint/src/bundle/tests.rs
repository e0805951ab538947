//! Tests of state bundles: what is read is what was written, block by block.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, SchemaRef};
use object_store::memory::InMemory;

use super::{About, BundleReader, NewBlock, StateRows, StateWriter, state_batch, state_name, state_schema};
use crate::checkpoint::{Block, BlockKind, Object};
use crate::ids::{Epoch, Generation, Groups, Lineage};
use crate::store::StateStore;

const NAME: &str = "data/3-1/7-0-a.state.arrow";

fn memory() -> StateStore {
    StateStore::new(Arc::new(InMemory::new()), "job".into(), "memory".to_owned())
}

fn schema() -> SchemaRef {
    let generation = Generation { incarnation: 3, attempt: 1 };
    let about = About { lineage: Lineage(0xa11ce), job: "flights".to_owned(), generation, epoch: Epoch(7) };
    let keys = [Field::new("carrier", DataType::Utf8, true)];
    let states = [
        Field::new("total.sum", DataType::Decimal128(38, 0), true),
        Field::new("flights.count", DataType::Int64, true),
    ];
    state_schema(&keys, &states, &about)
}

/// Keys in an order like that of hashes, sums of some digits, small counts.
fn rows(keys: std::ops::Range<u64>, of: u64) -> StateRows {
    let group = |key: u64| ((key * 65_536) / of) as u16;
    let scattered = |key: u64| key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24;
    let names = keys.clone().map(|key| format!("key-{:09}", scattered(key) % 1_000_000_000));
    let sums = keys.clone().map(|key| (scattered(key) % 20_000) as i128);
    let sums = Decimal128Array::from_iter_values(sums).with_precision_and_scale(38, 0).expect("they fit");
    let counts = keys.clone().map(|key| (1 + scattered(key + 7) % 40) as i64);
    StateRows {
        groups: keys.map(group).collect::<Vec<_>>().into(),
        keys: vec![Arc::new(StringArray::from_iter_values(names)) as ArrayRef],
        states: vec![Arc::new(sums), Arc::new(Int64Array::from_iter_values(counts))],
    }
}

fn batch(end_ms: i64, rows: &StateRows) -> RecordBatch {
    let groups = rows.groups.values().to_vec();
    state_batch(&schema(), end_ms, groups, rows.keys.clone(), rows.states.clone()).expect("the columns fit")
}

fn new_block(input_rows: u64) -> NewBlock {
    NewBlock { kind: BlockKind::Delta, groups: Groups::ALL, input_rows }
}

async fn write(store: &StateStore, blocks: &[Vec<StateRows>]) -> (Vec<Block>, Object) {
    let mut writer = StateWriter::new(store.writer(NAME), schema()).expect("it can be begun");
    let mut written = Vec::new();
    for (rows, end_ms) in blocks.iter().zip(1..) {
        let batches = rows.iter().map(|rows| batch(end_ms, rows));
        let block = writer.write_block(new_block(5), batches).await.expect("it can be written");
        written.push(block.expect("it has rows"));
    }
    let object = writer.finish().await.expect("it can be finished");
    (written, object.expect("it has blocks"))
}

#[tokio::test]
async fn blocks_come_back_one_by_one_and_in_any_order() {
    let store = memory();
    let blocks: Vec<Vec<StateRows>> = (0..4_u64)
        .map(|block| (0..=block).map(|i| rows(i * 200..i * 200 + 1 + 50 * block, 10_000)).collect())
        .collect();

    let (written, object) = write(&store, &blocks).await;

    let reader = BundleReader::new(store.clone());
    for (block, rows) in written.iter().zip(&blocks).rev() {
        assert_eq!(&reader.read_block(block).await.expect("it is whole"), rows);
        assert_eq!(block.keys, rows.iter().map(|rows| rows.groups.len() as u64).sum::<u64>());
    }
    assert_eq!(store.size(&object.name).await.expect("that is an answer"), Some(object.bytes));
}

#[tokio::test]
async fn a_block_without_rows_is_none_and_a_bundle_without_blocks_no_object() {
    let store = memory();
    let mut writer = StateWriter::new(store.writer(NAME), schema()).expect("it can be begun");

    let block = writer.write_block(new_block(0), [].into_iter()).await.expect("nothing can be written");
    let object = writer.finish().await.expect("it can be finished");

    assert_eq!((block, object), (None, None));
    assert_eq!(store.list("data", None).await.expect("it can be listed"), []);
}

#[tokio::test]
async fn a_block_of_another_object_is_refused() {
    let (one, other) = (memory(), memory());
    let (blocks, _) = write(&one, &[vec![rows(0..100, 100)]]).await;
    write(&other, &[vec![rows(1..101, 200)]]).await;

    let error = BundleReader::new(other).read_block(&blocks[0]).await.expect_err("it is another's");

    assert!(error.to_string().starts_with(&format!("{NAME} is damaged: its bytes have hash")), "{error}");
}

#[tokio::test]
async fn counts_that_do_not_fit_are_refused() {
    let store = memory();
    let (blocks, _) = write(&store, &[vec![rows(0..100, 100)]]).await;
    for keys in [99, 101] {
        let block = Block { keys, ..blocks[0].clone() };

        let error = BundleReader::new(store.clone()).read_block(&block).await.expect_err("it has 100");

        assert!(error.to_string().starts_with(&format!("{NAME} is damaged: a block")), "{error}");
    }
}

#[test]
fn names_tell_generation_epoch_worker_and_writer() {
    let unique = uuid::Uuid::from_u128(0xa11ce);
    let name = state_name(Generation { incarnation: 3, attempt: 1 }, Epoch(7), 2, unique);

    assert_eq!(name, "data/3-1/7-2-000000000000000000000000000a11ce.state.arrow");
}

/// A million keys in a release build; enough in any other to show the bytes.
#[tokio::test]
async fn a_dirty_key_takes_few_bytes() {
    let keys: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    for per_batch in [8_192, 32_768, 65_536_u64] {
        let store = memory();
        let batches: Vec<RecordBatch> = (0..keys.div_ceil(per_batch))
            .map(|i| batch(1_700_000_000_000, &rows(i * per_batch..keys.min((i + 1) * per_batch), keys)))
            .collect();
        let mut writer = StateWriter::new(store.writer(NAME), schema()).expect("it can be begun");

        let before = Instant::now();
        let block =
            writer.write_block(new_block(keys), batches.into_iter()).await.expect("it can be written");
        let took = before.elapsed();
        let object = writer.finish().await.expect("it can be finished").expect("it has a block");
        let before = Instant::now();
        BundleReader::new(store).read_block(&block.expect("it has rows")).await.expect("it is whole");
        let read = before.elapsed();

        let per_key = object.bytes as f64 / keys as f64;
        println!(
            "{keys} keys in batches of {per_batch}: {per_key:.1} bytes a key, encoded in {took:?}, read in {read:?}"
        );
        assert!(per_key < 40.0, "{per_key} bytes a key");
    }
}
