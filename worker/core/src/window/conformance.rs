//! Tumbling windows as a real Flink computed them.
//!
//! Owns: running the tumbling cases of `tests/data/conformance` through the operator, at several batch sizes.
//! Never: knows what is right by itself.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use serde_json::Value;

use super::*;
use crate::aggregate::{Function, Overflow};
use crate::key::KeyEncoder;
use crate::key_group::KEY_GROUPS;
use crate::watermark::PartitionWatermark;

const DATA: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/conformance/flink-2.3.0.json"));

/// Key, value, time.
type Event = (String, i64, i64);
/// Key, and window start, window end, count, sum, min, max.
type Emission = (String, [i64; 6]);

struct Case {
    name: String,
    spec: WindowSpec,
    out_of_orderness_ms: i64,
    events: Vec<Event>,
    expected: Vec<Emission>,
    expected_late: Vec<Event>,
}

/// The cases whose windows do not overlap.
fn cases() -> Vec<Case> {
    let all: Value = serde_json::from_str(DATA).expect("the conformance data is JSON");
    let cases = all.as_array().or_else(|| all["cases"].as_array()).expect("a list of cases");
    cases.iter().filter_map(case).collect()
}

fn case(case: &Value) -> Option<Case> {
    let window = &case["window"];
    let size_ms = window["size_ms"].as_i64();
    let tumbling = match window["type"].as_str()? {
        "tumbling" => true,
        "sliding" => window["slide_ms"].as_i64() == size_ms,
        _ => false,
    };
    let list = |name: &str| case[name].as_array().expect("a list").iter();
    tumbling.then(|| Case {
        name: text(&case["case"]),
        spec: spec(Tumbling::new(number(&window["size_ms"]), number(&window["offset_ms"])), case),
        out_of_orderness_ms: number(&case["out_of_orderness_ms"]),
        events: list("events").map(|event| (text(&event[0]), number(&event[1]), number(&event[2]))).collect(),
        expected: list("expected").map(emission).collect(),
        expected_late: list("expected_late")
            .map(|row| (text(&row["key"]), number(&row["value"]), number(&row["ts"])))
            .collect(),
    })
}

fn emission(row: &Value) -> Emission {
    let columns = ["window_start", "window_end", "count", "sum", "min", "max"];
    (text(&row["key"]), columns.map(|column| number(&row[column])))
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn number(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}

fn spec(tumbling: Tumbling, case: &Value) -> WindowSpec {
    let of = |function, name: &str| AggregateSpec {
        name: name.into(),
        function,
        input: (function != Function::Count).then_some((0, DataType::Int64)),
        overflow: Overflow::Fail,
    };
    WindowSpec {
        tumbling,
        allowed_lateness_ms: number(&case["allowed_lateness_ms"]),
        aggregates: vec![
            of(Function::Count, "count"),
            of(Function::Sum, "sum"),
            of(Function::Min, "min"),
            of(Function::Max, "max"),
        ],
        key_types: vec![DataType::Utf8],
    }
}

fn keyed(events: &[Event]) -> KeyedRows {
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values(events.iter().map(|event| &event.0)));
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(events.iter().map(|event| event.1)));
    let schema = Schema::new(vec![Field::new("value", DataType::Int64, true)]);
    KeyedRows {
        partition: 0,
        keys: KeyEncoder::new(&[DataType::Utf8]).expect("text can be a key").encode(&[keys]),
        event_time: events.iter().map(|event| event.2).collect(),
        positions: None,
        rows: RecordBatch::try_new(Arc::new(schema), vec![values]).expect("one column"),
    }
}

/// Emissions and late rows of a case in batches of this size.
fn run(case: &Case, batch_rows: usize) -> (Vec<Emission>, Vec<Event>) {
    let mut operator = WindowOperator::new(&case.spec, 0..KEY_GROUPS).expect("the case is sound");
    let cuts = CutFinder::new(case.spec.tumbling, case.spec.allowed_lateness_ms);
    let mut watermark = PartitionWatermark::new(case.out_of_orderness_ms);
    let (mut results, mut late) = (Vec::new(), Vec::new());
    for batch in case.events.chunks(batch_rows) {
        let times: Vec<i64> = batch.iter().map(|event| event.2).collect();
        let mut start = 0;
        cuts.find(&mut watermark, &times, |end, after| {
            let mut indices = Vec::new();
            operator.on_rows(&keyed(&batch[start..end]), &mut indices).expect("nothing overflows");
            late.extend(indices.into_iter().map(|row| batch[start + row as usize].clone()));
            operator.on_watermark(after);
            start = end;
        });
        poll(&mut operator, &mut results);
    }
    operator.on_watermark(i64::MAX);
    poll(&mut operator, &mut results);
    (results, late)
}

fn poll(operator: &mut WindowOperator, results: &mut Vec<Emission>) {
    while let Some(batch) = operator.poll_results(100).expect("nothing overflows") {
        let keys = batch.column(0).as_string::<i32>();
        let column = |at: usize| batch.column(at).as_primitive::<Int64Type>();
        let row =
            |row: usize| (keys.value(row).to_owned(), std::array::from_fn(|at| column(at + 1).value(row)));
        results.extend((0..batch.num_rows()).map(row));
    }
}

/// By key; a stable sort, so that the order within a key stays.
fn by_key(mut emissions: Vec<Emission>) -> Vec<Emission> {
    emissions.sort_by(|a, b| a.0.cmp(&b.0));
    emissions
}

#[test]
fn tumbling_windows_give_what_flink_gives_at_any_batch_size() {
    let cases = cases();
    assert!(cases.len() >= 10, "only {} tumbling cases", cases.len());
    for case in cases {
        let expected = by_key(case.expected.clone());
        for batch_rows in [1, 7, 8192] {
            let (results, late) = run(&case, batch_rows);

            assert_eq!(by_key(results), expected, "{} in batches of {batch_rows}", case.name);
            assert_eq!(late, case.expected_late, "{} in batches of {batch_rows}", case.name);
        }
    }
}
