//! From states to result rows.
//!
//! Owns: the layout of results, and how far the firing of a slice is.
//! Never: decides what fires.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::emitted::{Emitted, Progress};
use super::merge::Merger;
use super::slice::{LayerFrom, Side};
use super::{Tumbling, WindowError, WindowSpec};
use crate::aggregate::{Aggregates, Heap, OverflowError};
use crate::key::{KeyEncoder, Keys, hash};
use crate::key_group::key_group;
use crate::table::{Chunk, OrderedScan, StateRows};

/// Makes result rows: key columns, `window_start`, `window_end`, aggregates.
#[derive(Debug)]
pub(crate) struct Results {
    schema: SchemaRef,
    encoder: KeyEncoder,
    tumbling: Tumbling,
    merger: Merger,
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
            merger: Merger::new(template),
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
        let values = self.merger.of_chunk(aggregates, chunk, |rows, heap| aggregates.output(rows, heap));
        let keys = self.encoder.decode(chunk.keys());
        self.batch(slice_end, keys, values)
    }

    /// The results of these keys of a slice. All are in it.
    pub(crate) fn of_keys(
        &mut self,
        aggregates: &Aggregates,
        (slice_end, layers): (i64, &[LayerFrom]),
        keys: &Keys,
        selected: &[u32],
    ) -> Result<RecordBatch, WindowError> {
        let output = |rows: &StateRows<'_>, heap: &Heap| aggregates.output(rows, heap);
        let values = self.merger.of_keys(aggregates, layers, (keys, selected), output);
        let keys = self.encoder.decode(selected.iter().map(|&at| keys.get(at as usize)));
        self.batch(slice_end, keys, values)
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

/// A slice whose results are being handed out.
#[derive(Debug)]
pub(crate) struct Firing {
    layers: Vec<LayerFrom>,
    progress: Progress,
    /// Of the key groups that come next.
    scan: Option<OrderedScan<Side>>,
    /// The last key that the scan gave, if it has given any.
    last: Option<Vec<u8>>,
}

impl Firing {
    /// Goes on where `progress` says.
    pub(crate) fn new(layers: Vec<LayerFrom>, progress: Progress) -> Self {
        Self { layers, progress, scan: None, last: None }
    }

    /// The next keys, at most `keys_max`. None: all have been handed out.
    pub(crate) fn next_chunk(&mut self, keys_max: usize) -> Option<Chunk<'_, Side>> {
        loop {
            if let Some(scan) = &mut self.scan
                && !scan.is_done(keys_max)
            {
                break;
            }
            if self.scan.take().is_some() {
                self.progress.advance(Emitted::All);
                self.last = None;
            }
            let (groups, after) = self.progress.next()?;
            let layers = self.layers.iter().map(LayerFrom::clone).collect();
            self.scan = Some(OrderedScan::new(layers, groups, after));
        }
        let chunk = self.scan.as_mut()?.next_chunk(keys_max)?;
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(chunk.last_key());
        Some(chunk)
    }

    /// What has been handed out.
    pub(crate) fn progress(&self) -> Progress {
        let mut progress = self.progress.clone();
        if let Some(last) = &self.last {
            progress.advance(Emitted::UpTo { group: key_group(hash(last)).0, key: last.as_slice().into() });
        }
        progress
    }
}
