//! Every aggregate over every type, fed in parts and merged in any order.
//!
//! Owns: the random ways that rows take.
//! Never: knows what an aggregate should give; the model does.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use proptest::prelude::*;

use super::model::{Row, column, results};
use super::{Rows, column_types, specs};
use crate::aggregate::{Aggregates, Inputs};
use crate::table::Selection;

const KEYS: usize = 5;
const TABLES: usize = 3;

/// Consecutive rows of one partition, which go to one table.
#[derive(Clone, Debug)]
struct Part {
    table: usize,
    partition: u32,
    rows: Vec<(usize, i64, Option<u8>)>,
    /// Only these, in this order, are selected first; the others follow.
    picked: Option<Vec<prop::sample::Index>>,
}

#[derive(Clone, Copy, Debug)]
enum Merge {
    Rows,
    States { at_once: usize },
}

fn part(nulls: u32) -> impl Strategy<Value = Part> {
    let seed =
        prop_oneof![nulls => Just(None), 2 => (0..8_u8).prop_map(Some), 4 => any::<u8>().prop_map(Some)];
    let rows = prop::collection::vec((0..KEYS, -3..3_i64, seed), 0..30);
    let picked = prop::option::of(prop::collection::vec(any::<prop::sample::Index>(), 0..20));
    (0..TABLES, 0..2_u32, rows, picked).prop_map(|(table, partition, rows, picked)| Part {
        table,
        partition,
        rows,
        picked,
    })
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    prop_oneof![prop::collection::vec(part(2), 0..8), prop::collection::vec(part(0), 0..8)]
}

fn merge() -> impl Strategy<Value = Merge> {
    prop_oneof![Just(Merge::Rows), (1..=KEYS).prop_map(|at_once| Merge::States { at_once })]
}

/// Feeds a part as a slice of the whole column; every row once, the picked ones first.
fn feed(tables: &mut [Rows], part: &Part, column: &ArrayRef, rows: &[Row], start: usize) {
    let event_time: Vec<i64> = rows.iter().map(|row| row.event_time).collect();
    let positions: Vec<u64> = rows.iter().map(|row| row.position).collect();
    let columns = [column.clone(), column.clone()];
    let inputs = Inputs {
        columns: &columns,
        event_time: &event_time,
        partition: part.partition,
        positions: Some(&positions),
    };
    let keys = |order: &[u32]| order.iter().map(|row| rows[*row as usize].key).collect::<Vec<_>>();
    let all = start..start + part.rows.len();
    let Some(picked) = part.picked.as_ref().filter(|_| !part.rows.is_empty()) else {
        let order: Vec<u32> = all.clone().map(|row| row as u32).collect();
        return tables[part.table].update(&keys(&order), &inputs, Selection::Range(all));
    };
    let mut order: Vec<u32> = Vec::new();
    let picked = picked.iter().map(|index| start + index.index(part.rows.len()));
    for row in picked.chain(all).map(|row| row as u32) {
        if !order.contains(&row) {
            order.push(row);
        }
    }
    let (first, second) = order.split_at(order.len() / 2);
    tables[part.table].update(&keys(first), &inputs, Selection::Indices(first));
    tables[part.table].update(&keys(second), &inputs, Selection::Indices(second));
}

fn merged(mut tables: Vec<Rows>, merges: &[Merge]) -> Rows {
    let mut merges = merges.iter().cycle();
    let mut into = tables.pop().expect("a table at least");
    while let Some(mut from) = tables.pop() {
        match merges.next().expect("merges repeat") {
            Merge::Rows => into.merge(&mut from),
            Merge::States { at_once } => {
                let states = from.states();
                let keys = from.keys();
                for (i, keys) in keys.chunks(*at_once).enumerate() {
                    into.merge_states(keys, &states, i * at_once);
                }
            }
        }
    }
    into
}

/// All aggregates over a column of this type give what the model gives.
fn check(data_type: &DataType, parts: &[Part], merges: &[Merge]) -> Result<(), TestCaseError> {
    let mut rows = Vec::new();
    let mut seeds = Vec::new();
    for part in parts {
        for (key, event_time, seed) in &part.rows {
            let position = rows.len() as u64;
            rows.push(Row { key: *key, event_time: *event_time, partition: part.partition, position });
            seeds.push(*seed);
        }
    }
    let column = column(data_type, &seeds);
    let specs = specs(1, data_type);
    let aggregates = Aggregates::new(&specs).expect("defined for the type");
    let mut tables: Vec<Rows> = (0..TABLES).map(|_| Rows::new(&aggregates, KEYS)).collect();
    let mut start = 0;
    for part in parts {
        feed(&mut tables, part, &column, &rows, start);
        start += part.rows.len();
    }

    let mut merged = merged(tables, merges);

    let found = merged.output().expect("overflow gives null here");
    prop_assert_eq!(found.len(), specs.len());
    for (spec, found) in specs.iter().zip(&found) {
        let expected = results(spec, &column, &rows, KEYS);
        prop_assert_eq!(found, &expected, "{} of {}", spec.function, data_type);
    }
    for (field, state) in aggregates.state_fields().iter().zip(merged.states()) {
        prop_assert_eq!(field.data_type(), state.data_type());
    }
    Ok(())
}

proptest! {
    // PROPTEST_CASES is 256 where nobody sets it.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 150 / 256, ..ProptestConfig::default() })]

    #[test]
    fn results_are_those_of_the_model_however_rows_are_split_and_merged(
        parts in parts(),
        merges in prop::collection::vec(merge(), 1..4),
    ) {
        for data_type in column_types() {
            check(&data_type, &parts, &merges)?;
        }
    }

    #[test]
    fn sums_and_means_of_any_floats_are_right_to_nine_digits(
        values in prop::collection::vec(prop::option::weighted(0.9, -1e12..1e12_f64), 1..300),
        split in any::<prop::sample::Index>(),
    ) {
        let column = arrow::array::Float64Array::from(values.clone());
        let expected = arrow::compute::sum(&column);
        let magnitude: f64 = values.iter().flatten().map(|value| value.abs()).sum();
        let specs = specs(0, &DataType::Float64);
        let aggregates = Aggregates::new(&specs[1..2]).expect("sum of floats");
        let mut tables = vec![Rows::new(&aggregates, 1), Rows::new(&aggregates, 1)];
        let split = split.index(values.len());
        let columns: [ArrayRef; 1] = [std::sync::Arc::new(column)];
        let event_time = vec![0; values.len()];
        let inputs = Inputs { columns: &columns, event_time: &event_time, partition: 0, positions: None };

        tables[0].update(&vec![0; split], &inputs, Selection::Range(0..split));
        let rest = values.len() - split;
        tables[1].update(&vec![0; rest], &inputs, Selection::Range(split..values.len()));

        let output = merged(tables, &[Merge::Rows]).output().expect("floats do not overflow").remove(0);
        let found = output.is_valid(0).then(|| {
            arrow::array::AsArray::as_primitive::<arrow::datatypes::Float64Type>(&output).value(0)
        });
        prop_assert_eq!(found.is_some(), expected.is_some());
        prop_assert!((found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() <= 1e-9 * magnitude);
    }
}
