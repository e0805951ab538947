//! Room for one value, or none: what Min, Max, First and Last keep.
//!
//! Owns: how the value lies in a row, and strings in the heap beside it.
//! Never: decides which value is kept.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::DataType;

use super::Heap;
use super::heap::Handle;
use super::layout::{Flag, FlagField, Layout};
use super::value::{Value, nulls_of};
use crate::table::{StateField, StateRows};

/// Room for one value of some type.
pub(super) trait Slot: Clone + Debug + Send + Sync + 'static {
    /// A column of values.
    type Column<'a>: Copy;
    /// A value.
    type Item<'a>: Copy;
    /// The slots of a group of rows.
    type Of<'a>;

    fn place(layout: &mut Layout, data_type: &DataType) -> Self;
    fn data_type(&self) -> DataType;
    fn column(array: &dyn Array) -> Self::Column<'_>;
    /// The value in a row that is not null.
    fn at<'a>(column: Self::Column<'a>, row: usize) -> Self::Item<'a>;
    fn of<'a>(&self, rows: &StateRows<'a>) -> Self::Of<'a>;
    fn get<'a>(slots: &Self::Of<'_>, heap: &'a Heap, index: usize) -> Option<Self::Item<'a>>;
    fn put(slots: &Self::Of<'_>, heap: &mut Heap, index: usize, item: Self::Item<'_>);
    fn precedes(item: Self::Item<'_>, other: Self::Item<'_>) -> bool;
    fn array(&self, rows: &StateRows<'_>, heap: &Heap) -> ArrayRef;
}

/// A value of fixed width.
#[derive(Clone, Debug)]
pub(super) struct Fixed<V> {
    offset: usize,
    present: Flag,
    data_type: DataType,
    value: PhantomData<V>,
}

pub(super) struct FixedOf<'a, V: Value> {
    values: StateField<'a, V::Stored>,
    present: FlagField<'a>,
}

impl<V: Value> Slot for Fixed<V> {
    type Column<'a> = V::Column<'a>;
    type Item<'a> = V;
    type Of<'a> = FixedOf<'a, V>;

    fn place(layout: &mut Layout, data_type: &DataType) -> Self {
        let (offset, present) = (layout.field::<V::Stored>(), layout.flag());
        Self { offset, present, data_type: data_type.clone(), value: PhantomData }
    }

    fn data_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn column(array: &dyn Array) -> V::Column<'_> {
        V::column(array)
    }

    #[inline]
    fn at<'a>(column: Self::Column<'a>, row: usize) -> Self::Item<'a> {
        V::at(column, row)
    }

    fn of<'a>(&self, rows: &StateRows<'a>) -> FixedOf<'a, V> {
        FixedOf { values: rows.field(self.offset), present: self.present.of(rows) }
    }

    #[inline]
    fn get(slots: &FixedOf<'_, V>, _: &Heap, index: usize) -> Option<V> {
        slots.present.is_set(index).then(|| V::from_stored(slots.values.get(index)))
    }

    #[inline]
    fn put(slots: &FixedOf<'_, V>, _: &mut Heap, index: usize, item: V) {
        slots.values.set(index, item.stored());
        slots.present.set(index);
    }

    #[inline]
    fn precedes(item: V, other: V) -> bool {
        item.precedes(other)
    }

    fn array(&self, rows: &StateRows<'_>, _: &Heap) -> ArrayRef {
        let slots = self.of(rows);
        let values = (0..rows.len()).map(|i| V::from_stored(slots.values.get(i))).collect();
        let valid = (0..rows.len()).map(|i| slots.present.is_set(i)).collect();
        V::array(&self.data_type, values, nulls_of(valid))
    }
}

/// A string: a handle in the row, the bytes in the heap.
#[derive(Clone, Debug)]
pub(super) struct Text {
    handle: usize,
}

impl Slot for Text {
    type Column<'a> = &'a StringArray;
    type Item<'a> = &'a str;
    type Of<'a> = StateField<'a, Handle>;

    fn place(layout: &mut Layout, _: &DataType) -> Self {
        Self { handle: layout.field::<Handle>() }
    }

    fn data_type(&self) -> DataType {
        DataType::Utf8
    }

    fn column(array: &dyn Array) -> &StringArray {
        array.as_string()
    }

    #[inline]
    fn at<'a>(column: Self::Column<'a>, row: usize) -> Self::Item<'a> {
        column.value(row)
    }

    fn of<'a>(&self, rows: &StateRows<'a>) -> StateField<'a, Handle> {
        rows.field(self.handle)
    }

    #[inline]
    fn get<'a>(slots: &StateField<'_, Handle>, heap: &'a Heap, index: usize) -> Option<&'a str> {
        heap.texts.get(slots.get(index))
    }

    #[inline]
    fn put(slots: &StateField<'_, Handle>, heap: &mut Heap, index: usize, item: &str) {
        slots.set(index, heap.texts.put(slots.get(index), item));
    }

    #[inline]
    fn precedes(item: &str, other: &str) -> bool {
        item < other
    }

    fn array(&self, rows: &StateRows<'_>, heap: &Heap) -> ArrayRef {
        let slots = self.of(rows);
        let mut values = StringBuilder::with_capacity(rows.len(), 0);
        for i in 0..rows.len() {
            values.append_option(Self::get(&slots, heap, i));
        }
        Arc::new(values.finish())
    }
}
