//! CountDistinct: exactly how many different values.
//!
//! Owns: what makes two values the same, and the order in which a set is written.
//! Never: holds the sets; the heap does.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};

use super::Heap;
use super::accumulator::{Accumulator, Batch, Output};
use super::heap::{Handle, Member};
use super::layout::Layout;
use super::value::{Value, primitive_array};
use crate::table::{StateField, StateRows};

/// How many different values there were.
#[derive(Clone, Debug)]
pub(super) struct Distinct<E> {
    handle: usize,
    data_type: DataType,
    elements: PhantomData<E>,
}

/// A type of values that can be counted.
pub(super) trait Element: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// What is in the sets.
    type Member: Member;
    /// A column of values.
    type Column<'a>: Copy;

    fn column(array: &dyn Array) -> Self::Column<'_>;
    /// The member for the value in a row that is not null.
    fn member(heap: &mut Heap, column: Self::Column<'_>, row: usize) -> Self::Member;
    /// The member, in this heap, for a member of another.
    fn adopt(heap: &mut Heap, from: &Heap, member: Self::Member) -> Self::Member;
    /// The values of these sets one after another, those of each set in ascending order.
    fn array(data_type: &DataType, heap: &Heap, members: &mut [Vec<Self::Member>]) -> ArrayRef;
}

impl<E: Element> Distinct<E> {
    pub(super) fn place(layout: &mut Layout, data_type: &DataType) -> Self {
        Self { handle: layout.field::<Handle>(), data_type: data_type.clone(), elements: PhantomData }
    }

    fn of<'a>(&self, rows: &StateRows<'a>) -> StateField<'a, Handle> {
        rows.field(self.handle)
    }

    #[inline]
    fn insert(handles: &StateField<'_, Handle>, heap: &mut Heap, i: usize, member: E::Member) {
        let handle = handles.get(i);
        let kept = E::Member::sets_mut(heap).insert(handle, member);
        if kept != handle {
            handles.set(i, kept);
        }
    }
}

impl<E: Element> Accumulator for Distinct<E> {
    fn update(&self, rows: &StateRows<'_>, heap: &mut Heap, batch: &Batch<'_>) {
        let handles = self.of(rows);
        let values = E::column(batch.column());
        batch.for_each_value(|i, row| {
            let member = E::member(heap, values, row);
            Self::insert(&handles, heap, i, member);
        });
    }

    fn merge_rows(&self, into: &StateRows<'_>, heap: &mut Heap, from: &StateRows<'_>, from_heap: &Heap) {
        let (handles, more) = (self.of(into), self.of(from));
        for i in 0..into.len() {
            E::Member::sets(from_heap).for_each(more.get(i), |member| {
                let member = E::adopt(heap, from_heap, member);
                Self::insert(&handles, heap, i, member);
            });
        }
    }

    fn state_columns(&self) -> Vec<(&'static str, DataType)> {
        vec![("values", DataType::List(Arc::new(item_field(&self.data_type))))]
    }

    fn states(&self, rows: &StateRows<'_>, heap: &Heap, out: &mut Vec<ArrayRef>) {
        let handles = self.of(rows);
        let mut members: Vec<Vec<E::Member>> = Vec::with_capacity(rows.len());
        for i in 0..rows.len() {
            let mut set = Vec::new();
            E::Member::sets(heap).for_each(handles.get(i), |member| set.push(member));
            members.push(set);
        }
        let offsets = OffsetBuffer::from_lengths(members.iter().map(Vec::len));
        let values = E::array(&self.data_type, heap, &mut members);
        out.push(Arc::new(ListArray::new(Arc::new(item_field(&self.data_type)), offsets, values, None)));
    }

    fn merge_arrays(&self, rows: &StateRows<'_>, heap: &mut Heap, states: &[ArrayRef], offset: usize) {
        let handles = self.of(rows);
        let lists = states[0].as_list::<i32>();
        let values = E::column(lists.values());
        for i in (0..rows.len()).filter(|i| lists.is_valid(offset + i)) {
            let ends = &lists.offsets()[offset + i..];
            for value in ends[0]..ends[1] {
                let value = usize::try_from(value).expect("list offsets are not negative");
                let member = E::member(heap, values, value);
                Self::insert(&handles, heap, i, member);
            }
        }
    }

    fn output(&self, rows: &StateRows<'_>, heap: &Heap) -> Output {
        let handles = self.of(rows);
        let sets = E::Member::sets(heap);
        let count = |i| i64::try_from(sets.len(handles.get(i))).expect("a set fits in memory");
        Output::fits(primitive_array(&DataType::Int64, (0..rows.len()).map(count).collect(), None))
    }
}

fn item_field(data_type: &DataType) -> Field {
    Field::new("item", data_type.clone(), false)
}

/// Values of fixed width: their bits are the members.
#[derive(Clone, Debug)]
pub(super) struct Numbers<V>(PhantomData<V>);

impl<V: Value> Element for Numbers<V> {
    type Member = V::Bits;
    type Column<'a> = V::Column<'a>;

    fn column(array: &dyn Array) -> V::Column<'_> {
        V::column(array)
    }

    #[inline]
    fn member(_: &mut Heap, column: V::Column<'_>, row: usize) -> V::Bits {
        V::at(column, row).bits()
    }

    fn adopt(_: &mut Heap, _: &Heap, member: V::Bits) -> V::Bits {
        member
    }

    fn array(data_type: &DataType, _: &Heap, members: &mut [Vec<V::Bits>]) -> ArrayRef {
        for set in &mut *members {
            set.sort_unstable();
        }
        let values = members.iter().flatten().map(|bits| V::from_bits(*bits)).collect();
        V::array(data_type, values, None)
    }
}

/// Strings: each different one is kept once in a heap, and its number is the member.
#[derive(Clone, Debug)]
pub(super) struct Strings;

impl Element for Strings {
    type Member = u32;
    type Column<'a> = &'a arrow::array::StringArray;

    fn column(array: &dyn Array) -> &arrow::array::StringArray {
        array.as_string()
    }

    #[inline]
    fn member(heap: &mut Heap, column: &arrow::array::StringArray, row: usize) -> u32 {
        heap.names.number(column.value(row))
    }

    fn adopt(heap: &mut Heap, from: &Heap, member: u32) -> u32 {
        heap.names.number(from.names.name(member))
    }

    fn array(_: &DataType, heap: &Heap, members: &mut [Vec<u32>]) -> ArrayRef {
        let mut values = StringBuilder::new();
        for set in members {
            set.sort_unstable_by_key(|member| heap.names.name(*member));
            for member in set {
                values.append_value(heap.names.name(*member));
            }
        }
        Arc::new(values.finish())
    }
}
