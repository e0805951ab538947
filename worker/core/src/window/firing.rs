//! From states to result rows.
//!
//! Owns: the layout of results, and merging the states that several tables have of one key.
//! Never: decides what fires.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::slice::{Layer, Side};
use super::{Tumbling, WindowError, WindowSpec};
use crate::aggregate::{Aggregates, Heap, OverflowError};
use crate::key::{KeyEncoder, Keys};
use crate::table::{Chunk, RowGroup, Selection, StateBuffer, StateRows};

/// Makes result rows: key columns, `window_start`, `window_end`, aggregates.
#[derive(Debug)]
pub(crate) struct Results {
    schema: SchemaRef,
    encoder: KeyEncoder,
    tumbling: Tumbling,
    merged: StateBuffer,
    group: RowGroup,
    from: RowGroup,
}

impl Results {
    pub(crate) fn new(spec: &WindowSpec, template: &[u8]) -> Result<Self, WindowError> {
        let key = |(at, column): (usize, &DataType)| Field::new(format!("key_{at}"), column.clone(), true);
        let mut fields: Vec<Field> = spec.key_types.iter().enumerate().map(key).collect();
        fields.push(Field::new("window_start", DataType::Int64, false));
        fields.push(Field::new("window_end", DataType::Int64, false));
        for aggregate in &spec.aggregates {
            fields.push(Field::new(&aggregate.name, aggregate.output_type()?, true));
        }
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            encoder: KeyEncoder::new(&spec.key_types)?,
            tumbling: spec.tumbling,
            merged: StateBuffer::new(template),
            group: RowGroup::default(),
            from: RowGroup::default(),
        })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The results of a chunk of a slice's keys.
    pub(crate) fn of_chunk(
        &mut self,
        aggregates: &Aggregates,
        slice_end: i64,
        chunk: &Chunk<'_, Side>,
    ) -> Result<RecordBatch, WindowError> {
        let mut parts = chunk.parts();
        let values = match (parts.next(), parts.next()) {
            (Some(only), None) => aggregates.output(&only.rows, &only.side.heap),
            (_, _) => {
                let mut heap = Heap::default();
                self.merged.reset(chunk.keys_len());
                for part in chunk.parts() {
                    let places = part.places.iter().map(|&place| place as usize);
                    let into = self.merged.rows(places, &mut self.group);
                    aggregates.merge_rows(&into, &mut heap, &part.rows, &part.side.heap);
                }
                let all = self.merged.rows(0..chunk.keys_len(), &mut self.group);
                aggregates.output(&all, &heap)
            }
        };
        let keys = self.encoder.decode(chunk.keys());
        self.batch(slice_end, keys, values)
    }

    /// The results of these keys of a slice. All are in it.
    pub(crate) fn of_keys(
        &mut self,
        aggregates: &Aggregates,
        slice: (i64, &[Layer]),
        keys: &Keys,
        selected: &[u32],
    ) -> Result<RecordBatch, WindowError> {
        let (slice_end, layers) = slice;
        let selection = Selection::Indices(selected);
        let values = if let [only] = layers {
            let (places, rows) = only.find(keys, &selection, &mut self.group);
            assert_eq!(places.len(), selected.len(), "the keys of a slice's only table are in it");
            aggregates.output(&rows, &only.side().heap)
        } else {
            let mut heap = Heap::default();
            self.merged.reset(selected.len());
            for layer in layers {
                let (places, rows) = layer.find(keys, &selection, &mut self.from);
                let into = self.merged.rows(places.into_iter(), &mut self.group);
                aggregates.merge_rows(&into, &mut heap, &rows, &layer.side().heap);
            }
            aggregates.output(&self.all(selected.len()), &heap)
        };
        let keys = self.encoder.decode(selected.iter().map(|&at| keys.get(at as usize)));
        self.batch(slice_end, keys, values)
    }

    fn all(&mut self, rows: usize) -> StateRows<'_> {
        self.merged.rows(0..rows, &mut self.group)
    }

    fn batch(
        &self,
        slice_end: i64,
        keys: Vec<ArrayRef>,
        values: Result<Vec<ArrayRef>, OverflowError>,
    ) -> Result<RecordBatch, WindowError> {
        let window_start = self.tumbling.start(slice_end - 1);
        let values = values.map_err(|overflow| WindowError::Overflow {
            aggregate: overflow.aggregate,
            data_type: overflow.data_type,
            window_start,
            window_end: slice_end,
        })?;
        let rows = keys[0].len();
        let mut columns = keys;
        columns.push(Arc::new(Int64Array::from_value(window_start, rows)));
        columns.push(Arc::new(Int64Array::from_value(slice_end, rows)));
        columns.extend(values);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        Ok(batch.expect("results have the types that the spec says"))
    }
}
