//! What must hold at every moment, whatever the operator goes through.
//!
//! Owns: never two incarnations that can commit; no set before its number is kept; numbers only grow.
//! Never: asks the operator.

use std::collections::BTreeMap;

use serde_json::Value;

use super::sets::place;
use super::{Inside, Server};
use crate::api_server::TestClock;

/// `recovery.lostPodTimeout`, if the manifest does not say.
const LOST: i64 = 120;

pub(crate) fn check(server: &Server, inside: &mut Inside, clock: &TestClock) {
    note_incarnations(server, inside);
    check_sets(server, inside);
    check_writers(server, inside, clock);
}

fn note_incarnations(server: &Server, inside: &mut Inside) {
    for job in server.all("StreamJob") {
        let (namespace, name) = place(&job);
        let found = job["status"]["incarnation"].as_i64().unwrap_or(0);
        let known = inside.incarnations.entry((namespace.to_owned(), name.to_owned())).or_default();
        *known = found.max(*known);
    }
}

fn check_sets(server: &Server, inside: &mut Inside) {
    for set in server.all("StatefulSet") {
        let (namespace, name) = place(&set);
        let labels = &set["metadata"]["labels"];
        let Some(job) = labels["streamjob.dev/job"].as_str() else { continue };
        let number = labels["streamjob.dev/incarnation"].as_str().and_then(|text| text.parse::<i64>().ok());
        let kept = inside.incarnations.get(&(namespace.to_owned(), job.to_owned())).copied().unwrap_or(0);
        if number.is_some_and(|number| number > kept) {
            inside.violations.push(format!("set {name} exists, and the greatest number ever kept is {kept}"));
        }
    }
}

/// Processes that could append to the log or publish, of two incarnations of one state, at one time.
fn check_writers(server: &Server, inside: &mut Inside, clock: &TestClock) {
    let pods: BTreeMap<String, Value> = server
        .all("Pod")
        .into_iter()
        .map(|pod| (pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned(), pod))
        .collect();
    let mut writers: BTreeMap<&str, Vec<(i64, &str)>> = BTreeMap::new();
    for (uid, process) in &inside.processes {
        let is_given_up =
            inside.lost.contains(uid) && pods.get(uid).is_none_or(|pod| is_given_up(pod, clock));
        if process.worker.can_commit() && !is_given_up {
            writers.entry(&process.worker.state).or_default().push((process.worker.start.incarnation, uid));
        }
    }
    for (state, mut list) in writers {
        list.sort_unstable();
        list.dedup_by_key(|(incarnation, _)| *incarnation);
        if list.len() > 1 {
            inside.violations.push(format!("incarnations {list:?} of {state} can commit at one time"));
        }
    }
}

/// The operator may go on without a pod that has been ending for this long.
fn is_given_up(pod: &Value, clock: &TestClock) -> bool {
    let since =
        pod["metadata"]["deletionTimestamp"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    since.is_some_and(|since| clock.now().as_second() >= since.as_second() + LOST)
}
