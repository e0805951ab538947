//! What a spec asks for, with every default filled in.
//!
//! Owns: the defaults of all fields that the operator reads; it is the only place that looks into their `Option`s.
//! Never: is written back to the spec.

use serde::{Deserialize, Serialize};
use streamjob_crds::{
    Checkpoints, Duration, HandoverMode, ImagePullPolicy, ImagePullSecret, LogFormat, NetworkPolicyMode,
    Observability, Pipeline, Quantity, Recovery, Resources, Restore, State, StateDeletion, StreamJobSpec,
    WhenUnhealthy, WorkerTemplate,
};

/// What workers are made from. A change of it is a new revision.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Effective {
    /// The program, as the user wrote it: its defaults are the planner's, which is as old as the worker's image.
    pub pipeline: Pipeline,
    /// Where state is and how often it is saved; all of it set.
    pub state: State,
    /// The pods.
    pub workers: EffectiveWorkers,
    /// What workers log; all of it set.
    pub observability: Observability,
    /// How workers pause between attempts; both set, nothing else.
    pub recovery: Recovery,
    /// The restart that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<String>,
}

/// The pods of a revision.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveWorkers {
    /// The image.
    pub image: String,
    /// When it is pulled.
    pub image_pull_policy: ImagePullPolicy,
    /// With which Secrets.
    pub image_pull_secrets: Vec<ImagePullSecret>,
    /// The service account. None: one of the job's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// What a pod gets.
    pub resources: Resources,
    /// How long a pod may take to stop.
    pub termination_grace_seconds: i64,
    /// What else the user says about pods.
    pub template: WorkerTemplate,
}

/// How the operator treats a job. A change of it takes effect at its next use.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How many slots run.
    pub parallelism: u32,
    /// Slots in a pod; None: all of them.
    pub slots: Option<u32>,
    /// Whether the job is to be stopped.
    pub suspend: bool,
    /// A start from another state.
    pub restore: Option<Restore>,
    /// What the old revision leaves to the new one.
    pub handover: HandoverMode,
    /// What happens if it cannot.
    pub when_unhealthy: WhenUnhealthy,
    /// No checkpoint older than this is fallen back to while workers run.
    pub max_checkpoint_age_ms: i64,
    /// How long a hand-over may take.
    pub handover_timeout_ms: i64,
    /// Whether the old revision comes back by itself.
    pub rollback: bool,
    /// How long a new revision may take until its first checkpoint.
    pub progress_deadline_ms: i64,
    /// How many checkpoints make a revision good.
    pub stable_after_checkpoints: i64,
    /// After so many failures in a row a job counts as stalled.
    pub max_restarts: i64,
    /// Failures are in a row until it has run this long.
    pub healthy_after_ms: i64,
    /// A job without a checkpoint for this long is restarted once; 0: never.
    pub checkpoint_deadline_ms: i64,
    /// A pod that is overdue for this long counts as lost.
    pub lost_pod_timeout_ms: i64,
    /// Whether there is a NetworkPolicy.
    pub network: NetworkPolicyMode,
    /// Whether there is a PodDisruptionBudget.
    pub disruption_budget: bool,
    /// What becomes of the state when the job is deleted.
    pub deletion: StateDeletion,
    /// After this long a deletion ends, whatever is left behind.
    pub deletion_timeout_ms: i64,
    /// How many old revisions are kept.
    pub history: usize,
}

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

fn millis(duration: Option<&Duration>, default_ms: i64) -> i64 {
    duration.map_or(default_ms, Duration::millis)
}

fn text(duration: Option<&Duration>, default: &str) -> Option<Duration> {
    let default = || Duration::parse(default).expect("defaults are durations");
    Some(duration.cloned().unwrap_or_else(default))
}

impl Effective {
    /// A spec with today's defaults; `state_id` is that of a job which names none, `image` likewise.
    pub fn of(spec: &StreamJobSpec, state_id: &str, image: &str) -> Self {
        let recovery = spec.recovery.clone().unwrap_or_default();
        Self {
            pipeline: spec.pipeline.clone(),
            state: state(spec, state_id),
            workers: workers(spec, image),
            observability: observability(spec),
            recovery: Recovery {
                initial_backoff: text(recovery.initial_backoff.as_ref(), "1s"),
                max_backoff: text(recovery.max_backoff.as_ref(), "5m"),
                ..Recovery::default()
            },
            restarted_at: spec.restarted_at.clone(),
        }
    }

    /// Who owns the state in the store.
    pub fn state_id(&self) -> &str {
        self.state.id.as_deref().unwrap_or_default()
    }

    /// Whether state goes with its pod.
    pub fn is_ephemeral(&self) -> bool {
        self.state.location.as_ref().is_none_or(|location| location.uri.is_none())
    }
}

fn state(spec: &StreamJobSpec, state_id: &str) -> State {
    let state = spec.state.clone().unwrap_or_default();
    let checkpoint = state.checkpoint.unwrap_or_default();
    State {
        id: Some(state.id.unwrap_or_else(|| state_id.to_owned())),
        location: state.location,
        checkpoint: Some(Checkpoints {
            interval: text(checkpoint.interval.as_ref(), "10s"),
            timeout: text(checkpoint.timeout.as_ref(), "10m"),
            retain: Some(checkpoint.retain.unwrap_or(3)),
        }),
    }
}

fn workers(spec: &StreamJobSpec, image: &str) -> EffectiveWorkers {
    let workers = spec.workers.clone().unwrap_or_default();
    let grace_ms = millis(workers.termination_grace_period.as_ref(), 2 * MINUTE_MS);
    EffectiveWorkers {
        image: workers.image.unwrap_or_else(|| image.to_owned()),
        image_pull_policy: workers.image_pull_policy.unwrap_or_default(),
        image_pull_secrets: workers.image_pull_secrets.unwrap_or_default(),
        service_account_name: workers.service_account_name,
        resources: resources(workers.resources.unwrap_or_default()),
        // A grace of nothing would kill the workers before they could write anything.
        termination_grace_seconds: ((grace_ms + SECOND_MS - 1) / SECOND_MS).max(1),
        template: workers.template.unwrap_or_default(),
    }
}

/// 1 CPU to begin with; memory has the same request and limit, as a worker plans with all of its limit.
fn resources(mut given: Resources) -> Resources {
    let quantity = |text: &str| Quantity::parse(text).expect("defaults are quantities");
    let memory = given.limits.get("memory").or(given.requests.get("memory")).cloned();
    let memory = memory.unwrap_or_else(|| quantity("1Gi"));
    given.requests.entry("memory".to_owned()).or_insert_with(|| memory.clone());
    given.limits.entry("memory".to_owned()).or_insert(memory);
    let cpu = given.limits.get("cpu").cloned().unwrap_or_else(|| quantity("1"));
    given.requests.entry("cpu".to_owned()).or_insert(cpu);
    given
}

fn observability(spec: &StreamJobSpec) -> Observability {
    let given = spec.observability.clone().unwrap_or_default();
    Observability {
        log_filter: Some(given.log_filter.unwrap_or_else(|| "info".to_owned())),
        log_format: Some(given.log_format.unwrap_or(LogFormat::Json)),
    }
}

impl Policy {
    /// A spec with today's defaults; of one that cannot be read, as if it said nothing.
    pub fn of(spec: Option<&StreamJobSpec>) -> Self {
        let upgrade = spec.and_then(|spec| spec.upgrade.clone()).unwrap_or_default();
        let rollback = upgrade.rollback.clone().unwrap_or_default();
        let recovery = spec.and_then(|spec| spec.recovery.clone()).unwrap_or_default();
        let workers = spec.and_then(|spec| spec.workers.clone()).unwrap_or_default();
        let deletion = spec.and_then(|spec| spec.deletion.clone()).unwrap_or_default();
        let network = spec.and_then(|spec| spec.network.clone()).unwrap_or_default();
        Self {
            parallelism: spec.map_or(1, |spec| spec.parallelism),
            slots: workers.slots,
            suspend: spec.and_then(|spec| spec.suspend).unwrap_or(false),
            restore: spec.and_then(|spec| spec.restore.clone()),
            handover: upgrade.handover.unwrap_or_default(),
            when_unhealthy: upgrade.when_unhealthy.unwrap_or_default(),
            max_checkpoint_age_ms: millis(upgrade.max_checkpoint_age.as_ref(), HOUR_MS),
            handover_timeout_ms: millis(upgrade.handover_timeout.as_ref(), 5 * MINUTE_MS),
            rollback: rollback.enabled.unwrap_or(true),
            progress_deadline_ms: millis(rollback.progress_deadline.as_ref(), 10 * MINUTE_MS),
            stable_after_checkpoints: i64::from(rollback.stable_after_checkpoints.unwrap_or(2)),
            max_restarts: i64::from(recovery.max_restarts.unwrap_or(100)),
            healthy_after_ms: millis(recovery.healthy_after.as_ref(), 10 * MINUTE_MS),
            checkpoint_deadline_ms: millis(recovery.checkpoint_deadline.as_ref(), 15 * MINUTE_MS),
            lost_pod_timeout_ms: millis(recovery.lost_pod_timeout.as_ref(), 2 * MINUTE_MS),
            network: network.policy.unwrap_or_default(),
            disruption_budget: workers.pod_disruption_budget.unwrap_or_default().enabled.unwrap_or(true),
            deletion: deletion.state.unwrap_or_default(),
            deletion_timeout_ms: millis(deletion.timeout.as_ref(), 5 * MINUTE_MS),
            history: spec.and_then(|spec| spec.revision_history_limit).unwrap_or(10) as usize,
        }
    }

    /// How many pods the job takes.
    pub fn replicas(&self) -> u32 {
        self.parallelism.div_ceil(self.slots.unwrap_or(self.parallelism).max(1))
    }
}
