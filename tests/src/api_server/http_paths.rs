//! Where objects are in URLs, and the paths that are no objects.
//!
//! Owns: parsing of paths and queries, discovery, keys of tokens, lists, TokenRequest.
//! Never: changes an object.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::kinds::{self, KINDS};
use super::refusal::Refusal;
use super::select::Selection;
use super::store::{Key, Store};
use super::{ISSUER, Shared, TOKEN_SECRET};

/// The object or list that a path names.
pub(super) struct Place {
    pub(super) kind: usize,
    pub(super) namespace: String,
    pub(super) name: String,
    /// What follows the name: `status`, `token` or nothing.
    pub(super) tail: String,
}

impl Place {
    pub(super) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        // `namespaces/x` is an object, `namespaces/x/pods` a list in it.
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() && rest[0] != "status" => {
                (*namespace, rest)
            }
            _ => ("", rest),
        };
        let (plural, name, tail) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, tail] => (*plural, *name, *tail),
            _ => return None,
        };
        let kind = kinds::by_path(group, version, plural)?;
        if tail == "status" && !KINDS[kind].status || !matches!(tail, "" | "status" | "token") {
            return None;
        }
        let owned = str::to_owned;
        Some(Self { kind, namespace: owned(namespace), name: owned(name), tail: owned(tail) })
    }
}

/// Parameters, decoded.
pub(super) fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match (first, hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The name of a new object.
pub(super) fn new_name(metadata: &Value) -> String {
    match (metadata["name"].as_str(), metadata["generateName"].as_str()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(begin)) => format!("{begin}{:05x}", fastrand::u32(..0xf_ffff)),
        (None, None) => String::new(),
    }
}

/// What lies at paths that are no objects.
pub(super) fn fixed(path: &str, shared: &Shared) -> Option<Result<Value, Refusal>> {
    let value = match path {
        "/healthz" | "/readyz" | "/livez" => json!("ok"),
        "/version" => {
            json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go", "compiler": "gc", "platform": "linux/amd64"})
        }
        "/.well-known/openid-configuration" => json!({
            "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/openid/v1/jwks"),
            "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }),
        "/openid/v1/jwks" => {
            json!({"keys": [{"use": "sig", "kty": "oct", "kid": "test", "alg": "HS256", "k": "test"}]})
        }
        _ => return discovered(path, shared),
    };
    Some(Ok(value))
}

/// The kinds of a group.
fn discovered(path: &str, shared: &Shared) -> Option<Result<Value, Refusal>> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version) = match parts.as_slice() {
        ["api", version] => ("", *version),
        ["apis", group, version] => (*group, *version),
        _ => return None,
    };
    let own_missing = group == kinds::OWN_GROUP && !shared.store().has_own_kinds;
    let found: Vec<Value> = KINDS
        .iter()
        .filter(|kind| kind.group == group && kind.version == version && !own_missing)
        .map(|kind| {
            json!({"name": kind.plural, "singularName": kind.kind.to_lowercase(), "namespaced": kind.namespaced,
                   "kind": kind.kind, "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"]})
        })
        .collect();
    if found.is_empty() {
        return Some(Err(Refusal::no_such_path()));
    }
    let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(Ok(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": found}),
    ))
}

pub(super) fn list(
    store: &Store,
    kind: usize,
    query: &BTreeMap<String, String>,
    namespace: Option<&str>,
) -> Result<Value, Refusal> {
    let text = |name: &str| query.get(name).map_or("", String::as_str);
    let selection = Selection::parse(text("labelSelector"), text("fieldSelector"))?;
    let page = super::http::page_of(query, namespace, &selection);
    let cached = text("resourceVersion") == "0";
    let listed = store.list(kind, &page, cached);
    let info = &KINDS[kind];
    let mut metadata = json!({"resourceVersion": listed.version.to_string()});
    if let Some(next) = listed.next {
        metadata["continue"] = json!(next);
    }
    Ok(json!({
        "apiVersion": info.api_version(), "kind": format!("{}List", info.kind),
        "metadata": metadata, "items": listed.items,
    }))
}

/// A token of a service account, for the audiences that are asked.
pub(super) fn token(store: &Store, key: &Key, body: &Value) -> Result<Value, Refusal> {
    store.get(key)?;
    let seconds = body["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
    if seconds < 600 {
        return Err(Refusal::invalid(
            "TokenRequest",
            &key.name,
            "spec.expirationSeconds",
            "may not specify a duration less than 10 minutes",
        ));
    }
    let expires = store.now() + jiff::SignedDuration::from_secs(seconds);
    let claims = json!({
        "iss": ISSUER, "aud": body["spec"]["audiences"], "exp": expires.as_second(),
        "sub": format!("system:serviceaccount:{}:{}", key.namespace, key.name),
    });
    let secret = jsonwebtoken::EncodingKey::from_secret(TOKEN_SECRET);
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &secret)
        .map_err(|error| Refusal::bad_request(error.to_string()))?;
    let mut answer = body.clone();
    answer["apiVersion"] = json!("authentication.k8s.io/v1");
    answer["kind"] = json!("TokenRequest");
    answer["metadata"] = json!({"name": key.name, "namespace": key.namespace});
    answer["status"] = json!({"token": token, "expirationTimestamp": super::whole_seconds(expires)});
    Ok(answer)
}
