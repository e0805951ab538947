//! One kubelet for all pods: it starts, restarts and ends processes, and says how they are.
//!
//! Owns: nodes' names, addresses, container states, the end of a deleted pod.
//! Never: makes a pod.

use serde_json::{Value, json};

use super::sets::{is_deleting, place};
use super::worker::{Arguments, Phase, Worker};
use super::{Behaviour, Inside, Process, Server};
use crate::api_server::TestClock;

/// A container that ended is started again after this many moments.
const RESTART: u32 = 2;

/// A moment for every pod.
pub(crate) fn run(server: &Server, inside: &mut Inside, clock: &TestClock) {
    let pods = server.all("Pod");
    let uids: Vec<&str> = pods.iter().map(uid_of).collect();
    inside.processes.retain(|uid, _| uids.contains(&uid.as_str()) || inside.lost.contains(uid));
    for pod in &pods {
        let uid = uid_of(pod).to_owned();
        let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned();
        let behaviour = inside.behaviour_of(pod);
        if inside.lost.contains(&uid) {
            turn(inside, &uid, &behaviour, clock);
        } else if is_deleting(pod) {
            end(server, inside, pod, clock);
        } else if pod["spec"].get("nodeName").is_none() {
            schedule(server, pod, &behaviour);
        } else if behaviour.image_missing {
            let waiting = json!({"reason": "ImagePullBackOff", "message": format!("Back-off pulling image \"{image}\"")});
            set_status(server, pod, "Pending", (json!({"waiting": waiting}), json!(0)), "");
        } else if behaviour.secret_missing {
            set_status(
                server,
                pod,
                "Pending",
                (json!({"waiting": {"reason": "ContainerCreating"}}), json!(0)),
                "",
            );
        } else if matches!(Arguments::of(pod).command(), "check" | "janitor") {
            run_once(server, inside, pod, &behaviour);
        } else {
            run_worker(server, inside, (pod, &image), &behaviour, clock);
        }
    }
}

fn uid_of(pod: &Value) -> &str {
    pod["metadata"]["uid"].as_str().unwrap_or_default()
}

fn schedule(server: &Server, pod: &Value, behaviour: &Behaviour) {
    let at = place(pod);
    if behaviour.unschedulable {
        server.edit("Pod", at, true, |pod| {
            pod["status"] = json!({"phase": "Pending", "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/3 nodes are available: 3 Insufficient cpu.", "lastTransitionTime": "2027-01-15T08:00:00Z",
            }]});
        });
    } else if matches!(server, Server::Memory(_)) {
        server.edit("Pod", at, false, |pod| pod["spec"]["nodeName"] = json!("node-1"));
    }
}

fn end(server: &Server, inside: &mut Inside, pod: &Value, clock: &TestClock) {
    let uid = uid_of(pod).to_owned();
    let (namespace, name) = place(pod);
    let Inside { processes, logs, .. } = inside;
    match processes.get_mut(&uid) {
        // The process gets its signal in one moment, and the pod is gone in the next.
        Some(process) if !process.signalled => {
            let log = logs.entry(process.worker.state.clone()).or_default();
            process.worker.signal(log, clock.now());
            process.signalled = true;
        }
        Some(_) | None => {
            inside.processes.remove(&uid);
            server.delete("Pod", namespace, name, Some(0));
        }
    }
}

fn turn(inside: &mut Inside, uid: &str, behaviour: &Behaviour, clock: &TestClock) {
    let Inside { processes, logs, .. } = inside;
    if let Some(process) = processes.get_mut(uid) {
        let log = logs.entry(process.worker.state.clone()).or_default();
        process.worker.turn(log, behaviour, clock.now());
    }
}

/// A check or a janitor: it ends at once.
fn run_once(server: &Server, inside: &mut Inside, pod: &Value, behaviour: &Behaviour) {
    if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return;
    }
    let args = Arguments::of(pod);
    let failure = if args.command() == "check" {
        behaviour.check_fails.clone()
    } else {
        behaviour.janitor_fails.clone().or_else(|| {
            let incarnation = args.get("incarnation").and_then(|text| text.parse().ok()).unwrap_or(0);
            let log = inside.logs.entry(args.get("state-id").unwrap_or_default().to_owned()).or_default();
            log.delete(incarnation).err().map(|refused| refused.termination())
        })
    };
    let (phase, code) = if failure.is_some() { ("Failed", 1) } else { ("Succeeded", 0) };
    let message = failure.map(|failure| failure.to_string()).unwrap_or_default();
    let state = json!({"terminated": {"exitCode": code, "message": message, "reason": "Completed"}});
    set_status(server, pod, phase, (state, json!(0)), "10.0.0.1");
}

fn run_worker(
    server: &Server,
    inside: &mut Inside,
    (pod, image): (&Value, &str),
    behaviour: &Behaviour,
    clock: &TestClock,
) {
    let uid = uid_of(pod).to_owned();
    let next = inside.addresses + 1;
    inside.processes.entry(uid.clone()).or_insert_with(|| Process {
        worker: Worker::new(pod, clock.now()),
        ip: format!("10.1.{}.{}", next / 250, 1 + next % 250),
        restarts: 0,
        ended: 0,
        image: image.to_owned(),
        signalled: false,
    });
    inside.addresses = next;
    let (_, name) = place(pod);
    let is_first = name.ends_with("-0");
    if is_first {
        turn(inside, &uid, behaviour, clock);
    }
    let Some(process) = inside.processes.get_mut(&uid) else { return };
    if !is_first {
        // Only the first worker of a set coordinates; the others do as they are told.
        process.worker.phase = Phase::Stopped;
    }
    let ended =
        |message: Value| json!({"terminated": {"exitCode": 1, "reason": "Error", "message": message}});
    let (state, last) = match &process.worker.phase {
        Phase::Exited(message) => {
            let text = json!(message.as_ref().map(Value::to_string).unwrap_or_default());
            process.ended += 1;
            if process.ended == 1 {
                (ended(text), Value::Null)
            } else {
                let wait =
                    json!({"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"});
                (json!({"waiting": wait}), ended(text))
            }
        }
        Phase::Starting | Phase::Running | Phase::Stopping { .. } | Phase::Stopped | Phase::Finished => {
            let last = pod["status"]["containerStatuses"][0]["lastState"].clone();
            (json!({"running": {"startedAt": "2027-01-15T08:00:00Z"}}), last)
        }
    };
    let ready = !is_first || process.worker.phase == Phase::Running;
    let ip = process.ip.clone();
    let restarts = json!(process.restarts);
    if process.ended > RESTART {
        process.restarts += 1;
        process.ended = 0;
        process.worker = Worker::new(pod, clock.now());
    }
    set_status(server, pod, "Running", (state, restarts), &ip);
    server.edit("Pod", place(pod), true, |pod| {
        if !last.is_null() {
            pod["status"]["containerStatuses"][0]["lastState"] = last;
        }
        pod["status"]["containerStatuses"][0]["ready"] = json!(ready);
        pod["status"]["conditions"][0]["status"] = json!(if ready { "True" } else { "False" });
    });
}

fn set_status(server: &Server, pod: &Value, phase: &str, (state, restarts): (Value, Value), ip: &str) {
    let before = pod["status"]["conditions"][0]["status"].as_str().unwrap_or("False").to_owned();
    server.edit("Pod", place(pod), true, |pod| {
        pod["status"] = json!({
            "phase": phase,
            "conditions": [{"type": "Ready", "status": before, "lastTransitionTime": "2027-01-15T08:00:00Z"}],
            "containerStatuses": [{
                "name": "worker", "ready": before == "True", "restartCount": restarts, "image": "", "imageID": "",
                "state": state,
            }],
        });
        if !ip.is_empty() {
            pod["status"]["podIP"] = json!(ip);
        }
    });
}
