//! The way of an operator to a real API server: its calls are counted, and it is stopped at one of them.
//!
//! Owns: plain HTTP on the loopback interface, and what is a call that changes something.
//! Never: changes a request or an answer.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use kube::Client;
use tokio::task::JoinSet;

use crate::api_server::faults::{Positions, Verdict};
use crate::api_server::http::listen;

/// No manifest of a test is larger.
const BODY_MAX: usize = 4 << 20;

#[derive(Clone)]
struct Door {
    client: Client,
    positions: Arc<Positions>,
}

pub(super) async fn open(
    client: Client,
    positions: Arc<Positions>,
    tasks: &mut JoinSet<()>,
) -> Result<SocketAddr> {
    listen(Router::new().fallback(through).with_state(Door { client, positions }), tasks).await
}

async fn through(State(door): State<Door>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let is_trial = parts.uri.query().is_some_and(|query| query.contains("dryRun=All"));
    let is_write = parts.method != Method::GET && !is_trial && !path.ends_with("/token");
    let verdict = door.positions.arrive(is_write, || format!("{} {path}", parts.method));
    if verdict == Verdict::Stop {
        return std::future::pending().await;
    }
    let bytes = axum::body::to_bytes(body, BODY_MAX).await.unwrap_or_default();
    parts.headers.remove(header::HOST);
    let answer = door.client.send(axum::http::Request::from_parts(parts, bytes.to_vec().into())).await;
    if verdict == Verdict::GoAndStop {
        door.positions.stop();
        return std::future::pending().await;
    }
    match answer {
        Ok(answer) => answer.map(Body::new),
        Err(error) => {
            let mut response = Response::new(Body::from(error.to_string()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}
