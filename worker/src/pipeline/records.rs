//! What a source hands on, and how it has its bytes decoded.
//!
//! Owns: the traits [`PartitionReader`] and [`Decoder`], decoded rows, bad records, positions.
//! Never: reads or decodes anything itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use crossbeam_utils::sync::Unparker;
use streamjob_checkpoint::checkpoint::SourcePosition;
use streamjob_checkpoint::retry::{Passing, io_may_pass};
use streamjob_plan::Cause;

use crate::kafka::{ConfigError, TopicError};

/// The longest record that is decoded, line end included. A longer one is a bad record and is passed over in pieces.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Reads the rows of one partition in order.
pub trait PartitionReader: Send {
    /// The file's name, or `generator-3`; with several files in one partition the one being read.
    fn name(&self) -> String;

    /// The next batch: at most `rows_max` records, bad ones counted, and about 256 KB of input.
    fn read(&mut self, rows_max: usize) -> Result<Read, SourceError>;

    /// The bytes that row `row` of the last batch came from, without line end. Empty for generated rows.
    fn raw(&self, row: u32) -> &[u8];

    /// Where row `row` of the last batch stands.
    fn position(&self, row: u32) -> Position;

    /// Where to go on: behind the last batch, as `Partition::open_at` takes it.
    fn next_position(&self) -> SourcePosition;

    /// How far it has come.
    fn progress(&self) -> Progress;

    /// How a reader that waits for others tells that something has come.
    fn wake_with(&mut self, _waker: Unparker) {}

    /// Whether something has come since a read gave nothing, so that it need not be waited for.
    fn has_come(&self) -> bool {
        false
    }

    /// What is before this position is in a checkpoint. For whoever looks on from outside; nothing is read from it.
    fn on_committed(&mut self, _position: &SourcePosition) {}
}

/// What a read gave.
#[derive(Debug)]
pub enum Read {
    /// Records, possibly all of them bad.
    Rows(DecodedRows),
    /// All there is has been read: come back after this long.
    Wait(Duration),
    /// Nothing has come, though there may be something: come back after this long. It does not make a partition idle.
    Stalled(Duration),
    /// There will be nothing more.
    End,
}

/// A batch of rows.
#[derive(Debug)]
pub struct DecodedRows {
    /// The good rows, in the schema of the source.
    pub rows: RecordBatch,
    /// The number of the batch's first record in its partition, from 0, bad ones counted.
    pub first_row: u64,
    /// The record number of each row; `None`: `first_row + i`.
    pub numbers: Option<Vec<u64>>,
    /// The records that could not be decoded, in order.
    pub bad: Vec<BadRecord>,
    /// Input bytes of this batch, after decompression.
    pub bytes: u64,
}

impl DecodedRows {
    /// The record number of row `row` in its partition.
    pub fn number(&self, row: u32) -> u64 {
        self.numbers.as_ref().map_or(self.first_row + u64::from(row), |numbers| numbers[row as usize])
    }
}

/// A record that could not be decoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadRecord {
    /// Its number in the partition, from 0; its offset in a topic.
    pub record: u64,
    /// Why.
    pub cause: Cause,
    /// Its bytes without line end; of a record that is too long only the first 64 KB.
    pub raw: Vec<u8>,
    /// The file it is in, or `topic/partition`.
    pub file: Arc<str>,
    /// The line it begins in, from 1; 0: it is a record of a topic.
    pub line: u64,
}

/// Where a record stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Position {
    /// The file, `topic/partition`, or the generator's partition.
    pub file: Arc<str>,
    /// The line it begins in, from 1; for generated rows the row number, from 1; 0: it is a record of a topic.
    pub line: u64,
    /// Its number in the partition, from 0.
    pub record: u64,
    /// The offset of its first byte in the file, after decompression; 0 for generated rows.
    pub byte: u64,
}

/// How far a partition is read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Bytes taken from storage, so still compressed ones; 0 for generated rows.
    pub bytes: u64,
    /// All bytes there are; `None` when unknown or endless.
    pub bytes_total: Option<u64>,
    /// Records, bad ones counted.
    pub rows: u64,
    /// All records there are; `None` when unknown or endless.
    pub rows_total: Option<u64>,
}

/// Turns records that come one by one into rows.
pub trait RecordDecoder: Send {
    /// Decodes one into a row. The error says why it is bad; then there is no row.
    fn decode(&mut self, payload: Option<&[u8]>) -> Result<(), Cause>;

    /// The rows since the last call.
    fn finish(&mut self) -> RecordBatch;
}

/// Makes the decoder of a partition that is opened.
pub type MakeDecoder = Arc<dyn Fn() -> Box<dyn Decoder> + Send + Sync>;

/// Finds the records in bytes and turns them into rows.
pub trait Decoder: Send {
    /// A file begins with `bytes`; `end`: it has no more. Reads the header, if the format has one.
    fn begin(&mut self, bytes: &[u8], end: bool) -> Result<Begun, String>;

    /// Decodes the complete records at the front of `bytes`, at most `records_max`; `end`: the file has no more bytes.
    fn decode(&mut self, bytes: &[u8], end: bool, records_max: usize) -> Decoded;

    /// Where each record of the last [`Decoder::decode`] is in its bytes, bad ones counted.
    fn spans(&self) -> &[Span];

    /// Passes over bytes of a record that is too long. `fresh`: the record begins here.
    /// `Some(n)`: its end, line end included, is n bytes in.
    fn skip(&mut self, bytes: &[u8], fresh: bool) -> Option<usize>;
}

/// Whether a header is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Begun {
    /// Records begin after this many bytes.
    At(usize),
    /// The header is not complete: call again with more bytes from the same place.
    NeedsMore,
}

/// What was found in a piece of input.
#[derive(Debug)]
pub struct Decoded {
    /// The good rows.
    pub rows: RecordBatch,
    /// How many bytes were used up; the rest is an incomplete record, or beyond `records_max`.
    pub consumed: usize,
    /// The line feeds among them.
    pub lines: u64,
    /// The bad records: index into the spans, ascending, and cause.
    pub bad: Vec<(usize, Cause)>,
}

/// A record's place in a piece of input, without line end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
}

impl Passing for SourceError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Open { source, .. } | Self::Read { source, .. } | Self::Thread { source } => {
                io_may_pass(source.kind())
            }
            Self::Topic(error) => error.may_pass(),
            Self::Kafka(_)
            | Self::NoMatch { .. }
            | Self::Pattern { .. }
            | Self::Compression { .. }
            | Self::Folder { .. }
            | Self::Name { .. }
            | Self::Gone { .. }
            | Self::Changed { .. }
            | Self::EndsBefore { .. }
            | Self::Foreign { .. }
            | Self::Header { .. } => false,
        }
    }
}

/// A source that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A pattern that matches nothing.
    #[error("no file matches {pattern}; check `source.files.urls`")]
    NoMatch {
        /// As the plan has it.
        pattern: String,
    },
    /// A pattern that cannot be a glob.
    #[error("{pattern} is not a valid pattern: {cause}")]
    Pattern {
        /// As the plan has it.
        pattern: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A folder or file that cannot be listed or opened.
    #[error("cannot open {path}; check that it exists and may be read")]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that stops giving bytes.
    #[error("cannot read {path} beyond byte {byte} of its content")]
    Read {
        /// Which.
        path: PathBuf,
        /// Where, after decompression.
        byte: u64,
        /// Why.
        source: std::io::Error,
    },
    /// A file whose name promises a compression that its content does not have.
    #[error("{path} is not {expected} data; rename it if it is not compressed")]
    Compression {
        /// Which.
        path: PathBuf,
        /// `gzip` or `zstd`.
        expected: &'static str,
    },
    /// A folder where files are meant.
    #[error(
        "{pattern} names a folder, not files; write `{pattern}/*` in `source.files.urls` for the files in it"
    )]
    Folder {
        /// As the plan has it.
        pattern: String,
    },
    /// A file name that is not text.
    #[error("the name of {path} is not UTF-8; rename the file")]
    Name {
        /// Which.
        path: PathBuf,
    },
    /// A file that is not read to its end and is gone.
    #[error(
        "{path} is gone, and the job had not finished it; put it back, or begin anew with `--fresh --discard-state`"
    )]
    Gone {
        /// Which.
        path: PathBuf,
    },
    /// A file that is not read to its end and is another one now.
    #[error(
        "{path} has changed since the job began: {old}, now {new}; put the old file back, or begin anew with `--fresh --discard-state`"
    )]
    Changed {
        /// Which.
        path: PathBuf,
        /// How long it was and what its ends were.
        old: String,
        /// The same of what is there now.
        new: String,
    },
    /// A compressed file that ends before the position to go on from.
    #[error(
        "{path} ends before byte {byte} of its content, where the job had read to; put the old file back"
    )]
    EndsBefore {
        /// Which.
        path: PathBuf,
        /// The position, after decompression.
        byte: u64,
    },
    /// Positions that are not positions of this source.
    #[error("the state's partitions do not fit `spec.pipeline.source`: {cause}; put the old manifest back")]
    Foreign {
        /// What does not fit.
        cause: String,
    },
    /// A topic that cannot be read, or not where it should be.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A client of Kafka that cannot be set up.
    #[error(transparent)]
    Kafka(#[from] ConfigError),
    /// The system gives no thread to fetch with.
    #[error("no thread can be had to read topics with; check the limit of processes (`ulimit -u`)")]
    Thread {
        /// Why.
        source: std::io::Error,
    },
    /// A header that does not fit the columns.
    #[error("{path}: {cause}")]
    Header {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
}
