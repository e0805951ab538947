//! Arrow's IPC file format, encoded and decoded.
//!
//! Owns: where the head ends, where messages begin and end.
//! Never: knows what the columns mean.

use std::io;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow_ipc::CompressionType;
use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use bytes::Bytes;

use super::BundleError;
use crate::ids::Hash;

/// `ARROW1`, padded: the schema's message begins here.
pub(crate) const SCHEMA_AT: u64 = 64;
/// What a message begins with.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// A larger schema was never written: hundreds of columns need a tenth of it.
const HEAD_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Behind the footer: its length and `ARROW1`.
pub(crate) const TAIL_BYTES: u64 = 10;
/// The mark behind the last message.
const END_BYTES: u64 = 8;

/// Encodes an object in Arrow's file format.
pub(crate) struct IpcEncoder {
    name: String,
    file: FileWriter<Pipe>,
    schema: SchemaRef,
    /// Magic and schema: what every block's hash begins with.
    head: Bytes,
}

/// Holds what arrow has written until it is taken.
#[derive(Default)]
struct Pipe {
    bytes: Vec<u8>,
}

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pipe {
    /// Takes the bytes; the next will probably be as many.
    fn take(&mut self) -> Bytes {
        let room = self.bytes.len() + self.bytes.len() / 16;
        std::mem::replace(&mut self.bytes, Vec::with_capacity(room)).into()
    }
}

impl IpcEncoder {
    /// Of an object of this name.
    pub(crate) fn new(
        name: String,
        schema: SchemaRef,
        compression: Option<CompressionType>,
    ) -> Result<Self, BundleError> {
        let begin = || -> Result<FileWriter<Pipe>, ArrowError> {
            let options = IpcWriteOptions::default().try_with_compression(compression)?;
            FileWriter::try_new_with_options(Pipe::default(), &schema, options)
        };
        let mut file = begin().map_err(|source| BundleError::Encode { object: name.clone(), source })?;
        let head = file.get_mut().take();
        Ok(Self { name, file, schema, head })
    }

    /// What the object begins with: magic and schema.
    pub(crate) fn head(&self) -> &Bytes {
        &self.head
    }

    /// The object's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The message that comes next.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<Bytes, BundleError> {
        let expected = batch.schema_ref();
        assert!(
            Arc::ptr_eq(expected, &self.schema) || expected.fields() == self.schema.fields(),
            "a batch has the columns that its object began with: {expected:?}, {:?}",
            self.schema
        );
        self.file.write(batch).map_err(|source| self.failed(source))?;
        Ok(self.file.get_mut().take())
    }

    /// What the object ends with.
    pub(crate) fn finish(mut self) -> Result<Bytes, BundleError> {
        self.file.finish().map_err(|source| self.failed(source))?;
        Ok(self.file.get_mut().take())
    }

    fn failed(&self, source: ArrowError) -> BundleError {
        BundleError::Encode { object: self.name.clone(), source }
    }
}

/// How long the head is, from the bytes that an object begins with. They need not be checked before.
pub(crate) fn head_bytes(begin: &[u8]) -> Result<u64, &'static str> {
    let at = SCHEMA_AT as usize;
    let (Some(mark), Some(length)) = (begin.get(at..at + 4), begin.get(at + 4..at + 8)) else {
        return Err("its head is cut off");
    };
    if mark != CONTINUATION {
        return Err("its head is not that of an Arrow file");
    }
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
    let head = SCHEMA_AT + 8 + u64::from(length);
    if head > HEAD_BYTES_MAX { Err("its head is longer than any that was written") } else { Ok(head) }
}

/// Where the messages end, from the bytes that an object ends with.
pub(crate) fn messages_end(tail: &[u8], object_bytes: u64) -> Result<u64, &'static str> {
    let tail: [u8; TAIL_BYTES as usize] = tail.try_into().map_err(|_| "its end is cut off")?;
    let footer =
        arrow_ipc::reader::read_footer_length(tail).map_err(|_| "it does not end like an Arrow file")?;
    object_bytes.checked_sub(TAIL_BYTES + END_BYTES + footer as u64).ok_or("its footer is longer than itself")
}

/// Reads messages whose bytes were checked before.
pub(crate) struct Messages {
    decoder: StreamDecoder,
    schema: SchemaRef,
    waiting: Buffer,
}

impl Messages {
    /// Behind this head.
    pub(crate) fn new(head: &Bytes) -> Result<Self, ArrowError> {
        let message = head.slice(SCHEMA_AT as usize..);
        let schema = Arc::new(try_schema_from_ipc_buffer(&message)?);
        let mut decoder = StreamDecoder::new();
        decoder.decode(&mut Buffer::from(message))?;
        Ok(Self { decoder, schema, waiting: Buffer::default() })
    }

    /// The columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Adds bytes, once `next` has given `None`.
    pub(crate) fn feed(&mut self, bytes: Bytes) {
        assert!(self.waiting.is_empty(), "bytes are read before others are added");
        self.waiting = Buffer::from(bytes);
    }

    /// The next batch; `None` when more bytes are needed for one.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        self.decoder.decode(&mut self.waiting)
    }

    /// Whether the last message is whole.
    pub(crate) fn is_whole(&mut self) -> bool {
        self.waiting.is_empty() && self.decoder.finish().is_ok()
    }
}

/// Refuses bytes that are not those that were written.
pub(crate) fn check_hash(object: &str, found: Hash, expected: Hash) -> Result<(), BundleError> {
    if found == expected {
        return Ok(());
    }
    Err(damaged(object, format!("its bytes have hash {found}, and {expected} was written")))
}

pub(crate) fn damaged(object: &str, what: impl Into<String>) -> BundleError {
    BundleError::Damaged { object: object.to_owned(), what: what.into() }
}
