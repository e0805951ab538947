//! Creating, reading, changing: what the server gives, takes and refuses.
//!
//! Owns: questions about single requests.
//! Never: waits for anything.

use anyhow::{Result, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{Site, code, create, map, object, set, version};

pub(super) async fn a_new_object_gets_what_only_the_server_gives(site: &Site) -> Result<()> {
    let made = create(&site.sets(), set("new")).await?;
    let metadata = &made.metadata;
    ensure!(metadata.uid.as_ref().is_some_and(|uid| uid.len() == 36), "uid {:?}", metadata.uid);
    ensure!(!version(&made).is_empty() && metadata.creation_timestamp.is_some(), "{metadata:?}");
    ensure!(metadata.generation == Some(1), "generation {:?}", metadata.generation);
    ensure!(metadata.namespace.as_deref() == Some(site.namespace.as_str()), "{metadata:?}");
    Ok(())
}

pub(super) async fn a_name_is_taken_once(site: &Site) -> Result<()> {
    create(&site.maps(), map("once", json!({}))).await?;
    let again = create(&site.maps(), map("once", json!({}))).await;
    let Err(kube::Error::Api(status)) = &again else { anyhow::bail!("{again:?}") };
    ensure!(status.code == 409 && status.is_already_exists(), "{status:?}");
    Ok(())
}

pub(super) async fn what_is_not_there_is_not_found(site: &Site) -> Result<()> {
    ensure!(code(&site.maps().get("nowhere").await) == 404);
    ensure!(site.maps().get_opt("nowhere").await?.is_none());
    let elsewhere = Site { client: site.client.clone(), namespace: "no-such-namespace".to_owned() };
    ensure!(code(&create(&elsewhere.maps(), map("lost", json!({}))).await) == 404);
    Ok(())
}

pub(super) async fn a_dry_run_says_what_would_be_and_keeps_nothing(site: &Site) -> Result<()> {
    let dry = PostParams { dry_run: true, field_manager: None };
    site.sets().create(&dry, &object(set("dry"))).await?;
    ensure!(site.sets().get_opt("dry").await?.is_none(), "the dry run was kept");
    let mut wrong = set("dry");
    wrong["spec"]["selector"]["matchLabels"] = json!({"question": "another"});
    ensure!(code(&site.sets().create(&dry, &object(wrong)).await) == 422);
    Ok(())
}

pub(super) async fn what_cannot_be_is_refused(site: &Site) -> Result<()> {
    let mut no_image = set("no-image");
    no_image["spec"]["template"]["spec"]["containers"][0]["image"] = json!("");
    ensure!(code(&create(&site.sets(), no_image).await) == 422, "no image");
    let mut no_volume = set("no-volume");
    no_volume["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "missing", "mountPath": "/somewhere"}]);
    ensure!(code(&create(&site.sets(), no_volume).await) == 422, "no volume");
    ensure!(code(&create(&site.maps(), map("Not_A_Name", json!({}))).await) == 422, "a bad name");
    let mut long = map("long-label", json!({}));
    long["metadata"]["labels"] = json!({"question": "x".repeat(64)});
    ensure!(code(&create(&site.maps(), long).await) == 422, "a long label");
    Ok(())
}

pub(super) async fn what_never_changes_never_changes(site: &Site) -> Result<()> {
    let change = async |api: &Api<kube::api::DynamicObject>, name: &str, change: Value| {
        code(&api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await)
    };
    let mut fixed = map("fixed", json!({"a": "1"}));
    fixed["immutable"] = json!(true);
    create(&site.maps(), fixed).await?;
    ensure!(change(&site.maps(), "fixed", json!({"data": {"a": "2"}})).await == 422, "an immutable map");
    create(&site.sets(), set("fixed")).await?;
    let selector = json!({"spec": {"selector": {"matchLabels": {"more": "yes"}}}});
    ensure!(change(&site.sets(), "fixed", selector).await == 422, "the selector of a set");
    ensure!(change(&site.sets(), "fixed", json!({"spec": {"replicas": 1}})).await == 0, "replicas of a set");
    ensure!(change(&site.sets(), "fixed", json!({"spec": {"replicas": 0}})).await == 0, "replicas of a set");
    let revisions = site.of("apps", "v1", "ControllerRevision");
    let revision = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {"name": "fixed"}, "revision": 1, "data": {"a": "1"}});
    create(&revisions, revision).await?;
    ensure!(change(&revisions, "fixed", json!({"data": {"a": "2"}})).await == 422, "a revision's data");
    Ok(())
}

pub(super) async fn a_long_list_comes_in_pages(site: &Site) -> Result<()> {
    for number in 0..5 {
        let mut one = map(&format!("page-{number}"), json!({}));
        one["metadata"]["labels"] = json!({"question": "pages"});
        create(&site.maps(), one).await?;
    }
    let mut params = ListParams::default().labels("question=pages").limit(2);
    let mut names = Vec::new();
    loop {
        let page = site.maps().list(&params).await?;
        ensure!(page.items.len() <= 2, "{} in one page", page.items.len());
        names.extend(page.items.iter().filter_map(|item| item.metadata.name.clone()));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    ensure!(names == ["page-0", "page-1", "page-2", "page-3", "page-4"], "{names:?}");
    Ok(())
}

pub(super) async fn patches_do_what_their_standards_say(site: &Site) -> Result<()> {
    create(&site.maps(), map("patched", json!({"a": "1", "b": "2"}))).await?;
    let merge = Patch::Merge(json!({"data": {"a": null, "c": "3"}}));
    let merged = site.maps().patch("patched", &PatchParams::default(), &merge).await?;
    ensure!(merged.data["data"] == json!({"b": "2", "c": "3"}), "{:?}", merged.data);
    let operations = |value: &str| {
        let list = json!([
            {"op": "test", "path": "/data/b", "value": value},
            {"op": "replace", "path": "/data/b", "value": "4"},
        ]);
        Patch::<kube::api::DynamicObject>::Json(serde_json::from_value(list).expect("a patch"))
    };
    let refused = site.maps().patch("patched", &PatchParams::default(), &operations("9")).await;
    ensure!(code(&refused) == 422, "a test that fails: {refused:?}");
    let done = site.maps().patch("patched", &PatchParams::default(), &operations("2")).await?;
    ensure!(done.data["data"]["b"] == json!("4"), "{:?}", done.data);
    let stale = Patch::Merge(json!({"metadata": {"resourceVersion": version(&merged)}, "data": {"b": "5"}}));
    let refused = site.maps().patch("patched", &PatchParams::default(), &stale).await;
    ensure!(code(&refused) == 409, "an old version: {refused:?}");
    Ok(())
}

pub(super) async fn a_token_is_for_whom_it_was_asked(site: &Site) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(site.client.clone(), &site.namespace);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "asker"}});
    create(&site.of("", "v1", "ServiceAccount"), account).await?;
    let request = |seconds: i64| TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec!["some-job".to_owned()],
            expiration_seconds: Some(seconds),
            bound_object_ref: None,
        },
        ..TokenRequest::default()
    };
    let given = accounts.create_token_request("asker", &PostParams::default(), &request(600)).await?;
    let token = given.status.map(|status| status.token).unwrap_or_default();
    ensure!(token.split('.').count() == 3, "no token");
    let short = accounts.create_token_request("asker", &PostParams::default(), &request(60)).await;
    ensure!(code(&short) == 422, "a minute: {short:?}");
    let nobody = accounts.create_token_request("nobody", &PostParams::default(), &request(600)).await;
    ensure!(code(&nobody) == 404, "{nobody:?}");
    Ok(())
}

pub(super) async fn the_keys_and_the_issuer_are_there(site: &Site) -> Result<()> {
    for (path, field) in [("/openid/v1/jwks", "keys"), ("/.well-known/openid-configuration", "issuer")] {
        let request = axum::http::Request::get(path).body(Vec::new())?;
        let text = site.client.request_text(request).await?;
        let value: Value = serde_json::from_str(&text)?;
        ensure!(!value[field].is_null(), "{path}: {text}");
    }
    Ok(())
}

pub(super) async fn an_old_version_does_not_replace_a_new_one(site: &Site) -> Result<()> {
    let leases = site.of("coordination.k8s.io", "v1", "Lease");
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "held"}, "spec": {"holderIdentity": "a"}});
    let first = create(&leases, lease).await?;
    let mut second = first.clone();
    second.data["spec"]["holderIdentity"] = json!("b");
    leases.replace("held", &PostParams::default(), &second).await?;
    let mut late = first;
    late.data["spec"]["holderIdentity"] = json!("c");
    let refused = leases.replace("held", &PostParams::default(), &late).await;
    ensure!(code(&refused) == 409, "{refused:?}");
    Ok(())
}
