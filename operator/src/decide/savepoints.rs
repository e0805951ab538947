//! Savepoints that somebody asked for.
//!
//! Owns: asking the workers, and the status of each StreamJobSavepoint.
//! Never: keeps a savepoint waiting for longer than it may take.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use streamjob_crds::worker::{SavepointAnswer, SavepointRequest, SavepointState, WorkerPhase};
use streamjob_crds::{ConditionType, LastSavepoint, Reason, SavepointPhase, Step, StreamJobSavepointStatus};

use super::pass::{Pass, time};
use super::{About, Action, Note, Worker};
use crate::report::condition;
use crate::report::message::with_remedy;
use crate::world::SavepointSeen;

/// How long a savepoint may take, unless it says so.
const TIMEOUT_MS: i64 = 30 * 60 * 1_000;
const ASK_AGAIN_MS: i64 = 2_000;

/// Brings every savepoint of the job one step further.
pub(crate) fn step(pass: &mut Pass<'_>) {
    let seen: Vec<SavepointSeen> = pass
        .world
        .savepoints
        .iter()
        .filter(|savepoint| savepoint.spec.stream_job_name == pass.world.job.name && !savepoint.deleting)
        .filter(|savepoint| !is_over(savepoint))
        .cloned()
        .collect();
    for savepoint in seen {
        one(pass, &savepoint);
    }
}

/// The status of a savepoint of a job that is not there; None if it is right as it is.
pub fn without_job(
    savepoint: &SavepointSeen,
    namespace: &str,
    now: jiff::Timestamp,
) -> Option<StreamJobSavepointStatus> {
    if savepoint.deleting || is_over(savepoint) {
        return None;
    }
    let mut next = Next::of(savepoint, namespace, now);
    let job = &savepoint.spec.stream_job_name;
    if next.started() {
        next.failed(Reason::JobStopped, format!("The StreamJob `{job}` was deleted."));
    } else if next.is_late(savepoint) {
        next.failed(Reason::JobNotFound, format!("There is no StreamJob `{job}`."));
    } else {
        next.pending(Reason::JobNotFound, format!("There is no StreamJob `{job}` yet."));
    }
    next.changed(savepoint)
}

fn is_over(savepoint: &SavepointSeen) -> bool {
    let phase = savepoint.status.as_ref().and_then(|status| status.phase);
    matches!(phase, Some(SavepointPhase::Completed | SavepointPhase::Failed))
}

fn one(pass: &mut Pass<'_>, savepoint: &SavepointSeen) {
    let mut next = Next::of(savepoint, &pass.world.job.namespace, pass.world.now);
    let answer = pass.world.answers.savepoints.iter().find(|answer| answer.id == savepoint.uid);
    match answer.map(|answer| &answer.answer) {
        Some(Ok(answer)) if answer.state == SavepointState::Completed => {
            next.completed(pass, answer);
            let completion_time = next.status.completion_time.clone().unwrap_or_else(|| pass.now());
            pass.status.last_savepoint =
                Some(LastSavepoint { name: savepoint.name.clone(), completion_time });
            note(pass, savepoint, Reason::SavepointTaken, "The savepoint is in the store.".to_owned());
        }
        Some(Ok(answer)) if answer.state == SavepointState::Failed => {
            let why = answer.message.clone().unwrap_or_else(|| "the worker does not say why".to_owned());
            next.failed(Reason::SavepointFailed, super::health::sentence(&why));
        }
        Some(Ok(_) | Err(_)) | None => wait(pass, savepoint, &mut next, answer.is_some()),
    }
    if next.status.phase == Some(SavepointPhase::Failed) {
        let why = next.status.conditions.first().map_or(String::new(), |condition| condition.message.clone());
        note(pass, savepoint, Reason::SavepointFailed, why);
    }
    if let Some(status) = next.changed(savepoint) {
        let SavepointSeen { name, uid, resource_version, .. } = savepoint.clone();
        let status = Box::new(status);
        pass.act(Action::SavepointStatus { name, uid, resource_version, status });
    }
}

fn wait(pass: &mut Pass<'_>, savepoint: &SavepointSeen, next: &mut Next, asked: bool) {
    if next.is_late(savepoint) {
        return next
            .failed(Reason::DeadlineExceeded, "The savepoint took longer than `spec.timeout`.".to_owned());
    }
    pass.again_at(next.end(savepoint));
    let idle = pass.status.operation.as_ref().is_none_or(|operation| operation.step >= Step::Verify);
    let running = pass.facts.running();
    let stays = running.is_some() && pass.world.job.deletion_timestamp.is_none();
    if !stays && next.started() && idle {
        return next
            .failed(Reason::JobStopped, "The job was stopped before the savepoint was complete.".to_owned());
    }
    let worker = running.and_then(|set| pass.world.coordinator(set.incarnation));
    let ready = worker.and_then(|(pod, answer)| {
        let runs = answer.as_ref().is_ok_and(|status| status.phase == WorkerPhase::Running);
        (runs && idle).then_some(pod)
    });
    let Some(pod) = ready else {
        if !next.started() {
            next.pending(Reason::NotStarted, "The job does not process rows yet.".to_owned());
        }
        pass.again_in(10_000);
        return;
    };
    next.in_progress();
    pass.again_in(ASK_AGAIN_MS);
    if !asked {
        let worker = Worker { pod: pod.name, uid: pod.uid };
        let request = SavepointRequest { id: savepoint.uid.clone(), operation_id: None };
        pass.act(Action::TakeSavepoint { worker, request });
    }
}

fn note(pass: &mut Pass<'_>, savepoint: &SavepointSeen, reason: Reason, text: String) {
    let about = About::Savepoint { name: savepoint.name.clone(), uid: savepoint.uid.clone() };
    let warning = reason == Reason::SavepointFailed;
    pass.events.push(Note { about, warning, reason, text });
}

/// The status of a savepoint in the making.
struct Next {
    status: StreamJobSavepointStatus,
    /// Where its job is, or should be.
    namespace: String,
    job: String,
    now: jiff::Timestamp,
    generation: i64,
}

impl Next {
    fn of(savepoint: &SavepointSeen, namespace: &str, now: jiff::Timestamp) -> Self {
        let status = savepoint.status.clone().unwrap_or_default();
        let job = savepoint.spec.stream_job_name.clone();
        Self { status, namespace: namespace.to_owned(), job, now, generation: savepoint.generation }
    }

    fn started(&self) -> bool {
        self.status.phase == Some(SavepointPhase::InProgress)
    }

    fn end(&self, savepoint: &SavepointSeen) -> jiff::Timestamp {
        let given = savepoint.spec.timeout.as_ref().map_or(TIMEOUT_MS, streamjob_crds::Duration::millis);
        savepoint.creation_timestamp + SignedDuration::from_millis(given)
    }

    fn is_late(&self, savepoint: &SavepointSeen) -> bool {
        self.end(savepoint) <= self.now
    }

    fn pending(&mut self, reason: Reason, message: String) {
        self.status.phase = Some(SavepointPhase::Pending);
        self.tell([false, false, false, true, false], reason, &message);
    }

    fn in_progress(&mut self) {
        self.status.phase = Some(SavepointPhase::InProgress);
        self.status.start_time.get_or_insert_with(|| time(self.now));
        self.status.tries = Some(self.status.tries.unwrap_or(0).max(1));
        self.tell([false, false, false, true, false], Reason::InProgress, "The job was asked for it.");
    }

    fn completed(&mut self, pass: &Pass<'_>, answer: &SavepointAnswer) {
        let status = &mut self.status;
        status.phase = Some(SavepointPhase::Completed);
        status.savepoint_id = Some(answer.id.clone());
        status.uri.clone_from(&answer.uri);
        status.size_bytes = answer.size_bytes;
        status.epoch = answer.epoch;
        status.watermark = answer.watermark.map(Time);
        status.start_time.get_or_insert_with(|| time(self.now));
        status.completion_time = Some(time(self.now));
        let set = pass.facts.running();
        status.revision = set.as_ref().and_then(|set| set.revision.map(str::to_owned));
        status.parallelism = set.map(|set| set.arguments.parallelism);
        self.tell([true, false, true, false, false], Reason::SavepointTaken, "");
    }

    fn failed(&mut self, reason: Reason, message: String) {
        self.status.phase = Some(SavepointPhase::Failed);
        self.tell([false, true, false, false, true], reason, &message);
    }

    /// Complete, Failed, Ready, Reconciling, Stalled.
    fn tell(&mut self, truths: [bool; 5], reason: Reason, message: &str) {
        let before = std::mem::take(&mut self.status.conditions);
        let message = with_remedy(&super::facts::trouble(reason, message), &self.namespace, &self.job);
        let told = ConditionType::OF_A_SAVEPOINT.into_iter().zip(truths).map(|(kind, truth)| {
            let next = condition::Said { kind, truth, reason, message: message.clone() };
            condition::next(&before, next, self.generation, self.now)
        });
        let told: Vec<Condition> = told.collect();
        self.status.conditions = told;
        self.status.observed_generation = Some(self.generation);
    }

    fn changed(self, savepoint: &SavepointSeen) -> Option<StreamJobSavepointStatus> {
        (savepoint.status.as_ref() != Some(&self.status)).then_some(self.status)
    }
}
