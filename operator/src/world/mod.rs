//! Everything that is known about one job at one instant.
//!
//! Owns: the values that decisions are made from.
//! Never: reads them; who observes makes a world, and nobody changes one.

mod object;
mod pod;
mod set;

use std::collections::BTreeMap;

use jiff::Timestamp;
pub use object::{Kind, Object, Owner, labels};
pub use pod::{PodSeen, Waiting};
pub use set::{SetSeen, StartArguments, TokenCheck};
use streamjob_crds::worker::{SavepointAnswer, StopAnswer, WorkerStatus};
use streamjob_crds::{
    Reason, StreamJobSavepointSpec, StreamJobSavepointStatus, StreamJobSpec, StreamJobStatus,
};

/// One job and what belongs to it, as seen at `now`.
#[derive(Clone, Debug)]
pub struct World {
    /// When it was looked at.
    pub now: Timestamp,
    /// How the operator was started.
    pub settings: Settings,
    /// The StreamJob object.
    pub job: JobSeen,
    /// What validation and the planner make of the job's spec: its state fingerprint, or why it is refused. Without
    /// meaning while the spec cannot be read.
    pub compiled: Result<Fingerprint, Trouble>,
    /// Every object of the job's namespace that has its label, or a name that the job wants
    /// ([`crate::names::wanted`]), without `managedFields`.
    pub objects: Vec<Object>,
    /// What worker 0 of each StatefulSet answered to `GET /v1/status`, if it could be asked.
    pub coordinators: Vec<Coordinator>,
    /// The StreamJobSavepoints of the job's namespace that name the job, or that its `restore` names.
    pub savepoints: Vec<SavepointSeen>,
    /// What came back from the actions of the decision before this one; nothing older.
    pub answers: Answers,
}

/// What state depends on, by field of the spec: jobs with the same can go on from each other's state.
pub type Fingerprint = BTreeMap<String, String>;

/// Something that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// What, in one word.
    pub reason: Reason,
    /// What happened, in a sentence or two, without the remedy.
    pub message: String,
}

/// What the operator was told when it was started, and what it found out about its cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The image of workers, unless a job names another.
    pub worker_image: String,
    /// Names the cluster in the log of every job.
    pub cluster_id: String,
    /// The operator's own namespace: its pods may reach the control port.
    pub operator_namespace: String,
    /// How the operator's tokens are checked by workers.
    pub token: TokenCheck,
    /// The namespace whose pods may read metrics. None: those of every namespace.
    pub metrics_namespace: Option<String>,
}

/// A StreamJob object.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSeen {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// Grows with each change of the spec.
    pub generation: i64,
    /// For the optimistic lock on the status.
    pub resource_version: String,
    /// Set once somebody deleted it.
    pub deletion_timestamp: Option<Timestamp>,
    /// Who holds it back.
    pub finalizers: Vec<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// What the user asks for, or why it cannot be read.
    pub spec: Result<StreamJobSpec, String>,
    /// What was reported last; None if there is none, or none that can be read.
    pub status: Option<StreamJobStatus>,
}

/// What the worker with ordinal 0 of a StatefulSet said.
#[derive(Clone, Debug)]
pub struct Coordinator {
    /// Which pod was asked.
    pub pod_uid: String,
    /// Its status, or why there is none.
    pub answer: Result<WorkerStatus, CallFailure>,
}

/// Why a call to a worker brought no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CallFailure {
    /// Nobody answered, or not what a worker answers.
    Unreachable(String),
    /// The worker does not take the operator's token (401 or 403).
    Unauthorized(String),
}

/// A StreamJobSavepoint object.
#[derive(Clone, Debug)]
pub struct SavepointSeen {
    /// Its name.
    pub name: String,
    /// Its uid, which is the savepoint's id too.
    pub uid: String,
    /// Grows with each change of the spec.
    pub generation: i64,
    /// When it was made.
    pub creation_timestamp: Timestamp,
    /// For the optimistic lock on the status.
    pub resource_version: String,
    /// Whether somebody deleted it.
    pub deleting: bool,
    /// What is asked for.
    pub spec: StreamJobSavepointSpec,
    /// What was reported last.
    pub status: Option<StreamJobSavepointStatus>,
}

/// What came back from actions.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Of [`crate::decide::Action::DryRun`].
    pub dry_run: Option<DryRunAnswer>,
    /// Of [`crate::decide::Action::StopWorkers`].
    pub stop: Option<Answered<StopAnswer>>,
    /// Of [`crate::decide::Action::TakeSavepoint`].
    pub savepoints: Vec<Answered<SavepointAnswer>>,
    /// Writes that the API server refused.
    pub refused: Vec<Refused>,
}

/// What the API server says to objects that were only tried.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DryRunAnswer {
    /// The id of the question.
    pub id: String,
    /// Ok, or what it refuses, in its own words. What says nothing about the objects (a time-out, 5xx) is no answer.
    pub verdict: Result<(), String>,
}

/// What a worker said.
#[derive(Clone, Debug)]
pub struct Answered<T> {
    /// The id of the request.
    pub id: String,
    /// Its answer, or why there is none.
    pub answer: Result<T, CallFailure>,
}

/// A write that the API server refused for what it says: 403 or 422.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// What was to be written.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// In the API server's words.
    pub message: String,
    /// Whether that is because the namespace goes away (403 with cause NamespaceTerminating).
    pub namespace_terminating: bool,
}

impl World {
    /// The objects of a kind, by name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(move |object| object.kind() == Some(kind))
    }

    /// The object of that kind and name.
    pub fn object(&self, kind: Kind, name: &str) -> Option<&Object> {
        self.of_kind(kind).find(|object| object.name() == name)
    }

    /// The StatefulSets of this job and uid, the newest incarnation first.
    pub fn sets(&self) -> Vec<SetSeen<'_>> {
        let ours = self.of_kind(Kind::StatefulSet).filter(|object| self.is_ours(object));
        let mut sets: Vec<SetSeen<'_>> = ours.filter_map(SetSeen::of).collect();
        sets.sort_by_key(|set| std::cmp::Reverse(set.incarnation));
        sets
    }

    /// The pods of an incarnation's workers.
    pub fn pods(&self, incarnation: i64) -> Vec<PodSeen> {
        self.all_pods().into_iter().filter(|pod| pod.incarnation == incarnation).collect()
    }

    /// The pods of all incarnations' workers.
    pub fn all_pods(&self) -> Vec<PodSeen> {
        self.of_kind(Kind::Pod).filter_map(PodSeen::of).collect()
    }

    /// What worker 0 of an incarnation says, if it is there and can be asked.
    pub fn coordinator(&self, incarnation: i64) -> Option<(PodSeen, &Result<WorkerStatus, CallFailure>)> {
        let pod = self.pods(incarnation).into_iter().find(|pod| pod.ordinal == 0)?;
        let seen = self.coordinators.iter().find(|seen| seen.pod_uid == pod.uid)?;
        Some((pod, &seen.answer))
    }

    /// What worker 0 of an incarnation says of itself.
    pub fn worker(&self, incarnation: i64) -> Option<&WorkerStatus> {
        let (_, answer) = self.coordinator(incarnation)?;
        answer.as_ref().ok().filter(|status| status.incarnation == incarnation)
    }

    /// Whether an object belongs to this very StreamJob, or lost its owner and has our labels.
    pub fn is_ours(&self, object: &Object) -> bool {
        match object.owner() {
            Owner::Job { uid, .. } => uid == self.job.uid,
            Owner::None => object.has_our_labels(&self.job.name),
            Owner::Other(_) => false,
        }
    }
}
