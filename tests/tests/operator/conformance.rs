//! Questions that every API server must answer alike: the fake one of these tests, and a real one.
//!
//! Owns: what the operator relies on, asked over HTTP through the client that the operator uses.
//! Never: knows which server it asks.

mod applying;
mod asking;
mod deleting;
mod watching;

use anyhow::Result;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use streamjob_tests::api_server::faults::Positions;
use streamjob_tests::api_server::{ApiServer, TestClock};

/// Where questions are asked: a namespace that is there and empty.
pub(crate) struct Site {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Site {
    pub(crate) fn of(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    pub(crate) fn sets(&self) -> Api<DynamicObject> {
        self.of("apps", "v1", "StatefulSet")
    }

    pub(crate) fn maps(&self) -> Api<DynamicObject> {
        self.of("", "v1", "ConfigMap")
    }

    pub(crate) fn jobs(&self) -> Api<DynamicObject> {
        self.of("streamjob.dev", "v1alpha1", "StreamJob")
    }
}

/// A set that runs nothing.
pub(crate) fn set(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name},
        "spec": {
            "replicas": 0, "serviceName": "none", "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": {"question": name}},
            "template": {
                "metadata": {"labels": {"question": name}},
                "spec": {"containers": [{
                    "name": "worker", "image": "example.invalid/worker:1",
                    "ports": [{"name": "admin", "containerPort": 8080, "protocol": "TCP"}],
                }]},
            },
        },
    })
}

pub(crate) fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// The smallest job that a server with our kinds takes.
pub(crate) fn job(name: &str, parallelism: u32) -> Value {
    json!({
        "apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJob", "metadata": {"name": name},
        "spec": {
            "parallelism": parallelism,
            "pipeline": {
                "source": {
                    "generator": {
                        "rows": 1000,
                        "columns": [
                            {"name": "key", "uniform": {"min": 0, "max": 9}},
                            {"name": "at", "timestamp": {"start": "2026-01-01T00:00:00Z"}},
                        ],
                    },
                },
                "eventTime": {"field": "at"},
                "keyBy": ["key"],
                "window": {"tumbling": {"size": "10s"}},
                "aggregates": [{"name": "rows", "function": "Count"}],
                "sink": {"blackhole": {}},
            },
        },
    })
}

pub(crate) fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).expect("tests write whole objects")
}

pub(crate) async fn create(api: &Api<DynamicObject>, value: Value) -> Result<DynamicObject, kube::Error> {
    api.create(&PostParams::default(), &object(value)).await
}

pub(crate) async fn apply(
    api: &Api<DynamicObject>,
    manager: &str,
    value: &Value,
) -> Result<DynamicObject, kube::Error> {
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    api.patch(name, &PatchParams::apply(manager), &Patch::Apply(value)).await
}

/// The code of a refusal; 0 for success.
pub(crate) fn code<T>(result: &Result<T, kube::Error>) -> u16 {
    match result {
        Ok(_) => 0,
        Err(kube::Error::Api(status)) => status.code,
        Err(_) => 1,
    }
}

pub(crate) fn version(object: &DynamicObject) -> String {
    object.metadata.resource_version.clone().unwrap_or_default()
}

/// Asks everything; what was answered otherwise than it must be.
pub(crate) async fn failures(client: Client, namespace: &str) -> Vec<String> {
    let site = Site { client, namespace: namespace.to_owned() };
    let mut failures = Vec::new();
    let mut note = |name: &str, result: Result<()>| {
        if let Err(error) = result {
            failures.push(format!("{name}: {error:#}"));
        }
    };
    note("create", asking::a_new_object_gets_what_only_the_server_gives(&site).await);
    note("exists", asking::a_name_is_taken_once(&site).await);
    note("missing", asking::what_is_not_there_is_not_found(&site).await);
    note("dry run", asking::a_dry_run_says_what_would_be_and_keeps_nothing(&site).await);
    note("invalid", asking::what_cannot_be_is_refused(&site).await);
    note("immutable", asking::what_never_changes_never_changes(&site).await);
    note("pages", asking::a_long_list_comes_in_pages(&site).await);
    note("patches", asking::patches_do_what_their_standards_say(&site).await);
    note("token", asking::a_token_is_for_whom_it_was_asked(&site).await);
    note("keys", asking::the_keys_and_the_issuer_are_there(&site).await);
    note("lease", asking::an_old_version_does_not_replace_a_new_one(&site).await);
    note("same apply", applying::the_same_twice_changes_nothing(&site).await);
    note("no longer sent", applying::what_is_no_longer_sent_goes(&site).await);
    note("others' fields", applying::what_others_own_stays(&site).await);
    note("conflict", applying::a_field_of_another_is_a_conflict_unless_forced(&site).await);
    note("lists", applying::lists_are_merged_by_their_keys(&site).await);
    note("status", applying::status_and_spec_are_two_halves(&site).await);
    note("generation", applying::a_generation_counts_changes_of_the_spec(&site).await);
    note("version", applying::a_version_in_an_apply_is_a_precondition(&site).await);
    note("preconditions", deleting::a_deletion_is_of_the_object_that_was_meant(&site).await);
    note("finalizers", deleting::a_finalizer_holds_an_object_back(&site).await);
    note("dependents", deleting::what_belongs_to_a_deleted_object_goes(&site).await);
    note("watch", watching::a_watch_tells_what_happened_since_a_version(&site).await);
    note("selector", watching::an_object_that_leaves_a_selector_is_deleted_for_it(&site).await);
    note("metadata", watching::metadata_can_be_watched_alone(&site).await);
    failures
}

#[tokio::test]
async fn the_fake_api_server_answers_as_a_real_one_does() -> Result<()> {
    let clock = TestClock::at(1_800_000_000);
    let server = ApiServer::start(&clock, &Positions::shared()).await?;
    let collector = server.direct()?;

    // A real server collects by itself; here the test does.
    let (found, ()) = tokio::join!(failures(collector, "default"), async {
        for _ in 0..40 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            server.collect_garbage();
        }
    });

    assert_eq!(found, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_watch_from_a_forgotten_version_is_told_that_it_is_gone() -> Result<()> {
    let clock = TestClock::at(1_800_000_000);
    let server = ApiServer::start(&clock, &Positions::shared()).await?;
    let site = Site { client: server.direct()?, namespace: "default".to_owned() };
    let first = create(&site.maps(), map("first", json!({}))).await?;
    create(&site.maps(), map("second", json!({}))).await?;
    server.compact();

    let told = watching::first_event(&site.maps(), &version(&first)).await?;

    assert_eq!(told, "ERROR 410");
    Ok(())
}
