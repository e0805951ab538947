//! Rows printed when they fire.
//!
//! Owns: whole lines, however many slots print.
//! Never: takes back what was printed: after a restart rows may appear again.

use std::io::{self, Write};

use arrow::array::RecordBatch;

use super::{Sink, SinkError};
use crate::pipeline::encode::{Encoder, TextBuffer};

/// Lines that are printed at once, under one lock.
const CHUNK_BYTES: usize = 64 * 1024;

/// Prints rows to a stream that all slots share.
#[derive(Debug)]
pub(super) struct LinesSink<W> {
    encoder: Encoder,
    buffer: TextBuffer,
    stream: W,
}

impl LinesSink<io::Stdout> {
    /// Prints to standard output.
    pub(super) fn stdout(encoder: Encoder, slot: u32) -> Result<Self, SinkError> {
        Self::new(encoder, io::stdout(), slot)
    }
}

impl<W: Write> LinesSink<W> {
    /// Prints to a stream; each chunk of whole lines is one `write_all`. Slot 0 prints the CSV header at once.
    pub(super) fn new(encoder: Encoder, mut stream: W, slot: u32) -> Result<Self, SinkError> {
        let mut buffer = TextBuffer::with_capacity(0);
        if slot == 0 {
            encoder.begin(&mut buffer);
            print(&mut stream, &mut buffer)?;
        }
        Ok(Self { encoder, buffer, stream })
    }
}

impl<W: Write + Send> Sink for LinesSink<W> {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        let stream = &mut self.stream;
        self.encoder.encode(rows, &mut self.buffer, |text| {
            if text.len() < CHUNK_BYTES { Ok(()) } else { print(stream, text) }
        })?;
        print(stream, &mut self.buffer)
    }

    fn on_barrier(&mut self) {}
}

fn print(stream: &mut impl Write, text: &mut TextBuffer) -> Result<(), SinkError> {
    if text.is_empty() {
        return Ok(());
    }
    let printed = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    text.clear();
    printed.map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            SinkError::ReaderGone
        } else {
            SinkError::Stdout(error)
        }
    })
}
