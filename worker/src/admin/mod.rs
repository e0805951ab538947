//! What can be asked of a running job over HTTP: metrics and health.
//!
//! Owns: one thread with a small runtime of its own, joined when the job ends.
//! Never: changes anything; slots do not know that someone is looking.

mod checkpoints;
mod exposition;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use serde::Serialize;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior};

use crate::metrics::{JobMetrics, Phase};
use exposition::Exposition;

/// What the ratios of busy, blocked and idle time look back over.
const RATIO_INTERVAL: Duration = Duration::from_secs(5);
/// How long requests under way may take when the job has ended.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

const INDEX: &str = "\
streamjob

/metrics   counts and gauges of this job, for Prometheus
/healthz   200 while the job runs, 503 once it has failed; the body says where it stands
";

/// The server. Stops when it is dropped.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

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
        let bind = |source| AdminError::Bind { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AdminError::Start)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || runtime.block_on(serve(listener, metrics, stopped)))
            .map_err(AdminError::Start)?;
        Ok(Self { address, running: Some((stop, thread)) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            // The server may have ended by itself; then nobody is there to be told.
            let _ = stop.send(());
            if thread.join().is_err() {
                tracing::error!("the admin server panicked; the job was not affected");
            }
        }
    }
}

async fn serve(listener: TcpListener, metrics: Arc<JobMetrics>, stopped: oneshot::Receiver<()>) {
    let exposition = Arc::new(Exposition::new(Arc::clone(&metrics)));
    let router = Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/healthz", get(health).with_state(metrics))
        .route("/metrics", get(expose).with_state(Arc::clone(&exposition)));
    let listener = tokio::net::TcpListener::from_std(listener).expect("the listener does not block");
    let (close, closing) = oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        // Either way the job has ended.
        drop(closing.await);
    });
    let deadline = async {
        drop(stopped.await);
        let _ = close.send(());
        tokio::time::sleep(CLOSE_DEADLINE).await;
    };
    tokio::select! {
        served = server => if let Err(error) = served {
            tracing::error!(%error, "the admin server stopped; the job goes on without it");
        },
        () = deadline => {}
        () = sample(&exposition) => {}
    }
}

/// Measures the ratios, again and again.
async fn sample(exposition: &Exposition) {
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
