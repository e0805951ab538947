//! Where rows come from, and what they look like.
//!
//! Owns: the source union, formats, columns and the policy for bad records.
//! Never: opens anything.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FilesTarget, KafkaSource, KafkaTarget};

/// Where rows come from: exactly one of files, kafka and generator.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// Files that are there when the job starts; the job ends when they are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesSource>,
    /// Topics of a Kafka cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSource>,
    /// Rows made from a seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<GeneratorSource>,
    /// How records are written. Required with files and kafka, not allowed with generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// The columns to read, by name. Required with files and kafka; the generator has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<Column>>,
    /// What becomes of a record that cannot be used. Default: Fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad_records: Option<BadRecords>,
}

/// Files by path or glob; `.gz` and `.zst` are decompressed.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilesSource {
    /// Paths, globs or `file://` URLs; relative ones are relative to the manifest. Each must match something.
    pub urls: Vec<String>,
    /// Unset: each file is a partition with its own position and watermark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<FileOrder>,
}

/// How several files make partitions.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum FileOrder {
    /// All files, sorted by name, are one partition.
    Name,
}

/// How records are written: exactly one of json, csv and raw.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Format {
    /// One JSON object a line; with kafka one a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonFormat>,
    /// RFC 4180 with options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvFormat>,
    /// The whole record is one column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawFormat>,
}

/// Records as they are have no options.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawFormat {}

/// JSON lines have no options.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JsonFormat {}

/// CSV as RFC 4180 has it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsvFormat {
    /// Whether the first record of each file names the columns. Default true; not allowed with kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// One ASCII character. Default a comma.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Unquoted fields that mean null. Default: the empty field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nulls: Option<Vec<String>>,
}

/// A column of the source.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Column {
    /// The field's name in JSON or in the CSV header, and the column's name in expressions.
    pub name: String,
    /// How its values are read.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// With Decimal: the number of digits, 1 to 38. Default 38.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<u8>,
    /// With Decimal: digits after the point, 0 to precision. Default 9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<u8>,
    /// With kafka: the part of the record that it is taken from. Unset: the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ColumnFrom>,
    /// With `from: Header`: the header's name. Default: the column's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

/// What a Kafka record has beside its payload.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ColumnFrom {
    /// Its key, as text.
    Key,
    /// A header's value, as text; of headers with the same name the last.
    Header,
    /// When it was made or appended, as the topic has it.
    Timestamp,
    /// The topic.
    Topic,
    /// The partition.
    Partition,
    /// The offset.
    Offset,
}

impl Column {
    /// Precision and scale of a Decimal column, with their defaults.
    pub fn decimal_digits(&self) -> (u8, u8) {
        (self.precision.unwrap_or(38), self.scale.unwrap_or(9))
    }
}

/// The types a column can have.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ColumnType {
    /// UTF-8 text.
    String,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// 32-bit float.
    Float32,
    /// 64-bit float.
    Float64,
    /// true or false.
    Boolean,
    /// Fixed-point number of `precision` digits, `scale` of them after the point.
    Decimal,
    /// `YYYY-MM-DD`.
    Date,
    /// Seconds since the epoch.
    TimestampSeconds,
    /// Milliseconds since the epoch.
    TimestampMillis,
    /// Microseconds since the epoch.
    TimestampMicros,
    /// Text such as `2026-01-31T08:00:00.123Z`.
    TimestampRfc3339,
}

/// What becomes of a record that cannot be used.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BadRecords {
    /// Fail, Skip or DeadLetter.
    pub action: BadRecordAction,
    /// With DeadLetter: the folder that gets them. Exactly one of `files` and `kafka`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesTarget>,
    /// With DeadLetter: the topic that gets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaTarget>,
}

/// What becomes of a bad record.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum BadRecordAction {
    /// The job stops and names file, line and cause.
    Fail,
    /// Counted, then forgotten.
    Skip,
    /// Counted, and written with raw bytes, cause, source and position.
    DeadLetter,
}

/// Rows made from a seed: row *i* of partition *p* is a pure function of (seed, p, i).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GeneratorSource {
    /// Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Default 8, whatever the parallelism. 1 to 65,536.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// Rows over all partitions; unset: endless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Rows per second over all partitions; unset: as fast as they are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_per_second: Option<u64>,
    /// The columns and how each is made. At least one.
    pub columns: Vec<GeneratedColumn>,
}

/// A column of the generator: a name, and exactly one way to make it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GeneratedColumn {
    /// The column's name.
    pub name: String,
    /// start, start + step, … over the rows of all partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<SequenceColumn>,
    /// Numbers between two bounds, all equally likely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uniform: Option<UniformColumn>,
    /// Ranks with a Zipf distribution: few frequent, many rare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zipf: Option<ZipfColumn>,
    /// One of several values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<ChoiceColumn>,
    /// Instants that advance with the rows, with disorder if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<TimestampColumn>,
}

/// `start + step * n`, where n counts the rows of all partitions, optionally wrapped and prefixed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SequenceColumn {
    /// Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<i64>,
    /// Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<i64>,
    /// n starts again at 0 after this many rows. Unset: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modulo: Option<u64>,
    /// Makes a String column: this prefix, then the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// With `prefix`: the number is padded with zeros to this many digits. 1 to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<u8>,
}

/// Numbers between `min` and `max`: Int64, both included, if both are written as integers; else Float64, `max` excluded.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UniformColumn {
    /// The smallest.
    pub min: serde_json::Number,
    /// The greatest.
    pub max: serde_json::Number,
    /// Makes a String column: this prefix, then the number. Integers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// With `prefix`: the number is padded with zeros to this many digits. 1 to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<u8>,
}

/// Ranks 0 to `values` - 1; rank r is as likely as `1 / (r + 1)^exponent`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ZipfColumn {
    /// How many different values, at least 1.
    pub values: u64,
    /// More than zero. Default 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exponent: Option<f64>,
    /// Makes a String column: this prefix, then the rank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// With `prefix`: the rank is padded with zeros to this many digits. 1 to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<u8>,
}

/// One of several texts, equally likely or by weight.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChoiceColumn {
    /// At least one; null is allowed.
    pub values: Vec<Option<String>>,
    /// As many as values, each zero or more, not all zero. Unset: equally likely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<u32>>,
}

/// A TimestampMillis column: `start + step * n`, minus up to `disorder`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimestampColumn {
    /// RFC 3339. Unset: the instant the job starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Rows, over all partitions, per second of event time: neighbours are 1 / this apart.
    /// Default: `rowsPerSecond` of the generator if that is set, else 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_per_second: Option<u64>,
    /// Each row is up to this much earlier than its place in the sequence. Default 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disorder: Option<crate::Duration>,
}
