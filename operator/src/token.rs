//! Tokens for workers: the operator's own service account, for one job at a time.
//!
//! Owns: asking the API server for them, and keeping them until a minute before they end.
//! Never: has a key of its own, or writes a token anywhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;

use crate::api::{ApiError, Server};

/// How long a token is good for: the least that API servers give.
const LIFE: SignedDuration = SignedDuration::from_mins(10);
/// A token is not used in its last minute.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);
/// Tokens that are kept; more jobs than this are rare, and their tokens are asked for again.
const KEPT_MAX: usize = 4096;

/// The tokens of one operator.
pub struct Tokens {
    server: Server,
    namespace: String,
    account: String,
    kept: Mutex<BTreeMap<String, Kept>>,
}

struct Kept {
    token: String,
    expires: Timestamp,
}

impl Tokens {
    /// For the service account that the operator runs as.
    pub fn new(server: Server, namespace: &str, account: &str) -> Self {
        Self { server, namespace: namespace.to_owned(), account: account.to_owned(), kept: Mutex::default() }
    }

    /// A token that the workers of the job with this uid accept.
    pub async fn for_job(&self, uid: &str, now: Timestamp) -> Result<String, ApiError> {
        if let Some(token) = self.kept_for(uid, now) {
            return Ok(token);
        }
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![uid.to_owned()],
                expiration_seconds: Some(LIFE.as_secs()),
                bound_object_ref: None,
            },
            ..TokenRequest::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(self.server.client(), &self.namespace);
        let params = PostParams::default();
        let call = || format!("token of {}/{}", self.namespace, self.account);
        let work = api.create_token_request(&self.account, &params, &request);
        let answer = self.server.within(call, work).await?;
        let status =
            answer.status.ok_or_else(|| ApiError::Unknown("a token request without status".to_owned()))?;
        let expires = status.expiration_timestamp.0;
        let kept = Kept { token: status.token.clone(), expires };
        let mut tokens = self.lock();
        if tokens.len() >= KEPT_MAX {
            tokens.clear();
        }
        tokens.insert(uid.to_owned(), kept);
        Ok(status.token)
    }

    /// A token was refused: the next one is new.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn kept_for(&self, uid: &str, now: Timestamp) -> Option<String> {
        let kept = self.lock();
        kept.get(uid).filter(|kept| kept.expires - MARGIN > now).map(|kept| kept.token.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
