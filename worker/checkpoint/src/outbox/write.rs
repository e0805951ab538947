//! Encodes an outbox bundle.
//!
//! Owns: how chunks become batches; counts per slot and target; the bytes until they are in the store.
//! Never: changes the order of what one slot writes for one target.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BinaryArray, LargeBinaryArray, RecordBatch, StringArray, UInt32Array, UInt64Array,
    new_null_array,
};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use object_store::PutPayload;
use xxhash_rust::xxh3::Xxh3;

use super::{Output, Records};
use crate::bundle::ipc::IpcEncoder;
use crate::bundle::{About, BundleError};
use crate::checkpoint::{Object, OutboxObject, OutboxPart};
use crate::ids::Hash;
use crate::store::{StateStore, StoreError};

/// Chunks wait until they are as long together: small messages cost more than their bytes.
const BATCH_BYTES: usize = 1024 * 1024;

/// Encodes one outbox bundle, in memory: an object that the store does not take is there for another try.
pub struct OutboxWriter {
    file: IpcEncoder,
    schema: SchemaRef,
    /// Text.
    waiting: Vec<Text>,
    waiting_bytes: usize,
    /// By slot and target: rows and bytes.
    parts: BTreeMap<(u32, String), (u64, u64)>,
    encoded: Encoded,
}

/// Text that waits for more.
struct Text {
    slot: u32,
    target: String,
    rows: u64,
    bytes: Bytes,
}

/// The bytes of an object.
struct Encoded {
    pieces: Vec<Bytes>,
    bytes: u64,
    hash: Box<Xxh3>,
}

/// An outbox bundle that is not in the store.
#[derive(Clone, Debug)]
pub struct SealedOutbox {
    object: Object,
    parts: Vec<OutboxPart>,
    payload: PutPayload,
}

/// The columns of an outbox bundle.
fn schema(about: &About) -> SchemaRef {
    let fields = vec![
        Field::new("slot", DataType::UInt32, false),
        Field::new("target", DataType::Utf8, false),
        Field::new("key", DataType::Binary, true),
        Field::new("headers", DataType::Binary, true),
        Field::new("topic", DataType::Utf8, true),
        Field::new("rows", DataType::UInt64, false),
        Field::new("value", DataType::LargeBinary, false),
    ];
    Arc::new(Schema::new_with_metadata(fields, about.metadata()))
}

impl OutboxWriter {
    /// Begins a bundle of this name.
    pub fn new(name: String, about: &About) -> Result<Self, BundleError> {
        let schema = schema(about);
        let file = IpcEncoder::new(name, schema.clone(), None)?;
        let mut encoded = Encoded { pieces: Vec::new(), bytes: 0, hash: Box::new(Xxh3::new()) };
        encoded.add(file.head().clone());
        Ok(Self { file, schema, waiting: Vec::new(), waiting_bytes: 0, parts: BTreeMap::new(), encoded })
    }

    /// Bytes of encoded rows so far.
    pub fn bytes(&self) -> u64 {
        self.parts.values().map(|(_, bytes)| bytes).sum()
    }

    /// Appends encoded rows.
    pub fn write(&mut self, slot: u32, target: &str, output: Output) -> Result<(), BundleError> {
        let part = self.parts.entry((slot, target.to_owned())).or_default();
        part.0 += output.rows();
        part.1 += output.bytes();
        match output {
            Output::Text { rows, bytes } => {
                self.waiting_bytes += bytes.len();
                self.waiting.push(Text { slot, target: target.to_owned(), rows, bytes });
                if self.waiting_bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
            }
            Output::Records(records) => {
                self.flush()?;
                self.encode(batch_of_records(&self.schema, (slot, target), records))
            }
        }
    }

    /// Ends it. `None` if nothing was written: then there is no object.
    pub fn seal(mut self) -> Result<Option<SealedOutbox>, BundleError> {
        self.flush()?;
        if self.parts.is_empty() {
            return Ok(None);
        }
        let parts = self.parts.into_iter();
        let parts =
            parts.map(|((slot, target), (rows, bytes))| OutboxPart { slot, target, rows, bytes }).collect();
        let (name, mut encoded) = (self.file.name().to_owned(), self.encoded);
        encoded.add(self.file.finish()?);
        let Encoded { pieces, bytes, hash } = encoded;
        let object = Object { name, bytes, hash: Hash(hash.digest128()) };
        Ok(Some(SealedOutbox { object, parts, payload: pieces.into_iter().collect() }))
    }

    fn flush(&mut self) -> Result<(), BundleError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let texts = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        self.encode(batch_of_texts(&self.schema, texts))
    }

    fn encode(&mut self, batch: Result<RecordBatch, ArrowError>) -> Result<(), BundleError> {
        let batch =
            batch.map_err(|source| BundleError::Encode { object: self.file.name().to_owned(), source })?;
        self.encoded.add(self.file.encode(&batch)?);
        Ok(())
    }
}

impl Encoded {
    fn add(&mut self, piece: Bytes) {
        self.hash.update(&piece);
        self.bytes += piece.len() as u64;
        self.pieces.push(piece);
    }
}

impl SealedOutbox {
    /// Creates the object. After an error it can be called again; after [`StoreError::NameTaken`] with another name.
    pub async fn store(&self, store: &StateStore) -> Result<(Object, OutboxObject), StoreError> {
        store.create_unique(&self.object, self.payload.clone()).await?;
        let outbox = OutboxObject { object: self.object.name.clone(), parts: self.parts.clone() };
        Ok((self.object.clone(), outbox))
    }

    /// Gives it another name, before it is in the store.
    pub fn rename(&mut self, name: String) {
        self.object.name = name;
    }
}

fn batch_of_texts(schema: &SchemaRef, mut texts: Vec<Text>) -> Result<RecordBatch, ArrowError> {
    let null = |data_type| new_null_array(data_type, texts.len());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from_iter_values(texts.iter().map(|text| text.slot))),
        Arc::new(StringArray::from_iter_values(texts.iter().map(|text| &text.target))),
        null(&DataType::Binary),
        null(&DataType::Binary),
        null(&DataType::Utf8),
        Arc::new(UInt64Array::from_iter_values(texts.iter().map(|text| text.rows))),
        Arc::new(values(&mut texts)?),
    ];
    RecordBatch::try_new(schema.clone(), columns)
}

fn batch_of_records(
    schema: &SchemaRef,
    (slot, target): (u32, &str),
    Records { keys, topics, headers, values }: Records,
) -> Result<RecordBatch, ArrowError> {
    let rows = values.len();
    let headers = headers.unwrap_or_else(|| BinaryArray::new_null(rows));
    let topics = topics.unwrap_or_else(|| StringArray::new_null(rows));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from_value(slot, rows)),
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(target, rows))),
        Arc::new(keys),
        Arc::new(headers),
        Arc::new(topics),
        Arc::new(UInt64Array::from_value(1, rows)),
        Arc::new(values),
    ];
    RecordBatch::try_new(schema.clone(), columns)
}

/// One large chunk is not copied.
fn values(texts: &mut Vec<Text>) -> Result<LargeBinaryArray, ArrowError> {
    if let [_] = texts[..] {
        let value = texts.remove(0).bytes;
        let offsets = OffsetBuffer::from_lengths([value.len()]);
        return LargeBinaryArray::try_new(offsets, Buffer::from(value), None);
    }
    Ok(LargeBinaryArray::from_iter_values(texts.iter().map(|text| &text.bytes)))
}
