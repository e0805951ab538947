//! A file for each epoch that has rows, which appears whole or not at all.
//!
//! Owns: the hidden temporary file, its sync, and its final name.
//! Never: holds a whole file in memory, or makes the slot wait for the disk at a barrier.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use arrow::array::RecordBatch;

use super::folder::{part_name, sync_folder};
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
    sealed: Vec<Sealed>,
    published: Option<(u64, Vec<PublishedFile>)>,
}

/// The temporary file of the epoch under way. Removed when dropped.
#[derive(Debug)]
struct Part {
    file: File,
    path: PartPath,
    rows: u64,
    bytes: u64,
}

/// A temporary file that a barrier has ended, on its way to the disk.
#[derive(Debug)]
struct Sealed {
    epoch: u64,
    path: PartPath,
    rows: u64,
    bytes: u64,
    sync: JoinHandle<io::Result<()>>,
}

/// The path of a temporary file; dropping it removes the file, unless it has its final name by then.
#[derive(Debug)]
struct PartPath {
    path: PathBuf,
    renamed: bool,
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
            sealed: Vec::new(),
            published: None,
        }
    }

    /// Begins the file of this epoch if it has none yet.
    fn ensure_open(&mut self) -> Result<(), SinkError> {
        if self.open.is_none() {
            let name = part_name(&self.writer, self.parts, self.encoder.extension());
            let path = self.folder.join(name);
            let file = File::create_new(&path).map_err(SinkError::io("create", &path))?;
            self.parts += 1;
            self.open = Some(Part { file, path: PartPath { path, renamed: false }, rows: 0, bytes: 0 });
            self.encoder.begin(&mut self.buffer);
        }
        Ok(())
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
        self.ensure_open()?;
        let part = self.open.as_mut().expect("opened in the line above");
        part.rows += rows.num_rows() as u64;
        self.encoder.encode(rows, &mut self.buffer, |text| {
            if text.len() < BUFFER_BYTES { Ok(()) } else { part.flush(text) }
        })
    }

    fn on_barrier(&mut self, epoch: u64) -> Result<(), SinkError> {
        let Some(mut part) = self.open.take() else { return Ok(()) };
        part.flush(&mut self.buffer)?;
        let Part { file, path, rows, bytes } = part;
        // The slot has windows to go on with: a thread of its own waits for the disk, and publishing joins it.
        let sync = std::thread::Builder::new()
            .name(format!("sync-{}", self.writer.slot))
            .spawn(move || file.sync_all())
            .map_err(SinkError::io("start a thread to sync", &path.path))?;
        self.sealed.push(Sealed { epoch, path, rows, bytes, sync });
        Ok(())
    }

    fn is_sealed(&self, epoch: u64) -> bool {
        self.sealed.iter().filter(|sealed| sealed.epoch == epoch).all(|sealed| sealed.sync.is_finished())
    }

    fn publish(&mut self, epoch: u64) -> Result<Vec<PublishedFile>, SinkError> {
        if let Some((published, files)) = &self.published
            && *published == epoch
        {
            return Ok(files.clone());
        }
        let mut files = Vec::new();
        if let Some(at) = self.sealed.iter().position(|sealed| sealed.epoch == epoch) {
            let Sealed { mut path, rows, bytes, sync, .. } = self.sealed.remove(at);
            sync.join().expect("syncing a file does not panic").map_err(SinkError::io("sync", &path.path))?;
            let name = self.final_name(epoch);
            path.rename(&self.folder.join(&name))?;
            sync_folder(&self.folder)?;
            files.push(PublishedFile { name, rows, bytes });
        }
        self.published = Some((epoch, files.clone()));
        Ok(files)
    }
}

impl Part {
    fn flush(&mut self, text: &mut TextBuffer) -> Result<(), SinkError> {
        self.file.write_all(text.as_bytes()).map_err(SinkError::io("write", &self.path.path))?;
        self.bytes += text.len() as u64;
        text.clear();
        Ok(())
    }
}

impl PartPath {
    fn rename(&mut self, to: &Path) -> Result<(), SinkError> {
        fs::rename(&self.path, to).map_err(SinkError::io("rename", &self.path))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for PartPath {
    fn drop(&mut self) {
        if !self.renamed
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "left a hidden temporary file behind");
        }
    }
}
