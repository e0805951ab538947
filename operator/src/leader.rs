//! One operator works at a time: a Lease says which.
//!
//! Owns: taking the lease, renewing it, noticing that it is lost, giving it back.
//! Never: compares its clock with another machine's: a lease is over when it was not seen to change for its whole time.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::time::Instant;
use tracing::{info, warn};

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Others wait this long without a change before they take the lease.
    pub lease: Duration,
    /// A renewal that has not come back by then has failed: the lease counts as lost.
    pub renew: Duration,
    /// Between two tries.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), renew: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// One candidate.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    seen: Option<Seen>,
}

/// What another holder last wrote, and when we saw it.
struct Seen {
    version: Option<String>,
    at: Instant,
}

impl Candidate {
    /// The client must not try again by itself, or a renewal sits in its pauses past the deadline.
    pub fn new(
        client: kube::Client,
        (namespace, name): (&str, &str),
        identity: &str,
        timing: Timing,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            timing,
            seen: None,
        }
    }

    /// Comes back once the lease is ours; tries for ever.
    pub async fn acquire(&mut self) {
        loop {
            match tokio::time::timeout(self.timing.renew, self.try_once()).await {
                Ok(Ok(true)) => {
                    info!(identity = self.identity, lease = self.name, "leads");
                    return;
                }
                Ok(Ok(false)) => {}
                Ok(Err(error)) => warn!(%error, "the lease cannot be read or written; trying again"),
                Err(_) => warn!("the API server does not answer; trying again"),
            }
            tokio::time::sleep(self.timing.retry).await;
        }
    }

    /// Renews until that fails for too long, or somebody else has the lease; says why.
    pub async fn hold(&mut self) -> String {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.timing.retry).await;
            let deadline = renewed + self.timing.renew;
            let asked = Instant::now();
            match tokio::time::timeout_at(deadline, self.try_once()).await {
                // From when it was asked: the answer may have taken long.
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) => return "another operator holds the lease".to_owned(),
                Ok(Err(error)) if Instant::now() >= deadline => {
                    return format!("the lease could not be renewed: {error}");
                }
                Ok(Err(error)) => warn!(%error, "the lease could not be renewed; trying again"),
                Err(_) => return "the renewal of the lease did not come back in time".to_owned(),
            }
        }
    }

    /// Gives the lease back, so that the next operator need not wait.
    pub async fn release(&mut self) {
        let work = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
                return Ok(());
            }
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(Timestamp::now()));
            self.api.replace(&self.name, &PostParams::default(), &lease).await.map(drop)
        };
        match tokio::time::timeout(self.timing.retry, work).await {
            Ok(Ok(())) => info!("gave the lease back"),
            Ok(Err(error)) => warn!(%error, "the lease could not be given back; it ends by itself"),
            Err(_) => warn!("the lease could not be given back in time; it ends by itself"),
        }
    }

    /// Whether the lease is ours after one try.
    async fn try_once(&mut self) -> Result<bool, kube::Error> {
        let Some(found) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.spec(None)),
            };
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        let holder = found.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
        if !holder.is_empty() && holder != self.identity && !self.is_over(&found) {
            return Ok(false);
        }
        let mut lease = found;
        lease.spec = Some(self.spec(lease.spec.as_ref()));
        // The version travels along: of two candidates one is told that it was too late.
        won(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    fn is_over(&mut self, lease: &Lease) -> bool {
        let version = lease.metadata.resource_version.clone();
        let now = Instant::now();
        match &self.seen {
            Some(seen) if seen.version == version => now >= seen.at + self.timing.lease,
            Some(_) | None => {
                self.seen = Some(Seen { version, at: now });
                false
            }
        }
    }

    fn spec(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let holder = before.and_then(|spec| spec.holder_identity.as_deref());
        let is_ours = holder == Some(self.identity.as_str());
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(
                i32::try_from(self.timing.lease.as_secs().max(1)).unwrap_or(i32::MAX),
            ),
            acquire_time: if is_ours {
                before.and_then(|spec| spec.acquire_time.clone())
            } else {
                now.clone()
            },
            renew_time: now,
            lease_transitions: Some(if is_ours { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        }
    }
}

/// A conflict means that another candidate was faster.
fn won(result: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
        Err(error) => Err(error),
    }
}
