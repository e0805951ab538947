//! First and Last: by (event time, partition, position).
//!
//! Owns: the place in time of the value that is kept.
//! Never: depends on the order in which rows come, but for rows with one and the same place.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

use super::Heap;
use super::accumulator::{Accumulator, Batch, Output};
use super::layout::Layout;
use super::slot::Slot;
use super::value::{Native, nullable_array};
use crate::table::{StateField, StateRows};

/// The value that is not null with the least (First) or greatest (Last) place.
#[derive(Clone, Debug)]
pub(super) struct Edge<S, const LAST: bool> {
    slot: S,
    event_time: usize,
    /// The partition plus 1; 0 if there is no value.
    partition: usize,
    position: usize,
}

/// Where a row stands among all others.
type Place = (i64, u32, u64);

struct Places<'a> {
    event_time: StateField<'a, i64>,
    partition: StateField<'a, u32>,
    position: StateField<'a, u64>,
}

impl Places<'_> {
    #[inline]
    fn get(&self, index: usize) -> Option<Place> {
        let partition = self.partition.get(index).checked_sub(1)?;
        Some((self.event_time.get(index), partition, self.position.get(index)))
    }

    #[inline]
    fn set(&self, index: usize, (event_time, partition, position): Place) {
        self.event_time.set(index, event_time);
        self.partition.set(index, partition.checked_add(1).expect("partitions are fewer than 2^32 - 1"));
        self.position.set(index, position);
    }
}

impl<S: Slot, const LAST: bool> Edge<S, LAST> {
    pub(super) fn place(layout: &mut Layout, data_type: &DataType) -> Self {
        Self {
            slot: S::place(layout, data_type),
            event_time: layout.field::<i64>(),
            partition: layout.field::<u32>(),
            position: layout.field::<u64>(),
        }
    }

    fn places<'a>(&self, rows: &StateRows<'a>) -> Places<'a> {
        Places {
            event_time: rows.field(self.event_time),
            partition: rows.field(self.partition),
            position: rows.field(self.position),
        }
    }

    /// Whether a row at this place takes over. Of rows made of one record, which share its place, the first that
    /// came is First and the last that came is Last.
    #[inline]
    fn wins(places: &Places<'_>, i: usize, place: Place) -> bool {
        places.get(i).is_none_or(|kept| if LAST { kept <= place } else { place < kept })
    }
}

impl<S: Slot, const LAST: bool> Accumulator for Edge<S, LAST> {
    fn update(&self, rows: &StateRows<'_>, heap: &mut Heap, batch: &Batch<'_>) {
        let (slots, places) = (self.slot.of(rows), self.places(rows));
        let values = S::column(batch.column());
        let positions = batch.positions.expect("a job with First or Last passes positions");
        batch.for_each_value(|i, row| {
            let place = (batch.event_time[row], batch.partition, positions[row]);
            if Self::wins(&places, i, place) {
                places.set(i, place);
                S::put(&slots, heap, i, S::at(values, row));
            }
        });
    }

    fn merge_rows(&self, into: &StateRows<'_>, heap: &mut Heap, from: &StateRows<'_>, from_heap: &Heap) {
        let (slots, places) = (self.slot.of(into), self.places(into));
        let (from_slots, from_places) = (self.slot.of(from), self.places(from));
        for i in 0..into.len() {
            if let Some(place) = from_places.get(i)
                && Self::wins(&places, i, place)
            {
                let item = S::get(&from_slots, from_heap, i).expect("a place is that of a value");
                places.set(i, place);
                S::put(&slots, heap, i, item);
            }
        }
    }

    fn state_columns(&self) -> Vec<(&'static str, DataType)> {
        vec![
            (if LAST { "last" } else { "first" }, self.slot.data_type()),
            ("event_time", DataType::Int64),
            ("partition", DataType::UInt32),
            ("position", DataType::UInt64),
        ]
    }

    fn states(&self, rows: &StateRows<'_>, heap: &Heap, out: &mut Vec<ArrayRef>) {
        let places = self.places(rows);
        let kept = || (0..rows.len()).map(|i| places.get(i));
        out.push(self.slot.array(rows, heap));
        out.push(nullable_array(&DataType::Int64, kept().map(|place| Some(place?.0))));
        out.push(nullable_array(&DataType::UInt32, kept().map(|place| Some(place?.1))));
        out.push(nullable_array(&DataType::UInt64, kept().map(|place| Some(place?.2))));
    }

    fn merge_arrays(&self, rows: &StateRows<'_>, heap: &mut Heap, states: &[ArrayRef], offset: usize) {
        let (slots, places) = (self.slot.of(rows), self.places(rows));
        let values = S::column(&states[0]);
        let (event_time, partition) = (i64::slice(&states[1]), u32::slice(&states[2]));
        let position = u64::slice(&states[3]);
        for i in 0..rows.len() {
            let entry = offset + i;
            let place = (event_time[entry], partition[entry], position[entry]);
            if states[0].is_valid(entry) && Self::wins(&places, i, place) {
                places.set(i, place);
                S::put(&slots, heap, i, S::at(values, entry));
            }
        }
    }

    fn output(&self, rows: &StateRows<'_>, heap: &Heap) -> Output {
        Output::fits(self.slot.array(rows, heap))
    }
}
