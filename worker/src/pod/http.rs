//! What a pod serves: `admin` for everybody, read-only; `control` for the operator, with its token.
//!
//! Owns: the paths, who may ask what, and the size of a request.
//! Never: does what is asked for on its own thread, if that waits.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::routing::{get, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use streamjob_crds::Reason;
use streamjob_crds::worker::{SavepointRequest, StopRequest, Termination};

use super::hub::Hub;
use super::termination::failure;
use super::token::Tokens;
use crate::admin::{Server, ServerError, metrics_routes};

/// The names of operations and savepoints, and a time.
const BODY_BYTES_MAX: usize = 4_096;
/// What becomes part of the log.
const OPERATION_BYTES_MAX: usize = 256;

const INDEX: &str = "\
streamjob-worker

/healthz     200 unless the coordinator is stuck
/readyz      200 while rows are processed
/metrics     counts and gauges of this job, for Prometheus
/v1/status   where the job stands, as JSON
";

type Answer = (StatusCode, [(HeaderName, &'static str); 1], String);

/// Serves health, metrics and status. `stuck_after`: a coordinator that does not come round for so long makes the pod
/// unhealthy.
pub(super) fn admin(address: &str, hub: &Arc<Hub>, stuck_after: Duration) -> Result<Server, Termination> {
    let (routes, sampling) = metrics_routes(&hub.metrics);
    let router = routes
        .route("/", get(|| async { INDEX }))
        .route("/healthz", get(health).with_state((Arc::clone(hub), stuck_after)))
        .route("/readyz", get(ready).with_state(Arc::clone(hub)))
        .route("/v1/status", get(status).with_state(Arc::clone(hub)));
    serve("admin", address, router, sampling)
}

/// Serves what the operator asks for.
pub(super) fn control(address: &str, hub: &Arc<Hub>, tokens: Tokens) -> Result<Server, Termination> {
    let state = (Arc::clone(hub), Arc::new(tokens));
    let router = Router::new()
        .route("/v1/stop", post(stop))
        .route("/v1/savepoints", post(savepoint))
        .with_state(state)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    serve("control", address, router, std::future::pending())
}

fn serve(
    name: &'static str,
    address: &str,
    router: Router,
    beside: impl Future<Output = ()> + Send + 'static,
) -> Result<Server, Termination> {
    let server = Server::start(name, address, router, beside).map_err(|error| match error {
        ServerError::Bind(error) => {
            failure(Reason::ConfigurationInvalid, format!("cannot listen on {address}: {error}"), true)
        }
        ServerError::Start(error) => failure(Reason::Internal, format!("cannot serve {name}: {error}"), true),
    })?;
    tracing::info!(server = name, address = server.address().to_string(), "listening");
    Ok(server)
}

async fn health(State((hub, stuck_after)): State<(Arc<Hub>, Duration)>) -> (StatusCode, String) {
    let stuck = hub.metrics.standing.stuck_for(hub.clock.elapsed());
    if stuck < stuck_after {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let seconds = stuck.as_secs();
    (StatusCode::SERVICE_UNAVAILABLE, format!("the coordinator has not come round for {seconds} s\n"))
}

async fn ready(State(hub): State<Arc<Hub>>) -> (StatusCode, String) {
    let code = if hub.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, format!("{:?}\n", hub.status().phase))
}

async fn status(State(hub): State<Arc<Hub>>) -> Answer {
    json(StatusCode::OK, &hub.status())
}

type Control = State<(Arc<Hub>, Arc<Tokens>)>;

async fn stop(State((hub, tokens)): Control, headers: HeaderMap, body: Bytes) -> Answer {
    let request: StopRequest = match asked(&tokens, &headers, &body) {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    if request.operation_id.is_empty() || request.operation_id.len() > OPERATION_BYTES_MAX {
        return refusal(StatusCode::BAD_REQUEST, "operationID must have 1 to 256 bytes");
    }
    json(StatusCode::OK, &hub.ask_to_stop(&request))
}

async fn savepoint(State((hub, tokens)): Control, headers: HeaderMap, body: Bytes) -> Answer {
    let request: SavepointRequest = match asked(&tokens, &headers, &body) {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    json(StatusCode::OK, &hub.ask_for_savepoint(request).await)
}

/// Who asks comes first: nobody else learns what a request must look like.
fn asked<T: DeserializeOwned>(tokens: &Tokens, headers: &HeaderMap, body: &[u8]) -> Result<T, Answer> {
    tokens.check(headers).map_err(|code| {
        let message =
            if code == StatusCode::FORBIDDEN { "not the operator's token" } else { "no valid token" };
        refusal(code, message)
    })?;
    serde_json::from_slice(body).map_err(|error| refusal(StatusCode::BAD_REQUEST, &error.to_string()))
}

#[derive(Serialize)]
struct Refusal<'a> {
    message: &'a str,
}

fn refusal(code: StatusCode, message: &str) -> Answer {
    json(code, &Refusal { message })
}

fn json(code: StatusCode, body: &impl Serialize) -> Answer {
    let text = serde_json::to_string(body).expect("answers have only texts for keys");
    (code, [(CONTENT_TYPE, "application/json")], text)
}
