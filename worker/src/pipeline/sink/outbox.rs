//! Rows on their way into the outbox of the epoch, encoded.
//!
//! Owns: the text that is gathered before it is handed on.
//! Never: writes anywhere: the outbox belongs to the checkpoint, and is published after it is committed.

use arrow::array::RecordBatch;
use bytes::Bytes;
use streamjob_checkpoint::outbox::Output;

use super::{Sink, SinkError, Target};
use crate::pipeline::encode::{Encoder, TextBuffer};

/// Text that is gathered before it is handed on.
const CHUNK_BYTES: usize = 256 * 1024;

/// Whole encoded rows of one slot for one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Where they go.
    pub target: Target,
    /// The rows. Their number is of this chunk and those before it that have not been counted yet.
    pub output: Output,
}

/// Takes what a slot wants published after the epoch is committed.
pub trait Outbox: Send {
    /// Takes a chunk; chunks of a target are published in this order.
    fn push(&mut self, chunk: Chunk);
}

/// Encodes rows for one target and puts them into the slot's outbox. Each epoch's text is a whole file.
pub struct OutboxSink {
    target: Target,
    encoder: Encoder,
    outbox: Box<dyn Outbox>,
    buffer: TextBuffer,
    /// Rows that no chunk has counted.
    rows: u64,
    /// The epoch has rows.
    begun: bool,
}

impl OutboxSink {
    /// A sink that puts rows into this outbox.
    pub fn new(target: Target, encoder: Encoder, outbox: Box<dyn Outbox>) -> Self {
        Self { target, encoder, outbox, buffer: TextBuffer::with_capacity(0), rows: 0, begun: false }
    }
}

impl Sink for OutboxSink {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if !self.begun {
            self.encoder.begin(&mut self.buffer);
            self.begun = true;
        }
        let Self { target, encoder, outbox, buffer, rows: counted, .. } = self;
        encoder.encode(rows, buffer, |text| {
            if text.len() >= CHUNK_BYTES {
                let rows = std::mem::take(counted);
                outbox.push(chunk(*target, rows, text));
                text.clear();
            }
            Ok::<_, SinkError>(())
        })?;
        self.rows += rows.num_rows() as u64;
        Ok(())
    }

    fn on_barrier(&mut self) {
        if std::mem::take(&mut self.begun) {
            let rows = std::mem::take(&mut self.rows);
            self.outbox.push(chunk(self.target, rows, &self.buffer));
            self.buffer.clear();
        }
    }
}

fn chunk(target: Target, rows: u64, text: &TextBuffer) -> Chunk {
    Chunk { target, output: Output::Text { rows, bytes: Bytes::copy_from_slice(text.as_bytes()) } }
}
