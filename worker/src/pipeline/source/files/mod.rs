//! Reads files record by record.
//!
//! Owns: one partition over one or more files: where it stands, and what is kept of the last batch.
//! Never: knows a format; a decoder finds the records.

mod buffer;
mod identity;
mod input;
mod list;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use streamjob_checkpoint::checkpoint::{FileIdentity, SourcePosition};
use streamjob_plan::Cause;

use self::buffer::Buffer;
pub(super) use self::identity::{check, of as identity};
use self::input::Input;
pub(super) use self::list::list;
use crate::pipeline::records::{
    BadRecord, Begun, Decoded, DecodedRows, Decoder, PartitionReader, Position, Progress, RECORD_BYTES_MAX,
    Read, SourceError,
};

/// Of a record that is too long, this much is kept.
const TOO_LONG_KEPT_BYTES: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// A partition over files, read one after the other.
pub(super) struct FilesReader {
    files: Vec<FileIdentity>,
    /// The index of the open file, or of the next.
    current: usize,
    input: Option<Input>,
    name: Arc<str>,
    buffer: Buffer,
    decoder: Box<dyn Decoder>,
    /// The rest of the buffer holds no complete record.
    drained: bool,
    /// The number of the next record, and its line.
    record: u64,
    line: u64,
    /// Bytes of the files before the open one.
    bytes_before: u64,
    last: LastBatch,
}

/// What is needed to find a row of the last batch again.
#[derive(Debug, Default)]
struct LastBatch {
    /// Where its bytes begin in the buffer.
    start: usize,
    offset: u64,
    first_record: u64,
    first_line: u64,
    lines: u64,
    /// Index into the spans of each row; `None`: the same.
    rows: Option<Vec<u64>>,
}

/// Where a partition is read on: in one of its files, behind so many bytes of its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) file: usize,
    pub(super) byte: u64,
    pub(super) line: u64,
    pub(super) record: u64,
}

impl FilesReader {
    /// Opens the file to go on in, reads its header and goes to the position.
    pub(super) fn open(
        files: Vec<FileIdentity>,
        at: At,
        decoder: Box<dyn Decoder>,
    ) -> Result<Self, SourceError> {
        let name = files.last().map_or("", |file| file.path.as_str()).into();
        let bytes_before = files.iter().take(at.file).map(|file| file.bytes).sum();
        let mut reader = Self {
            files,
            current: at.file,
            input: None,
            name,
            buffer: Buffer::default(),
            decoder,
            drained: true,
            record: at.record,
            line: 1,
            bytes_before,
            last: LastBatch::default(),
        };
        if reader.open_file()? {
            reader.go_to(at)?;
        }
        Ok(reader)
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(&self.files[self.current].path)
    }

    /// Opens the current file. False: there is none.
    fn open_file(&mut self) -> Result<bool, SourceError> {
        let Some(file) = self.files.get(self.current) else { return Ok(false) };
        self.name = file.path.as_str().into();
        self.input = Some(Input::open(Path::new(&file.path))?);
        self.buffer.reset();
        self.line = 1;
        self.fill()?;
        if self.buffer.rest().starts_with(BYTE_ORDER_MARK) {
            self.buffer.consume(BYTE_ORDER_MARK.len());
        }
        loop {
            let path = self.path();
            let header = |cause| SourceError::Header { path, cause };
            match self.decoder.begin(self.buffer.rest(), self.buffer.at_end()).map_err(header)? {
                Begun::At(length) => {
                    self.line += line_feeds(&self.buffer.rest()[..length]);
                    self.buffer.consume(length);
                    return Ok(true);
                }
                Begun::NeedsMore if self.buffer.is_full() => {
                    return Err(SourceError::Header { path: self.path(), cause: too_long("the header") });
                }
                Begun::NeedsMore => self.fill()?,
            }
        }
    }

    /// Passes over what the position is behind; a file that has just been opened stands behind its header.
    fn go_to(&mut self, at: At) -> Result<(), SourceError> {
        if at.byte <= self.buffer.offset() {
            return Ok(());
        }
        self.line = at.line;
        loop {
            let (wanted, there) = (at.byte - self.buffer.offset(), self.buffer.rest().len());
            if wanted <= there as u64 {
                self.buffer.consume(wanted as usize);
                return Ok(());
            }
            let input = self.input.as_mut().expect("a file is open while it is read");
            let seeking = input.seek(at.byte);
            if seeking.map_err(|source| SourceError::Open { path: self.path(), source })? {
                self.buffer.restart(at.byte);
                return Ok(());
            }
            if self.buffer.at_end() {
                return Err(SourceError::EndsBefore { path: self.path(), byte: at.byte });
            }
            self.buffer.consume(there);
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), SourceError> {
        let input = self.input.as_mut().expect("a file is open while it is read");
        self.drained = false;
        let byte = self.buffer.offset() + self.buffer.rest().len() as u64;
        let filled = self.buffer.fill(input);
        filled.map_err(|source| SourceError::Read { path: self.path(), byte, source })
    }

    fn close_file(&mut self) {
        self.bytes_before += self.files[self.current].bytes;
        self.input = None;
        self.current += 1;
    }

    /// Takes note of decoded records. `None`: there were none.
    fn take(&mut self, decoded: Decoded) -> Option<DecodedRows> {
        let count = self.decoder.spans().len();
        let first_record = self.record;
        self.last = LastBatch {
            start: self.buffer.start(),
            offset: self.buffer.offset(),
            first_record,
            first_line: self.line,
            lines: decoded.lines,
            rows: None,
        };
        let bad = self.bad_records(decoded.bad);
        self.buffer.consume(decoded.consumed);
        self.record += count as u64;
        self.line += decoded.lines;
        if count == 0 {
            return None;
        }
        let mut numbers = None;
        if !bad.is_empty() {
            let mut next_bad = bad.iter().map(|bad| bad.record).peekable();
            let good = (first_record..self.record).filter(|number| next_bad.next_if_eq(number).is_none());
            let good: Vec<u64> = good.collect();
            self.last.rows = Some(good.iter().map(|number| number - first_record).collect());
            numbers = Some(good);
        }
        let bytes = decoded.consumed as u64;
        Some(DecodedRows { rows: decoded.rows, first_row: first_record, numbers, bad, bytes })
    }

    fn bad_records(&self, bad: Vec<(usize, Cause)>) -> Vec<BadRecord> {
        let (mut line, mut counted) = (self.last.first_line, 0);
        let bad = bad.into_iter().map(|(index, cause)| {
            let span = self.decoder.spans()[index];
            line += line_feeds(&self.buffer.rest()[counted..span.start as usize]);
            counted = span.start as usize;
            let raw = self.buffer.rest()[counted..span.end as usize].to_vec();
            let record = self.last.first_record + index as u64;
            BadRecord { record, cause, raw, file: Arc::clone(&self.name), line }
        });
        bad.collect()
    }

    /// Passes over a record that does not fit the buffer.
    fn pass_over(&mut self) -> Result<DecodedRows, SourceError> {
        let rows = self.decoder.decode(b"", false, 0).rows;
        let kept = &self.buffer.rest()[..TOO_LONG_KEPT_BYTES];
        let bad = BadRecord {
            record: self.record,
            cause: Cause::plain(too_long("the record")),
            raw: kept.to_vec(),
            file: Arc::clone(&self.name),
            line: self.line,
        };
        let (mut bytes, mut fresh) = (0, true);
        loop {
            let rest = self.buffer.rest();
            let found = self.decoder.skip(rest, fresh);
            let passed = found.unwrap_or(rest.len());
            self.line += line_feeds(&rest[..passed]);
            self.buffer.consume(passed);
            bytes += passed as u64;
            fresh = false;
            if found.is_some() || self.buffer.at_end() {
                break;
            }
            self.fill()?;
        }
        let first_row = self.record;
        self.record += 1;
        self.last = LastBatch::default();
        Ok(DecodedRows { rows, first_row, numbers: Some(Vec::new()), bad: vec![bad], bytes })
    }

    /// Index into the spans of a row of the last batch.
    fn span_index(&self, row: u32) -> usize {
        self.last.rows.as_ref().map_or(row as usize, |rows| rows[row as usize] as usize)
    }
}

impl PartitionReader for FilesReader {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn read(&mut self, rows_max: usize) -> Result<Read, SourceError> {
        assert!(rows_max > 0, "a batch has room for a row");
        loop {
            if self.input.is_none() && !self.open_file()? {
                return Ok(Read::End);
            }
            if !self.drained {
                let decoded = self.decoder.decode(self.buffer.rest(), self.buffer.at_end(), rows_max);
                self.drained = self.decoder.spans().len() < rows_max;
                if let Some(rows) = self.take(decoded) {
                    return Ok(Read::Rows(rows));
                }
            }
            if self.buffer.at_end() {
                self.close_file();
            } else if self.buffer.is_full() {
                return self.pass_over().map(Read::Rows);
            } else {
                self.fill()?;
            }
        }
    }

    fn raw(&self, row: u32) -> &[u8] {
        let span = self.decoder.spans()[self.span_index(row)];
        self.buffer.slice(self.last.start + span.start as usize, self.last.start + span.end as usize)
    }

    fn position(&self, row: u32) -> Position {
        let index = self.span_index(row);
        let start = self.decoder.spans()[index].start;
        let line = if self.last.lines == self.decoder.spans().len() as u64 {
            index as u64
        } else {
            line_feeds(self.buffer.slice(self.last.start, self.last.start + start as usize))
        };
        Position {
            file: Arc::clone(&self.name),
            line: self.last.first_line + line,
            record: self.last.first_record + index as u64,
            byte: self.last.offset + u64::from(start),
        }
    }

    fn next_position(&self) -> SourcePosition {
        let read_to_its_end = self.buffer.at_end() && self.buffer.rest().is_empty();
        let (file, byte, line) = match self.input {
            Some(_) if read_to_its_end => (self.current + 1, 0, 1),
            Some(_) => (self.current, self.buffer.offset(), self.line),
            None => (self.current, 0, 1),
        };
        let file = u32::try_from(file).expect("a source has fewer files");
        SourcePosition::File { file, byte, line, record: self.record }
    }

    fn progress(&self) -> Progress {
        let open = self.input.as_ref().map_or(0, Input::bytes);
        Progress {
            bytes: self.bytes_before + open,
            bytes_total: Some(self.files.iter().map(|file| file.bytes).sum()),
            rows: self.record,
            rows_total: None,
        }
    }
}

fn line_feeds(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

fn too_long(what: &str) -> String {
    format!("{what} is longer than {} MiB", RECORD_BYTES_MAX / (1024 * 1024))
}
