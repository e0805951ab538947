//! Requests to the coordinator of a job: worker 0 of the set that runs it.
//!
//! Owns: HTTP to a pod's address, deadlines, the size of answers, and that the pod is the one that was meant.
//! Never: trusts an answer for correctness: the log and the floor are what counts.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use streamjob_crds::worker::{SavepointAnswer, SavepointRequest, StopAnswer, StopRequest, WorkerStatus};
use tokio::net::TcpStream;

/// Where a worker says how it is.
pub const ADMIN_PORT: u16 = 8080;
/// Where a worker is told what to do.
pub const CONTROL_PORT: u16 = 8081;
/// Where somebody listens a connection takes milliseconds. The address of a pod that has just gone says nothing at all.
const CONNECTED: Duration = Duration::from_secs(1);
/// No answer is larger.
const ANSWER_MAX: usize = 256 << 10;

/// Why there is no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// Nobody knows whether it was asked.
    #[error("worker {pod} did not answer within {seconds} s")]
    Timeout {
        /// Which.
        pod: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The connection failed.
    #[error("worker {pod} cannot be reached: {cause}")]
    Unreachable {
        /// Which.
        pod: String,
        /// Why.
        cause: String,
    },
    /// The token was not accepted.
    #[error("worker {pod} refused the operator's token with {code}")]
    Denied {
        /// Which.
        pod: String,
        /// 401 or 403.
        code: u16,
    },
    /// The answer is none.
    #[error("worker {pod} answered {code}: {text}")]
    Odd {
        /// Which.
        pod: String,
        /// The code.
        code: u16,
        /// What it said, cut.
        text: String,
    },
    /// The address belongs to another pod by now.
    #[error("the address of worker {pod} belongs to another pod")]
    Another {
        /// Which was meant.
        pod: String,
    },
}

/// How pods are reached.
#[derive(Clone, Copy, Debug)]
pub enum Route {
    /// By their addresses.
    Pods,
    /// Through a gateway that reads from `Host` whom a request is for: outside of the cluster, and in tests.
    Gateway(SocketAddr),
}

/// A pod, as a live GET has just shown it.
#[derive(Clone, Copy, Debug)]
pub struct PodAt<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// Its address.
    pub ip: IpAddr,
}

/// Asks coordinators.
#[derive(Clone, Debug)]
pub struct Coordinators {
    route: Route,
    deadline: Duration,
}

impl Coordinators {
    /// Each request has this long.
    pub fn new(route: Route, deadline: Duration) -> Self {
        Self { route, deadline }
    }

    /// How the worker is.
    pub async fn status(&self, pod: PodAt<'_>) -> Result<WorkerStatus, CoordinatorError> {
        let ask = Ask { port: ADMIN_PORT, path: "/v1/status", token: None, body: None };
        let status: WorkerStatus = self.ask(pod, ask).await?;
        match &status.pod_uid {
            Some(uid) if uid != pod.uid => Err(CoordinatorError::Another { pod: pod.name.to_owned() }),
            Some(_) | None => Ok(status),
        }
    }

    /// Asks for the last checkpoint and the end.
    pub async fn stop(
        &self,
        pod: PodAt<'_>,
        token: &str,
        request: &StopRequest,
    ) -> Result<StopAnswer, CoordinatorError> {
        self.ask(pod, Ask::command("/v1/stop", token, request)).await
    }

    /// Asks for a savepoint, or how far it is.
    pub async fn savepoint(
        &self,
        pod: PodAt<'_>,
        token: &str,
        request: &SavepointRequest,
    ) -> Result<SavepointAnswer, CoordinatorError> {
        self.ask(pod, Ask::command("/v1/savepoints", token, request)).await
    }

    async fn ask<T: DeserializeOwned>(&self, pod: PodAt<'_>, ask: Ask<'_>) -> Result<T, CoordinatorError> {
        match tokio::time::timeout(self.deadline, self.exchange(pod, ask)).await {
            Ok(answer) => answer,
            Err(_) => {
                let seconds = self.deadline.as_secs();
                Err(CoordinatorError::Timeout { pod: pod.name.to_owned(), seconds })
            }
        }
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        pod: PodAt<'_>,
        ask: Ask<'_>,
    ) -> Result<T, CoordinatorError> {
        let unreachable = |cause: String| CoordinatorError::Unreachable { pod: pod.name.to_owned(), cause };
        let host = SocketAddr::new(pod.ip, ask.port);
        let address = match self.route {
            Route::Pods => host,
            Route::Gateway(gateway) => gateway,
        };
        let connected = tokio::time::timeout(CONNECTED, TcpStream::connect(address)).await;
        let connected = connected.unwrap_or_else(|late| Err(late.into()));
        let stream = connected.map_err(|error| unreachable(error.to_string()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        let request = ask.request(&host.to_string()).map_err(|error| unreachable(error.to_string()))?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let code = response.status();
            let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
            Ok::<_, hyper::Error>((code, body))
        };
        // The connection ends with the exchange: nobody keeps it.
        let (code, body) = tokio::select! {
            answer = exchange => answer.map_err(|error| unreachable(error.to_string()))?,
            ended = connection => {
                let cause = ended.err().map_or_else(|| "the connection was closed".to_owned(), |error| error.to_string());
                return Err(unreachable(cause));
            }
        };
        let bytes = body.map_err(|error| unreachable(error.to_string()))?.to_bytes();
        read(pod, code, &bytes)
    }
}

fn read<T: DeserializeOwned>(pod: PodAt<'_>, code: StatusCode, bytes: &[u8]) -> Result<T, CoordinatorError> {
    let pod = pod.name.to_owned();
    if matches!(code, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(CoordinatorError::Denied { pod, code: code.as_u16() });
    }
    if matches!(code, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
    {
        return Err(CoordinatorError::Unreachable { pod, cause: code.to_string() });
    }
    let odd = |text: String| CoordinatorError::Odd { pod: pod.clone(), code: code.as_u16(), text };
    if !code.is_success() {
        return Err(odd(String::from_utf8_lossy(bytes).chars().take(200).collect()));
    }
    serde_json::from_slice(bytes).map_err(|error| odd(error.to_string()))
}

/// One request.
struct Ask<'a> {
    port: u16,
    path: &'a str,
    token: Option<&'a str>,
    body: Option<Vec<u8>>,
}

impl<'a> Ask<'a> {
    fn command(path: &'a str, token: &'a str, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("requests have nothing but texts");
        Self { port: CONTROL_PORT, path, token: Some(token), body: Some(body) }
    }

    fn request(self, host: &str) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let method = if self.body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method).uri(self.path).header(HOST, host);
        if let Some(token) = self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if self.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(Bytes::from(self.body.unwrap_or_default())))
    }
}
