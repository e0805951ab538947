//! HTTP of the operator: whether it lives, whether it is ready, what it has counted.
//!
//! Owns: `/healthz`, `/readyz`, `/metrics`.
//! Never: asks the API server: an outage of it is no reason to restart the operator.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// Whether the operator is ready, and what it waits for.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<Result<(), String>>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Err("starting".to_owned()))))
    }
}

impl Readiness {
    /// From now on it is.
    pub fn set_ready(&self) {
        self.set(Ok(()));
    }

    /// It waits for something.
    pub fn wait_for(&self, what: impl Into<String>) {
        self.set(Err(what.into()));
    }

    /// What it waits for; nothing if it is ready.
    pub fn waits_for(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().err().cloned()
    }

    fn set(&self, to: Result<(), String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }
}

#[derive(Clone)]
struct Inside {
    readiness: Readiness,
    metrics: Metrics,
}

/// Serves until it is dropped. The listener is bound by the caller, who can say what went wrong with it.
pub async fn serve(listener: TcpListener, readiness: Readiness, metrics: Metrics) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposed))
        .with_state(Inside { readiness, metrics });
    axum::serve(listener, router).await
}

/// A listener for [`serve`]; `[::]` serves both families.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

async fn ready(State(inside): State<Inside>) -> Response {
    match inside.readiness.waits_for() {
        None => "ok\n".into_response(),
        Some(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting: {what}\n")).into_response(),
    }
}

async fn exposed(State(inside): State<Inside>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], inside.metrics.text()).into_response()
}
