//! Where state is kept, and how often it is saved.
//!
//! Owns: the fields of `spec.state`.
//! Never: opens anything.

use serde::{Deserialize, Serialize};

use crate::Duration;

/// Where state is kept, and how often it is saved.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// Default: the folder `.streamjob` beside the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<StateLocation>,
    /// How often state is saved, and how much of it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoints>,
}

/// Where state is kept; each job has a folder of its own in there.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateLocation {
    /// A path or `file://` URL of a folder; a relative path is relative to the manifest. Or a folder in an object store:
    /// `s3://bucket/folder`, `gs://…`, `az://…`.
    pub uri: String,
    /// The server of an `s3://` URL. Default: as `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` says, else Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region of an `s3://` URL. Default: as `AWS_REGION` or `AWS_DEFAULT_REGION` says, else us-east-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Whether the bucket is part of the path of a request rather than of the host. Default: if there is an endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
}

/// How often state is saved, and how much of it is kept.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checkpoints {
    /// From the beginning of one checkpoint to that of the next. Default 10s, at least 50ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// A checkpoint that takes longer is abandoned. Default 10m, more than `interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How many checkpoints are kept, 1 to 1,000. Default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<u32>,
}
