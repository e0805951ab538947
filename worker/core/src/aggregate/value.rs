//! The types of values that aggregates keep: how each is read, compared, stored and written.
//!
//! Owns: the canonical form of a value (one NaN; NaN is the greatest) and its order-preserving bits.
//! Never: keeps a state.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, BooleanArray, make_array};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow::datatypes::{
    ArrowNativeType, ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type,
    Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampSecondType, UInt32Type, UInt64Type, i256,
};

use super::heap::Member;
use crate::table::Plain;

/// A value of fixed width.
pub(super) trait Value: Copy + Debug + Default + Send + Sync + 'static {
    /// As it lies in a row.
    type Stored: Plain;
    /// A column of such values.
    type Column<'a>: Copy;
    /// What represents it in a distinct set: equal values have equal bits, and their order is that of values.
    type Bits: Member;

    /// The values of a column of this type.
    fn column(array: &dyn Array) -> Self::Column<'_>;
    /// The value in a row that is not null.
    fn at(column: Self::Column<'_>, row: usize) -> Self;
    /// An array of the type.
    fn array(data_type: &DataType, values: Vec<Self>, nulls: Option<NullBuffer>) -> ArrayRef;
    /// To the form in the row.
    fn stored(self) -> Self::Stored;
    /// From the form in the row.
    fn from_stored(stored: Self::Stored) -> Self;
    /// A total order; of two that are not the same, one precedes.
    fn precedes(self, other: Self) -> bool;
    /// To the form in distinct sets.
    fn bits(self) -> Self::Bits;
    /// From the form in distinct sets.
    fn from_bits(bits: Self::Bits) -> Self;
}

/// A native type of Arrow, read from any of the columns that use it.
pub(super) trait Native: ArrowNativeType {
    /// The values of a column; those under nulls mean nothing.
    fn slice(array: &dyn Array) -> &[Self];
}

fn typed<T: ArrowPrimitiveType>(array: &dyn Array) -> Option<&[T::Native]> {
    array.as_primitive_opt::<T>().map(|array| &**array.values())
}

macro_rules! native {
    ($native:ty: $first:ty $(, $more:ty)*) => {
        impl Native for $native {
            #[inline]
            fn slice(array: &dyn Array) -> &[Self] {
                let found = typed::<$first>(array) $(.or_else(|| typed::<$more>(array)))*;
                found.unwrap_or_else(|| panic!("an aggregate over {} got {}", stringify!($native), array.data_type()))
            }
        }
    };
}

native!(i32: Int32Type, Date32Type);
native!(i64: Int64Type, TimestampMillisecondType, TimestampMicrosecondType, TimestampSecondType);
native!(u32: UInt32Type);
native!(u64: UInt64Type);
native!(f32: Float32Type);
native!(f64: Float64Type);
native!(i128: Decimal128Type);
native!(i256: Decimal256Type);

/// An array of any type whose values are of this native type.
pub(super) fn primitive_array<T: ArrowNativeType>(
    data_type: &DataType,
    values: Vec<T>,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let builder = ArrayData::builder(data_type.clone()).len(values.len()).nulls(nulls);
    let data = builder.add_buffer(Buffer::from_vec(values)).build();
    make_array(data.expect("the type's native values, and as many nulls"))
}

/// The same for values that may be null.
pub(super) fn nullable_array<T: ArrowNativeType>(
    data_type: &DataType,
    values: impl Iterator<Item = Option<T>>,
) -> ArrayRef {
    let (valid, values): (Vec<bool>, Vec<T>) =
        values.map(|value| (value.is_some(), value.unwrap_or_default())).unzip();
    primitive_array(data_type, values, nulls_of(valid))
}

/// No buffer if nothing is null.
pub(super) fn nulls_of(valid: Vec<bool>) -> Option<NullBuffer> {
    Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0)
}

macro_rules! integer_value {
    ($native:ty, $bits:ty, $unsigned:ty) => {
        impl Value for $native {
            type Stored = $native;
            type Column<'a> = &'a [$native];
            type Bits = $bits;

            fn column(array: &dyn Array) -> &[$native] {
                Native::slice(array)
            }
            #[inline]
            fn at(column: &[$native], row: usize) -> Self {
                column[row]
            }
            fn array(data_type: &DataType, values: Vec<Self>, nulls: Option<NullBuffer>) -> ArrayRef {
                primitive_array(data_type, values, nulls)
            }
            #[inline]
            fn stored(self) -> $native {
                self
            }
            #[inline]
            fn from_stored(stored: $native) -> Self {
                stored
            }
            #[inline]
            fn precedes(self, other: Self) -> bool {
                self < other
            }
            #[inline]
            fn bits(self) -> $bits {
                <$bits>::from((self ^ <$native>::MIN) as $unsigned)
            }
            #[inline]
            fn from_bits(bits: $bits) -> Self {
                let bits = <$unsigned>::try_from(bits).expect("bits are of this type");
                bits as $native ^ <$native>::MIN
            }
        }
    };
}

integer_value!(i32, u64, u32);
integer_value!(i64, u64, u64);
integer_value!(i128, u128, u128);

macro_rules! float_value {
    ($native:ty, $unsigned:ty) => {
        impl Value for $native {
            type Stored = $native;
            type Column<'a> = &'a [$native];
            type Bits = u64;

            fn column(array: &dyn Array) -> &[$native] {
                Native::slice(array)
            }
            #[inline]
            fn at(column: &[$native], row: usize) -> Self {
                let value = column[row];
                if value.is_nan() { <$native>::NAN } else { value }
            }
            fn array(data_type: &DataType, values: Vec<Self>, nulls: Option<NullBuffer>) -> ArrayRef {
                primitive_array(data_type, values, nulls)
            }
            #[inline]
            fn stored(self) -> $native {
                self
            }
            #[inline]
            fn from_stored(stored: $native) -> Self {
                stored
            }
            // -0 before 0, so that which of them is kept does not depend on the order of rows.
            #[inline]
            fn precedes(self, other: Self) -> bool {
                self.total_cmp(&other).is_lt()
            }
            #[inline]
            fn bits(self) -> u64 {
                // Adding 0 makes 0 of -0.
                let bits = (self + 0.0).to_bits();
                let negative = bits >> (<$unsigned>::BITS - 1) != 0;
                let ordered = if negative { !bits } else { bits | 1 << (<$unsigned>::BITS - 1) };
                u64::from(ordered)
            }
            #[inline]
            fn from_bits(bits: u64) -> Self {
                let bits = <$unsigned>::try_from(bits).expect("bits are of this type");
                let top = 1 << (<$unsigned>::BITS - 1);
                <$native>::from_bits(if bits & top == 0 { !bits } else { bits ^ top })
            }
        }
    };
}

float_value!(f32, u32);
float_value!(f64, u64);

impl Value for bool {
    type Stored = u8;
    type Column<'a> = &'a BooleanBuffer;
    type Bits = u64;

    fn column(array: &dyn Array) -> &BooleanBuffer {
        array.as_boolean().values()
    }
    #[inline]
    fn at(column: &BooleanBuffer, row: usize) -> Self {
        column.value(row)
    }
    fn array(_: &DataType, values: Vec<Self>, nulls: Option<NullBuffer>) -> ArrayRef {
        Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls))
    }
    #[inline]
    fn stored(self) -> u8 {
        u8::from(self)
    }
    #[inline]
    fn from_stored(stored: u8) -> Self {
        stored != 0
    }
    #[inline]
    fn precedes(self, other: Self) -> bool {
        !self & other
    }
    #[inline]
    fn bits(self) -> u64 {
        u64::from(self)
    }
    #[inline]
    fn from_bits(bits: u64) -> Self {
        bits != 0
    }
}
