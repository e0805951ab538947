//! What aggregates give, by Arrow's kernels and 256-bit arithmetic over all rows of a key at once.
//!
//! Owns: the naive answers, and columns of any type made from small numbers.
//! Never: shares code with what it judges.

#![expect(clippy::wildcard_enum_match_arm, reason = "of Arrow's types only those of columns come here")]

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, UInt32Array,
    new_null_array,
};
use arrow::array::{Decimal128Array, make_comparator};
use arrow::compute::{SortOptions, cast, concat, take};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, i256};

use super::super::{AggregateSpec, Function};

/// A column of this type. Equal seeds give equal values; seeds below 6 give what is special about the type.
pub(super) fn column(data_type: &DataType, seeds: &[Option<u8>]) -> ArrayRef {
    let seeds = || seeds.iter().copied();
    if *data_type == DataType::Utf8 {
        return Arc::new(StringArray::from_iter(seeds().map(|seed| seed.map(text))));
    }
    if *data_type == DataType::Boolean {
        return Arc::new(BooleanArray::from_iter(seeds().map(|seed| seed.map(|seed| seed % 2 == 0))));
    }
    if data_type.is_floating() {
        let floats = Float64Array::from_iter(seeds().map(|seed| seed.map(float)));
        return cast(&floats, data_type).expect("floats of both sizes");
    }
    if let DataType::Decimal128(precision, scale) = data_type {
        let decimal = |seed| decimal(seed, u32::from(*precision));
        let decimals = Decimal128Array::from_iter(seeds().map(|seed| seed.map(decimal)));
        return Arc::new(decimals.with_precision_and_scale(*precision, *scale).expect("a valid type"));
    }
    if data_type.primitive_width() == Some(4) {
        let numbers = Int32Array::from_iter(seeds().map(|seed| seed.map(|seed| integer(seed) as i32)));
        return cast(&numbers, data_type).expect("32-bit numbers are dates");
    }
    let numbers = Int64Array::from_iter(seeds().map(|seed| seed.map(integer)));
    cast(&numbers, data_type).expect("64-bit numbers are timestamps")
}

fn text(seed: u8) -> String {
    match seed {
        0 => String::new(),
        1 => "\u{10FFFF}".to_owned(),
        2 => "a".repeat(300),
        seed => "ab\u{e9}c\u{1F600}d"
            .chars()
            .cycle()
            .skip(usize::from(seed % 7))
            .take(usize::from(seed % 23))
            .collect(),
    }
}

/// Multiples of a half, so that sums are exact.
fn float(seed: u8) -> f64 {
    match seed {
        0 => f64::NAN,
        1 => -0.0,
        2 => 0.0,
        3 => f64::INFINITY,
        seed => f64::from(seed) / 2.0 - 30.0,
    }
}

/// The low half of the extremes has extremes of 32 bits.
fn integer(seed: u8) -> i64 {
    match seed {
        0 => i64::MIN | i64::from(i32::MIN) & 0xFFFF_FFFF,
        1 => i64::MAX,
        2 => i64::MAX << 32 | i64::from(i32::MAX),
        seed => i64::from(seed) - 100,
    }
}

fn decimal(seed: u8, precision: u32) -> i128 {
    let most = 10_i128.pow(precision) - 1;
    match seed {
        0 => -most,
        1 => most,
        2 => most / 3,
        seed => i128::from(seed) * 7 - 900,
    }
}

/// Where a row stands, and whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) key: usize,
    pub(super) event_time: i64,
    pub(super) partition: u32,
    pub(super) position: u64,
}

/// The results of an aggregate over a column, one for each key.
pub(super) fn results(spec: &AggregateSpec, column: &ArrayRef, rows: &[Row], keys: usize) -> ArrayRef {
    let results: Vec<ArrayRef> = (0..keys)
        .map(|key| {
            let own = (0..rows.len()).filter(|i| rows[*i].key == key && column.is_valid(*i));
            result(spec, column, rows, &own.collect::<Vec<_>>())
        })
        .collect();
    concat(&results.iter().map(|result| &**result).collect::<Vec<_>>()).expect("results of one type")
}

/// The result over some rows, none of them null.
fn result(spec: &AggregateSpec, column: &ArrayRef, rows: &[Row], own: &[usize]) -> ArrayRef {
    let output = spec.output_type().expect("a defined aggregate");
    let order = make_comparator(column, column, SortOptions::default()).expect("all types have an order");
    let place = |i: &usize| (rows[*i].event_time, rows[*i].partition, rows[*i].position);
    let chosen = match spec.function {
        Function::Count => return number(own.len()),
        Function::CountDistinct => return number(distinct(column, own)),
        Function::Sum => return sum(column, own, &output),
        Function::Avg => return avg(column, own, &output),
        Function::Min => own.iter().copied().min_by(|a, b| order(*a, *b)),
        Function::Max => own.iter().copied().max_by(|a, b| order(*a, *b)),
        Function::First => own.iter().copied().min_by_key(place),
        Function::Last => own.iter().copied().max_by_key(place),
    };
    let chosen = chosen.map(|row| u32::try_from(row).expect("few rows"));
    take(column, &UInt32Array::from(vec![chosen]), None).expect("rows of the column")
}

fn number(count: usize) -> ArrayRef {
    Arc::new(Int64Array::from(vec![i64::try_from(count).expect("few rows")]))
}

fn distinct(column: &ArrayRef, own: &[usize]) -> usize {
    let one_zero = |value: f64| value + 0.0;
    let column: ArrayRef = match column.data_type() {
        DataType::Float32 => {
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(|value| value + 0.0))
        }
        DataType::Float64 => Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(one_zero)),
        _ => Arc::clone(column),
    };
    let order = make_comparator(&column, &column, SortOptions::default()).expect("all types have an order");
    let mut own = own.to_vec();
    own.sort_by(|a, b| order(*a, *b));
    own.dedup_by(|a, b| order(*a, *b).is_eq());
    own.len()
}

fn exact_sum(column: &ArrayRef, own: &[usize]) -> i256 {
    let value = |row: usize| match column.data_type() {
        DataType::Int32 => i128::from(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => i128::from(column.as_primitive::<Int64Type>().value(row)),
        _ => column.as_primitive::<arrow::datatypes::Decimal128Type>().value(row),
    };
    own.iter().fold(i256::ZERO, |sum, row| sum + i256::from_i128(value(*row)))
}

fn float_sum(column: &ArrayRef, own: &[usize]) -> f64 {
    let value = |row: usize| match column.data_type() {
        DataType::Float32 => f64::from(column.as_primitive::<Float32Type>().value(row)),
        _ => column.as_primitive::<Float64Type>().value(row),
    };
    own.iter().map(|row| value(*row)).fold(0.0, |sum, value| sum + value)
}

fn sum(column: &ArrayRef, own: &[usize], output: &DataType) -> ArrayRef {
    if own.is_empty() {
        return new_null_array(output, 1);
    }
    match output {
        DataType::Float64 => Arc::new(Float64Array::from(vec![positive_nan(float_sum(column, own))])),
        DataType::Int64 => {
            let sum = exact_sum(column, own).to_i128().and_then(|sum| i64::try_from(sum).ok());
            Arc::new(Int64Array::from(vec![sum]))
        }
        _ => decimal_result(exact_sum(column, own), output),
    }
}

fn avg(column: &ArrayRef, own: &[usize], output: &DataType) -> ArrayRef {
    if own.is_empty() {
        return new_null_array(output, 1);
    }
    let count = own.len() as f64;
    if let DataType::Decimal128(_, scale) = output {
        let DataType::Decimal128(_, from) = column.data_type() else { panic!("a decimal") };
        let scaled =
            exact_sum(column, own) * i256::from_i128(10_i128.pow(u32::from((scale - from).unsigned_abs())));
        return decimal_result(half_even(scaled, own.len()), output);
    }
    let mean = if column.data_type().is_floating() {
        positive_nan(float_sum(column, own) / count)
    } else {
        exact_sum(column, own).to_i128().expect("integers") as f64 / count
    };
    Arc::new(Float64Array::from(vec![mean]))
}

/// By looking at the neighbours: the nearest multiple of the divisor, of two equally near the even one.
fn half_even(dividend: i256, divisor: usize) -> i256 {
    let divisor = i256::from_i128(divisor as i128);
    let about = dividend / divisor;
    let distance = |quotient: i256| (quotient * divisor - dividend).wrapping_abs();
    let candidates = [about - i256::ONE, about, about + i256::ONE];
    let is_odd = |quotient: i256| quotient % i256::from_i128(2) != i256::ZERO;
    candidates.into_iter().min_by_key(|c| (distance(*c), is_odd(*c))).expect("three of them")
}

fn decimal_result(value: i256, output: &DataType) -> ArrayRef {
    let most = i256::from_i128(10_i128.pow(38) - 1);
    let fits = value.wrapping_abs() <= most;
    let value = fits.then(|| value.to_i128().expect("38 digits"));
    let DataType::Decimal128(precision, scale) = output else { panic!("a decimal") };
    let array = Decimal128Array::from(vec![value]);
    Arc::new(array.with_precision_and_scale(*precision, *scale).expect("a valid type"))
}

fn positive_nan(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}
