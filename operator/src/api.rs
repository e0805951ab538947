//! Calls to the API server: every one within a deadline, counted, and with errors that say what they mean for a reconcile.
//!
//! Owns: how objects of any kind are read, applied and deleted; the field managers.
//! Never: decides what is read or written.

use std::time::Duration;

use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams, Preconditions, PropagationPolicy,
};
use kube::core::Status;
use serde_json::Value;

use crate::metrics::Metrics;

/// Owns what the operator wants of children.
pub const MANAGER: &str = "streamjob-operator";
/// Owns the status of our own kinds.
pub const STATUS_MANAGER: &str = "streamjob-operator/status";
/// Puts and takes the finalizer.
pub const FINALIZER_MANAGER: &str = "streamjob-operator/finalizer";

/// Why a call did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody knows whether it was done.
    #[error("the API server did not answer `{call}` within {seconds} s")]
    Timeout {
        /// What was asked.
        call: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The server said no, or the way to it is broken.
    #[error("`{call}` failed")]
    Refused {
        /// What was asked.
        call: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object that no call can be made of.
    #[error("{0} is no object of a kind that the operator writes")]
    Unknown(String),
}

impl ApiError {
    fn status(&self) -> Option<&Status> {
        let Self::Refused { source, .. } = self else { return None };
        let kube::Error::Api(status) = source.as_ref() else { return None };
        Some(status)
    }

    /// There is no such object, or no such kind.
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }

    /// Somebody else was faster: look again.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(Status::is_conflict)
    }

    /// The namespace is being deleted: nothing can be made in it.
    pub fn is_terminating(&self) -> bool {
        let details = self.status().and_then(|status| status.details.as_ref());
        details
            .is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"))
    }

    /// The server understood and said no: the same call will fail again until somebody changes something.
    pub fn is_verdict(&self) -> bool {
        self.status()
            .is_some_and(|status| matches!(status.code, 400 | 403 | 404 | 405 | 409 | 410 | 413 | 415 | 422))
    }

    /// What a person should read: the server's own words if it had any.
    pub fn words(&self) -> String {
        if let Some(status) = self.status() {
            return status.message.clone();
        }
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        text
    }
}

/// A kind that the operator touches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kind {
    group: &'static str,
    version: &'static str,
    /// As in manifests.
    pub name: &'static str,
    plural: &'static str,
}

/// All of them.
pub const KINDS: &[Kind] = &[
    Kind { group: "streamjob.dev", version: "v1alpha1", name: "StreamJob", plural: "streamjobs" },
    Kind {
        group: "streamjob.dev",
        version: "v1alpha1",
        name: "StreamJobSavepoint",
        plural: "streamjobsavepoints",
    },
    Kind { group: "apps", version: "v1", name: "StatefulSet", plural: "statefulsets" },
    Kind { group: "apps", version: "v1", name: "ControllerRevision", plural: "controllerrevisions" },
    Kind { group: "", version: "v1", name: "Pod", plural: "pods" },
    Kind { group: "", version: "v1", name: "ConfigMap", plural: "configmaps" },
    Kind { group: "", version: "v1", name: "Service", plural: "services" },
    Kind { group: "", version: "v1", name: "ServiceAccount", plural: "serviceaccounts" },
    Kind { group: "", version: "v1", name: "Namespace", plural: "namespaces" },
    Kind { group: "policy", version: "v1", name: "PodDisruptionBudget", plural: "poddisruptionbudgets" },
    Kind { group: "networking.k8s.io", version: "v1", name: "NetworkPolicy", plural: "networkpolicies" },
    Kind { group: "batch", version: "v1", name: "Job", plural: "jobs" },
];

impl Kind {
    /// By its name in manifests.
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    fn resource(&self) -> ApiResource {
        let gvk = GroupVersionKind::gvk(self.group, self.version, self.name);
        ApiResource::from_gvk_with_plural(&gvk, self.plural)
    }

    fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// Which object of a namespace.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The name of its kind.
    pub kind: &'a str,
    /// Where it is; empty for kinds of the cluster.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// The API server, as the operator uses it.
#[derive(Clone)]
pub struct Server {
    client: kube::Client,
    deadline: Duration,
    metrics: Metrics,
}

impl Server {
    /// Over a client that does not try again by itself.
    pub fn new(client: kube::Client, deadline: Duration, metrics: Metrics) -> Self {
        Self { client, deadline, metrics }
    }

    /// The client, for watches.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    fn api(&self, kind: &str, namespace: &str) -> Result<(Api<DynamicObject>, &'static Kind), ApiError> {
        let kind = Kind::named(kind).ok_or_else(|| ApiError::Unknown(kind.to_owned()))?;
        let resource = kind.resource();
        let api = if namespace.is_empty() {
            Api::all_with(self.client(), &resource)
        } else {
            Api::namespaced_with(self.client(), namespace, &resource)
        };
        Ok((api, kind))
    }

    /// Any call, within the deadline.
    pub async fn within<T>(
        &self,
        call: impl FnOnce() -> String,
        work: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ApiError> {
        match tokio::time::timeout(self.deadline, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => Err(ApiError::Refused { call: call(), source: Box::new(source) }),
            Err(_) => Err(ApiError::Timeout { call: call(), seconds: self.deadline.as_secs() }),
        }
    }

    /// One object as it is now; nothing if it is not there.
    pub async fn get(&self, at: At<'_>) -> Result<Option<Value>, ApiError> {
        let (api, kind) = self.api(at.kind, at.namespace)?;
        let found = self.within(|| told("get", at), api.get_opt(at.name)).await?;
        Ok(found.map(|object| whole(object, kind)))
    }

    /// All objects of a kind that have these labels, as they are now.
    pub async fn list(&self, kind: &str, namespace: &str, labels: &str) -> Result<Vec<Value>, ApiError> {
        let (api, kind) = self.api(kind, namespace)?;
        let at = At { kind: kind.name, namespace, name: labels };
        let params = ListParams::default().labels(labels);
        let found = self.within(|| told("list", at), api.list(&params)).await?;
        Ok(found.items.into_iter().map(|object| whole(object, kind)).collect())
    }

    /// Server-side apply of a child, over whatever others have put into our fields.
    pub async fn apply(&self, object: &Value, dry_run: bool) -> Result<Value, ApiError> {
        let at = place_of(object);
        let (api, kind) = self.api(at.kind, at.namespace)?;
        let mut params = PatchParams::apply(MANAGER).force();
        params.dry_run = dry_run;
        let sent = Patch::Apply(object);
        let done = self.within(|| told("apply", at), api.patch(at.name, &params, &sent)).await;
        if !dry_run {
            self.metrics.wrote(kind.name, "apply", done.is_ok());
        }
        done.map(|object| whole(object, kind))
    }

    /// Whether the server would make an object.
    pub async fn would_create(&self, object: &Value) -> Result<(), ApiError> {
        let at = place_of(object);
        let (api, _) = self.api(at.kind, at.namespace)?;
        let params = PostParams { dry_run: true, field_manager: Some(MANAGER.to_owned()) };
        let object: DynamicObject =
            serde_json::from_value(object.clone()).map_err(|error| ApiError::Unknown(error.to_string()))?;
        self.within(|| told("dry run of", at), api.create(&params, &object)).await.map(drop)
    }

    /// The whole status, if the object is still the one of that version.
    pub async fn apply_status(&self, at: At<'_>, version: &str, status: &Value) -> Result<Value, ApiError> {
        let (api, kind) = self.api(at.kind, at.namespace)?;
        let mut object = serde_json::json!({
            "apiVersion": kind.api_version(), "kind": kind.name,
            "metadata": {"name": at.name, "namespace": at.namespace},
            "status": status,
        });
        if !version.is_empty() {
            object["metadata"]["resourceVersion"] = Value::String(version.to_owned());
        }
        let params = PatchParams::apply(STATUS_MANAGER).force();
        let sent = Patch::Apply(&object);
        let done = self.within(|| told("status of", at), api.patch_status(at.name, &params, &sent)).await;
        self.metrics.wrote(kind.name, "status", done.is_ok());
        done.map(|object| whole(object, kind))
    }

    /// A JSON patch of the finalizers.
    pub async fn patch_finalizers(&self, at: At<'_>, patch: Value) -> Result<Value, ApiError> {
        let (api, kind) = self.api(at.kind, at.namespace)?;
        let operations =
            serde_json::from_value(patch).map_err(|error| ApiError::Unknown(error.to_string()))?;
        let params =
            PatchParams { field_manager: Some(FINALIZER_MANAGER.to_owned()), ..PatchParams::default() };
        let sent: Patch<DynamicObject> = Patch::Json(operations);
        let done = self.within(|| told("finalizer of", at), api.patch(at.name, &params, &sent)).await;
        self.metrics.wrote(kind.name, "finalizer", done.is_ok());
        done.map(|object| whole(object, kind))
    }

    /// Deletes exactly this object, in the background. One that is gone is fine.
    pub async fn delete(&self, at: At<'_>, uid: Option<&str>) -> Result<(), ApiError> {
        let (api, kind) = self.api(at.kind, at.namespace)?;
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: uid.map(str::to_owned), resource_version: None }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let done = self.within(|| told("delete", at), api.delete(at.name, &params)).await;
        self.metrics.wrote(kind.name, "delete", done.is_ok());
        match done {
            Err(error) if !error.is_not_found() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Where a manifest belongs.
pub fn place_of(object: &Value) -> At<'_> {
    At {
        kind: object["kind"].as_str().unwrap_or_default(),
        namespace: object["metadata"]["namespace"].as_str().unwrap_or_default(),
        name: object["metadata"]["name"].as_str().unwrap_or_default(),
    }
}

fn told(verb: &str, at: At<'_>) -> String {
    format!("{verb} {} {}/{}", at.kind, at.namespace, at.name)
}

/// Lists leave out what an item is; nobody needs to know who owns which field.
fn whole(mut object: DynamicObject, kind: &Kind) -> Value {
    object.metadata.managed_fields = None;
    let mut value = serde_json::to_value(object).unwrap_or_default();
    value["apiVersion"] = Value::String(kind.api_version());
    value["kind"] = Value::String(kind.name.to_owned());
    value
}
