//! Why the server refused a request, in the words of a real one.
//!
//! Owns: codes, reasons and messages of errors.
//! Never: decides whether something is refused.

use serde_json::{Value, json};

/// An answer that is not a success.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    reason: &'static str,
    message: String,
    causes: Vec<Value>,
    pub(crate) retry_after: Option<u32>,
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), causes: Vec::new(), retry_after: None }
    }

    pub(crate) fn not_found(resource: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found"))
    }

    pub(crate) fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn exists(resource: &str, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{resource} \"{name}\" already exists"))
    }

    pub(crate) fn conflict(resource: &str, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}"))
    }

    pub(crate) fn modified(resource: &str, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// Of a server-side apply: another manager owns a field with another value.
    pub(crate) fn owned(fields: &[(String, String)]) -> Self {
        let list: Vec<String> = fields.iter().map(|(manager, field)| format!("{manager}: {field}")).collect();
        let number = fields.len();
        let message = format!("Apply failed with {number} conflict(s): {}", list.join(", "));
        let mut refusal = Self::new(409, "Conflict", message);
        refusal.causes = fields
            .iter()
            .map(|(manager, field)| {
                json!({"reason": "FieldManagerConflict", "message": format!("conflict with \"{manager}\""), "field": field})
            })
            .collect();
        refusal
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn invalid(kind: &str, name: &str, field: &str, what: &str) -> Self {
        let message = format!("{kind} \"{name}\" is invalid: {field}: {what}");
        let mut refusal = Self::new(422, "Invalid", message);
        refusal.causes = vec![json!({"reason": "FieldValueInvalid", "message": what, "field": field})];
        refusal
    }

    pub(crate) fn forbidden(resource: &str, name: &str, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("{resource} \"{name}\" is forbidden: {why}"))
    }

    pub(crate) fn terminating(resource: &str, name: &str, namespace: &str) -> Self {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut refusal = Self::forbidden(resource, name, &why);
        refusal.causes = vec![
            json!({"reason": "NamespaceTerminating", "message": format!("namespace {namespace} is being terminated"), "field": "metadata.namespace"}),
        ];
        refusal
    }

    pub(crate) fn gone(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    pub(crate) fn wrong_method() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    pub(crate) fn wrong_media() -> Self {
        Self::new(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
    }

    /// What a fault of the test answers.
    pub(crate) fn planned(code: u16, retry_after: Option<u32>) -> Self {
        let reason = match code {
            403 => "Forbidden",
            409 => "Conflict",
            429 => "TooManyRequests",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "InternalError",
        };
        Self { retry_after, ..Self::new(code, reason, format!("a test wanted {code} here")) }
    }

    /// The body: a `Status`.
    pub(crate) fn body(&self) -> Value {
        let mut details = json!({});
        if !self.causes.is_empty() {
            details["causes"] = json!(self.causes);
        }
        if let Some(seconds) = self.retry_after {
            details["retryAfterSeconds"] = json!(seconds);
        }
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "details": details, "code": self.code,
        })
    }
}
