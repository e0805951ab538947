//! A real API server with real controllers behind the fake kubelet: all is real but the processes in the pods.
//!
//! Owns: one node that has no kubelet of its own, which all pods of a test are put on.
//! Never: acts outside of the test's namespaces, or on a pod of another node.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures::StreamExt;
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::{JoinSet, block_in_place};

use super::door;
use crate::api_server::faults::Positions;
use crate::api_server::kinds::{self, KINDS};

/// The node.
const NODE: &str = "hollow";
/// Writes under way together.
const AT_ONCE: usize = 8;
/// Between two signs of life of the node.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
/// What controllers have for their work between two moments.
const PAUSE: Duration = Duration::from_millis(100);
/// An object that somebody else changes meanwhile is changed once more.
const TRIES: usize = 10;
/// Which kinds are there, in the order in which they are to go.
const KINDS_MADE: [&[&str]; 2] = [
    &["StreamJob", "StreamJobSavepoint"],
    &[
        "StatefulSet",
        "Job",
        "Pod",
        "ControllerRevision",
        "ConfigMap",
        "Service",
        "PodDisruptionBudget",
        "NetworkPolicy",
    ],
];

/// What a moment began with, and what became of its pods: nobody waits for the network while the parts of a cluster are at work.
#[derive(Default)]
struct Moment {
    objects: BTreeMap<&'static str, Vec<Value>>,
    /// Pods whose status changed, by namespace and name.
    changed: BTreeMap<(String, String), Value>,
    /// Pods that are gone.
    ended: Vec<(String, String)>,
}

/// See the module.
pub struct RealServer {
    client: Client,
    runtime: Handle,
    namespaces: Vec<String>,
    door: SocketAddr,
    moment: Mutex<Option<Moment>>,
    _tasks: JoinSet<()>,
}

impl RealServer {
    /// The server that the client asks, with its node. Call it in a runtime of several threads.
    pub async fn start(client: Client, namespaces: &[&str], positions: &Arc<Positions>) -> Result<Self> {
        let mut tasks = JoinSet::new();
        let door = door::open(client.clone(), positions.clone(), &mut tasks).await?;
        tasks.spawn(keep_node(client.clone()));
        let namespaces = namespaces.iter().map(|&name| name.to_owned()).collect();
        let (runtime, moment) = (Handle::current(), Mutex::default());
        let server = Self { client, runtime, namespaces, door, moment, _tasks: tasks };
        server.add_node().await?;
        Ok(server)
    }

    fn api(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let known = &KINDS[kinds::index_of(kind)];
        api_of(&self.client, (known.group, known.version, known.kind), namespace)
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        block_in_place(|| self.runtime.block_on(work))
    }

    async fn add_node(&self) -> Result<()> {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}},
        });
        let apply = PatchParams::apply("test").force();
        let nodes = api_of(&self.client, ("", "v1", "Node"), "");
        nodes.patch(NODE, &apply, &Patch::Apply(&node)).await?;
        let room = json!({"cpu": "100k", "memory": "100Ti", "pods": "10000"});
        let ready = json!({"type": "Ready", "status": "True", "reason": "Test", "message": "",
            "lastHeartbeatTime": whole_now(), "lastTransitionTime": whole_now()});
        let status = json!({"status": {"capacity": room, "allocatable": room, "conditions": [ready]}});
        nodes.patch_status(NODE, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(())
    }

    fn moment(&self) -> MutexGuard<'_, Option<Moment>> {
        self.moment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A moment begins: until it ends, everything is as it is now, but for the pods.
    pub(crate) fn begin(&self) {
        self.wait(async { tokio::time::sleep(PAUSE).await });
        let objects = ["Pod", "StatefulSet", "StreamJob"].map(|kind| (kind, self.all(kind)));
        *self.moment() = Some(Moment { objects: objects.into_iter().collect(), ..Moment::default() });
    }

    /// What became of the pods is written.
    pub(crate) fn end(&self) {
        let Some(moment) = self.moment().take() else { return };
        let writes = moment.changed.into_iter().map(|((namespace, name), status)| async move {
            let half = json!({"status": status});
            let api = self.api("Pod", &namespace);
            // A pod that is gone, or changed otherwise, has its next moment.
            let _written = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&half)).await;
        });
        self.wait(futures::stream::iter(writes).buffer_unordered(AT_ONCE).collect::<()>());
        for (namespace, name) in moment.ended {
            self.delete("Pod", &namespace, &name, Some(0));
        }
    }

    /// Deletes the jobs, and what does not go with them; true once there is nothing left.
    pub(crate) fn clear(&self) -> bool {
        for kinds in KINDS_MADE {
            let mut left = 0;
            for (kind, object) in
                kinds.iter().flat_map(|kind| self.all(kind).into_iter().map(move |it| (kind, it)))
            {
                let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
                let is_of_job = object["metadata"]["labels"]["streamjob.dev/job"].is_string();
                if kind.starts_with("StreamJob") || is_of_job {
                    left += 1;
                    if object["metadata"]["ownerReferences"].is_null() {
                        self.delete(kind, text("namespace"), text("name"), None);
                    }
                }
            }
            if left > 0 {
                return false;
            }
        }
        true
    }

    pub(crate) fn config(&self) -> kube::Config {
        let url = format!("http://{}", self.door);
        let mut config = kube::Config::new(url.parse().expect("an address makes a URL"));
        config.default_retry = false;
        config.root_cert = Some(Vec::new());
        config
    }

    pub(crate) fn all(&self, kind: &str) -> Vec<Value> {
        if let Some(known) = self.moment().as_ref().and_then(|moment| moment.objects.get(kind)) {
            return known.clone();
        }
        let lists = self.namespaces.iter().map(|namespace| {
            let api = self.api(kind, namespace);
            self.wait(async move { api.list(&ListParams::default()).await }).expect("the API server is there")
        });
        let values = lists.flat_map(|list| list.items.into_iter().map(|object| json!(object)));
        // Pods of other nodes have a kubelet.
        let node = |object: &Value| object["spec"]["nodeName"].as_str().is_none_or(|name| name == NODE);
        values.filter(|object| kind != "Pod" || node(object)).collect()
    }

    pub(crate) fn one(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let found = self.wait(self.api(kind, namespace).get_opt(name)).expect("the API server is there");
        found.map(|object| json!(object))
    }

    pub(crate) fn put(&self, kind: &str, namespace: &str, mut object: Value) {
        if kind == "StreamJob" {
            let workers = &mut object["spec"]["workers"];
            workers["template"]["nodeSelector"]["kubernetes.io/hostname"] = json!(NODE);
        }
        let object: DynamicObject = serde_json::from_value(object).expect("tests write whole objects");
        match self.wait(self.api(kind, namespace).create(&PostParams::default(), &object)) {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            made => drop(made.expect("the API server takes it")),
        }
    }

    /// What is gone, or changes all the time, stays as it is.
    pub(crate) fn edit(&self, kind: &str, at: (&str, &str), status: bool, change: impl FnOnce(&mut Value)) {
        let (namespace, name) = at;
        if let Some(moment) = self.moment().as_mut() {
            return moment.edit_pod(at, change);
        }
        let Some(before) = self.one(kind, namespace, name) else { return };
        let mut after = before.clone();
        change(&mut after);
        let part = if status { "status" } else { "spec" };
        if after[part] == before[part] {
            return;
        }
        let api = self.api(kind, namespace);
        for _ in 0..TRIES {
            let written = if status {
                let half = json!({"status": after["status"]});
                self.wait(api.patch_status(name, &PatchParams::default(), &Patch::Merge(&half)))
            } else {
                let half = json!([{"op": "replace", "path": "/spec", "value": after["spec"]}]);
                let half = serde_json::from_value(half).expect("a patch");
                self.wait(api.patch(name, &PatchParams::default(), &Patch::<()>::Json(half)))
            };
            match written {
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => return,
                written => return drop(written.expect("the API server takes it")),
            }
        }
    }

    pub(crate) fn delete(&self, kind: &str, namespace: &str, name: &str, grace: Option<i64>) {
        if let Some(moment) = self.moment().as_mut() {
            return moment.ended.push((namespace.to_owned(), name.to_owned()));
        }
        let mut params = DeleteParams::background();
        params.grace_period_seconds = grace.and_then(|seconds| u32::try_from(seconds).ok());
        match self.wait(self.api(kind, namespace).delete(name, &params)) {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            done => drop(done.expect("the API server takes it")),
        }
    }
}

impl Moment {
    fn edit_pod(&mut self, (namespace, name): (&str, &str), change: impl FnOnce(&mut Value)) {
        let pods = self.objects.entry("Pod").or_default().iter_mut();
        let is_it =
            |pod: &&mut Value| pod["metadata"]["name"] == *name && pod["metadata"]["namespace"] == *namespace;
        let Some(pod) = pods.into_iter().find(is_it) else { return };
        let before = pod["status"].clone();
        change(pod);
        if pod["status"] != before {
            self.changed.insert((namespace.to_owned(), name.to_owned()), pod["status"].clone());
        }
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        // Its pods go with it. Who fails wants to hear of that first.
        let nodes = api_of(&self.client, ("", "v1", "Node"), "");
        let _gone = self.wait(nodes.delete(NODE, &DeleteParams::default()));
    }
}

fn api_of(
    client: &Client,
    (group, version, kind): (&str, &str, &str),
    namespace: &str,
) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        "" => Api::all_with(client.clone(), &resource),
        _ => Api::namespaced_with(client.clone(), namespace, &resource),
    }
}

/// Without a sign of life the node would be taken for lost, and its pods with it.
async fn keep_node(client: Client) {
    let leases = api_of(&client, ("coordination.k8s.io", "v1", "Lease"), "kube-node-lease");
    loop {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NODE},
            "spec": {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": format!("{:.6}", Timestamp::now())},
        });
        // The next one follows soon.
        let _renewed = leases.patch(NODE, &PatchParams::apply("test").force(), &Patch::Apply(&lease)).await;
        tokio::time::sleep(SIGN_OF_LIFE).await;
    }
}

fn whole_now() -> String {
    crate::api_server::whole_seconds(Timestamp::now())
}
