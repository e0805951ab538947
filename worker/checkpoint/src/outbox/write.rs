//! Writes an outbox bundle.
//!
//! Owns: how chunks become batches; counts per slot and target.
//! Never: changes the order of what one slot writes for one target.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, LargeBinaryArray, RecordBatch, StringArray, UInt32Array, UInt64Array, new_null_array,
};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;

use super::OutboxChunk;
use crate::bundle::ipc::IpcWriter;
use crate::bundle::{About, BundleError};
use crate::checkpoint::{Object, OutboxObject, OutboxPart};
use crate::store::ObjectWriter;

/// Chunks wait until they are as long together: small messages cost more than their bytes.
const BATCH_BYTES: usize = 1024 * 1024;

/// Writes one outbox bundle. Nothing is in the store before `finish`; dropped, it leaves nothing.
pub struct OutboxWriter {
    file: IpcWriter,
    schema: SchemaRef,
    waiting: Vec<OutboxChunk>,
    waiting_bytes: usize,
    /// By slot and target: rows and bytes.
    parts: BTreeMap<(u32, String), (u64, u64)>,
}

/// The columns of an outbox bundle.
fn schema(about: &About) -> SchemaRef {
    let fields = vec![
        Field::new("slot", DataType::UInt32, false),
        Field::new("target", DataType::Utf8, false),
        Field::new("partition_key", DataType::Binary, true),
        Field::new("headers", DataType::Binary, true),
        Field::new("rows", DataType::UInt64, false),
        Field::new("value", DataType::LargeBinary, false),
    ];
    Arc::new(Schema::new_with_metadata(fields, about.metadata()))
}

impl OutboxWriter {
    /// Begins a bundle.
    pub fn new(object: ObjectWriter, about: &About) -> Result<Self, BundleError> {
        let schema = schema(about);
        let file = IpcWriter::new(object, schema.clone(), None)?;
        Ok(Self { file, schema, waiting: Vec::new(), waiting_bytes: 0, parts: BTreeMap::new() })
    }

    /// Bytes of encoded rows so far.
    pub fn bytes(&self) -> u64 {
        self.parts.values().map(|(_, bytes)| bytes).sum()
    }

    /// Appends encoded rows.
    pub async fn write(
        &mut self,
        slot: u32,
        target: &str,
        rows: u64,
        value: Bytes,
    ) -> Result<(), BundleError> {
        let part = self.parts.entry((slot, target.to_owned())).or_default();
        part.0 += rows;
        part.1 += value.len() as u64;
        self.waiting_bytes += value.len();
        self.waiting.push(OutboxChunk { slot, target: target.to_owned(), rows, value });
        if self.waiting_bytes >= BATCH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Makes the object durable. `None` if nothing was written: then there is no object.
    pub async fn finish(mut self) -> Result<Option<(Object, OutboxObject)>, BundleError> {
        self.flush().await?;
        let parts = self.parts.into_iter();
        let parts =
            parts.map(|((slot, target), (rows, bytes))| OutboxPart { slot, target, rows, bytes }).collect();
        let object = self.file.finish().await?;
        Ok(object.map(|object| {
            let outbox = OutboxObject { object: object.name.clone(), parts };
            (object, outbox)
        }))
    }

    /// Gives up; what was written is removed.
    pub async fn abort(self) {
        self.file.abort().await;
    }

    async fn flush(&mut self) -> Result<(), BundleError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let chunks = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let batch = batch(&self.schema, chunks)
            .map_err(|source| BundleError::Encode { object: self.file.name().to_owned(), source })?;
        self.file.write(&batch).await?;
        Ok(())
    }
}

fn batch(schema: &SchemaRef, mut chunks: Vec<OutboxChunk>) -> Result<RecordBatch, ArrowError> {
    let nothing = || new_null_array(&DataType::Binary, chunks.len());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from_iter_values(chunks.iter().map(|chunk| chunk.slot))),
        Arc::new(StringArray::from_iter_values(chunks.iter().map(|chunk| &chunk.target))),
        nothing(),
        nothing(),
        Arc::new(UInt64Array::from_iter_values(chunks.iter().map(|chunk| chunk.rows))),
        Arc::new(values(&mut chunks)?),
    ];
    RecordBatch::try_new(schema.clone(), columns)
}

/// One large chunk is not copied.
fn values(chunks: &mut Vec<OutboxChunk>) -> Result<LargeBinaryArray, ArrowError> {
    if let [_] = chunks[..] {
        let value = chunks.remove(0).value;
        let offsets = OffsetBuffer::from_lengths([value.len()]);
        return LargeBinaryArray::try_new(offsets, Buffer::from(value), None);
    }
    Ok(LargeBinaryArray::from_iter_values(chunks.iter().map(|chunk| &chunk.value)))
}
