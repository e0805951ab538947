//! A worker's pod.
//!
//! Owns: reading what a pod's status says about its one container.
//! Never: judges it.

use jiff::Timestamp;
use serde_json::Value;
use streamjob_crds::worker::Termination;

use super::object::{Object, labels};

/// A worker's pod, or that of a check or janitor.
#[derive(Clone, Debug, PartialEq)]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The incarnation whose worker it is; 0 for a check.
    pub incarnation: i64,
    /// Its number in the StatefulSet.
    pub ordinal: u32,
    /// worker, check or janitor.
    pub component: String,
    /// Where it listens.
    pub ip: Option<String>,
    /// Whether its container runs.
    pub running: bool,
    /// Whether its container is ready.
    pub ready: bool,
    /// When it is to be gone, if it was deleted.
    pub deletion_timestamp: Option<Timestamp>,
    /// When it was made.
    pub creation_timestamp: Option<Timestamp>,
    /// Why it has no node, and since when.
    pub unschedulable: Option<Waiting>,
    /// Why its container does not run, such as ImagePullBackOff.
    pub waiting: Option<Waiting>,
    /// Whether all that it mounts is there.
    pub has_mounts: bool,
    /// The Secrets that it mounts.
    pub secrets: Vec<String>,
    /// How often its container was started again.
    pub restarts: i64,
    /// What its container wrote when it ended last.
    pub termination: Option<Termination>,
    /// When its container ended last.
    pub terminated: Option<Timestamp>,
}

/// What a pod waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// The cluster's word for it.
    pub reason: String,
    /// What it says besides.
    pub message: String,
    /// Since when, if that is known.
    pub since: Option<Timestamp>,
}

impl PodSeen {
    /// Reads a pod; None if it has none of our labels.
    pub fn of(object: &Object) -> Option<Self> {
        let component = object.label(labels::COMPONENT)?.to_owned();
        object.label(labels::JOB)?;
        let status = &object.0["status"];
        let containers = status["containerStatuses"].as_array();
        let container = containers
            .into_iter()
            .flatten()
            .find(|container| container["name"] == "worker")
            .unwrap_or(&Value::Null);
        let ended = ["state", "lastState"].map(|state| &container[state]["terminated"]);
        let ended = ended.into_iter().find(|ended| ended.is_object()).unwrap_or(&Value::Null);
        let ordinal = object.name().rsplit('-').next().and_then(|number| number.parse().ok());
        Some(Self {
            name: object.name().to_owned(),
            uid: object.uid().to_owned(),
            incarnation: object.incarnation().unwrap_or_default(),
            ordinal: ordinal.unwrap_or_default(),
            component,
            ip: object.text("/status/podIP").filter(|ip| !ip.is_empty()).map(str::to_owned),
            running: container["state"]["running"].is_object(),
            ready: container["ready"] == true,
            deletion_timestamp: object.deletion_timestamp(),
            creation_timestamp: object.instant("/metadata/creationTimestamp"),
            unschedulable: unschedulable(object),
            waiting: waiting(&container["state"]["waiting"]),
            has_mounts: has_condition(object, "PodReadyToStartContainers"),
            secrets: secrets(object),
            restarts: container["restartCount"].as_i64().unwrap_or_default(),
            termination: ended["message"].as_str().and_then(Termination::parse),
            terminated: ended["finishedAt"].as_str().and_then(|text| text.parse().ok()),
        })
    }

    /// Whether it is there to stay.
    pub fn stays(&self) -> bool {
        self.deletion_timestamp.is_none()
    }
}

fn has_condition(object: &Object, kind: &str) -> bool {
    let conditions = object.list("/status/conditions");
    conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

fn secrets(object: &Object) -> Vec<String> {
    let volumes = object.list("/spec/volumes").iter();
    volumes.filter_map(|volume| volume["secret"]["secretName"].as_str().map(str::to_owned)).collect()
}

fn waiting(state: &Value) -> Option<Waiting> {
    let reason = state["reason"].as_str()?.to_owned();
    let message = state["message"].as_str().unwrap_or_default().to_owned();
    Some(Waiting { reason, message, since: None })
}

fn unschedulable(object: &Object) -> Option<Waiting> {
    let condition = object
        .list("/status/conditions")
        .iter()
        .find(|condition| condition["type"] == "PodScheduled" && condition["status"] == "False")?;
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    let since = text("lastTransitionTime").parse().ok();
    Some(Waiting { reason: text("reason"), message: text("message"), since })
}
