//! The durable form of states, there and back.
//!
//! Owns: that a restored state is the frozen one, column by column, for every function.
//! Never: crashes half-way.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;

use super::*;
use crate::aggregate::{Function, Overflow};
use crate::key::KeyEncoder;
use crate::key_group::{KEY_GROUPS, key_group};

const FULL: Range<u32> = 0..KEY_GROUPS;

/// A number that all columns are made of, or null; two key columns.
type Wide = (Option<i8>, Option<u8>, Option<i8>);

fn columns() -> [DataType; 5] {
    [DataType::Int64, DataType::Utf8, DataType::Float64, DataType::Decimal128(9, 2), DataType::Boolean]
}

/// Every function of every type that it takes.
fn wide_spec() -> WindowSpec {
    let functions = [
        Function::Count,
        Function::Sum,
        Function::Min,
        Function::Max,
        Function::Avg,
        Function::First,
        Function::Last,
        Function::CountDistinct,
    ];
    let mut aggregates = Vec::new();
    for function in functions {
        for (column, data_type) in columns().into_iter().enumerate() {
            let name = format!("{function:?}_{column}");
            let input = Some((column, data_type));
            let spec = AggregateSpec { name, function, input, overflow: Overflow::Fail };
            if spec.output_type().is_ok() {
                aggregates.push(spec);
            }
        }
    }
    assert!(aggregates.len() > 30);
    WindowSpec {
        tumbling: Tumbling::new(10, 0),
        allowed_lateness_ms: 0,
        aggregates,
        key_types: vec![DataType::Utf8, DataType::Float64],
    }
}

fn wide(rows: &[Wide], partition: u32) -> KeyedRows {
    let texts: StringArray = rows.iter().map(|row| row.1.map(|text| format!("k{text}"))).collect();
    let numbers: Float64Array = rows.iter().map(|row| row.2.map(|number| f64::from(number) / 2.0)).collect();
    let values = || rows.iter().map(|row| row.0);
    let decimals: Decimal128Array = values().map(|value| value.map(i128::from)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(values().map(|value| value.map(i64::from)).collect::<Int64Array>()),
        Arc::new(
            values()
                .map(|value| value.map(|value| "x".repeat(value.unsigned_abs().into())))
                .collect::<StringArray>(),
        ),
        Arc::new(values().map(|value| value.map(f64::from)).collect::<Float64Array>()),
        Arc::new(decimals.with_precision_and_scale(9, 2).expect("small numbers")),
        Arc::new(values().map(|value| value.map(|value| value > 0)).collect::<BooleanArray>()),
    ];
    let fields = columns
        .iter()
        .enumerate()
        .map(|(at, column)| Field::new(format!("c{at}"), column.data_type().clone(), true));
    let encoder = KeyEncoder::new(&wide_spec().key_types).expect("these can be keys");
    KeyedRows {
        partition,
        keys: encoder.encode(&[Arc::new(texts), Arc::new(numbers)]),
        event_time: (0..rows.len() as i64).map(|row| row * 7 % 10).collect(),
        positions: Some((0..rows.len() as u64).collect()),
        rows: RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)
            .expect("equal"),
    }
}

fn wide_operator(key_groups: Range<u32>) -> WindowOperator {
    WindowOperator::new(&wide_spec(), key_groups).expect("the spec is sound")
}

fn written(frozen: Frozen, keys_max: usize) -> Vec<StateChunk> {
    let codec = StateCodec::new(&wide_spec()).expect("the spec is sound");
    let mut chunks = Vec::new();
    for slice in frozen.slices {
        let mut scan = slice.scan();
        while let Some(chunk) = scan.next_chunk(&codec, keys_max) {
            assert!(
                chunk.groups.len() <= keys_max
                    && chunk.keys.iter().all(|key| key.len() == chunk.groups.len())
            );
            let types = codec.state_fields().into_iter().map(|field| field.data_type().clone());
            assert!(types.eq(chunk.states.iter().map(|state| state.data_type().clone())));
            chunks.push(chunk);
        }
    }
    chunks
}

/// All columns of the chunks as they are.
fn joined(chunks: &[StateChunk]) -> Vec<ArrayRef> {
    let columns = |of: fn(&StateChunk) -> &Vec<ArrayRef>| {
        let count = chunks.first().map_or(0, |chunk| of(chunk).len());
        (0..count).map(move |at| {
            let parts: Vec<&dyn Array> = chunks.iter().map(|chunk| &*of(chunk)[at]).collect();
            concat(&parts).expect("chunks have the same types")
        })
    };
    columns(|chunk| &chunk.keys).chain(columns(|chunk| &chunk.states)).collect()
}

/// All columns of the chunks in the order of key group and key.
fn sorted(chunks: &[StateChunk]) -> Vec<ArrayRef> {
    let columns = joined(chunks);
    if columns.is_empty() {
        return columns;
    }
    let encoder = KeyEncoder::new(&wide_spec().key_types).expect("these can be keys");
    let keys = encoder.encode(&columns[..2]);
    let groups: Vec<u16> = keys.hashes.iter().map(|&hash| key_group(hash).0).collect();
    assert_eq!(groups, chunks.iter().flat_map(|chunk| chunk.groups.clone()).collect::<Vec<_>>());
    assert!(groups.is_sorted());
    let mut order: Vec<u32> = (0..keys.len() as u32).collect();
    order.sort_by_key(|&at| (groups[at as usize], keys.get(at as usize)));
    let order = UInt32Array::from(order);
    columns.iter().map(|column| take(column, &order, None).expect("within")).collect()
}

fn restored(blocks: &[Vec<StateChunk>], key_groups: Range<u32>, only: &Range<u32>) -> WindowOperator {
    let mut builder = LayerBuilder::new(&wide_spec(), key_groups.clone()).expect("the spec is sound");
    for chunk in blocks.iter().flatten() {
        builder.add(&chunk.keys, &chunk.states, only.clone());
    }
    let mut operator = wide_operator(key_groups);
    let emitted = vec![(FULL, Emitted::Nothing)];
    operator.restore(i64::MIN, vec![RestoredSlice { end: 10, input_rows: 7, emitted, awaiting: true }]);
    operator.add_restored(10, builder.finish(7));
    operator
}

fn fired(operator: &mut WindowOperator) -> Vec<RecordBatch> {
    operator.on_watermark(9);
    let results: Vec<RecordBatch> =
        std::iter::from_fn(|| operator.poll_results(1000).expect("no overflow")).collect();
    assert_eq!(operator.stats().open_windows, 0);
    results
}

fn wide_rows() -> impl Strategy<Value = Vec<Wide>> {
    let value = prop_oneof![1 => Just(None), 4 => any::<i8>().prop_map(Some)];
    let text = prop_oneof![1 => Just(None), 6 => (0..40_u8).prop_map(Some)];
    let number = prop_oneof![1 => Just(None), 2 => (-1..2_i8).prop_map(Some)];
    prop::collection::vec((value, text, number), 1..60)
}

proptest! {
    // PROPTEST_CASES is 256 where nobody sets it.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 100 / 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restored_state_is_the_frozen_one_and_fires_the_same(rows in wide_rows(), keys_max in 1..30_usize) {
        let mut operator = wide_operator(FULL);
        operator.on_rows(&wide(&rows, 3), &mut Vec::new()).expect("no overflow");
        let block = written(operator.freeze(&[]), keys_max);

        let mut again = restored(std::slice::from_ref(&block), FULL, &FULL);

        prop_assert_eq!(joined(&written(again.freeze(&[10]), keys_max)), joined(&block));
        prop_assert_eq!(fired(&mut again), fired(&mut operator));
    }

    #[test]
    fn all_blocks_of_a_chain_are_the_base_that_takes_their_place(
        blocks in prop::collection::vec(wide_rows(), 1..4),
        keys_max in 1..30_usize,
        fold in any::<bool>(),
    ) {
        let mut operator = wide_operator(FULL);
        let mut chain = Vec::new();
        for (partition, rows) in blocks.iter().enumerate() {
            operator.on_rows(&wide(rows, partition as u32), &mut Vec::new()).expect("no overflow");
            chain.push(written(operator.freeze(&[]), keys_max));
            operator.on_committed();
            // One step leaves a table half-way in another.
            while fold && operator.fold_some(1) {}
            operator.fold_some(1);
        }

        let base = operator.freeze(&[10]);
        prop_assert_eq!(base.slices[0].kind, FrozenKind::Base);
        prop_assert_eq!(base.slices[0].input_rows, blocks.iter().map(Vec::len).sum::<usize>() as u64);
        let base = written(base, keys_max);

        let mut again = restored(&chain, FULL, &FULL);
        prop_assert_eq!(sorted(&written(again.freeze(&[10]), 1000)), sorted(&base));
    }

    #[test]
    fn a_state_is_divided_among_slots_by_key_group(rows in wide_rows(), parallelism in 2..5_u32) {
        let mut operator = wide_operator(FULL);
        operator.on_rows(&wide(&rows, 0), &mut Vec::new()).expect("no overflow");
        let block = written(operator.freeze(&[]), 1000);

        let parts = (0..parallelism).flat_map(|slot| {
            let groups = range_of(slot, parallelism);
            // The filter is in either of two places.
            let only = if slot % 2 == 0 { FULL } else { groups.clone() };
            let key_groups = if slot % 2 == 0 { groups } else { FULL };
            written(restored(std::slice::from_ref(&block), key_groups, &only).freeze(&[10]), 1000)
        });
        prop_assert_eq!(sorted(&parts.collect::<Vec<_>>()), sorted(&block));
    }
}
