//! A file for each epoch that has rows, which appears whole or not at all.
//!
//! Owns: the hidden temporary file, its sync, and its final name.
//! Never: holds a whole file in memory, or makes a slot wait for the disk.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;

use super::folder::part_name;
use super::{PublishedFile, Sink, SinkError, Writer};
use crate::pipeline::encode::{Encoder, TextBuffer};

/// Text that is gathered before it is handed to the system.
const BUFFER_BYTES: usize = 256 * 1024;

/// Writes rows into a folder: one file for each epoch that has some.
#[derive(Debug)]
pub struct FilesSink {
    folder: PathBuf,
    writer: Writer,
    encoder: Encoder,
    buffer: TextBuffer,
    /// How many temporary files there have been.
    parts: u64,
    open: Option<Part>,
}

/// The file that a barrier has ended: complete, but hidden and perhaps not on the disk yet.
///
/// It can be sent to the thread that publishes. Dropped before that, it leaves nothing behind.
#[derive(Debug)]
pub struct SealedFile {
    file: File,
    temporary: Temporary,
    target: PathBuf,
    published: PublishedFile,
}

/// The file of the epoch under way.
#[derive(Debug)]
struct Part {
    file: File,
    temporary: Temporary,
    rows: u64,
    bytes: u64,
}

/// The path of a temporary file; dropping it removes the file, unless it has its final name by then.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    renamed: Cell<bool>,
}

impl FilesSink {
    /// A sink that writes into a folder that this run has claimed.
    pub fn new(folder: &Path, encoder: Encoder, writer: &Writer) -> Self {
        Self {
            folder: folder.to_owned(),
            writer: writer.clone(),
            encoder,
            buffer: TextBuffer::with_capacity(0),
            parts: 0,
            open: None,
        }
    }

    /// Begins the file of this epoch.
    fn begin(&mut self) -> Result<Part, SinkError> {
        let path = self.folder.join(part_name(&self.writer, self.parts, self.encoder.extension()));
        let file = File::create_new(&path).map_err(SinkError::io("create", &path))?;
        self.parts += 1;
        self.encoder.begin(&mut self.buffer);
        let temporary = Temporary { path, renamed: Cell::new(false) };
        Ok(Part { file, temporary, rows: 0, bytes: 0 })
    }

    fn final_name(&self, epoch: u64) -> String {
        let Writer { run, slot } = &self.writer;
        format!("{run}-{epoch}-{slot}.{}", self.encoder.extension())
    }
}

impl Sink for FilesSink {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), SinkError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if self.open.is_none() {
            self.open = Some(self.begin()?);
        }
        let part = self.open.as_mut().expect("begun in the line above");
        part.rows += rows.num_rows() as u64;
        self.encoder.encode(rows, &mut self.buffer, |text| {
            if text.len() < BUFFER_BYTES { Ok(()) } else { part.flush(text) }
        })
    }

    fn on_barrier(&mut self, epoch: u64) -> Result<Option<SealedFile>, SinkError> {
        let Some(mut part) = self.open.take() else { return Ok(None) };
        part.flush(&mut self.buffer)?;
        let Part { file, temporary, rows, bytes } = part;
        let name = self.final_name(epoch);
        let target = self.folder.join(&name);
        Ok(Some(SealedFile { file, temporary, target, published: PublishedFile { name, rows, bytes } }))
    }
}

impl SealedFile {
    /// Makes the file appear under its final name once all of it is on the disk; waits for that. Doing it again
    /// changes nothing. The name itself is durable after [`write_epoch_manifest`](super::write_epoch_manifest).
    pub fn publish(&self) -> Result<PublishedFile, SinkError> {
        if !self.temporary.renamed.get() {
            self.file.sync_all().map_err(SinkError::io("sync", &self.temporary.path))?;
            self.temporary.rename(&self.target)?;
        }
        Ok(self.published.clone())
    }
}

impl Part {
    fn flush(&mut self, text: &mut TextBuffer) -> Result<(), SinkError> {
        self.file.write_all(text.as_bytes()).map_err(SinkError::io("write", &self.temporary.path))?;
        self.bytes += text.len() as u64;
        text.clear();
        Ok(())
    }
}

impl Temporary {
    fn rename(&self, to: &Path) -> Result<(), SinkError> {
        fs::rename(&self.path, to).map_err(SinkError::io("rename", &self.path))?;
        self.renamed.set(true);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed.get()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "left a hidden temporary file behind");
        }
    }
}
