//! What a compiled job looks like.
//!
//! Owns: the types that the worker runs by. All defaults are applied, all paths absolute, all names resolved.
//! Never: holds an `Option` that means "use the default", but where the environment says what that is.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use streamjob_core::aggregate::AggregateSpec;
use streamjob_crds::BucketUrl;

use crate::{EventTimeExpr, KafkaOutputPlan, KafkaRoute, KafkaSourcePlan, Transforms};

/// A compiled job.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The job's name.
    pub job: String,
    /// The number of slots.
    pub parallelism: u32,
    /// Where rows come from.
    pub source: SourcePlan,
    /// Which instant a source row belongs to.
    pub event_time: EventTimePlan,
    /// From source rows to the rows that are keyed.
    pub transforms: Transforms,
    /// The key: indices into the columns of [`Transforms::output`].
    pub key: Vec<usize>,
    /// How event time is divided.
    pub window: WindowPlan,
    /// What is computed; `input` is an index into the columns of [`Transforms::output`].
    pub aggregates: Vec<AggregateSpec>,
    /// Key columns, `window_start`, `window_end` (Int64, epoch milliseconds), aggregates.
    pub result: SchemaRef,
    /// Where results go.
    pub sink: SinkPlan,
    /// How topics are written to; `None`: none is.
    pub kafka_output: Option<KafkaOutputPlan>,
    /// Where state is kept, and how often it is saved.
    pub state: StatePlan,
    /// The folder that relative paths are relative to: that of the manifest. Absolute.
    pub manifest_folder: PathBuf,
    /// The whole manifest as one text, the same for any layout of it: what a hash of the manifest is taken of.
    pub spec_text: String,
    pub(crate) fingerprint: BTreeMap<String, String>,
}

impl Plan {
    /// What state depends on: field of the manifest to its value as text. State of a job with another value is of no
    /// use to this one.
    pub fn fingerprint(&self) -> BTreeMap<String, String> {
        self.fingerprint.clone()
    }
}

/// Where state is kept, and how often it is saved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatePlan {
    /// Who owns it: the name of its folder in the location, and a part of what it is called elsewhere.
    pub id: String,
    /// The job's own folder in the location.
    pub location: LocationPlan,
    /// From the beginning of one checkpoint to that of the next.
    pub interval_ms: u64,
    /// A checkpoint that takes longer is abandoned. More than `interval_ms`.
    pub timeout_ms: u64,
    /// How many checkpoints are kept; at least one.
    pub retain: u32,
}

/// A folder for state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LocationPlan {
    /// Of this machine. Absolute.
    Folder(PathBuf),
    /// Of an object store.
    Bucket {
        /// Which bucket, and which folder in it.
        url: BucketUrl,
        /// The server, if it is not that of the environment or the default one.
        endpoint: Option<String>,
        /// The region, in the same way.
        region: Option<String>,
        /// Whether the bucket is part of a request's path, if it is said.
        path_style: Option<bool>,
    },
}

impl LocationPlan {
    /// The folder, if it is one of this machine.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Bucket { .. } => None,
        }
    }
}

impl fmt::Display for LocationPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Bucket { url, endpoint: Some(endpoint), .. } => write!(f, "{url} at {endpoint}"),
            Self::Bucket { url, endpoint: None, .. } => write!(f, "{url}"),
        }
    }
}

/// Where rows come from.
#[derive(Clone, Debug)]
pub struct SourcePlan {
    /// Files, topics or generator.
    pub kind: SourceKind,
    /// The columns to read: those that the plan uses; all of them when late rows are written. Order of the manifest.
    pub schema: SchemaRef,
    /// What becomes of a record that cannot be used.
    pub bad_records: BadRecordsPlan,
}

/// The kinds of source.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// Files on this machine.
    Files(FilesPlan),
    /// Topics of a Kafka cluster.
    Kafka(Box<KafkaSourcePlan>),
    /// Rows made from a seed.
    Generator(GeneratorPlan),
}

/// Files on this machine.
#[derive(Clone, Debug)]
pub struct FilesPlan {
    /// Absolute paths or globs; each must match at least one file.
    pub patterns: Vec<String>,
    /// True: all files, sorted by name, are one partition. False: each file is one.
    pub one_partition: bool,
    /// How records are written.
    pub format: FormatPlan,
    /// The names of all declared columns: what a CSV file without header holds, in this order.
    pub declared: Vec<String>,
}

/// How records are written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FormatPlan {
    /// One JSON object a line.
    Json,
    /// RFC 4180.
    Csv {
        /// The first record of each file names the columns.
        header: bool,
        /// Between fields.
        delimiter: u8,
        /// Unquoted fields that mean null; when writing, null is the first of them.
        nulls: Vec<String>,
    },
}

/// What becomes of a record that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BadRecordsPlan {
    /// The job stops.
    Fail,
    /// Counted.
    Skip,
    /// Counted and written into this folder as JSON lines.
    DeadLetter {
        /// Absolute.
        folder: PathBuf,
    },
    /// Counted and written to this topic as JSON.
    DeadLetterTopic {
        /// Its name.
        topic: String,
    },
}

/// Rows made from a seed.
#[derive(Clone, Debug)]
pub struct GeneratorPlan {
    /// Same seed, same rows.
    pub seed: u64,
    /// How many partitions, whatever the parallelism.
    pub partitions: u32,
    /// Over all partitions; `None` is endless.
    pub rows: Option<u64>,
    /// Over all partitions; `None` is as fast as they are taken.
    pub rows_per_second: Option<u64>,
    /// One for each column of [`SourcePlan::schema`], in its order.
    pub columns: Vec<ColumnGenerator>,
    /// The names of all columns of the manifest, read or not.
    pub declared: Vec<String>,
}

/// How one column is made.
#[derive(Clone, Debug)]
pub struct ColumnGenerator {
    /// Place among all columns of the manifest: part of the seed, so that a column's values do not depend on which others are read.
    pub index: u32,
    /// What it holds.
    pub value: GeneratedValue,
}

/// What a generated column holds. n is the row's number over all partitions: `i * partitions + p`.
#[derive(Clone, Debug)]
pub enum GeneratedValue {
    /// `start + step * (n % modulo)`.
    Sequence {
        /// The first value.
        start: i64,
        /// Between neighbours.
        step: i64,
        /// n starts again after this many rows.
        modulo: Option<u64>,
        /// A String column if set, else Int64.
        text: Option<NumberText>,
    },
    /// Whole numbers, both bounds included.
    UniformInt {
        /// The smallest.
        min: i64,
        /// The greatest.
        max: i64,
        /// A String column if set, else Int64.
        text: Option<NumberText>,
    },
    /// Float64, min included, max not.
    UniformFloat {
        /// The smallest.
        min: f64,
        /// The bound.
        max: f64,
    },
    /// Ranks 0 to values - 1, rank r as likely as `1 / (r + 1)^exponent`.
    Zipf {
        /// How many ranks.
        values: u64,
        /// How steep.
        exponent: f64,
        /// A String column if set, else Int64.
        text: Option<NumberText>,
    },
    /// A String column: one of these, by weight.
    Choice {
        /// The values.
        values: Vec<Option<String>>,
        /// As many as values.
        weights: Vec<u32>,
    },
    /// `start + n * 1000 / rows_per_second`, minus uniformly 0 to disorder: a TimestampMillis column.
    Timestamp {
        /// Epoch milliseconds; `None` is the instant the job starts.
        start_ms: Option<i64>,
        /// Rows per second of event time.
        rows_per_second: u64,
        /// The most that a row is early, in milliseconds.
        disorder_ms: i64,
    },
}

/// A number as text: prefix and padding.
#[derive(Clone, Debug)]
pub struct NumberText {
    /// In front.
    pub prefix: String,
    /// Padded with zeros to this many digits; 0 is no padding.
    pub digits: u8,
}

/// Which instant a source row belongs to.
#[derive(Clone, Debug)]
pub struct EventTimePlan {
    /// Gives epoch milliseconds from a batch of [`SourcePlan::schema`].
    pub expr: EventTimeExpr,
    /// How far rows may be out of order.
    pub max_out_of_orderness_ms: i64,
    /// After this long without a new row, a partition read to its end is idle. Zero is never.
    pub idle_timeout_ms: i64,
    /// A partition that is ahead of the others by more than this is not read; `None` is off.
    pub max_drift_ms: Option<i64>,
    /// The bound on timestamps beyond the wall clock; `None` is off.
    pub max_future_ms: Option<i64>,
}

/// Tumbling windows and what becomes of late rows.
#[derive(Clone, Debug)]
pub struct WindowPlan {
    /// More than zero.
    pub size_ms: i64,
    /// Smaller than the size in absolute value.
    pub offset_ms: i64,
    /// How long a fired window stays open.
    pub allowed_lateness_ms: i64,
    /// What becomes of a late row.
    pub late: LatePlan,
}

/// What becomes of a late row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LatePlan {
    /// Counted.
    Drop,
    /// Counted and written into a folder, in the sink's format.
    Files {
        /// Absolute.
        folder: PathBuf,
    },
    /// Counted and written to a topic, in the sink's format.
    Kafka {
        /// Its name.
        topic: String,
    },
}

/// Where results go, and how they are written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SinkPlan {
    /// Files, a topic, standard output or nowhere.
    pub kind: SinkKind,
    /// How rows are written.
    pub format: FormatPlan,
}

/// The kinds of sink.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SinkKind {
    /// A folder of files that appear whole.
    Files {
        /// Absolute.
        folder: PathBuf,
    },
    /// A topic.
    Kafka {
        /// Its name.
        topic: String,
        /// What of a result becomes headers, or names another topic.
        route: KafkaRoute,
    },
    /// Standard output.
    Stdout,
    /// Nowhere.
    Blackhole,
}
