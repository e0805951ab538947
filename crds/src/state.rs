//! Where state is kept, and how often it is saved.
//!
//! Owns: the fields of `spec.state`.
//! Never: opens anything.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// Where state is kept, and how often it is saved.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// Who owns the state: the name of its folder in the store. On a cluster it begins with `<namespace>.`, its default is
    /// `<namespace>.<name>`, and it never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Default on one machine: the folder `.streamjob` beside the manifest. Required on a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<StateLocation>,
    /// How often state is saved, and how much of it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoints>,
}

/// Where state is kept: exactly one of `uri` and `ephemeral`. Each job has a folder of its own in there.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateLocation {
    /// A path or `file://` URL of a folder; a relative path is relative to the manifest. Or a folder in an object store:
    /// `s3://bucket/folder`, `gs://…`, `az://…`. On a cluster it must be in an object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// State is kept in the pod and lost with it; on one machine in the folder for temporary files. For trials: delivery
    /// to Kafka exactly once is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<EphemeralState>,
    /// The server of an `s3://` URL. Default: as `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` says, else Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region of an `s3://` URL. Default: as `AWS_REGION` or `AWS_DEFAULT_REGION` says, else us-east-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Whether the bucket is part of the path of a request rather than of the host. Default: if there is an endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// On a cluster: the Secret whose keys are the store's credentials, such as `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`. Unset: those of the pod's identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SecretName>,
    /// On a cluster: the authorities that the store's certificate is checked against, as PEM. Unset: those of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<SecretKey>,
}

/// State that is lost with its pod has no options.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EphemeralState {}

/// A Secret in the job's namespace.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretName {
    /// Its name.
    pub name: String,
}

/// One key of a Secret in the job's namespace.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKey {
    /// The Secret's name.
    pub name: String,
    /// Its key.
    pub key: String,
}

/// How often state is saved, and how much of it is kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
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
