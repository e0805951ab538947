//! Where rows go: results, late rows and dead letters.
//!
//! Owns: the sink union and the file target that side outputs share.
//! Never: opens anything.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Format, KafkaSink};

/// Where results go: exactly one of files, kafka, stdout, blackhole.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sink {
    /// A folder of files that appear whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesTarget>,
    /// A topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSink>,
    /// Standard output: rows are printed when they fire, at least once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<StdoutSink>,
    /// Nowhere; rows are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blackhole: Option<BlackholeSink>,
    /// How rows are written. Default json.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
}

/// A folder; relative paths are relative to the manifest.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilesTarget {
    /// A path or `file://` URL of a folder.
    pub url: String,
}

/// Standard output has no options.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StdoutSink {}

/// Nowhere has no options.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BlackholeSink {}
