//! What can be asked of a running job over HTTP: metrics and health.
//!
//! Owns: what is served, and in which form.
//! Never: changes anything; slots do not know that someone is looking.

mod checkpoints;
mod exposition;
mod server;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use serde::Serialize;
use thiserror::Error;
use tokio::time::{Instant, MissedTickBehavior};

use crate::metrics::{JobMetrics, Phase};
use exposition::Exposition;
pub(crate) use server::{Server, ServerError};

/// What the ratios of busy, blocked and idle time look back over.
const RATIO_INTERVAL: Duration = Duration::from_secs(5);

const INDEX: &str = "\
streamjob

/metrics   counts and gauges of this job, for Prometheus
/healthz   200 while the job runs, 503 once it has failed; the body says where it stands
";

/// The server. Stops when it is dropped.
#[derive(Debug)]
pub struct Admin(Server);

/// Why the server cannot start.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; choose another `--admin` address, or port 0 for any free port"
    )]
    Bind {
        /// As it was given.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no thread or no event queue.
    #[error("cannot start the admin server: {0}; run without `--admin`")]
    Start(#[source] io::Error),
}

#[derive(Debug, Serialize)]
struct Health<'a> {
    job: &'a str,
    state: &'static str,
}

impl Admin {
    /// Listens on `host:port`; port 0 takes any free port. The address is bound when this returns.
    pub fn start(address: &str, metrics: Arc<JobMetrics>) -> Result<Self, AdminError> {
        let (routes, sampling) = metrics_routes(&metrics);
        let router =
            routes.route("/", get(|| async { INDEX })).route("/healthz", get(health).with_state(metrics));
        let started = Server::start("admin", address, router, sampling);
        started.map(Self).map_err(|error| match error {
            ServerError::Bind(source) => AdminError::Bind { address: address.to_owned(), source },
            ServerError::Start(source) => AdminError::Start(source),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

/// `/metrics`, and what must run beside it.
pub(crate) fn metrics_routes(metrics: &Arc<JobMetrics>) -> (Router, impl Future<Output = ()> + Send + use<>) {
    let exposition = Arc::new(Exposition::new(Arc::clone(metrics)));
    let router = Router::new().route("/metrics", get(expose).with_state(Arc::clone(&exposition)));
    (router, sample(exposition))
}

/// Measures the ratios, again and again.
async fn sample(exposition: Arc<Exposition>) {
    let mut ticks = tokio::time::interval_at(Instant::now() + RATIO_INTERVAL, RATIO_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        exposition.sample();
    }
}

async fn expose(State(exposition): State<Arc<Exposition>>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], exposition.text())
}

async fn health(
    State(metrics): State<Arc<JobMetrics>>,
) -> (StatusCode, [(HeaderName, &'static str); 1], String) {
    let (status, state) = match metrics.phase() {
        Phase::Starting => (StatusCode::OK, "starting"),
        Phase::Running => (StatusCode::OK, "running"),
        Phase::Stopping => (StatusCode::OK, "stopping"),
        Phase::Finished => (StatusCode::OK, "finished"),
        Phase::Failed => (StatusCode::SERVICE_UNAVAILABLE, "failed"),
    };
    let body = serde_json::to_string(&Health { job: &metrics.job, state }).expect("two texts are JSON");
    (status, [(CONTENT_TYPE, "application/json")], body)
}

#[cfg(test)]
mod tests;
