//! Totals that order cannot change: 95 and 191 bits for exact numbers, a float for floats.
//!
//! Owns: how a total lies in a row, grows, and is written.
//! Never: decides whether a total fits a result.

use std::fmt::Debug;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, i256};

use super::layout::{Flag, FlagField, Layout};
use super::value::{Native, nullable_array};
use crate::table::{StateField, StateRows};

/// The running total of a column.
pub(super) trait Total: Copy + Debug + Send + Sync + 'static {
    /// A value of the column.
    type Value: Native;
    /// A sum.
    type Sum: Native;
    /// The totals of a group of rows.
    type Of<'a>: Totals<Value = Self::Value, Sum = Self::Sum>;

    fn place(layout: &mut Layout) -> Self;
    fn of<'a>(&self, rows: &StateRows<'a>) -> Self::Of<'a>;
    /// The type of the durable form. It takes any sum.
    fn state_type(input: &DataType) -> DataType;

    /// The durable form.
    fn array(&self, rows: &StateRows<'_>, state_type: &DataType) -> ArrayRef {
        let totals = self.of(rows);
        nullable_array(state_type, (0..rows.len()).map(|i| totals.get(i)))
    }

    /// Row `i` takes entry `offset + i` of the durable form.
    fn merge_array(&self, rows: &StateRows<'_>, states: &dyn Array, offset: usize) {
        let totals = self.of(rows);
        let sums = &Self::Sum::slice(states)[offset..][..rows.len()];
        for (i, sum) in sums.iter().enumerate().filter(|(i, _)| states.is_valid(offset + i)) {
            totals.add_sum(i, *sum);
        }
    }

    /// Row `i` of `into` takes what row `i` of `from` has.
    fn merge_rows(&self, into: &StateRows<'_>, from: &StateRows<'_>) {
        let (totals, more) = (self.of(into), self.of(from));
        for i in 0..into.len() {
            if let Some(sum) = more.get(i) {
                totals.add_sum(i, sum);
            }
        }
    }
}

/// The totals of a group of rows.
pub(super) trait Totals {
    type Value;
    type Sum;

    fn add(&self, index: usize, value: Self::Value);
    fn add_sum(&self, index: usize, sum: Self::Sum);
    /// `None` before the first value.
    fn get(&self, index: usize) -> Option<Self::Sum>;
}

/// What happens where no result could be right any more: more than 2^31 values of the greatest size in one state.
const TOO_MANY: &str = "a state takes fewer than 2^31 values of the greatest size";

macro_rules! exact_total {
    ($(#[$doc:meta])* $name:ident, $fields:ident, $value:ty, $low:ty, $high:ty, $sum:ty, $split:expr, $join:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $name {
            low: usize,
            /// Twice the upper part, plus 1 if there was a value.
            high: usize,
        }

        pub(super) struct $fields<'a> {
            low: StateField<'a, $low>,
            high: StateField<'a, $high>,
        }

        impl $fields<'_> {
            #[inline]
            fn add_parts(&self, index: usize, low: $low, high: $high) {
                let (sum, carry) = self.low.get(index).overflowing_add(low);
                let grown = self.high.get(index).checked_add((high + <$high>::from(carry)) << 1);
                self.low.set(index, sum);
                self.high.set(index, grown.expect(TOO_MANY) | 1);
            }
        }

        impl Totals for $fields<'_> {
            type Value = $value;
            type Sum = $sum;

            #[inline]
            fn add(&self, index: usize, value: $value) {
                self.add_parts(index, value as $low, (value >> (<$value>::BITS - 1)) as $high);
            }

            #[inline]
            fn add_sum(&self, index: usize, sum: $sum) {
                let (low, high): ($low, $high) = $split(sum);
                self.add_parts(index, low, high);
            }

            #[inline]
            fn get(&self, index: usize) -> Option<$sum> {
                let high = self.high.get(index);
                (high & 1 != 0).then(|| $join(self.low.get(index), high >> 1))
            }
        }
    };
}

exact_total!(
    /// Of integers, in 12 bytes.
    Integers, IntegersOf, i64, u64, i32, i128,
    |sum: i128| (sum as u64, i32::try_from(sum >> 64).expect(TOO_MANY)),
    |low, high| i128::from(high) << 64 | i128::from(low)
);

exact_total!(
    /// Of decimals, in 24 bytes.
    Decimals, DecimalsOf, i128, u128, i64, i256,
    |sum: i256| {
        let (low, high) = sum.to_parts();
        (low, i64::try_from(high).expect(TOO_MANY))
    },
    |low, high| i256::from_parts(low, i128::from(high))
);

impl Total for Integers {
    type Value = i64;
    type Sum = i128;
    type Of<'a> = IntegersOf<'a>;

    fn place(layout: &mut Layout) -> Self {
        Self { low: layout.field::<u64>(), high: layout.field::<i32>() }
    }

    #[inline]
    fn of<'a>(&self, rows: &StateRows<'a>) -> IntegersOf<'a> {
        IntegersOf { low: rows.field(self.low), high: rows.field(self.high) }
    }

    fn state_type(_: &DataType) -> DataType {
        DataType::Decimal128(38, 0)
    }
}

impl Total for Decimals {
    type Value = i128;
    type Sum = i256;
    type Of<'a> = DecimalsOf<'a>;

    fn place(layout: &mut Layout) -> Self {
        Self { low: layout.field::<u128>(), high: layout.field::<i64>() }
    }

    #[inline]
    fn of<'a>(&self, rows: &StateRows<'a>) -> DecimalsOf<'a> {
        DecimalsOf { low: rows.field(self.low), high: rows.field(self.high) }
    }

    fn state_type(input: &DataType) -> DataType {
        DataType::Decimal256(76, scale_of(input))
    }
}

/// Of floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floats {
    sum: usize,
    present: Flag,
}

pub(super) struct FloatsOf<'a> {
    sum: StateField<'a, f64>,
    present: FlagField<'a>,
}

impl Totals for FloatsOf<'_> {
    type Value = f64;
    type Sum = f64;

    #[inline]
    fn add(&self, index: usize, value: f64) {
        self.sum.update(index, |sum| sum + value);
        self.present.set(index);
    }

    #[inline]
    fn add_sum(&self, index: usize, sum: f64) {
        self.add(index, sum);
    }

    #[inline]
    fn get(&self, index: usize) -> Option<f64> {
        self.present.is_set(index).then(|| self.sum.get(index))
    }
}

impl Total for Floats {
    type Value = f64;
    type Sum = f64;
    type Of<'a> = FloatsOf<'a>;

    fn place(layout: &mut Layout) -> Self {
        Self { sum: layout.field::<f64>(), present: layout.flag() }
    }

    #[inline]
    fn of<'a>(&self, rows: &StateRows<'a>) -> FloatsOf<'a> {
        FloatsOf { sum: rows.field(self.sum), present: self.present.of(rows) }
    }

    fn state_type(_: &DataType) -> DataType {
        DataType::Float64
    }
}

/// Digits after the point.
pub(super) fn scale_of(decimal: &DataType) -> i8 {
    let DataType::Decimal128(_, scale) = decimal else {
        panic!("{decimal} is not a decimal type");
    };
    *scale
}
