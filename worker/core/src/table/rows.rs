//! Access to the state of a group of rows.
//!
//! Owns: loads and stores of fields at fixed offsets in rows, bounds included.
//! Never: finds a row or knows what a field means.

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

/// The states of a group of rows. A row may be in the group more than once.
///
/// A state starts at a multiple of 4 bytes, is [`width`](Self::width) bytes long and, when its row is new, a
/// copy of the table's template. The borrow is one of the whole table: no row moves or goes away meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct StateRows<'a> {
    states: &'a [NonNull<u8>],
    width: usize,
    writable: bool,
    table: PhantomData<&'a mut [u8]>,
}

impl<'a> StateRows<'a> {
    /// # Safety
    /// Every pointer is to the first of `width` initialised bytes that stay valid for reads and writes, and
    /// that nothing else reads or writes, during `'a`. Pointers may repeat.
    pub(crate) unsafe fn new(states: &'a [NonNull<u8>], width: usize) -> Self {
        Self { states, width, writable: true, table: PhantomData }
    }

    /// Rows that are only read: setting a field panics.
    ///
    /// # Safety
    /// Every pointer is to the first of `width` initialised bytes that stay valid for reads, and that nothing
    /// writes, during `'a`. Pointers may repeat.
    pub(super) unsafe fn shared(states: &'a [NonNull<u8>], width: usize) -> Self {
        Self { states, width, writable: false, table: PhantomData }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Bytes of state in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The field at `offset` of all rows. Fields may overlap, and need no alignment.
    ///
    /// # Panics
    /// If the field does not lie within the state.
    pub fn field<T: Plain>(&self, offset: usize) -> StateField<'a, T> {
        assert!(
            offset.checked_add(size_of::<T>()).is_some_and(|end| end <= self.width),
            "a field of {} bytes at {offset} is not within the {} bytes of state",
            size_of::<T>(),
            self.width
        );
        StateField { states: self.states, offset, writable: self.writable, table: PhantomData }
    }
}

/// One field of a group of rows.
#[derive(Clone, Copy, Debug)]
pub struct StateField<'a, T> {
    states: &'a [NonNull<u8>],
    offset: usize,
    writable: bool,
    table: PhantomData<&'a mut [T]>,
}

impl<T: Plain> StateField<'_, T> {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// The field of row `index`.
    #[inline]
    pub fn get(&self, index: usize) -> T {
        let state = self.states[index];
        // SAFETY: the field lies within the state (checked when it was made), the state is valid and unaliased
        // (promise of who made the `StateRows`), and any bytes make a `T`.
        unsafe { state.add(self.offset).cast::<T>().read_unaligned() }
    }

    /// Sets the field of row `index`.
    ///
    /// # Panics
    /// If the rows were given for reading.
    #[inline]
    pub fn set(&self, index: usize, value: T) {
        assert!(self.writable, "rows given for reading are not written to");
        let state = self.states[index];
        // SAFETY: as in `get`, and the rows may be written; a `T` has no padding, so the bytes stay initialised.
        unsafe { state.add(self.offset).cast::<T>().write_unaligned(value) }
    }

    /// Changes the field of row `index`.
    #[inline]
    pub fn update(&self, index: usize, change: impl FnOnce(T) -> T) {
        self.set(index, change(self.get(index)));
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A number that any bytes make, without padding.
pub trait Plain: Copy + sealed::Sealed {}

macro_rules! plain {
    ($($number:ty),*) => { $(impl sealed::Sealed for $number {} impl Plain for $number {})* };
}

plain!(u8, i8, u16, i16, u32, i32, u64, i64, u128, i128, f32, f64);

/// Which rows of a batch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Selection<'a> {
    /// Consecutive rows.
    Range(Range<usize>),
    /// These rows, in this order.
    Indices(&'a [u32]),
}

impl<'a> Selection<'a> {
    /// How many rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Range(range) => range.len(),
            Self::Indices(indices) => indices.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batch row that stands at `index` of the selection. Match the variants outside of loops that matter.
    #[inline]
    pub fn get(&self, index: usize) -> usize {
        match self {
            Self::Range(range) => range.start + index,
            Self::Indices(indices) => indices[index] as usize,
        }
    }

    /// A part of the selection.
    pub fn slice(&self, offset: usize, len: usize) -> Selection<'a> {
        match self {
            Self::Range(range) => Self::Range(range.start + offset..range.start + offset + len),
            Self::Indices(indices) => Self::Indices(&indices[offset..offset + len]),
        }
    }
}
