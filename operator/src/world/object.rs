//! An object of the cluster, as JSON.
//!
//! Owns: reading names, labels and owners out of it; the names of our labels and annotations.
//! Never: changes one.

use jiff::Timestamp;
use serde_json::Value;

/// The kinds of objects that a job is made of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// What a revision was made of.
    ControllerRevision,
    /// The manifest that workers read.
    ConfigMap,
    /// The workers' names.
    Service,
    /// Who the workers are.
    ServiceAccount,
    /// An incarnation.
    StatefulSet,
    /// A worker, or the pod of a check or janitor.
    Pod,
    /// Holds evictions back.
    PodDisruptionBudget,
    /// Who reaches the workers.
    NetworkPolicy,
    /// A check or a janitor.
    Job,
}

impl Kind {
    /// All of them, in the order in which they are written.
    pub const ALL: [Self; 9] = [
        Self::ControllerRevision,
        Self::ConfigMap,
        Self::ServiceAccount,
        Self::Service,
        Self::NetworkPolicy,
        Self::StatefulSet,
        Self::PodDisruptionBudget,
        Self::Job,
        Self::Pod,
    ];

    /// As the API server names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ControllerRevision => "ControllerRevision",
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::ServiceAccount => "ServiceAccount",
            Self::StatefulSet => "StatefulSet",
            Self::Pod => "Pod",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Job => "Job",
        }
    }

    /// Group and version.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::ControllerRevision | Self::StatefulSet => "apps/v1",
            Self::ConfigMap | Self::Service | Self::ServiceAccount | Self::Pod => "v1",
            Self::PodDisruptionBudget => "policy/v1",
            Self::NetworkPolicy => "networking.k8s.io/v1",
            Self::Job => "batch/v1",
        }
    }
}

/// Names of labels and annotations.
pub mod labels {
    pub use streamjob_crds::names::{
        ANNOTATION_APPLIED_HASH as APPLIED_HASH, ANNOTATION_RECONCILE as RECONCILE,
        ANNOTATION_TAKE_OVER as TAKE_OVER, FINALIZER, LABEL_COMPONENT as COMPONENT,
        LABEL_INCARNATION as INCARNATION, LABEL_JOB as JOB, LABEL_MANAGED_BY as MANAGED_BY,
        LABEL_REVISION as REVISION, MANAGER as OPERATOR,
    };

    /// Annotation: the operation that made a StatefulSet.
    pub const OPERATION: &str = "streamjob.dev/operation";
    /// Annotation: which version of the operator's templates an object was made with.
    pub const RENDERER: &str = "streamjob.dev/renderer";
    /// Annotation of a revision: `"true"` once its workers processed rows.
    pub const RAN: &str = "streamjob.dev/ran";
    /// Annotation of a StreamJob: `"true"` lets a deletion leave everything behind at once.
    pub const FORCE_DELETE: &str = "streamjob.dev/force-delete";
}

/// An object of the cluster: apiVersion, kind, metadata and the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(pub Value);

/// Whose an object is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Owner {
    /// Nobody controls it.
    None,
    /// A StreamJob.
    Job {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Something else, as `Kind name`.
    Other(String),
}

impl Object {
    /// What it is; None if it is nothing that a job is made of.
    pub fn kind(&self) -> Option<Kind> {
        let kind = self.0["kind"].as_str()?;
        Kind::ALL.into_iter().find(|known| known.as_str() == kind)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.text("/metadata/name").unwrap_or_default()
    }

    /// Its uid; empty for one that was only rendered.
    pub fn uid(&self) -> &str {
        self.text("/metadata/uid").unwrap_or_default()
    }

    /// A label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.0["metadata"]["labels"][name].as_str()
    }

    /// An annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.0["metadata"]["annotations"][name].as_str()
    }

    /// The incarnation that its label names.
    pub fn incarnation(&self) -> Option<i64> {
        self.label(labels::INCARNATION)?.parse().ok()
    }

    /// When it goes, if it was deleted: for a pod, the end of its grace period.
    pub fn deletion_timestamp(&self) -> Option<Timestamp> {
        self.instant("/metadata/deletionTimestamp")
    }

    /// Whether we made it for a job of that name, as far as labels tell.
    pub fn has_our_labels(&self, job: &str) -> bool {
        self.label(labels::MANAGED_BY) == Some(labels::OPERATOR) && self.label(labels::JOB) == Some(job)
    }

    /// Who controls it.
    pub fn owner(&self) -> Owner {
        let references = self.0["metadata"]["ownerReferences"].as_array();
        let mut references = references.into_iter().flatten();
        let Some(controller) = references.find(|owner| owner["controller"] == true) else {
            return Owner::None;
        };
        let text = |field: &str| controller[field].as_str().unwrap_or_default().to_owned();
        let group = text("apiVersion");
        if text("kind") == "StreamJob" && group.starts_with("streamjob.dev/") {
            Owner::Job { name: text("name"), uid: text("uid") }
        } else {
            Owner::Other(format!("{} {}", text("kind"), text("name")))
        }
    }

    /// The text at a JSON pointer.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer)?.as_str()
    }

    /// The number at a JSON pointer.
    pub fn number(&self, pointer: &str) -> Option<i64> {
        self.0.pointer(pointer)?.as_i64()
    }

    /// The instant at a JSON pointer.
    pub fn instant(&self, pointer: &str) -> Option<Timestamp> {
        self.text(pointer)?.parse().ok()
    }

    /// The list at a JSON pointer; empty if there is none.
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.0.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}
