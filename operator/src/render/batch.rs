//! Programs that end: the look at a new revision, and the deletion of a job's state.
//!
//! Owns: their Jobs.
//! Never: repeats one by itself for longer than it may take.

use serde_json::{Value, json};

use super::pod::{Role, template};
use super::workers::common;
use super::{For, hashed};
use crate::names;
use crate::revision::Revision;
use crate::world::{Kind, Object, labels};

/// How long a check may take once its pod runs or waits for a node.
const CHECK_SECONDS: i64 = 180;
/// How often a janitor is tried.
const JANITOR_TRIES: i64 = 3;
/// How long a finished janitor stays if the job is gone.
const JANITOR_KEPT_SECONDS: i64 = 600;

/// The Job that tries a revision: plan, store, Kafka and what the state depends on. `restore` is what the workers will
/// begin with.
pub fn check(to: &For<'_>, revision: &Revision, parallelism: u32, restore: Vec<String>) -> Object {
    let mut arguments = vec!["check".to_owned()];
    arguments.extend(common(to, revision));
    arguments.push(format!("--cluster-id={}", to.settings.cluster_id));
    arguments.push(format!("--parallelism={parallelism}"));
    arguments.extend(restore);
    arguments.push("--termination-log=/dev/termination-log".to_owned());
    let role = Role { component: "check", config_map: &revision.name, arguments, incarnation: None };
    let spec = json!({
        "backoffLimit": 0,
        "activeDeadlineSeconds": CHECK_SECONDS,
        "template": once(template(to, revision, role)),
    });
    let name = names::check(to.name, &revision.name);
    let mut object = to.object(Kind::Job, &name, "check", json!({"spec": spec}));
    object.0["metadata"]["labels"][labels::REVISION] = json!(revision.name);
    hashed(object)
}

/// The Job that deletes a job's state, savepoints excepted. `incarnation` is the last that workers had.
pub fn janitor(to: &For<'_>, revision: &Revision, incarnation: i64, seconds: i64) -> Object {
    let name = names::janitor(to.name, incarnation);
    let mut arguments = vec!["janitor".to_owned()];
    arguments.extend(common(to, revision));
    arguments.push(format!("--cluster-id={}", to.settings.cluster_id));
    arguments.push(format!("--incarnation={incarnation}"));
    arguments.push("--termination-log=/dev/termination-log".to_owned());
    let role = Role { component: "janitor", config_map: &revision.name, arguments, incarnation: None };
    let spec = json!({
        "backoffLimit": JANITOR_TRIES,
        "activeDeadlineSeconds": seconds.max(1),
        "ttlSecondsAfterFinished": JANITOR_KEPT_SECONDS,
        "template": once(template(to, revision, role)),
    });
    hashed(to.object(Kind::Job, &name, "janitor", json!({"spec": spec})))
}

fn once(mut template: Value) -> Value {
    template["spec"]["restartPolicy"] = json!("Never");
    template
}
