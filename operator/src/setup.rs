//! What the operator must know of its cluster before it works.
//!
//! Owns: the kinds, the cluster's id, the keys and the issuer of its tokens; waiting for them.
//! Never: gives up, or ends the process because the API server is away.

use std::time::Duration;

use hyper::http::Request;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use serde_json::Value;
use tracing::{info, warn};

use crate::context::Identity;
use crate::health::Readiness;
use crate::metrics::Metrics;
use crate::world::{Settings, TokenCheck};

/// Between two tries.
const RETRY: Duration = Duration::from_secs(2);
/// One question to the API server.
const DEADLINE: Duration = Duration::from_secs(10);
/// Fields that a message names.
const NAMED_MAX: usize = 3;
/// Says what to do about missing or old kinds.
pub const INSTALL: &str = "helm upgrade --install streamjob-crds charts/streamjob-crds";

/// What the command line says; the rest is found out.
#[derive(Clone, Debug)]
pub struct Given {
    /// The image of workers whose job names none.
    pub worker_image: String,
    /// Names the cluster; otherwise the uid of the namespace kube-system does.
    pub cluster_id: Option<String>,
    /// Whose pods may read workers' metrics; all if nothing is said.
    pub metrics_namespace: Option<String>,
}

/// Why the operator cannot start to work yet.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The kinds are not defined.
    #[error("the kinds StreamJob and StreamJobSavepoint are not defined in this cluster: run `{INSTALL}`")]
    NoKinds,
    /// The kinds are older than this build.
    #[error(
        "the definitions of StreamJob and StreamJobSavepoint in this cluster are older than this operator: they lack {lacks}, and \
         what is written there would be lost; run `{INSTALL}` of the operator's version"
    )]
    OldKinds {
        /// Some of the fields.
        lacks: String,
    },
    /// The API server refused or is away.
    #[error("{what} cannot be read: {cause}")]
    Unreadable {
        /// What was asked for.
        what: &'static str,
        /// Why.
        cause: String,
    },
}

/// Waits until all is there. What it waits for is in the readiness.
pub async fn wait(
    client: &kube::Client,
    (given, identity): (&Given, &Identity),
    readiness: &Readiness,
    metrics: &Metrics,
) -> Settings {
    let mut told = String::new();
    loop {
        match look(client, given, identity).await {
            Ok(settings) => {
                metrics.set_compatible(true);
                info!(
                    cluster = settings.cluster_id,
                    issuer = settings.token.issuer,
                    "the cluster has what is needed"
                );
                readiness.set_ready();
                return settings;
            }
            Err(error) => {
                let text = error.to_string();
                metrics.set_compatible(!matches!(error, SetupError::NoKinds | SetupError::OldKinds { .. }));
                if text != told {
                    warn!("{text}; waiting");
                    told.clone_from(&text);
                }
                readiness.wait_for(text);
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// One look.
pub async fn look(client: &kube::Client, given: &Given, identity: &Identity) -> Result<Settings, SetupError> {
    find_kinds(client).await?;
    let cluster_id = match &given.cluster_id {
        Some(id) => id.clone(),
        None => cluster_id(client).await?,
    };
    let keys = text(client, "the keys of service accounts' tokens", "/openid/v1/jwks").await?;
    let issuer = text(client, "the issuer of tokens", "/.well-known/openid-configuration").await?;
    let issuer: Value = serde_json::from_str(&issuer).unwrap_or_default();
    let issuer = issuer["issuer"].as_str().unwrap_or_default().to_owned();
    Ok(Settings {
        worker_image: given.worker_image.clone(),
        cluster_id,
        operator_namespace: identity.namespace.clone(),
        token: TokenCheck { keys: keys.trim().to_owned(), issuer, subject: identity.subject() },
        metrics_namespace: given.metrics_namespace.clone(),
    })
}

async fn within<T>(
    what: &'static str,
    work: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, SetupError> {
    let unreadable = |cause: String| SetupError::Unreadable { what, cause };
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(unreadable(error.to_string())),
        Err(_) => Err(unreadable("no answer".to_owned())),
    }
}

async fn find_kinds(client: &kube::Client) -> Result<(), SetupError> {
    let work = async {
        match client.list_api_group_resources(streamjob_crds::API_VERSION).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(error),
            Ok(list) => Ok(Some(list)),
        }
    };
    let found = within("the kinds of streamjob.dev", work).await?;
    let has = |kind: &str| {
        found.as_ref().is_some_and(|list| list.resources.iter().any(|resource| resource.kind == kind))
    };
    if !has("StreamJob") || !has("StreamJobSavepoint") {
        return Err(SetupError::NoKinds);
    }
    // Everybody may read this; the definitions themselves would need a right in the whole cluster.
    let path = format!("/openapi/v3/apis/{}", streamjob_crds::API_VERSION);
    let document = text(client, "the schemas of streamjob.dev", &path).await?;
    match streamjob_crds::lacking(&serde_json::from_str(&document).unwrap_or_default()).as_slice() {
        [] => Ok(()),
        lacks => Err(SetupError::OldKinds { lacks: some_of(lacks) }),
    }
}

fn some_of(fields: &[String]) -> String {
    match fields.split_at_checked(NAMED_MAX) {
        Some((named, rest)) if !rest.is_empty() => format!("{} and {} more", named.join(", "), rest.len()),
        Some(_) | None => fields.join(", "),
    }
}

async fn cluster_id(client: &kube::Client) -> Result<String, SetupError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let what = "the namespace kube-system, whose uid names the cluster (or set --cluster-id)";
    let found = within(what, api.get("kube-system")).await?;
    let missing = || SetupError::Unreadable { what, cause: "it has no uid".to_owned() };
    found.metadata.uid.ok_or_else(missing)
}

async fn text(client: &kube::Client, what: &'static str, path: &str) -> Result<String, SetupError> {
    let request = Request::get(path).body(Vec::new());
    let request = request.map_err(|error| SetupError::Unreadable { what, cause: error.to_string() })?;
    within(what, client.request_text(request)).await
}
