//! Where exported rows go.
//!
//! Owns: the formats; a file that appears whole or not at all.
//! Never: decides which rows.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use streamjob_plan::FormatPlan;
use thiserror::Error;

use crate::cli::args::ExportFormat;
use crate::pipeline::encode::{EncodeError, Encoder, TextBuffer};

/// Why exported rows cannot be written.
#[derive(Debug, Error)]
pub(super) enum OutputError {
    /// Bytes on a screen.
    #[error("Parquet is not for a terminal; write it to a file with `--output state.parquet`")]
    Terminal,
    /// The file.
    #[error("cannot write {path}; free some space, or choose another place with `--output`")]
    Io {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Parquet.
    #[error("cannot write {path} as Parquet; free some space, or choose another place with `--output`")]
    Parquet {
        /// Which.
        path: String,
        /// Why.
        source: ParquetError,
    },
    /// A type without a text form.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// An open destination. Dropped before [`finish`](Self::finish) it leaves nothing behind.
pub(super) struct Output {
    path: String,
    writer: Writer,
    file: Option<Temporary>,
}

type Sink = Box<dyn Write + Send>;

enum Writer {
    Text { encoder: Encoder, buffer: TextBuffer, out: Sink },
    Parquet(Box<ArrowWriter<Sink>>),
}

/// A hidden file that gets its name at the end.
struct Temporary {
    file: File,
    part: PathBuf,
    path: PathBuf,
    named: bool,
}

/// The format that was asked for, or that the output's name ends with.
pub(super) fn format(asked: Option<ExportFormat>, output: Option<&Path>) -> ExportFormat {
    let ending = output.and_then(Path::extension).and_then(|ending| ending.to_str());
    let by_name = match ending {
        Some("parquet") => ExportFormat::Parquet,
        Some("json" | "jsonl" | "ndjson") => ExportFormat::Json,
        Some(_) | None => ExportFormat::Csv,
    };
    asked.unwrap_or(by_name)
}

impl Output {
    /// Opens a file, or standard output.
    pub(super) fn open(
        schema: &SchemaRef,
        format: ExportFormat,
        output: Option<&Path>,
    ) -> Result<Self, OutputError> {
        let path = output.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
        let file = output.map(Temporary::create).transpose().map_err(io_error(&path))?;
        let out: Sink = match &file {
            Some(temporary) => Box::new(BufWriter::new(temporary.file.try_clone().map_err(io_error(&path))?)),
            None if format == ExportFormat::Parquet && io::stdout().is_terminal() => {
                return Err(OutputError::Terminal);
            }
            None => Box::new(BufWriter::new(io::stdout())),
        };
        let writer = match format {
            ExportFormat::Parquet => Writer::Parquet(Box::new(
                ArrowWriter::try_new(out, Arc::clone(schema), None).map_err(parquet_error(&path))?,
            )),
            ExportFormat::Json => Writer::text(schema, &FormatPlan::Json, out)?,
            ExportFormat::Csv => {
                let format = FormatPlan::Csv { header: true, delimiter: b',', nulls: vec![String::new()] };
                Writer::text(schema, &format, out)?
            }
        };
        Ok(Self { path, writer, file })
    }

    /// Writes rows.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), OutputError> {
        match &mut self.writer {
            Writer::Parquet(writer) => writer.write(rows).map_err(parquet_error(&self.path)),
            Writer::Text { encoder, buffer, out } => {
                let written = encoder.encode(rows, buffer, |text| drain(text, out));
                written.map_err(io_error(&self.path))
            }
        }
    }

    /// Everything is written; the file appears.
    pub(super) fn finish(self) -> Result<(), OutputError> {
        match self.writer {
            Writer::Parquet(writer) => {
                let mut out = writer.into_inner().map_err(parquet_error(&self.path))?;
                out.flush().map_err(io_error(&self.path))?;
            }
            Writer::Text { mut buffer, mut out, .. } => {
                let written = drain(&mut buffer, &mut out).and_then(|()| out.flush());
                written.map_err(io_error(&self.path))?;
            }
        }
        self.file.map_or(Ok(()), Temporary::publish).map_err(io_error(&self.path))
    }
}

impl OutputError {
    /// Whether the reader of standard output has seen enough.
    pub(super) fn is_closed_pipe(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::BrokenPipe,
            Self::Parquet { source: ParquetError::External(error), .. } => error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe),
            Self::Parquet { .. } | Self::Terminal | Self::Encode(_) => false,
        }
    }
}

impl Writer {
    fn text(schema: &SchemaRef, format: &FormatPlan, out: Sink) -> Result<Self, OutputError> {
        let encoder = Encoder::new(schema, format)?;
        let mut buffer = TextBuffer::default();
        encoder.begin(&mut buffer);
        Ok(Self::Text { encoder, buffer, out })
    }
}

impl Temporary {
    fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
        let hidden = format!(".{}.{}.part", name.to_string_lossy(), std::process::id());
        let part = path.with_file_name(hidden);
        let file = File::create_new(&part)?;
        Ok(Self { file, part, path: path.to_owned(), named: false })
    }

    fn publish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.part, &self.path)?;
        self.named = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.named {
            // What went wrong before is what is reported.
            drop(fs::remove_file(&self.part));
        }
    }
}

fn drain(buffer: &mut TextBuffer, out: &mut Sink) -> io::Result<()> {
    out.write_all(buffer.as_bytes())?;
    buffer.clear();
    Ok(())
}

fn io_error(path: &str) -> impl FnOnce(io::Error) -> OutputError {
    let path = path.to_owned();
    move |source| OutputError::Io { path, source }
}

fn parquet_error(path: &str) -> impl FnOnce(ParquetError) -> OutputError {
    let path = path.to_owned();
    move |source| OutputError::Parquet { path, source }
}
