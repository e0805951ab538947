//! The program of a job: source, transforms, event time, key, window, aggregates, sink.
//!
//! Owns: the types between the source and the sink.
//! Never: reads an expression; they stay text here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, FilesTarget, KafkaTarget, SignedDuration, Sink, Source};

/// The program, read in this order: source, event time, transforms, key, window, aggregates, sink.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pipeline {
    /// Where rows come from, and what they look like.
    pub source: Source,
    /// Each entry is one step; they are applied in the order written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<Transform>,
    /// Which instant a row belongs to.
    pub event_time: EventTime,
    /// The columns, after the transforms, whose values make the key. At least one.
    pub key_by: Vec<String>,
    /// How event time is divided.
    pub window: Window,
    /// What is computed per key and window. At least one.
    pub aggregates: Vec<Aggregate>,
    /// Where results go.
    pub sink: Sink,
}

/// One step between the source and the key: exactly one of the fields is set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transform {
    /// Keep the rows for which this SQL expression is true.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Replace all columns by these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Vec<SelectColumn>>,
    /// Make one row per element of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat_map: Option<FlatMap>,
}

/// A column of `select`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectColumn {
    /// The name of the new column.
    pub name: String,
    /// Its value, a SQL expression over the columns before this step.
    pub expr: String,
}

/// One row to many: the expression gives a list, each element makes a row with the other columns repeated.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlatMap {
    /// The column that holds the element; added, or replaced if the name exists.
    pub column: String,
    /// A SQL expression that gives a list. A null or empty list makes no row.
    pub expr: String,
}

/// Which instant a row belongs to, and how far rows may be out of order. Read from the source row, before transforms.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventTime {
    /// A timestamp, Date or Int64 (epoch milliseconds) column of the source. Exactly one of `field` and `expr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// A SQL expression over the source's columns that gives a timestamp or epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expr: Option<String>,
    /// Default 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_out_of_orderness: Option<Duration>,
    /// Default 1m: a partition that is read to its end and brings nothing new for this long no longer holds time back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// With kafka: a partition that is ahead of the others by more than this is not read until they have caught up. Unset:
    /// off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_drift: Option<Duration>,
    /// A timestamp further than this beyond the wall clock makes a bad record. Default: 24h for kafka, off for files and
    /// the generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_future: Option<Duration>,
}

/// How event time is divided: one window kind, and what becomes of late rows.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// Windows of one size, side by side.
    pub tumbling: Tumbling,
    /// How long a fired window stays open for late rows; each of them fires it again. Default 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_lateness: Option<Duration>,
    /// Default: Drop, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<LateRows>,
}

/// Windows `[n * size + offset, (n + 1) * size + offset)`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tumbling {
    /// More than zero.
    pub size: Duration,
    /// Default 0s; its absolute value is smaller than `size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<SignedDuration>,
}

/// What becomes of rows whose windows have all closed.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LateRows {
    /// Drop or SideOutput.
    pub action: LateAction,
    /// With SideOutput: the folder that gets them. Exactly one of `files` and `kafka`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesTarget>,
    /// With SideOutput: the topic that gets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaTarget>,
}

/// What becomes of a late row.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum LateAction {
    /// Counted, then forgotten.
    Drop,
    /// Counted, and written with all columns of its source row, once for each late row after the transforms.
    SideOutput,
}

/// One value per key and window.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Aggregate {
    /// The column of the result.
    pub name: String,
    /// What is computed.
    pub function: AggregateFunction,
    /// The column it is computed from, after the transforms. Only Count may go without: it then counts rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// With Sum: what happens when the result does not fit. Default Fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
}

/// The aggregate functions. All skip nulls.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum AggregateFunction {
    /// Rows, or values of `field` that are not null.
    Count,
    /// Of numbers: Int64 of integers, Float64 of floats, Decimal(38, s) of decimals.
    Sum,
    /// The smallest; NaN is the greatest.
    Min,
    /// The greatest; NaN is the greatest.
    Max,
    /// Float64 of integers and floats, Decimal(38, s + 4) of decimals.
    Avg,
    /// The value of the earliest row by (event time, partition, position).
    First,
    /// The value of the latest row by (event time, partition, position).
    Last,
    /// How many different values, exactly.
    CountDistinct,
}

/// What happens when a sum does not fit its type.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Overflow {
    /// The job stops and names window and aggregate.
    #[default]
    Fail,
    /// The result is null.
    Null,
}
