//! What the answers of a store over HTTP mean.
//!
//! Owns: a server on a loopback port that says what the test wants it to.
//! Never: stands in for a real store where its own behaviour matters: `tests/` starts one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::retry::{Passing, Patience, with_causes};
use crate::store::Created;

const SECRET: &str = "canary-secret-77";
const TOKEN: &str = "canary-token-78";

/// Answers each request with the next of its answers; the last one for ever.
struct Server {
    address: String,
    heard: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes it.
        drop(TcpStream::connect(&self.address));
        self.thread.take().expect("it is dropped once").join().expect("it does not panic");
    }
}

impl Server {
    fn saying(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it has one").to_string();
        let (heard, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (heard, ended) = (Arc::clone(&heard), Arc::clone(&ended));
            move || {
                for (i, stream) in listener.incoming().enumerate() {
                    if ended.load(Ordering::SeqCst) {
                        return;
                    }
                    let answer = answers.get(i).or(answers.last()).expect("an answer");
                    let mut stream = stream.expect("a connection");
                    let request = read_request(&mut stream);
                    heard.lock().expect("not poisoned").push(request);
                    // Whoever asked may have gone.
                    drop(stream.write_all(answer.as_bytes()));
                }
            }
        });
        Self { address, heard, ended, thread: Some(thread) }
    }

    fn requests(&self) -> Vec<String> {
        self.heard.lock().expect("not poisoned").clone()
    }

    fn store(&self) -> StateStore {
        let environment = [
            ("AWS_ACCESS_KEY_ID", "canary"),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_SESSION_TOKEN", TOKEN),
        ];
        self.store_in(&|name| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
        .expect("it can be opened")
    }

    fn store_in(&self, environment: Environment) -> Result<StateStore, StoreError> {
        let store =
            Remote { endpoint: Some(format!("http://{}", self.address)), ..remote() }.open_in(environment)?;
        Ok(store.with_patience(Patience::NONE))
    }
}

fn remote() -> Remote {
    Remote {
        kind: RemoteKind::S3,
        bucket: "streams".to_owned(),
        prefix: "prod/clicks".to_owned(),
        endpoint: None,
        region: None,
        path_style: None,
    }
}

/// Head and body of a request that says how long it is.
fn read_request(stream: &mut TcpStream) -> String {
    let (mut text, mut bytes) = (String::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut bytes).unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if read == 0 { return text } else { continue }
        };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if read == 0 || body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}

fn says(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn refuses(status: &str, code: &str, message: &str) -> String {
    let error = format!(
        "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><Token-0>{TOKEN}</Token-0></Error>"
    );
    says(status, "", &error)
}

async fn get(answer: String) -> StoreError {
    let server = Server::saying(vec![answer]);
    server.store().get("log/1.json").await.expect_err("it is a refusal")
}

#[tokio::test]
async fn only_the_store_says_that_an_object_is_missing() {
    let missing = get(refuses("404 Not Found", "NoSuchKey", "no")).await;
    let bucket = get(refuses("404 Not Found", "NoSuchBucket", "no")).await;
    let other = get(says("404 Not Found", "", "<html>default backend - 404</html>")).await;

    assert!(missing.is_missing());
    assert!(!bucket.is_missing() && !bucket.may_pass(), "{bucket}");
    assert!(!other.is_missing() && other.may_pass(), "{other}");
}

#[tokio::test]
async fn a_listing_of_a_bucket_that_is_not_there_is_no_empty_listing() {
    let server = Server::saying(vec![refuses("404 Not Found", "NoSuchBucket", "The bucket does not exist.")]);

    let error = server.store().list("log", None).await.expect_err("there is no bucket");

    assert!(!error.is_missing());
    assert_eq!(
        error.to_string(),
        "cannot list log in s3://streams/prod/clicks: it says 404 NoSuchBucket (The bucket does not exist): there is no \
         such bucket: create it, or name another one in `spec.state.location.uri`"
    );
}

#[tokio::test]
async fn refusals_say_what_to_do_and_whether_they_may_pass() {
    let cases = [
        ("403 Forbidden", "AccessDenied", true, "StoreAccessDenied"),
        ("403 Forbidden", "InvalidAccessKeyId", true, "does not know these credentials"),
        // As versitygw says it.
        ("404 Not Found", "XAdminUserNotFound", true, "does not know these credentials"),
        ("400 Bad Request", "ExpiredToken", true, "have expired: renew"),
        ("403 Forbidden", "RequestTimeTooSkewed", true, "the clock of this machine"),
        ("400 Bad Request", "AuthorizationHeaderMalformed", false, "`spec.state.location.region`"),
        ("301 Moved Permanently", "PermanentRedirect", false, "another region"),
        ("501 Not Implemented", "NotImplemented", false, "use another one"),
        ("500 Internal Server Error", "InternalError", true, "500 InternalError"),
        ("503 Slow Down", "SlowDown", true, "503 SlowDown"),
        ("429 Too Many Requests", "", true, "429"),
    ];
    for (status, code, may_pass, says) in cases {
        let error = get(refuses(status, code, "Because.")).await;

        assert_eq!(error.may_pass(), may_pass, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.is_denied(), error.to_string().contains("(StoreAccessDenied)"), "{error}");
    }
}

#[tokio::test]
async fn a_store_that_asks_for_time_gets_it() {
    let error =
        get(says("503 Slow Down", "Retry-After: 7\r\n", "<Error><Code>SlowDown</Code></Error>")).await;
    let greedy = get(says("429 Too Many", "Retry-After: 86400\r\n", "")).await;

    assert_eq!(error.not_before(), Duration::from_secs(7));
    assert_eq!(greedy.not_before(), Duration::from_secs(30));
}

#[tokio::test]
async fn a_create_is_refused_by_412_alone_and_never_repeated_after_an_answer() {
    for (answer, exists) in [
        (refuses("412 Precondition Failed", "PreconditionFailed", "no"), true),
        (refuses("409 Conflict", "ConditionalRequestConflict", "no"), false),
        (refuses("503 Slow Down", "SlowDown", "no"), false),
        (refuses("500 Internal Server Error", "InternalError", "no"), false),
    ] {
        let server = Server::saying(vec![answer]);

        let created = server.store().create("log/1.json", Bytes::from_static(b"{}")).await;

        assert_eq!(matches!(created, Created::Exists), exists, "{created:?}");
        assert_eq!(
            matches!(created, Created::Unknown(ref error) if error.may_pass()),
            !exists,
            "{created:?}"
        );
        let requests = server.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        assert!(requests[0].contains("if-none-match: *"), "{}", requests[0]);
    }
}

#[tokio::test]
async fn no_secret_is_shown() {
    let refused = get(refuses("403 Forbidden", "InvalidToken", "The token is wrong.")).await;
    let server = Server::saying(vec![says("200 OK", "", "<ListBucketResult>")]);
    let store = server.store();
    let unread = store.list("log", None).await.expect_err("it is no listing");
    let unreachable = Remote { endpoint: Some("http://127.0.0.1:1".to_owned()), ..remote() };
    let unreachable = unreachable.open_in(&|name| name.ends_with("KEY_ID").then(|| SECRET.to_owned()));

    let mut shown = format!("{refused:?} {} {unread:?} {store:?} {unreachable:?}", with_causes(&refused));
    shown.push_str(&format!("{:?}", store.writer("data/1-1/a")));

    assert!(!shown.contains(SECRET) && !shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn a_server_that_is_away_is_named_by_its_bucket_and_may_pass() {
    let away = Remote { endpoint: Some("http://127.0.0.1:1".to_owned()), ..remote() };
    let store = away
        .open_in(&|name| (name != "AWS_CA_BUNDLE").then(|| "a".to_owned()))
        .expect("nothing is asked yet");
    let store = store.with_patience(Patience::NONE);

    let error = store.get("log/1.json").await.expect_err("nobody listens");

    let said = with_causes(&error);
    assert!(error.may_pass(), "{error:?}");
    assert!(said.starts_with("cannot read log/1.json in s3://streams/prod/clicks: "), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
}

#[tokio::test]
async fn a_credentials_file_is_read_anew_for_each_request() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("credentials");
    let write = |key: &str| {
        let text = format!(
            "# ours\n[other]\naws_access_key_id = x\n\n[prod]\naws_access_key_id = {key}\naws_secret_access_key=s=1\n"
        );
        std::fs::write(&path, text).expect("it can be written");
    };
    write("first");
    let server = Server::saying(vec![refuses("403 Forbidden", "AccessDenied", "no")]);
    let named = path.display().to_string();
    let store = server.store_in(&|name| match name {
        "AWS_SHARED_CREDENTIALS_FILE" => Some(named.clone()),
        "AWS_PROFILE" => Some("prod".to_owned()),
        _ => None,
    });
    let store = store.expect("it has both");

    drop(store.get("log/1.json").await);
    write("second");
    drop(store.get("log/1.json").await);

    let requests = server.requests();
    assert!(requests[0].contains("Credential=first/"), "{}", requests[0]);
    assert!(requests[1].contains("Credential=second/"), "{}", requests[1]);
}

#[tokio::test]
async fn a_folder_of_credentials_is_read_anew_for_each_request_and_goes_before_the_environment() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let write = |name: &str, value: &str| std::fs::write(folder.path().join(name), value).expect("written");
    let server = Server::saying(vec![refuses("403 Forbidden", "AccessDenied", "no")]);
    let remote = Remote { endpoint: Some(format!("http://{}", server.address)), ..remote() };
    let access = Access { credentials: Some(folder.path().to_owned()), ca: None };
    write("AWS_ACCESS_KEY_ID", "first\n");
    let half = remote.open_with(&access).expect_err("one is missing").to_string();
    write("AWS_SECRET_ACCESS_KEY", SECRET);
    let store = remote.open_with(&access).expect("it has both").with_patience(Patience::NONE);

    let denied = store.get("log/1.json").await.expect_err("it is refused");
    write("AWS_ACCESS_KEY_ID", "second");
    write("AWS_SESSION_TOKEN", TOKEN);
    drop(store.get("log/1.json").await);

    let requests = server.requests();
    assert!(half.contains("has no AWS_SECRET_ACCESS_KEY"), "{half}");
    assert!(denied.is_denied() && denied.may_pass(), "{denied:?}");
    assert!(requests[0].contains("Credential=first/") && !requests[0].contains(TOKEN), "{}", requests[0]);
    assert!(requests[1].contains("Credential=second/") && requests[1].contains(TOKEN), "{}", requests[1]);
}

#[test]
fn what_is_missing_in_the_environment_is_named() {
    let told = |set: &[&str]| {
        let environment = |name: &str| set.contains(&name).then(|| "true".to_owned());
        remote().open_in(&environment).expect_err("it is not enough").to_string()
    };

    let secret = "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not: set both";
    assert_eq!(told(&["AWS_ACCESS_KEY_ID"]), format!("cannot use s3://streams/prod/clicks: {secret}"));
    assert!(told(&["AWS_WEB_IDENTITY_TOKEN_FILE"]).contains("AWS_ROLE_ARN is not"));
    assert!(told(&["AWS_EC2_METADATA_DISABLED"]).contains("~/.aws/credentials"));
    assert!(told(&["AWS_SHARED_CREDENTIALS_FILE"]).contains("cannot read the credentials file true"));
}

#[tokio::test]
async fn a_machine_without_a_role_says_how_to_give_credentials() {
    let machine = Server::saying(vec![says("404 Not Found", "", "")]);
    let metadata = format!("http://{}", machine.address);
    let environment = |name: &str| (name == "AWS_EC2_METADATA_SERVICE_ENDPOINT").then(|| metadata.clone());
    let store =
        Server::saying(vec![says("200 OK", "", "")]).store_in(&environment).expect("nothing is asked yet");

    let error = store.get("log/1.json").await.expect_err("nobody knows who we are");

    assert!(error.may_pass(), "{error:?}");
    assert!(error.to_string().contains("set AWS_ACCESS_KEY_ID"), "{error}");
}

#[tokio::test]
async fn addresses_follow_endpoint_and_path_style() {
    let server = Server::saying(vec![refuses("404 Not Found", "NoSuchKey", "no")]);
    let by_environment = format!("http://{}", server.address);
    let environment = |name: &str| match name {
        "AWS_ENDPOINT_URL" => Some(by_environment.clone()),
        "AWS_REGION" => Some("eu-1".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("k".to_owned()),
        _ => None,
    };
    let store = remote().open_in(&environment).expect("it can be opened").with_patience(Patience::NONE);

    assert!(store.get("log/1.json").await.expect_err("nothing there").is_missing());

    let request = server.requests().remove(0);
    assert!(request.starts_with("GET /streams/prod/clicks/log/1.json HTTP/1.1"), "{request}");
    assert!(request.contains("/eu-1/s3/aws4_request"), "{request}");
}
