//! From key columns to keys.
//!
//! Owns: the bytes of each type of value.
//! Never: decodes.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType,
};

use super::{END_OF_TEXT, KeyEncoder, Keys, NULL, VALUE};

impl KeyEncoder {
    /// The keys of these columns. One column of text without nulls is not copied.
    ///
    /// # Panics
    /// If the columns are not of the encoder's types.
    pub fn encode(&self, columns: &[ArrayRef]) -> Keys {
        assert!(
            columns.iter().map(|column| column.data_type()).eq(&self.types),
            "key columns have the types that the encoder was made for"
        );
        if let [only] = columns
            && let Some(text) = only.as_string_opt::<i32>()
            && text.null_count() == 0
        {
            return Keys::new(BinaryArray::new(text.offsets().clone(), text.values().clone(), None));
        }
        Keys::new(encode_columns(columns))
    }
}

/// Sizes first, then each column is written at its place in each key.
fn encode_columns(columns: &[ArrayRef]) -> BinaryArray {
    let rows = columns[0].len();
    let last = columns.len() - 1;
    let mut sizes = vec![0_usize; rows];
    for (at, column) in columns.iter().enumerate() {
        add_sizes(column, at == last, &mut sizes);
    }
    let offsets = OffsetBuffer::<i32>::from_lengths(sizes);
    let mut ends: Vec<usize> = offsets[..rows].iter().map(|&offset| offset as usize).collect();
    let mut bytes = vec![0_u8; offsets[rows] as usize];
    for (at, column) in columns.iter().enumerate() {
        write(column, at == last, &mut Writer { bytes: &mut bytes, ends: &mut ends });
    }
    BinaryArray::new(offsets, Buffer::from(bytes), None)
}

fn add_sizes(column: &ArrayRef, last: bool, sizes: &mut [usize]) {
    if let Some(text) = column.as_string_opt::<i32>() {
        for (row, size) in sizes.iter_mut().enumerate() {
            *size += if text.is_null(row) { 1 } else { text.value_length(row) as usize + usize::from(!last) };
        }
        return;
    }
    let value = 1 + column.data_type().primitive_width().unwrap_or(1);
    for (row, size) in sizes.iter_mut().enumerate() {
        *size += if column.is_null(row) { 1 } else { value };
    }
}

struct Writer<'a> {
    bytes: &'a mut [u8],
    /// Where each key goes on.
    ends: &'a mut [usize],
}

impl Writer<'_> {
    fn put(&mut self, row: usize, bytes: &[u8]) {
        let end = self.ends[row] + bytes.len();
        self.bytes[self.ends[row]..end].copy_from_slice(bytes);
        self.ends[row] = end;
    }

    fn text(&mut self, column: &StringArray, last: bool) {
        for row in 0..column.len() {
            if column.is_null(row) {
                self.put(row, &[NULL]);
                continue;
            }
            self.put(row, column.value(row).as_bytes());
            if !last {
                self.put(row, &[END_OF_TEXT]);
            }
        }
    }

    fn boolean(&mut self, column: &BooleanArray) {
        let nulls = column.nulls().cloned();
        self.fixed(column.len(), nulls, |row| [u8::from(column.value(row))]);
    }

    fn primitive<T: ArrowPrimitiveType, const N: usize>(
        &mut self,
        column: &ArrayRef,
        encode: impl Fn(T::Native) -> [u8; N],
    ) {
        let column: &PrimitiveArray<T> = column.as_primitive();
        let values = column.values();
        self.fixed(column.len(), column.nulls().cloned(), |row| encode(values[row]));
    }

    fn fixed<const N: usize>(
        &mut self,
        rows: usize,
        nulls: Option<NullBuffer>,
        value: impl Fn(usize) -> [u8; N],
    ) {
        for row in 0..rows {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                self.put(row, &[NULL]);
            } else {
                self.put(row, &[VALUE]);
                self.put(row, &value(row));
            }
        }
    }
}

fn write(column: &ArrayRef, last: bool, out: &mut Writer<'_>) {
    if let Some(text) = column.as_string_opt::<i32>() {
        return out.text(text, last);
    }
    if let Some(boolean) = column.as_boolean_opt() {
        return out.boolean(boolean);
    }
    if *column.data_type() == DataType::Int32 {
        out.primitive::<Int32Type, 4>(column, ordered_i32);
    } else if *column.data_type() == DataType::Int64 {
        out.primitive::<Int64Type, 8>(column, ordered_i64);
    } else if *column.data_type() == DataType::Float32 {
        out.primitive::<Float32Type, 4>(column, ordered_f32);
    } else if *column.data_type() == DataType::Float64 {
        out.primitive::<Float64Type, 8>(column, ordered_f64);
    } else if *column.data_type() == DataType::Date32 {
        out.primitive::<Date32Type, 4>(column, ordered_i32);
    } else if let DataType::Decimal128(_, _) = column.data_type() {
        out.primitive::<Decimal128Type, 16>(column, |value| (value ^ i128::MIN).to_be_bytes());
    } else if let DataType::Timestamp(unit, _) = column.data_type() {
        match unit {
            TimeUnit::Second => out.primitive::<TimestampSecondType, 8>(column, ordered_i64),
            TimeUnit::Millisecond => out.primitive::<TimestampMillisecondType, 8>(column, ordered_i64),
            TimeUnit::Microsecond => out.primitive::<TimestampMicrosecondType, 8>(column, ordered_i64),
            TimeUnit::Nanosecond => unreachable!("no key column counts nanoseconds"),
        }
    } else {
        unreachable!("the encoder accepts no column of type {}", column.data_type());
    }
}

fn ordered_i32(value: i32) -> [u8; 4] {
    (value ^ i32::MIN).to_be_bytes()
}

fn ordered_i64(value: i64) -> [u8; 8] {
    (value ^ i64::MIN).to_be_bytes()
}

/// Negative numbers have all bits flipped, others the sign. All NaN are one, and so are the zeros.
fn ordered_f32(value: f32) -> [u8; 4] {
    let value = if value.is_nan() { f32::NAN } else { value + 0.0 };
    let bits = value.to_bits() & if value.is_nan() { !(1 << 31) } else { u32::MAX };
    (if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }).to_be_bytes()
}

fn ordered_f64(value: f64) -> [u8; 8] {
    let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
    let bits = value.to_bits() & if value.is_nan() { !(1 << 63) } else { u64::MAX };
    (if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }).to_be_bytes()
}
