//! The half of the operator that has effects, as small as it can be: looks, has it decided, does it.
//!
//! Owns: the places where it can be cut off; what must hold at each effect.
//! Never: remembers anything from one look to the next but when to look again.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use streamjob_crds::worker::WorkerPhase;
use streamjob_crds::{OperationType, Step, StreamJobSpec};

use super::cluster::{Cluster, NAME, NAMESPACE};
use crate::decide::{self, Action, Decision, Worker};
use crate::world::{
    Answered, Answers, CallFailure, Coordinator, DryRunAnswer, Fingerprint, JobSeen, Kind, SetSeen, Trouble,
    World, labels,
};

/// A bug that somebody could make, put in between deciding and doing.
pub(super) type Plant = fn(&mut World, &mut Decision, Moment);

/// When a planted bug may meddle.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Moment {
    /// After looking, before deciding.
    Seen,
    /// After deciding.
    Decided,
}

#[derive(Default)]
pub(super) struct Operator {
    next: Option<Timestamp>,
    /// The number of effects so far.
    pub(super) effects: usize,
    /// It is cut off before the effect of this number, or after it.
    pub(super) cut: Option<(usize, Side)>,
    pub(super) was_cut: bool,
    pub(super) plant: Option<Plant>,
    /// Does what it decided before it writes the status.
    pub(super) acts_first: bool,
    pub(super) events: Vec<String>,
    /// It is not there.
    pub(super) paused: bool,
}

/// On which side of an effect the operator is cut off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    Before,
    After,
}

/// It is gone; another begins with nothing.
struct Cut;

impl Operator {
    /// Looks if something changed or its time has come.
    pub(super) fn turn(&mut self, cluster: &mut Cluster) {
        let due = self.next.is_none_or(|next| next <= cluster.now);
        if self.paused || (!cluster.changed && !due) {
            return;
        }
        cluster.changed = false;
        if self.reconcile(cluster).is_err() {
            self.was_cut = true;
            self.cut = None;
            self.next = None;
            cluster.changed = true;
        }
    }

    fn reconcile(&mut self, cluster: &mut Cluster) -> Result<(), Cut> {
        let mut answers = Answers::default();
        for _ in 0..6 {
            let Some(mut world) = observe(cluster, answers) else { return Ok(()) };
            let mut nothing = Decision::default();
            if let Some(plant) = self.plant {
                plant(&mut world, &mut nothing, Moment::Seen);
            }
            let mut decision = decide::decide(&world);
            if let Some(plant) = self.plant {
                plant(&mut world, &mut decision, Moment::Decided);
            }
            let pause = SignedDuration::try_from(decision.requeue).expect("short");
            self.next = Some(cluster.now + pause);
            answers = self.act(cluster, decision)?;
            let none = answers.dry_run.is_none() && answers.stop.is_none() && answers.savepoints.is_empty();
            if none && answers.refused.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn act(&mut self, cluster: &mut Cluster, decision: Decision) -> Result<Answers, Cut> {
        let mut answers = Answers::default();
        let (finalizer, actions) = decision.in_order();
        let (before, after) = if self.acts_first { (actions, vec![]) } else { (vec![], actions) };
        for action in finalizer.into_iter().chain(before) {
            self.effect(cluster, |cluster| perform(cluster, action, &mut answers))?;
        }
        if let Some(status) = &decision.status {
            self.effect(cluster, |cluster| {
                if let Some(job) = &mut cluster.job {
                    job.status = Some(status.clone());
                    job.version += 1;
                    cluster.changed = true;
                    cluster.writes.push("status".to_owned());
                }
            })?;
        }
        for action in after {
            self.effect(cluster, |cluster| perform(cluster, action, &mut answers))?;
        }
        self.events.extend(decision.events.into_iter().map(|note| note.reason.as_str().to_owned()));
        Ok(answers)
    }

    fn effect(&mut self, cluster: &mut Cluster, effect: impl FnOnce(&mut Cluster)) -> Result<(), Cut> {
        let number = self.effects;
        self.effects += 1;
        if self.cut == Some((number, Side::Before)) {
            return Err(Cut);
        }
        effect(cluster);
        if self.cut == Some((number, Side::After)) {
            return Err(Cut);
        }
        Ok(())
    }
}

/// What the planner would say: the state depends on key and window.
pub(super) fn compile(spec: &StreamJobSpec) -> Result<Fingerprint, Trouble> {
    if spec.pipeline.key_by.iter().any(|key| key == "nonsense") {
        let message = "`spec.pipeline.keyBy`: there is no column `nonsense`.".to_owned();
        return Err(Trouble { reason: streamjob_crds::Reason::PipelineRejected, message });
    }
    let size = spec.pipeline.window.tumbling.size.millis().to_string();
    Ok(BTreeMap::from([
        ("spec.pipeline.keyBy".to_owned(), spec.pipeline.key_by.join(",")),
        ("spec.pipeline.window".to_owned(), size),
    ]))
}

pub(super) fn observe(cluster: &Cluster, answers: Answers) -> Option<World> {
    let job = cluster.job.as_ref()?;
    let no = Trouble { reason: streamjob_crds::Reason::InvalidSpec, message: String::new() };
    let compiled = job.spec.as_ref().map_err(|_| no).and_then(compile);
    let coordinators = cluster.objects.values().filter(|object| object.kind() == Some(Kind::Pod));
    let coordinators = coordinators.filter_map(|pod| {
        let process = cluster.processes.get(pod.uid());
        let gone = || CallFailure::Unreachable("connection refused".to_owned());
        let answer =
            process.filter(|_| cluster.node_up).map(|process| process.status.clone()).ok_or_else(gone);
        (pod.label(labels::COMPONENT) == Some("worker"))
            .then(|| Coordinator { pod_uid: pod.uid().to_owned(), answer })
    });
    Some(World {
        now: cluster.now,
        settings: cluster.settings.clone(),
        job: JobSeen {
            name: NAME.to_owned(),
            namespace: NAMESPACE.to_owned(),
            uid: job.uid.clone(),
            generation: job.generation,
            resource_version: job.version.to_string(),
            deletion_timestamp: job.deleted,
            finalizers: job.finalizers.clone(),
            annotations: job.annotations.clone(),
            spec: job.spec.clone(),
            status: job.status.clone(),
        },
        compiled,
        objects: cluster.objects.values().cloned().collect(),
        coordinators: coordinators.collect(),
        savepoints: cluster.savepoints.clone(),
        answers,
    })
}

fn perform(cluster: &mut Cluster, action: &Action, answers: &mut Answers) {
    cluster.writes.push(told(action));
    match action {
        Action::Apply(object) => {
            judge_apply(cluster, object);
            cluster.apply(object);
        }
        Action::DryRun { id, .. } => {
            let verdict = cluster.refuses_pods.clone().map_or(Ok(()), Err);
            answers.dry_run = Some(DryRunAnswer { id: id.clone(), verdict });
        }
        Action::Delete { kind, name, uid } => {
            judge_delete(cluster, *kind, name);
            cluster.delete(*kind, name, uid);
        }
        Action::StopWorkers { worker, request } => {
            let now = cluster.now;
            let answer = call(cluster, worker, |process| process.answer_stop(request, now));
            answers.stop = Some(Answered { id: request.operation_id.clone(), answer });
        }
        Action::TakeSavepoint { worker, request } => {
            let now = cluster.now;
            let answer = call(cluster, worker, |process| process.answer_savepoint(request, now));
            answers.savepoints.push(Answered { id: request.id.clone(), answer });
        }
        Action::SavepointStatus { uid, status, .. } => {
            let mut all = cluster.savepoints.iter_mut();
            if let Some(savepoint) = all.find(|savepoint| savepoint.uid == *uid) {
                savepoint.status = Some((**status).clone());
                cluster.changed = true;
            }
        }
        Action::AddFinalizer => {
            if let Some(job) = &mut cluster.job {
                job.finalizers.push(labels::FINALIZER.to_owned());
                cluster.changed = true;
            }
        }
        Action::RemoveFinalizer => {
            if let Some(job) = &mut cluster.job {
                job.finalizers.clear();
                cluster.changed = true;
            }
            cluster.drop_job_if_free();
        }
    }
}

fn told(action: &Action) -> String {
    match action {
        Action::Apply(object) => {
            format!("apply {:?} {}", object.kind().expect("a known kind"), object.name())
        }
        Action::DryRun { .. } => "dry run".to_owned(),
        Action::Delete { kind, name, .. } => format!("delete {kind:?} {name}"),
        Action::StopWorkers { .. } => "stop".to_owned(),
        Action::TakeSavepoint { .. } => "savepoint".to_owned(),
        Action::SavepointStatus { name, .. } => format!("status of {name}"),
        Action::AddFinalizer => "add finalizer".to_owned(),
        Action::RemoveFinalizer => "remove finalizer".to_owned(),
    }
}

fn call<T>(
    cluster: &mut Cluster,
    worker: &Worker,
    ask: impl FnOnce(&mut super::worker::Process) -> T,
) -> Result<T, CallFailure> {
    if !cluster.token_fits {
        return Err(CallFailure::Unauthorized("401".to_owned()));
    }
    let up = cluster.node_up;
    let process = cluster.processes.get_mut(&worker.uid).filter(|_| up);
    process.map(ask).ok_or_else(|| CallFailure::Unreachable("connection refused".to_owned()))
}

/// A number is in a status before a set has it, and no set begins while another still processes rows.
fn judge_apply(cluster: &mut Cluster, object: &crate::world::Object) {
    let Some(set) = SetSeen::of(object).filter(|_| object.kind() == Some(Kind::StatefulSet)) else { return };
    let new = !cluster.objects.contains_key(&(Kind::StatefulSet, object.name().to_owned()));
    let known = cluster.status().incarnation.unwrap_or(0);
    if known < set.incarnation {
        cluster.violations.push(format!("{} exists, but the status knows only {known}", object.name()));
    }
    let at_work = cluster.processes.values().any(|process| {
        process.status.incarnation != set.incarnation && process.status.phase == WorkerPhase::Running
    });
    if new && at_work && cluster.node_up {
        cluster.violations.push(format!("{} begins while other workers process rows", object.name()));
    }
}

/// Nothing that runs is stopped before the operation that does so is written down.
fn judge_delete(cluster: &mut Cluster, kind: Kind, name: &str) {
    if kind != Kind::StatefulSet {
        return;
    }
    let status = cluster.status();
    let number = |name: &str| name.rsplit('-').next().and_then(|number| number.parse::<i64>().ok());
    let newest = cluster.names(Kind::StatefulSet).into_iter().max_by_key(|name| number(name));
    let finished = status.phase == Some(streamjob_crds::Phase::Finished);
    let stops = status.operation.is_some_and(|operation| {
        operation.step >= Step::Teardown || operation.operation_type == OperationType::Delete
    });
    let current = newest.as_deref() == Some(name);
    if current && !stops && !finished {
        cluster.violations.push(format!("{name} is deleted, and no operation says so"));
    }
}
