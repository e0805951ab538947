//! Sum and Avg.
//!
//! Owns: what a total becomes as a result: whether it fits, and how a mean is rounded.
//! Never: judges a total before it is a result.

use std::marker::PhantomData;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, i256};

use super::Heap;
use super::accumulator::{Accumulator, Batch, Output};
use super::count::Count;
use super::layout::Layout;
use super::total::{Decimals, Floats, Integers, Total, Totals};
use super::value::{Native, nullable_array};
use crate::table::StateRows;

/// A total that can be a result.
pub(super) trait Summed: Total {
    /// A result.
    type Result: Native;

    /// The sum as a result, if it fits.
    fn sum(sum: Self::Sum) -> Option<Self::Result>;
}

/// A total that can become a mean.
pub(super) trait Averaged: Total {
    /// A result.
    type Result: Native;

    /// The mean as a result, if it fits. `factor` is what takes a sum to the scale of the mean.
    fn mean(sum: Self::Sum, count: i64, factor: i256) -> Option<Self::Result>;
}

/// The sum of a column whose values, of type `V`, widen to those of the total.
#[derive(Clone, Debug)]
pub(super) struct Sum<V, T> {
    total: T,
    input: DataType,
    output: DataType,
    value: PhantomData<V>,
}

impl<V, T: Summed> Sum<V, T> {
    pub(super) fn place(layout: &mut Layout, input: &DataType, output: DataType) -> Self {
        Self { total: T::place(layout), input: input.clone(), output, value: PhantomData }
    }
}

impl<V: Native, T: Summed> Accumulator for Sum<V, T>
where
    T::Value: From<V>,
{
    fn update(&self, rows: &StateRows<'_>, _: &mut Heap, batch: &Batch<'_>) {
        let totals = self.total.of(rows);
        let values = V::slice(batch.column());
        batch.for_each_value(|i, row| totals.add(i, values[row].into()));
    }

    fn merge_rows(&self, into: &StateRows<'_>, _: &mut Heap, from: &StateRows<'_>, _: &Heap) {
        self.total.merge_rows(into, from);
    }

    fn state_columns(&self) -> Vec<(&'static str, DataType)> {
        vec![("sum", T::state_type(&self.input))]
    }

    fn states(&self, rows: &StateRows<'_>, _: &Heap, out: &mut Vec<ArrayRef>) {
        out.push(self.total.array(rows, &T::state_type(&self.input)));
    }

    fn merge_arrays(&self, rows: &StateRows<'_>, _: &mut Heap, states: &[ArrayRef], offset: usize) {
        self.total.merge_array(rows, &states[0], offset);
    }

    fn output(&self, rows: &StateRows<'_>, _: &Heap) -> Output {
        let totals = self.total.of(rows);
        let mut overflowed = false;
        let results = (0..rows.len()).map(|i| {
            let sum = totals.get(i)?;
            let result = T::sum(sum);
            overflowed |= result.is_none();
            result
        });
        Output { values: nullable_array(&self.output, results), overflowed }
    }
}

/// The mean of a column whose values, of type `V`, widen to those of the total.
#[derive(Clone, Debug)]
pub(super) struct Avg<V, T> {
    total: T,
    count: Count,
    input: DataType,
    output: DataType,
    factor: i256,
    value: PhantomData<V>,
}

impl<V, T: Averaged> Avg<V, T> {
    /// The output of a mean of decimals has `more_digits` after the point than its input.
    pub(super) fn place(layout: &mut Layout, input: &DataType, output: DataType, more_digits: u32) -> Self {
        let factor = i256::from_i128(10).wrapping_pow(more_digits);
        let (total, count) = (T::place(layout), Count::place(layout));
        Self { total, count, input: input.clone(), output, factor, value: PhantomData }
    }
}

impl<V: Native, T: Averaged> Accumulator for Avg<V, T>
where
    T::Value: From<V>,
{
    fn update(&self, rows: &StateRows<'_>, _: &mut Heap, batch: &Batch<'_>) {
        let (totals, counts) = (self.total.of(rows), self.count.of(rows));
        let values = V::slice(batch.column());
        batch.for_each_value(|i, row| {
            totals.add(i, values[row].into());
            counts.update(i, |count| count + 1);
        });
    }

    fn merge_rows(&self, into: &StateRows<'_>, heap: &mut Heap, from: &StateRows<'_>, from_heap: &Heap) {
        self.total.merge_rows(into, from);
        self.count.merge_rows(into, heap, from, from_heap);
    }

    fn state_columns(&self) -> Vec<(&'static str, DataType)> {
        let mut columns = vec![("sum", T::state_type(&self.input))];
        columns.extend(self.count.state_columns());
        columns
    }

    fn states(&self, rows: &StateRows<'_>, heap: &Heap, out: &mut Vec<ArrayRef>) {
        out.push(self.total.array(rows, &T::state_type(&self.input)));
        self.count.states(rows, heap, out);
    }

    fn merge_arrays(&self, rows: &StateRows<'_>, heap: &mut Heap, states: &[ArrayRef], offset: usize) {
        self.total.merge_array(rows, &states[0], offset);
        self.count.merge_arrays(rows, heap, &states[1..], offset);
    }

    fn output(&self, rows: &StateRows<'_>, _: &Heap) -> Output {
        let (totals, counts) = (self.total.of(rows), self.count.of(rows));
        let mut overflowed = false;
        let results = (0..rows.len()).map(|i| {
            let sum = totals.get(i)?;
            let result = T::mean(sum, counts.get(i), self.factor);
            overflowed |= result.is_none();
            result
        });
        Output { values: nullable_array(&self.output, results), overflowed }
    }
}

impl Summed for Integers {
    type Result = i64;

    fn sum(sum: i128) -> Option<i64> {
        i64::try_from(sum).ok()
    }
}

impl Averaged for Integers {
    type Result = f64;

    fn mean(sum: i128, count: i64, _: i256) -> Option<f64> {
        Some(sum as f64 / count as f64)
    }
}

impl Summed for Floats {
    type Result = f64;

    fn sum(sum: f64) -> Option<f64> {
        Some(one_nan(sum))
    }
}

impl Averaged for Floats {
    type Result = f64;

    fn mean(sum: f64, count: i64, _: i256) -> Option<f64> {
        Some(one_nan(sum / count as f64))
    }
}

/// The sign of the NaN that arithmetic gives depends on the machine.
fn one_nan(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

impl Summed for Decimals {
    type Result = i128;

    fn sum(sum: i256) -> Option<i128> {
        fits_38_digits(sum)
    }
}

impl Averaged for Decimals {
    type Result = i128;

    fn mean(sum: i256, count: i64, factor: i256) -> Option<i128> {
        fits_38_digits(divide_half_even(sum.checked_mul(factor)?, i256::from(count)))
    }
}

fn fits_38_digits(value: i256) -> Option<i128> {
    let bound = 10_i128.pow(38);
    value.to_i128().filter(|value| (-bound < *value) && (*value < bound))
}

/// The quotient, rounded to the nearest and, from the middle, to the even one. The divisor is positive.
fn divide_half_even(dividend: i256, divisor: i256) -> i256 {
    let (quotient, remainder) = (dividend / divisor, dividend % divisor);
    let twice = remainder.wrapping_abs().wrapping_add(remainder.wrapping_abs());
    let is_odd = quotient.to_parts().0 & 1 == 1;
    let is_away = twice > divisor || (twice == divisor && is_odd);
    match (is_away, dividend.is_negative()) {
        (false, _) => quotient,
        (true, false) => quotient + i256::ONE,
        (true, true) => quotient - i256::ONE,
    }
}
