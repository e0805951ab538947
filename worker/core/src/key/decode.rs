//! From keys back to key columns.
//!
//! Owns: reading the bytes of each type of value.
//! Never: encodes.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, PrimitiveArray, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType,
};

use super::{END_OF_TEXT, KeyEncoder, NULL};

impl KeyEncoder {
    /// The columns of these keys.
    ///
    /// # Panics
    /// If the bytes are not keys of the encoder's types.
    pub fn decode<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Vec<ArrayRef> {
        let mut rest: Vec<&[u8]> = keys.collect();
        let last = self.types.len() - 1;
        let columns = self.types.iter().enumerate();
        let columns = columns.map(|(at, column)| decode(column, at == last, &mut rest)).collect();
        assert!(rest.iter().all(|rest| rest.is_empty()), "a key ends with its last column");
        columns
    }
}

/// Reads one column off the front of each key.
fn decode(column: &DataType, last: bool, rest: &mut [&[u8]]) -> ArrayRef {
    if *column == DataType::Utf8 {
        text(last, rest)
    } else if *column == DataType::Boolean {
        boolean(rest)
    } else if *column == DataType::Int32 {
        primitive::<Int32Type, 4>(column, rest, plain_i32)
    } else if *column == DataType::Int64 {
        primitive::<Int64Type, 8>(column, rest, plain_i64)
    } else if *column == DataType::Float32 {
        primitive::<Float32Type, 4>(column, rest, plain_f32)
    } else if *column == DataType::Float64 {
        primitive::<Float64Type, 8>(column, rest, plain_f64)
    } else if *column == DataType::Date32 {
        primitive::<Date32Type, 4>(column, rest, plain_i32)
    } else if let DataType::Decimal128(_, _) = column {
        primitive::<Decimal128Type, 16>(column, rest, |bytes| i128::from_be_bytes(bytes) ^ i128::MIN)
    } else if let DataType::Timestamp(unit, _) = column {
        match unit {
            TimeUnit::Second => primitive::<TimestampSecondType, 8>(column, rest, plain_i64),
            TimeUnit::Millisecond => primitive::<TimestampMillisecondType, 8>(column, rest, plain_i64),
            TimeUnit::Microsecond => primitive::<TimestampMicrosecondType, 8>(column, rest, plain_i64),
            TimeUnit::Nanosecond => unreachable!("no key column counts nanoseconds"),
        }
    } else {
        unreachable!("the encoder accepts no column of type {column}");
    }
}

fn text(last: bool, rest: &mut [&[u8]]) -> ArrayRef {
    let mut bytes = Vec::with_capacity(rest.iter().map(|rest| rest.len()).sum());
    let mut lengths = Vec::with_capacity(rest.len());
    let mut valid = Vec::with_capacity(rest.len());
    for rest in rest {
        if rest.first() == Some(&NULL) {
            *rest = &rest[1..];
            lengths.push(0);
            valid.push(false);
            continue;
        }
        let value = if last {
            std::mem::take(rest)
        } else {
            let end = rest.iter().position(|&byte| byte == END_OF_TEXT).expect("text in a key has an end");
            let value = &rest[..end];
            *rest = &rest[end + 1..];
            value
        };
        bytes.extend_from_slice(value);
        lengths.push(value.len());
        valid.push(true);
    }
    let offsets = OffsetBuffer::from_lengths(lengths);
    let column = StringArray::try_new(offsets, Buffer::from(bytes), nulls(valid));
    Arc::new(column.expect("text in a key is UTF-8"))
}

fn boolean(rest: &mut [&[u8]]) -> ArrayRef {
    let (values, valid) = fixed::<bool, 1>(rest, |[byte]| byte == 1);
    Arc::new(BooleanArray::new(values.into(), nulls(valid)))
}

fn primitive<T: ArrowPrimitiveType, const N: usize>(
    column: &DataType,
    rest: &mut [&[u8]],
    decode: impl Fn([u8; N]) -> T::Native,
) -> ArrayRef {
    let (values, valid) = fixed(rest, decode);
    let values = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls(valid));
    Arc::new(values.with_data_type(column.clone()))
}

fn fixed<V: Default, const N: usize>(
    rest: &mut [&[u8]],
    decode: impl Fn([u8; N]) -> V,
) -> (Vec<V>, Vec<bool>) {
    let mut values = Vec::with_capacity(rest.len());
    let mut valid = Vec::with_capacity(rest.len());
    for rest in rest {
        let (marker, after) = rest.split_first().expect("a value in a key has a marker");
        valid.push(*marker != NULL);
        if *marker == NULL {
            *rest = after;
            values.push(V::default());
        } else {
            let (value, after) = after.split_first_chunk().expect("a value in a key is whole");
            *rest = after;
            values.push(decode(*value));
        }
    }
    (values, valid)
}

fn nulls(valid: Vec<bool>) -> Option<NullBuffer> {
    Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0)
}

fn plain_i32(bytes: [u8; 4]) -> i32 {
    i32::from_be_bytes(bytes) ^ i32::MIN
}

fn plain_i64(bytes: [u8; 8]) -> i64 {
    i64::from_be_bytes(bytes) ^ i64::MIN
}

fn plain_f32(bytes: [u8; 4]) -> f32 {
    let bits = u32::from_be_bytes(bytes);
    f32::from_bits(if bits >> 31 == 1 { bits & !(1 << 31) } else { !bits })
}

fn plain_f64(bytes: [u8; 8]) -> f64 {
    let bits = u64::from_be_bytes(bytes);
    f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
}
