//! What a cluster does by itself: StatefulSets make pods, Jobs end, kubelets run containers, owners take their own along.
//!
//! Owns: one second of all of that.
//! Never: knows what the operator wants.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::SignedDuration;
use serde_json::{Value, json};
use streamjob_crds::worker::Termination;

use super::cluster::Cluster;
use super::log::Begin;
use super::worker::{Life, Process};
use crate::revision::Revision;
use crate::world::{Kind, Object, SetSeen, labels};

impl Cluster {
    /// A second goes by.
    pub(super) fn tick(&mut self) {
        self.now += SignedDuration::from_secs(1);
        self.collect_garbage();
        self.run_sets();
        self.run_jobs();
        self.run_pods();
    }

    fn collect_garbage(&mut self) {
        let job = self.job.as_ref().map(|job| job.uid.clone());
        let uids: Vec<String> = self.objects.values().map(|object| object.uid().to_owned()).collect();
        let gone: Vec<(Kind, String)> = self
            .objects
            .iter()
            .filter(|(_, object)| {
                let owners = object.list("/metadata/ownerReferences");
                let there = |owner: &Value| {
                    let uid = owner["uid"].as_str().unwrap_or_default();
                    job.as_deref() == Some(uid) || uids.iter().any(|known| known == uid)
                };
                !owners.is_empty() && !owners.iter().any(there)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.changed = true;
            if key.0 == Kind::Pod {
                self.delete_pod(&key.1);
            } else {
                self.objects.remove(&key);
            }
        }
    }

    /// The kubelet is told to end a pod; on a node that is gone nobody hears that.
    pub(super) fn delete_pod(&mut self, name: &str) {
        let end = self.after(120).to_string();
        if let Some(pod) = self.objects.get_mut(&(Kind::Pod, name.to_owned()))
            && pod.deletion_timestamp().is_none()
        {
            pod.0["metadata"]["deletionTimestamp"] = json!(end);
            self.changed = true;
        }
    }

    fn run_sets(&mut self) {
        for name in self.names(Kind::StatefulSet) {
            let set = self.objects[&(Kind::StatefulSet, name.clone())].clone();
            let revision = template_hash(&set.0["spec"]["template"]);
            let replicas = set.number("/spec/replicas").unwrap_or(1);
            let generation = set.number("/metadata/generation").unwrap_or(1);
            self.tamper_quietly(Kind::StatefulSet, &name, |set| {
                set["status"] = json!({
                    "replicas": replicas, "updateRevision": revision, "observedGeneration": generation,
                });
            });
            let pod = format!("{name}-0");
            let there = self.objects.contains_key(&(Kind::Pod, pod.clone()));
            if replicas == 0 {
                self.delete_pod(&pod);
            } else if !there && self.refuses_pods.is_none() {
                self.make_pod(&set, &pod, &revision);
            }
        }
    }

    fn make_pod(&mut self, set: &Object, name: &str, revision: &str) {
        let template = &set.0["spec"]["template"];
        let mut metadata = template["metadata"].clone();
        metadata["name"] = json!(name);
        metadata["uid"] = json!(self.uid());
        metadata["creationTimestamp"] = json!(self.now.to_string());
        metadata["labels"]["controller-revision-hash"] = json!(revision);
        metadata["ownerReferences"] =
            json!([{"kind": "StatefulSet", "name": set.name(), "uid": set.uid(), "controller": true}]);
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"],
            "status": {"phase": "Pending"},
        });
        self.objects.insert((Kind::Pod, name.to_owned()), Object(pod));
        self.changed = true;
    }

    fn run_jobs(&mut self) {
        for name in self.names(Kind::Job) {
            let job = self.objects[&(Kind::Job, name.clone())].clone();
            let age = job
                .instant("/metadata/creationTimestamp")
                .map_or(0, |made| self.now.as_second() - made.as_second());
            let over = !job.0["status"]["conditions"].is_null();
            if age < 3 || over {
                continue;
            }
            let container = &job.0["spec"]["template"]["spec"]["containers"][0];
            let image = container["image"].as_str().unwrap_or_default().to_owned();
            let janitor = job.label(labels::COMPONENT) == Some("janitor");
            if !self.store_up || image.contains("noroom") {
                continue;
            }
            if janitor {
                let argument = |begin: &str| {
                    let arguments = container["args"].as_array().into_iter().flatten();
                    let found = arguments.filter_map(Value::as_str).find_map(|text| text.strip_prefix(begin));
                    found.unwrap_or_default().to_owned()
                };
                let incarnation = argument("--incarnation=").parse().unwrap_or(0);
                let place = format!("s3://streams/prod/{}", argument("--state-id="));
                if let Some(log) = self.logs.get_mut(&place) {
                    log.delete(incarnation);
                }
            }
            let fails = !janitor && image.contains("unfit");
            let (kind, count) = if fails { ("Failed", 0) } else { ("Complete", 1) };
            self.tamper(Kind::Job, &name, |job| {
                job["status"] = json!({
                    "succeeded": count, "conditions": [{"type": kind, "status": "True", "message": "it is over"}],
                });
            });
            if fails {
                self.make_failed_pod(&job);
            }
        }
    }

    fn make_failed_pod(&mut self, job: &Object) {
        let message = json!({"reason": "TopicMissing", "message": "the topic `clicks` does not exist", "retryable": false});
        let mut metadata = job.0["spec"]["template"]["metadata"].clone();
        let name = format!("{}-abcde", job.name());
        metadata["name"] = json!(name);
        metadata["uid"] = json!(self.uid());
        metadata["labels"]["batch.kubernetes.io/job-name"] = json!(job.name());
        metadata["ownerReferences"] =
            json!([{"kind": "Job", "name": job.name(), "uid": job.uid(), "controller": true}]);
        let terminated = json!({"terminated": {"exitCode": 1, "message": message.to_string()}});
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {},
            "status": {"containerStatuses": [{"name": "worker", "state": terminated}]},
        });
        self.objects.insert((Kind::Pod, name), Object(pod));
    }

    fn run_pods(&mut self) {
        for name in self.names(Kind::Pod) {
            let pod = self.objects[&(Kind::Pod, name.clone())].clone();
            if pod.label(labels::COMPONENT) != Some("worker") {
                if pod.deletion_timestamp().is_some() {
                    self.objects.remove(&(Kind::Pod, name));
                }
                continue;
            }
            if !self.node_up {
                continue;
            }
            if pod.deletion_timestamp().is_some() {
                self.end_pod(&name);
            } else if let Some(mut process) = self.processes.remove(pod.uid()) {
                let log = self.logs.entry(process.place.clone()).or_default();
                let life = process.live(log, self.now, self.store_up);
                self.show(&name, &process, life);
            } else {
                self.start_container(&pod);
            }
        }
    }

    fn end_pod(&mut self, name: &str) {
        let pod = self.objects.remove(&(Kind::Pod, name.to_owned())).expect("it is there");
        if let Some(mut process) = self.processes.remove(pod.uid()) {
            let log = self.logs.entry(process.place.clone()).or_default();
            process.terminate(log, self.store_up);
        }
        self.changed = true;
    }

    fn start_container(&mut self, pod: &Object) {
        // The kubelet's back-off.
        let ended = pod.instant("/status/containerStatuses/0/lastState/terminated/finishedAt");
        if ended.is_some_and(|ended| self.now.as_second() - ended.as_second() < 10) {
            return;
        }
        let container = &pod.0["spec"]["containers"][0];
        let image = container["image"].as_str().unwrap_or_default();
        if image.contains("nopull") {
            let waiting = json!({"reason": "ImagePullBackOff", "message": format!("no image `{image}`")});
            self.tamper_quietly(Kind::Pod, pod.name(), |pod| {
                pod["status"]["containerStatuses"] =
                    json!([{"name": "worker", "state": {"waiting": waiting}}]);
            });
            return;
        }
        let set = SetSeen::of(&Object(json!({
            "metadata": {"labels": pod.0["metadata"]["labels"]}, "spec": {"template": {"spec": pod.0["spec"]}},
        })))
        .map(|set| set.arguments)
        .unwrap_or_default();
        let revision = pod.label(labels::REVISION).unwrap_or_default();
        let revision =
            self.objects.get(&(Kind::ControllerRevision, revision.to_owned())).and_then(Revision::read);
        let manifest =
            pod.0["spec"]["volumes"][0]["configMap"]["name"].as_str().unwrap_or_default().to_owned();
        let mounted = self.objects.contains_key(&(Kind::ConfigMap, manifest));
        let Some(revision) = revision.filter(|_| mounted) else { return };
        let begin = Begin {
            incarnation: set.incarnation,
            restore: set.restore,
            request: set.restore_request,
            floor: set.floor.unwrap_or(0),
            fingerprint: revision.content.fingerprint.clone(),
        };
        let location = revision.effective().state.location.clone().unwrap_or_default();
        let place = format!("{}/{}", location.uri.unwrap_or_default(), revision.effective().state_id());
        let restarts = pod.number("/status/containerStatuses/0/restartCount").map_or(0, |count| count + 1);
        let process = Process::new(begin, image, &place, self.now, restarts);
        self.show(pod.name(), &process, Life::Goes);
    }

    /// Every worker ends with an error that a start may mend.
    pub(super) fn crash_workers(&mut self) {
        for name in self.names(Kind::Pod) {
            let uid = self.objects[&(Kind::Pod, name.clone())].uid().to_owned();
            let Some(process) = self.processes.remove(&uid) else { continue };
            let ended = Termination {
                reason: streamjob_crds::Reason::KafkaUnavailable,
                message: "no broker answers".to_owned(),
                retryable: true,
                incarnation: None,
            };
            self.show(&name, &process, Life::Ends(ended));
        }
    }

    /// What the API server shows of a container.
    fn show(&mut self, name: &str, process: &Process, life: Life) {
        let pod = &self.objects[&(Kind::Pod, name.to_owned())];
        let uid = pod.uid().to_owned();
        let last =
            pod.0.pointer("/status/containerStatuses/0/lastState").cloned().unwrap_or_else(|| json!({}));
        let ready = process.status.phase == streamjob_crds::worker::WorkerPhase::Running;
        let container = match life {
            Life::Goes => {
                self.processes.insert(uid, process.clone());
                json!({
                    "name": "worker", "ready": ready, "restartCount": process.restarts,
                    "state": {"running": {}}, "lastState": last,
                })
            }
            Life::Ends(ended) => json!({
                "name": "worker", "ready": false, "restartCount": process.restarts,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {"terminated": {
                    "message": Termination::line(&ended), "finishedAt": self.now.to_string(),
                }},
            }),
        };
        let status = json!({"phase": "Running", "podIP": "198.18.65.2", "containerStatuses": [container]});
        let before = self.objects[&(Kind::Pod, name.to_owned())].0["status"].clone();
        if before != status {
            self.tamper(Kind::Pod, name, |pod| pod["status"] = status);
        }
    }

    /// A change that nobody has to look at.
    fn tamper_quietly(&mut self, kind: Kind, name: &str, change: impl FnOnce(&mut Value)) {
        let before = self.changed;
        let seen = self.objects.get(&(kind, name.to_owned())).cloned();
        self.tamper(kind, name, change);
        self.changed = before || seen.as_ref() != self.objects.get(&(kind, name.to_owned()));
    }
}

/// As StatefulSets name their templates. It is made every second: the operator's own would take most of a run's time.
fn template_hash(template: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    template.hash(&mut hasher);
    format!("{:x}", hasher.finish())
}
