//! Requests and answers.
//!
//! Owns: paths, query parameters, media types, and the door where faults happen.
//! Never: decides what a write does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::apply::Writer;
use super::faults::{Call, Effect, Verdict};
use super::kinds::KINDS;
use super::refusal::Refusal;
use super::select::Selection;
use super::store::{Key, Page};
use super::write::{self, Deletion, Terms};
use super::{Done, Shared, patch, watch};

/// No manifest of a test is larger.
const BODY_MAX: usize = 4 << 20;

#[derive(Clone)]
struct Door {
    shared: Arc<Shared>,
    /// No faults, no counting.
    direct: bool,
}

/// Serves until the tasks are dropped; its URL.
pub(super) async fn serve(shared: Arc<Shared>, direct: bool, tasks: &mut JoinSet<()>) -> Result<String> {
    let router = Router::new().fallback(answer).with_state(Door { shared, direct });
    Ok(format!("http://{}", listen(router, tasks).await?))
}

/// Serves on the loopback interface until the tasks are dropped; where.
pub(crate) async fn listen(router: Router, tasks: &mut JoinSet<()>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tasks.spawn(async move {
        // What it says at its end nobody waits for.
        let _ = axum::serve(listener, router).await;
    });
    Ok(address)
}

/// A request, understood.
struct Asked {
    call: Call,
    kind: usize,
    query: BTreeMap<String, String>,
    metadata_only: bool,
    media: String,
    body: Value,
}

impl Asked {
    fn flag(&self, name: &str) -> bool {
        self.query.get(name).is_some_and(|value| value == "true" || value == "1")
    }

    fn text(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    fn key(&self) -> Key {
        Key { kind: self.kind, namespace: self.call.namespace.clone(), name: self.call.name.clone() }
    }

    fn selection(&self) -> Result<Selection, Refusal> {
        Selection::parse(self.text("labelSelector"), self.text("fieldSelector"))
    }

    fn manager(&self) -> &str {
        let name = self.text("fieldManager");
        if name.is_empty() { "unknown" } else { name }
    }

    /// The namespace of a list; nothing for all.
    fn namespace(&self) -> Option<String> {
        (!self.call.namespace.is_empty()).then(|| self.call.namespace.clone())
    }
}

async fn answer(State(door): State<Door>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, BODY_MAX).await else {
        return refused(&Refusal::bad_request("the body is too large"));
    };
    let path = parts.uri.path().to_owned();
    if let Some(value) = super::http_paths::fixed(&path, &door.shared) {
        if !door.direct && door.shared.positions.is_stopped() {
            return std::future::pending().await;
        }
        return value.map_or_else(|refusal| refused(&refusal), |value| reply(200, &value));
    }
    let query = super::http_paths::query(parts.uri.query().unwrap_or_default());
    match understand(&parts.method, (&path, query), &parts.headers, &bytes) {
        Err(refusal) => refused(&refusal),
        Ok(asked) if !door.shared.store().has_own_kinds && KINDS[asked.kind].is_custom() => {
            refused(&Refusal::no_such_path())
        }
        Ok(asked) if door.direct => perform(&door.shared, &asked).0,
        Ok(asked) => through_faults(&door.shared, &asked).await,
    }
}

async fn through_faults(shared: &Arc<Shared>, asked: &Asked) -> Response {
    let name = || {
        let Call { verb, kind, name, status, .. } = &asked.call;
        format!("{verb} {kind}{} {name}", if *status { "/status" } else { "" })
    };
    let verdict = shared.positions.arrive(asked.call.is_write(), name);
    if verdict == Verdict::Stop {
        return std::future::pending().await;
    }
    let effect = shared.faults.effect_on(&asked.call);
    match effect {
        Some(Effect::Refuse(code, after)) => return refused(&Refusal::planned(code, after)),
        Some(Effect::LoseRequest) => return broken(),
        Some(Effect::Hang) => return std::future::pending().await,
        Some(Effect::Delay(time)) => tokio::time::sleep(time).await,
        Some(Effect::Hold) => shared.faults.hold().await,
        Some(Effect::RefuseAfter(_) | Effect::LoseAnswer) | None => {}
    }
    let (response, changed) = perform(shared, asked);
    shared.note(Done {
        call: asked.call.clone(),
        manager: asked.manager().to_owned(),
        code: response.status().as_u16(),
        changed,
    });
    if verdict == Verdict::GoAndStop {
        shared.positions.stop();
        return std::future::pending().await;
    }
    match effect {
        Some(Effect::RefuseAfter(code)) => refused(&Refusal::planned(code, None)),
        Some(Effect::LoseAnswer) => broken(),
        Some(_) | None => response,
    }
}

fn understand(
    method: &Method,
    (path, query): (&str, BTreeMap<String, String>),
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<Asked, Refusal> {
    let place = super::http_paths::Place::parse(path).ok_or_else(Refusal::no_such_path)?;
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let watching = query.get("watch").is_some_and(|value| value == "true" || value == "1");
    let verb = match (method.as_str(), place.name.is_empty()) {
        ("GET", true) if watching => "watch",
        ("GET", true) => "list",
        ("GET", false) => "get",
        ("POST", false) if place.tail == "token" => "token",
        ("POST", true) => "create",
        ("PUT", false) => "update",
        ("PATCH", false) => "patch",
        ("DELETE", false) => "delete",
        _ => return Err(Refusal::wrong_method()),
    };
    let body: Value = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(bytes).map_err(|error| Refusal::bad_request(error.to_string()))?
    };
    let mut name = place.name;
    if verb == "create" {
        name = super::http_paths::new_name(&body["metadata"]);
    }
    let dry_run = query.get("dryRun").is_some_and(|value| value == "All") || body["dryRun"] == json!(["All"]);
    Ok(Asked {
        call: Call {
            verb,
            kind: KINDS[place.kind].kind,
            namespace: place.namespace,
            name,
            status: place.tail == "status",
            dry_run,
        },
        kind: place.kind,
        query,
        metadata_only: header(header::ACCEPT).contains("PartialObjectMetadata"),
        media: header(header::CONTENT_TYPE).to_owned(),
        body,
    })
}

fn perform(shared: &Arc<Shared>, asked: &Asked) -> (Response, bool) {
    if asked.call.verb == "watch" {
        return (watching(shared, asked).unwrap_or_else(|refusal| refused(&refusal)), false);
    }
    let (result, changed) = {
        let mut store = shared.store();
        let before = store.version;
        let result = match asked.call.verb {
            "get" => store.get(&asked.key()),
            "list" => super::http_paths::list(&store, asked.kind, &asked.query, asked.namespace().as_deref()),
            "token" => super::http_paths::token(&store, &asked.key(), &asked.body),
            _ => written(&mut store, asked),
        };
        (result, store.version != before)
    };
    if changed {
        shared.touch();
    }
    let code = if asked.call.verb == "create" || asked.call.verb == "token" { 201 } else { 200 };
    let response = match result {
        Err(refusal) => refused(&refusal),
        Ok(value) if asked.metadata_only => reply(code, &only_metadata(&value)),
        Ok(value) => reply(code, &value),
    };
    (response, changed)
}

fn written(store: &mut super::store::Store, asked: &Asked) -> Result<Value, Refusal> {
    let now = store.now_text();
    let writer =
        Writer { name: asked.manager(), status: asked.call.status, force: asked.flag("force"), now: &now };
    let terms = Terms { writer: &writer, dry_run: asked.call.dry_run };
    let (key, body) = (asked.key(), asked.body.clone());
    match asked.call.verb {
        "create" => write::create(store, &key, body, &terms),
        "update" => write::update(store, &key, &terms, |object| {
            *object = body;
            Ok(())
        }),
        "delete" => write::delete(store, &key, &deletion(asked)),
        _ if asked.media.contains("apply-patch") => write::apply(store, &key, body, &terms),
        _ if asked.media.contains("json-patch") => {
            write::update(store, &key, &terms, |object| patch::json(object, &body))
        }
        _ if asked.media.contains("merge-patch") => write::update(store, &key, &terms, |object| {
            patch::merge(object, &body);
            Ok(())
        }),
        _ => Err(Refusal::wrong_media()),
    }
}

fn deletion(asked: &Asked) -> Deletion {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let body = &asked.body;
    Deletion {
        uid: text(&body["preconditions"]["uid"]),
        version: text(&body["preconditions"]["resourceVersion"]),
        grace: body["gracePeriodSeconds"].as_i64().or_else(|| asked.text("gracePeriodSeconds").parse().ok()),
        propagation: text(&body["propagationPolicy"])
            .or_else(|| asked.query.get("propagationPolicy").cloned()),
        dry_run: asked.call.dry_run,
    }
}

fn watching(shared: &Arc<Shared>, asked: &Asked) -> Result<Response, Refusal> {
    let from = match asked.text("resourceVersion") {
        "" => None,
        text => Some(text.parse().map_err(|_| Refusal::bad_request("invalid resource version"))?),
    };
    let ask = watch::Ask {
        kind: asked.kind,
        namespace: asked.namespace(),
        selection: asked.selection()?,
        from,
        bookmarks: asked.flag("allowWatchBookmarks"),
        initial: asked.flag("sendInitialEvents"),
        metadata_only: asked.metadata_only,
        time: Duration::from_secs(asked.text("timeoutSeconds").parse().unwrap_or(1800)),
    };
    let body = Body::from_stream(watch::lines(shared.clone(), ask));
    let response = Response::builder().header(header::CONTENT_TYPE, "application/json").body(body);
    Ok(response.unwrap_or_default())
}

/// The whole list that a page asks for.
pub(super) fn page_of<'a>(
    query: &'a BTreeMap<String, String>,
    namespace: Option<&'a str>,
    selection: &'a Selection,
) -> Page<'a> {
    let text = |name: &str| query.get(name).map_or("", String::as_str);
    let limit = text("limit").parse().ok().filter(|&limit| limit > 0).unwrap_or(usize::MAX);
    let after = query.get("continue").map(String::as_str).filter(|after| !after.is_empty());
    Page { namespace, selection, limit, after }
}

/// What a reader of metadata gets of an object or of a list.
pub(super) fn only_metadata(value: &Value) -> Value {
    let one = |object: &Value| json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]});
    let Some(items) = value["items"].as_array() else { return one(value) };
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": value["metadata"],
        "items": items.iter().map(one).collect::<Vec<_>>(),
    })
}

fn reply(code: u16, value: &Value) -> Response {
    let response = Response::builder()
        .status(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(value.to_string()));
    response.unwrap_or_default()
}

fn refused(refusal: &Refusal) -> Response {
    let mut response = reply(refusal.code, &refusal.body());
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// An answer that breaks off before its first byte of content.
fn broken() -> Response {
    let lost = std::io::Error::other("a test wanted the answer lost");
    Response::new(Body::from_stream(futures::stream::iter([Err::<String, _>(lost)])))
}
