//! What a store over HTTP says when it does not do what was asked.
//!
//! Owns: which answers say that an object is missing or exists, which may pass, and what people can do.
//! Never: shows a whole answer: some repeat the token they were asked with.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService, ReqwestConnector,
};

/// When nothing in the environment says who we are.
pub(super) const NO_CREDENTIALS: &str = "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
     AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or write them into ~/.aws/credentials, or give this machine a role";
/// A store that wants to be left alone for longer is asked all the same.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// Where a machine of Amazon's is asked for its role.
const OF_MACHINE: [&str; 2] = ["/latest/api/token", "/latest/meta-data/iam/"];
/// Of a message.
const CHARS_MAX: usize = 200;

/// An answer that is a refusal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    said: String,
    remedy: String,
    may_pass: bool,
    denied: bool,
    retry_after: Option<Duration>,
}

impl Answer {
    /// Whether the same may be answered differently later, without a word of ours.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// Whether it is about who we are, or what we may do.
    pub fn is_denied(&self) -> bool {
        self.denied
    }

    /// For how long the store asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    fn of(status: u16, code: &str, message: &str, found: &Found) -> Self {
        let reason = match (status, code) {
            (_, "") => String::new(),
            (_, code) => format!(" {code}"),
        };
        let message: String = message.chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect();
        let message =
            if message.is_empty() { message } else { format!(" ({})", message.trim_end_matches('.')) };
        let (remedy, may_pass) = remedy(status, code, found.region.as_deref());
        let retry_after = found.retry_after.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
        let denied = match (status, code) {
            (_, "RequestTimeTooSkewed") => false,
            (_, "AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "XAdminUserNotFound") => {
                true
            }
            (status, _) => matches!(status, 401 | 403),
        };
        Self { said: format!("{status}{reason}{message}"), remedy, may_pass, denied, retry_after }
    }

    fn no_credentials(why: &str) -> Self {
        let said = format!("who we are is not known ({why})");
        Self { said, remedy: NO_CREDENTIALS.to_owned(), may_pass: true, denied: true, retry_after: None }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, ": {}", self.remedy) }
    }
}

impl std::error::Error for Answer {}

/// What headers say.
struct Found {
    retry_after: Option<u64>,
    region: Option<String>,
}

/// What can be done, and whether it may pass by itself.
fn remedy(status: u16, code: &str, region: Option<&str>) -> (String, bool) {
    let (remedy, may_pass) = match (status, code) {
        (_, "NoSuchBucket" | "ContainerNotFound") => {
            ("there is no such bucket: create it, or name another one in `spec.state.location.uri`", false)
        }
        (301 | 302 | 307 | 308, _)
        | (_, "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException") => {
            let region = region.map_or(String::new(), |region| format!(", which is {region},"));
            let remedy = format!(
                "the bucket is in another region or behind another endpoint: write its region{region} into \
                 `spec.state.location.region`, and its endpoint, if it has one, beside it"
            );
            return (remedy, false);
        }
        (_, "RequestTimeTooSkewed" | "RequestExpired") => (
            "the clock of this machine differs from that of the store: set it; the job goes on by itself",
            true,
        ),
        (_, "ExpiredToken" | "TokenRefreshRequired" | "InvalidToken") => (
            "the credentials have expired: renew them; the job goes on by itself if they are read from a file",
            true,
        ),
        (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "XAdminUserNotFound") => (
            "the store does not know these credentials (StoreAccessDenied): mend them where they are set",
            true,
        ),
        (401 | 403, _) | (_, "AccessDenied") => (
            "no permission (StoreAccessDenied): allow these credentials to list the bucket, and to get, put and delete \
             objects in the folder; the job goes on by itself",
            true,
        ),
        (501, _) | (_, "NotImplemented") => ("the store does not know such requests: use another one", false),
        (416, _) | (_, "NoSuchUpload" | "InvalidArgument" | "InvalidRequest") => ("", false),
        (_, _) => ("", true),
    };
    (remedy.to_owned(), may_pass)
}

/// Connects in the usual way, and reads refusals before anybody else does.
#[derive(Debug)]
pub(super) struct Answers;

impl HttpConnector for Answers {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Reader { inner: ReqwestConnector::default().connect(options)? }))
    }
}

#[derive(Debug)]
struct Reader {
    inner: HttpClient,
}

#[async_trait]
impl HttpService for Reader {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let asked = Asked::of(&request);
        let answered = self.inner.execute(request).await;
        if asked.of_machine {
            return of_machine(answered);
        }
        let response = answered?;
        let status = response.status().as_u16();
        if response.status().is_success() || status == 304 {
            return Ok(response);
        }
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let found = Found {
            retry_after: header("retry-after").and_then(|seconds| seconds.parse().ok()),
            region: header("x-amz-bucket-region"),
        };
        let header_code = header("x-ms-error-code");
        let (parts, body) = response.into_parts();
        let body = String::from_utf8_lossy(&body.bytes().await?).into_owned();
        let code = tag(&body, "Code").or(header_code.as_deref()).unwrap_or_default();
        if asked.is_answered_by(status, code) {
            return Ok(HttpResponse::from_parts(parts, String::new().into()));
        }
        let answer = Answer::of(status, code, tag(&body, "Message").unwrap_or_default(), &found);
        let again = matches!(status, 408 | 429 | 500..) && answer.may_pass;
        // What is interrupted is asked again if that can do no harm.
        Err(HttpError::new(if again { HttpErrorKind::Interrupted } else { HttpErrorKind::Unknown }, answer))
    }
}

/// A role of this machine is asked for at an address that answers only where there are roles.
fn of_machine(answered: Result<HttpResponse, HttpError>) -> Result<HttpResponse, HttpError> {
    let no_credentials = |why: &str| HttpError::new(HttpErrorKind::Unknown, Answer::no_credentials(why));
    match answered {
        Ok(response) if response.status().is_success() => Ok(response),
        Ok(response) => {
            Err(no_credentials(&format!("asked for a role, this machine says {}", response.status())))
        }
        Err(_) => Err(no_credentials("this machine has no role")),
    }
}

/// What matters of a request.
struct Asked {
    is_get: bool,
    is_head: bool,
    is_delete: bool,
    lists: bool,
    creates: bool,
    of_machine: bool,
}

impl Asked {
    fn of(request: &HttpRequest) -> Self {
        let method = request.method().as_str();
        let query = request.uri().query().unwrap_or_default();
        let has = |name: &str| request.headers().contains_key(name);
        Self {
            is_get: method == "GET",
            is_head: method == "HEAD",
            is_delete: method == "DELETE",
            lists: query.contains("list-type=") || query.contains("comp=list"),
            creates: has("if-none-match") || has("x-goog-if-generation-match"),
            of_machine: OF_MACHINE.iter().any(|path| request.uri().path().starts_with(path)),
        }
    }

    /// Whether a refusal is an answer to what was asked: that the object is missing, or exists. Anything between us and
    /// the store can say 404; only the store says what is missing.
    fn is_answered_by(&self, status: u16, code: &str) -> bool {
        match status {
            404 => {
                let missing = matches!(code, "NoSuchKey" | "BlobNotFound");
                (self.is_get && !self.lists && missing) || self.is_head || (self.is_delete && missing)
            }
            412 => self.creates,
            // The other conflict, of two creates at the same time, leaves open whether there is an object.
            409 => self.creates && code == "BlobAlreadyExists",
            _ => false,
        }
    }
}

/// What stands in the first element of this name.
fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0)
}
