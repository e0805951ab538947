//! Single cases of windows: cuts, overflow, assertions, memory.
//!
//! Owns: what the properties do not reach.
//! Never: uses random input.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};

use super::*;
use crate::aggregate::{Function, Overflow};
use crate::key::KeyEncoder;
use crate::key_group::KEY_GROUPS;
use crate::preaggregate::PreAggregator;
use crate::watermark::PartitionWatermark;

fn spec(size_ms: i64, lateness_ms: i64, overflow: Overflow) -> WindowSpec {
    let sum = AggregateSpec {
        name: "total".into(),
        function: Function::Sum,
        input: Some((0, DataType::Int64)),
        overflow,
    };
    WindowSpec {
        tumbling: Tumbling::new(size_ms, 0),
        allowed_lateness_ms: lateness_ms,
        aggregates: vec![sum],
        key_types: vec![DataType::Utf8],
    }
}

fn operator(spec: &WindowSpec) -> WindowOperator {
    WindowOperator::new(spec, 0..KEY_GROUPS).expect("the spec is sound")
}

fn keyed(rows: &[(&str, i64, i64)]) -> KeyedRows {
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)));
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
    let schema = Schema::new(vec![Field::new("value", DataType::Int64, true)]);
    KeyedRows {
        partition: 0,
        keys: KeyEncoder::new(&[DataType::Utf8]).expect("text can be a key").encode(&[keys]),
        event_time: rows.iter().map(|row| row.2).collect(),
        positions: None,
        rows: RecordBatch::try_new(Arc::new(schema), vec![values]).expect("one column"),
    }
}

fn cuts(finder: CutFinder, bound_ms: i64, times: &[i64]) -> Vec<(usize, i64)> {
    let mut watermark = PartitionWatermark::new(bound_ms);
    let mut found = Vec::new();
    finder.find(&mut watermark, times, |end, after| found.push((end, after)));
    found
}

#[test]
fn a_batch_is_cut_after_the_row_that_passes_an_end_or_its_lateness() {
    let windows = Tumbling::new(10, 0);

    assert_eq!(
        cuts(CutFinder::new(windows, 0), 0, &[5, 8, 11, 12, 3, 20, 31]),
        [(1, 4), (3, 10), (6, 19), (7, 30)]
    );
    assert_eq!(cuts(CutFinder::new(windows, 3), 0, &[5, 13, 14]), [(1, 4), (2, 12), (3, 13)]);
}

#[test]
fn rejected_rows_and_empty_batches_do_not_move_time() {
    let finder = CutFinder::new(Tumbling::new(10, 0), 0);

    assert_eq!(cuts(finder, 0, &[]), [(0, i64::MIN)]);
    assert_eq!(cuts(finder, 0, &[i64::MIN, i64::MIN]), [(2, i64::MIN)]);
    assert_eq!(cuts(finder, 2, &[i64::MIN, -7, i64::MIN]), [(2, -10), (3, -10)]);
}

#[test]
fn windows_at_the_ends_of_time_saturate() {
    let windows = Tumbling::new(1000, -999);

    assert_eq!((windows.start(0), windows.end(0)), (-999, 1));
    assert_eq!(windows.end(i64::MAX), i64::MAX);
    assert!(windows.start(i64::MIN + 1) <= i64::MIN + 1);
}

#[test]
fn a_sum_that_does_not_fit_names_the_aggregate_and_the_window() {
    let mut failing = operator(&spec(10, 0, Overflow::Fail));
    failing.on_rows(&keyed(&[("a", i64::MAX, 3), ("a", 1, 4)]), &mut Vec::new()).expect("not yet");
    failing.on_watermark(9);

    let error = failing.poll_results(10).expect_err("the sum does not fit");

    let text = error.to_string();
    assert!(text.contains("`total`") && text.contains("from 0 to 10 ms"), "{text}");

    let mut lenient = operator(&spec(10, 0, Overflow::Null));
    lenient.on_rows(&keyed(&[("a", i64::MAX, 3), ("a", 1, 4)]), &mut Vec::new()).expect("not yet");
    lenient.on_watermark(9);
    let batch = lenient.poll_results(10).expect("null instead").expect("one row");
    assert_eq!(batch.column(3).null_count(), 1);
}

#[test]
#[should_panic(expected = "which has fired")]
fn a_partial_state_for_a_fired_window_is_a_bug() {
    let spec = spec(10, 100, Overflow::Fail);
    let mut before = PreAggregator::new(&spec, 1, 1 << 20).expect("the spec is sound");
    before.on_rows(&keyed(&[("a", 1, 3)]));
    let mut operator = operator(&spec);
    operator.on_watermark(9);

    for (_, partials) in before.drain_all() {
        operator.on_partials(&partials).expect("no overflow");
    }
}

#[test]
#[should_panic(expected = "watermarks only grow")]
fn a_watermark_never_goes_back() {
    let mut operator = operator(&spec(10, 0, Overflow::Fail));

    operator.on_watermark(5);
    operator.on_watermark(4);
}

#[test]
fn a_late_row_of_a_live_window_updates_it_even_if_the_window_had_no_row() {
    let mut operator = operator(&spec(10, 20, Overflow::Fail));
    operator.on_watermark(15);

    let mut late = Vec::new();
    operator.on_rows(&keyed(&[("a", 1, 3), ("a", 2, 4), ("b", 5, -30)]), &mut late).expect("no overflow");

    let batch = operator.poll_results(10).expect("no overflow").expect("two updates");
    let sums: Vec<i64> = batch.column(3).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!((sums, late), (vec![1, 3], vec![2]));
    operator.on_watermark(29);
    assert_eq!(operator.stats().open_windows, 0);
}

#[test]
fn memory_of_a_closed_window_serves_the_next() {
    let rows: Vec<String> = (0..20_000).map(|key| format!("key-{key:010}")).collect();
    let mut operator = operator(&spec(10, 0, Overflow::Fail));
    let mut sizes = Vec::new();
    for window in 0..4 {
        let batch: Vec<_> = rows.iter().map(|key| (key.as_str(), 1, window * 10)).collect();
        for rows in batch.chunks(1000) {
            operator.on_rows(&keyed(rows), &mut Vec::new()).expect("no overflow");
        }
        operator.on_watermark(window * 10 + 9);
        while operator.poll_results(1000).expect("no overflow").is_some() {}
        sizes.push(operator.stats().state_bytes);
    }

    assert_eq!((operator.stats().keys, operator.stats().fired_windows), (0, 4));
    assert!(sizes[3] <= sizes[1] && sizes[1] < 20_000 * 100, "{sizes:?}");
}

#[test]
fn preaggregation_stops_while_keys_do_not_repeat_and_looks_again() {
    let mut before = PreAggregator::new(&spec(10, 0, Overflow::Fail), 2, 1 << 20).expect("sound");
    let texts: Vec<String> = (0..1000).map(|key| format!("{key}")).collect();
    let different: Vec<_> = texts.iter().map(|key| (key.as_str(), 1, 0)).collect();
    let same: Vec<_> = texts.iter().map(|_| ("a", 1, 0)).collect();
    let (different, same) = (keyed(&different), keyed(&same));

    assert!((0..100).all(|_| before.on_rows(&same)));
    let taken = (0..2000).filter(|_| before.on_rows(&different) && !before.drain_all().is_empty()).count();

    assert!((1..200).contains(&taken), "{taken} batches of different keys were taken");
    assert!((0..2000).any(|_| before.on_rows(&same)));
}

#[test]
fn preaggregation_goes_on_for_keys_that_repeat_later_than_its_first_sample() {
    let mut before = PreAggregator::new(&spec(10, 0, Overflow::Fail), 2, 16 << 20).expect("sound");
    let texts: Vec<String> = (0..100_000).map(|key| format!("{}", key * 7_919 % 50_021)).collect();
    let all: Vec<_> = texts.iter().map(|key| (key.as_str(), 1, 0)).collect();
    let batches: Vec<_> = all.chunks(1_000).map(keyed).collect();

    let taken = (0..5).flat_map(|_| &batches).filter(|batch| before.on_rows(batch)).count();

    assert!(!before.is_full());
    assert_eq!(taken, 500);
    assert!(!before.drain_all().is_empty());
    assert!(before.on_rows(&batches[0]), "ten rows a key were worth it");
}

#[test]
fn rows_without_columns_can_be_counted() {
    let mut spec = spec(10, 0, Overflow::Fail);
    spec.aggregates[0] =
        AggregateSpec { function: Function::Count, input: None, ..spec.aggregates[0].clone() };
    let mut rows = keyed(&[("a", 0, 1), ("a", 0, 11), ("b", 0, 2)]);
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    rows.rows =
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).expect("empty");
    let mut operator = operator(&spec);

    operator.on_rows(&rows.select(&[1, 0]), &mut Vec::new()).expect("no overflow");
    operator.on_rows(&rows.slice(2, 1), &mut Vec::new()).expect("no overflow");
    operator.on_watermark(i64::MAX);

    let results = std::iter::from_fn(|| operator.poll_results(10).expect("no overflow"));
    assert_eq!(results.map(|batch| batch.num_rows()).sum::<usize>(), 3);
    assert!(rows.bytes() < 200);
}
