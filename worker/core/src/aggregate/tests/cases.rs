//! The rules about aggregates that people ask about, one by one.
//!
//! Owns: nulls, zeros, NaN, overflow, places in time, sizes.
//! Never: goes through all types.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};

use super::{Rows, fed, spec};
use crate::aggregate::{AggregateError, AggregateSpec, Aggregates, Function, Inputs, Overflow};
use crate::table::Selection;

fn int64s(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(values))
}

fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn output(function: Function, column: ArrayRef) -> ArrayRef {
    let spec = spec(function, 0, column.data_type());
    fed(spec, column).output().expect("no overflow").remove(0)
}

fn decimals(values: &[i128], precision: u8, scale: i8) -> ArrayRef {
    let array = Decimal128Array::from(values.to_vec());
    Arc::new(array.with_precision_and_scale(precision, scale).expect("a valid type"))
}

#[test]
fn the_state_of_a_sum_and_a_count_takes_20_bytes() {
    let sum = spec(Function::Sum, 0, &DataType::Int64);
    let count = AggregateSpec { function: Function::Count, input: None, ..sum.clone() };

    let aggregates = Aggregates::new(&[sum, count]).expect("defined");

    assert_eq!(aggregates.row_width(), 20);
}

#[test]
fn a_count_without_a_field_counts_rows_and_one_with_a_field_values() {
    let column = int64s([Some(1), None, None]);
    let values = spec(Function::Count, 0, &DataType::Int64);
    let rows = AggregateSpec { input: None, ..values.clone() };

    assert_eq!(&fed(values, column.clone()).output().expect("counts fit")[0], &int64s([Some(1)]));
    assert_eq!(&fed(rows, column).output().expect("counts fit")[0], &int64s([Some(3)]));
}

#[test]
fn without_a_value_counts_are_zero_and_all_else_is_null() {
    let nulls = int64s([None, None]);

    assert_eq!(&output(Function::Count, nulls.clone()), &int64s([Some(0)]));
    assert_eq!(&output(Function::CountDistinct, nulls.clone()), &int64s([Some(0)]));
    for function in
        [Function::Sum, Function::Avg, Function::Min, Function::Max, Function::First, Function::Last]
    {
        assert!(output(function, nulls.clone()).is_null(0), "{function}");
    }
}

#[test]
fn an_integer_sum_may_leave_its_type_and_come_back() {
    let column = int64s([Some(i64::MAX), Some(i64::MAX), Some(i64::MIN), Some(i64::MIN), Some(5)]);

    assert_eq!(&output(Function::Sum, column), &int64s([Some(3)]));
}

#[test]
fn a_sum_of_32_bit_integers_has_64() {
    let column = Arc::new(Int32Array::from(vec![i32::MAX, i32::MAX, 2]));

    assert_eq!(&output(Function::Sum, column), &int64s([Some(i64::from(u32::MAX) + 1)]));
}

#[test]
fn an_overflow_fails_with_the_aggregates_name_or_gives_null() {
    let column = int64s([Some(i64::MAX), Some(1)]);
    let null = spec(Function::Sum, 0, &DataType::Int64);
    let fail = AggregateSpec { name: "total".to_owned(), overflow: Overflow::Fail, ..null.clone() };

    let error = fed(fail, column.clone()).output().expect_err("the sum needs 65 bits");

    assert_eq!(error.aggregate, "total");
    assert_eq!(
        error.to_string(),
        "aggregate `total` does not fit Int64; give it `overflow: Null`, or a smaller input with `select`"
    );
    assert!(fed(null, column).output().expect("null instead")[0].is_null(0));
}

#[test]
fn a_decimal_sum_may_leave_38_digits_and_128_bits_and_come_back() {
    let most = 10_i128.pow(38) - 1;
    let column = decimals(&[most, most, most, most, -most, -most, -most, -most, -7], 38, 2);

    let sum = output(Function::Sum, column);

    assert_eq!(sum.data_type(), &DataType::Decimal128(38, 2));
    assert_eq!(sum.as_primitive::<Decimal128Type>().value(0), -7);
}

#[test]
fn a_decimal_sum_of_39_digits_overflows() {
    let most = 10_i128.pow(38) - 1;

    assert!(output(Function::Sum, decimals(&[most, 1], 38, 0)).is_null(0));
    assert_eq!(&output(Function::Sum, decimals(&[most, 0], 38, 0)), &decimals(&[most], 38, 0));
}

#[test]
fn a_decimal_mean_has_4_more_digits_and_rounds_the_middle_to_the_even() {
    let mean = |values: &[i128]| {
        let mean = output(Function::Avg, decimals(values, 10, 0));
        assert_eq!(mean.data_type(), &DataType::Decimal128(38, 4));
        mean.as_primitive::<Decimal128Type>().value(0)
    };
    let sixteenth = |numerator: i128| {
        let mut values = vec![0; 32];
        values[0] = numerator;
        mean(&values)
    };

    assert_eq!(mean(&[1, 2]), 15_000);
    assert_eq!(mean(&[1, 1, 0]), 6_667);
    assert_eq!(mean(&[-1, -1, 0]), -6_667);
    assert_eq!(sixteenth(1), 312); // 0.03125
    assert_eq!(sixteenth(3), 938); // 0.09375
    assert_eq!(sixteenth(-1), -312);
    assert_eq!(sixteenth(-3), -938);
}

#[test]
fn a_mean_of_integers_is_taken_of_the_exact_sum() {
    let column = int64s([Some(i64::MAX), Some(i64::MAX), Some(i64::MIN), Some(i64::MIN)]);

    assert_eq!(&output(Function::Avg, column), &floats(&[-0.5]));
}

#[test]
fn nan_is_the_greatest_number() {
    let column = floats(&[f64::INFINITY, -f64::NAN, 1.0]);
    let max = output(Function::Max, column.clone());

    assert!(max.as_primitive::<Float64Type>().value(0).is_nan());
    assert_eq!(&output(Function::Min, column), &floats(&[1.0]));
    assert!(output(Function::Min, floats(&[-f64::NAN])).as_primitive::<Float64Type>().value(0).is_nan());
}

#[test]
fn zeros_of_both_signs_are_one_value_and_so_are_all_nans() {
    let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
    let column = floats(&[0.0, -0.0, f64::NAN, -f64::NAN, other_nan, 1.0]);

    assert_eq!(&output(Function::CountDistinct, column), &int64s([Some(3)]));
}

#[test]
fn first_and_last_go_by_event_time_then_partition_then_position() {
    let specs = [Function::First, Function::Last].map(|function| spec(function, 0, &DataType::Utf8));
    let aggregates = Aggregates::new(&specs).expect("defined");
    let mut rows = Rows::new(&aggregates, 1);
    // Partition, event time, position.
    let places = [(1, 5, 0), (1, 5, 1), (0, 5, 7), (0, 6, 9), (2, 6, 1), (0, 6, 8)];

    for (partition, time, position) in places {
        let columns: [ArrayRef; 1] =
            [Arc::new(StringArray::from(vec![format!("{time}/{partition}/{position}")]))];
        let inputs =
            Inputs { columns: &columns, event_time: &[time], partition, positions: Some(&[position]) };
        rows.update(&[0], &inputs, Selection::Range(0..1));
    }

    let output = rows.output().expect("no overflow");
    assert_eq!(output[0].as_string::<i32>().value(0), "5/0/7");
    assert_eq!(output[1].as_string::<i32>().value(0), "6/2/1");
}

#[test]
fn first_skips_nulls() {
    assert_eq!(&output(Function::First, int64s([None, Some(2), Some(3)])), &int64s([Some(2)]));
    assert_eq!(&output(Function::Last, int64s([Some(2), Some(3), None])), &int64s([Some(3)]));
}

#[test]
fn of_rows_made_of_one_record_the_first_is_first_and_the_last_is_last() {
    let specs = [Function::First, Function::Last].map(|function| spec(function, 0, &DataType::Int64));
    let aggregates = Aggregates::new(&specs).expect("defined");
    let mut rows = Rows::new(&aggregates, 1);
    let columns = [int64s([Some(1), Some(2), Some(3)])];
    let inputs = Inputs { columns: &columns, event_time: &[4; 3], partition: 0, positions: Some(&[9; 3]) };

    rows.update(&[0; 3], &inputs, Selection::Range(0..3));

    assert_eq!(rows.output().expect("no overflow"), [int64s([Some(1)]), int64s([Some(3)])]);
}

#[test]
fn the_heap_counts_what_strings_and_sets_hold() {
    let words: Vec<String> = (0..1_000).map(|i| format!("a word of some length, {i}")).collect();
    let column: ArrayRef = Arc::new(StringArray::from(words));

    let numbers = fed(spec(Function::Sum, 0, &DataType::Int64), int64s((0..1_000).map(Some)));
    let least = fed(spec(Function::Min, 0, &DataType::Utf8), column.clone());
    let distinct = fed(spec(Function::CountDistinct, 0, &DataType::Utf8), column);

    assert_eq!(numbers.heap.bytes(), 0);
    assert!((23..4_000).contains(&least.heap.bytes()), "{}", least.heap.bytes());
    assert!((27_000..150_000).contains(&distinct.heap.bytes()), "{}", distinct.heap.bytes());
}

#[test]
fn more_flags_than_a_word_has_go_into_the_next() {
    let specs: Vec<_> = (0..40).map(|column| spec(Function::Min, column, &DataType::Int64)).collect();
    let aggregates = Aggregates::new(&specs).expect("defined");
    let mut rows = Rows::new(&aggregates, 2);
    let columns: Vec<ArrayRef> = (0..40).map(|i| int64s([(i % 3 != 0).then_some(i)])).collect();
    let inputs = Inputs { columns: &columns, event_time: &[0], partition: 0, positions: None };

    rows.update(&[1], &inputs, Selection::Range(0..1));

    for (i, output) in (0..40).zip(rows.output().expect("no overflow")) {
        assert_eq!(&output, &int64s([None, (i % 3 != 0).then_some(i)]));
    }
}

#[test]
fn states_of_no_input_change_nothing() {
    let column = int64s([Some(4)]);
    let mut fed = fed(spec(Function::Min, 0, &DataType::Int64), column.clone());
    let mut empty = Rows::new(&fed.aggregates.clone(), 1);

    fed.merge(&mut empty);
    let states = empty.states();
    fed.merge_states(&[0], &states, 0);

    assert_eq!(&fed.output().expect("no overflow")[0], &column);
    assert_eq!(fed.output().expect("no overflow")[0].as_primitive::<Int64Type>().value(0), 4);
}

#[test]
fn functions_that_are_not_defined_for_a_type_are_refused_with_a_remedy() {
    let error = |function, data_type: &DataType| {
        Aggregates::new(&[spec(function, 0, data_type)]).expect_err("undefined").to_string()
    };

    assert_eq!(
        error(Function::Sum, &DataType::Utf8),
        "Sum is not defined for a column of type Utf8; \
         use an Int32, Int64, float or Decimal column, or convert it with `select`"
    );
    assert_eq!(
        error(Function::Max, &DataType::UInt64),
        "Max is not defined for a column of type UInt64; convert it to one of the column types with `select`"
    );
    assert!(error(Function::Avg, &DataType::Date32).starts_with("Avg is not defined"));
    let no_input = AggregateSpec { input: None, ..spec(Function::Last, 0, &DataType::Utf8) };
    assert_eq!(Aggregates::new(&[no_input]).expect_err("no input"), AggregateError::NoInput(Function::Last));
}
