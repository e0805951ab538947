//! Who may ask a worker for something: the holder of the operator's token.
//!
//! Owns: checking a token by the keys that the worker was started with, without asking anybody.
//! Never: shows a token, or says more than that it is refused.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use thiserror::Error;

/// By how much clocks may differ.
const LEEWAY_SECONDS: u64 = 60;
/// Longer than any token of a service account.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// What a token must say.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// Who issued it.
    pub(super) issuer: String,
    /// Whose it is.
    pub(super) subject: String,
    /// For whom it is meant.
    pub(super) audience: String,
}

/// Checks tokens.
pub(super) struct Tokens {
    keys: Vec<Key>,
    expected: Expected,
}

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Keys that cannot be used.
#[derive(Debug, Error)]
pub(super) enum KeysError {
    /// Not a key set.
    #[error("`--token-keys` is not a JSON Web Key Set: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// None of a kind that is known here.
    #[error("`--token-keys` has no key for RS256 or ES256")]
    NoKey,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl Tokens {
    /// By these keys. Keys of kinds that are not known here are passed over: an issuer may have several.
    pub(super) fn new(jwks: &str, expected: Expected) -> Result<Self, KeysError> {
        let set: KeySet = serde_json::from_str(jwks)?;
        let known = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys: Vec<Key> = known.filter_map(|jwk| Key::of(&jwk)).collect();
        if keys.is_empty() { Err(KeysError::NoKey) } else { Ok(Self { keys, expected }) }
    }

    /// Whether who asks may: 401 if nobody knows who it is, 403 if it is someone else.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(bearer).filter(|token| token.len() <= TOKEN_BYTES_MAX);
        let claims = token.and_then(|token| self.claims(token)).ok_or(StatusCode::UNAUTHORIZED)?;
        if claims.sub == self.expected.subject { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
    }

    fn claims(&self, token: &str) -> Option<Claims> {
        let header = decode_header(token).ok()?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.expected.issuer]);
        validation.set_audience(&[&self.expected.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The key says what it is for: a token cannot choose another way to be checked.
        let fits = |key: &&Key| {
            key.algorithm == header.alg && (header.kid.is_none() || key.id.is_none() || key.id == header.kid)
        };
        let mut decoded =
            self.keys.iter().filter(fits).map(|key| decode::<Claims>(token, &key.key, &validation));
        decoded.find_map(Result::ok).map(|decoded| decoded.claims)
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::EllipticCurve(_)
            | AlgorithmParameters::OctetKey(_)
            | AlgorithmParameters::OctetKeyPair(_) => return None,
        };
        let key = DecodingKey::from_jwk(jwk).ok()?;
        Some(Self { id: jwk.common.key_id.clone(), algorithm, key })
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
