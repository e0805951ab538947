//! The pods' HTTP, all behind one door: the `Host` of a request says which pod and port it is for.
//!
//! Owns: routing, tokens, and the place of calls to workers among those where the operator may be stopped.
//! Never: answers for a pod that is lost, or has no process.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::worker::Phase;
use super::{Process, Site};
use crate::api_server::TOKEN_SECRET;
use crate::api_server::faults::Verdict;
use crate::api_server::http::listen;

pub(super) async fn serve(site: Arc<Site>, tasks: &mut JoinSet<()>) -> Result<SocketAddr> {
    listen(Router::new().fallback(answer).with_state(site), tasks).await
}

async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header =
        |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (host, token) = (header(header::HOST), header(header::AUTHORIZATION));
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let sent: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let path = parts.uri.path().to_owned();
    let is_write = parts.method == Method::POST;
    let verdict = site.positions.arrive(is_write, || format!("POST {path}"));
    if verdict == Verdict::Stop {
        return std::future::pending().await;
    }
    let answer = perform(&site, (&host, &path), &token, is_write.then_some(&sent));
    if verdict == Verdict::GoAndStop {
        site.positions.stop();
        return std::future::pending().await;
    }
    match answer {
        Some(Ok(value)) => reply(StatusCode::OK, &value),
        Some(Err(code)) => reply(code, &json!({"message": "refused"})),
        // Nobody is there: as long as a real connection would take to fail does not matter here.
        None => reply(StatusCode::BAD_GATEWAY, &json!({"message": "no route to host"})),
    }
}

fn perform(
    site: &Site,
    (host, path): (&str, &str),
    token: &str,
    sent: Option<&Value>,
) -> Option<Result<Value, StatusCode>> {
    let mut inside = site.inside();
    let (ip, port) = host.rsplit_once(':')?;
    let lost = inside.lost.clone();
    let found = inside.processes.iter().find(|(uid, process)| process.ip == ip && !lost.contains(*uid));
    let uid = found.map(|(uid, _)| uid.clone())?;
    let image = inside.processes[&uid].image.clone();
    let behaviour = inside.behaviour(&image);
    let super::Inside { processes, logs, requests, .. } = &mut *inside;
    let Process { worker, .. } = processes.get_mut(&uid)?;
    if behaviour.unreachable || matches!(worker.phase, Phase::Exited(_)) {
        return None;
    }
    let log = logs.entry(worker.state.clone()).or_default();
    let Some(sent) = sent else {
        let known = port == "8080" && path == "/v1/status";
        return Some(if known { Ok(worker.status(log)) } else { Err(StatusCode::NOT_FOUND) });
    };
    if port != "8081" {
        return Some(Err(StatusCode::NOT_FOUND));
    }
    let is_fine = !behaviour.refuses_tokens && accepts(token, &worker.audience, &worker.subject, site);
    if !is_fine {
        return Some(Err(StatusCode::UNAUTHORIZED));
    }
    requests.push(format!("{path} {}", sent.get("operationID").or(sent.get("id")).unwrap_or(&Value::Null)));
    Some(match path {
        "/v1/stop" => Ok(worker.stop(log, sent)),
        "/v1/savepoints" => Ok(worker.savepoint(sent, &behaviour)),
        _ => Err(StatusCode::NOT_FOUND),
    })
}

fn accepts(header: &str, audience: &str, subject: &str, site: &Site) -> bool {
    let Some(token) = header.strip_prefix("Bearer ") else { return false };
    if !site.checks_tokens {
        return true;
    }
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_audience(&[audience]);
    rules.sub = Some(subject.to_owned());
    // Time is the test's, not the machine's.
    rules.validate_exp = false;
    let key = DecodingKey::from_secret(TOKEN_SECRET);
    let Ok(found) = jsonwebtoken::decode::<Value>(token, &key, &rules) else { return false };
    found.claims["exp"].as_i64().is_some_and(|expires| expires > site.clock.now().as_second())
}

fn reply(code: StatusCode, value: &Value) -> Response {
    let response = Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(value.to_string()));
    response.unwrap_or_default()
}
