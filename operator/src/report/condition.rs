//! One condition.
//!
//! Owns: when its transition time moves: only when its status does.
//! Never: rewrites a condition that says the same.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use streamjob_crds::{ConditionType, Reason};

use crate::decide::time;

/// What a condition is to say.
pub(crate) struct Said {
    pub(crate) kind: ConditionType,
    pub(crate) truth: bool,
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

/// The condition that follows on those that were there.
pub(crate) fn next(before: &[Condition], said: Said, generation: i64, now: Timestamp) -> Condition {
    let status = if said.truth { "True" } else { "False" };
    let old = before.iter().find(|condition| condition.type_ == said.kind.as_str());
    let same = old.filter(|old| old.status == status);
    Condition {
        type_: said.kind.as_str().to_owned(),
        status: status.to_owned(),
        reason: said.reason.as_str().to_owned(),
        message: said.message,
        observed_generation: Some(generation),
        last_transition_time: same.map_or_else(|| time(now), |old| old.last_transition_time.clone()),
    }
}
