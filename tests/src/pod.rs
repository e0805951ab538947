//! A pod's worker as the operator starts it: a process with arguments, mounts, two ports and a termination message.
//!
//! Owns: the folder that stands for the mounts, the arguments, asking over HTTP.
//! Never: is a cluster: nobody restarts it but the test.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use streamjob_crds::worker::{StopAnswer, StopState, Termination, WorkerPhase, WorkerStatus};
use tempfile::TempDir;

use crate::job::built;
use crate::process::{Ended, Running};
use crate::tokens::Issuer;

/// Nothing that a test waits for takes longer.
pub const WITHIN: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(10);

/// The cluster that jobs of tests belong to.
pub const CLUSTER: &str = "9b1d8c1e-cluster";
/// Their namespace.
pub const NAMESPACE: &str = "shop";

/// A job's mounts, and the issuer of its operator's tokens.
pub struct PodJob {
    folder: TempDir,
    issuer: Issuer,
    /// The cluster that it belongs to.
    pub cluster: &'static str,
    /// Further arguments of every pod.
    pub arguments: Vec<String>,
    /// The variables of its environment.
    pub environment: Vec<(String, String)>,
}

/// A pod under way.
pub struct Pod {
    /// Its process.
    pub running: Running,
    admin: String,
    control: String,
    token: String,
}

/// What is answered to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The body.
    pub body: String,
}

impl PodJob {
    /// A job with this spec, whose name is `orders`.
    pub fn new(spec: &Value) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let job = Self {
            folder,
            issuer: Issuer::es256("key-1")?,
            cluster: CLUSTER,
            arguments: Vec::new(),
            environment: Vec::new(),
        };
        job.write_spec(spec)?;
        Ok(job)
    }

    /// Another spec for the pods that come.
    pub fn write_spec(&self, spec: &Value) -> Result<()> {
        let manifest = json!({
            "apiVersion": "streamjob.dev/v1alpha1",
            "kind": "StreamJob",
            "metadata": {"name": "orders", "namespace": NAMESPACE},
            "spec": spec,
        });
        Ok(fs::write(self.path().join("job.json"), serde_json::to_string(&manifest)?)?)
    }

    /// Its folder; relative paths of the manifest lie in it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Who issues tokens.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// A command of the program about this job.
    pub fn command(&self, command: &str) -> Command {
        let mut words = Command::new(built("streamjob-worker"));
        let job = self.path().join("job.json").display().to_string();
        words.arg(command).args([
            format!("--job={job}"),
            format!("--cluster-id={}", self.cluster),
            format!("--namespace={NAMESPACE}"),
            format!("--state-id={NAMESPACE}.orders"),
            format!("--termination-log={}", self.termination_log().display()),
        ]);
        words.args(&self.arguments).env_remove("RUST_LOG").env("POD_UID", "pod-1");
        words.envs(self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        words
    }

    /// `streamjob-worker run` in this incarnation; arguments of `more` go before those that are usual.
    pub fn run(&self, incarnation: u64, more: &[&str]) -> Result<Command> {
        let _gone = fs::remove_file(self.termination_log());
        let mut command = self.command("run");
        command.args(more).args([
            format!("--incarnation={incarnation}"),
            "--control=127.0.0.1:0".to_owned(),
            format!("--token-keys={}", self.issuer.jwks()?),
            format!("--token-issuer={}", Issuer::NAME),
            format!("--token-subject={}", Issuer::SUBJECT),
            format!("--token-audience={}", Issuer::AUDIENCE),
        ]);
        let mut usual = |name: &str, value: &str| {
            if !more.iter().any(|word| word.starts_with(name)) {
                command.arg(format!("{name}={value}"));
            }
        };
        usual("--restore", "latest");
        usual("--admin", "127.0.0.1:0");
        usual("--grace", "20");
        Ok(command)
    }

    /// Starts a pod, and waits until it serves.
    pub fn start(&self, incarnation: u64, more: &[&str]) -> Result<Pod> {
        self.serve(self.run(incarnation, more)?)
    }

    /// The same with this command.
    pub fn serve(&self, command: Command) -> Result<Pod> {
        let running = Running::start(command)?;
        let address = |server: &str| -> Result<String> {
            let line = running.wait_for_line(&format!("\"server\":\"{server}\""), WITHIN)?;
            let said: Value = serde_json::from_str(&line)?;
            Ok(said["address"].as_str().context("an address")?.to_owned())
        };
        let (admin, control) = (address("admin")?, address("control")?);
        Ok(Pod { running, admin, control, token: self.issuer.token()? })
    }

    /// Runs a pod that must end by itself; how it ended, and what it left.
    pub fn fails(&self, incarnation: u64, more: &[&str]) -> Result<(Ended, Termination)> {
        let ended = Running::start(self.run(incarnation, more)?)?.wait(WITHIN)?;
        let left = self.termination().with_context(|| ended.said.clone())?;
        Ok((ended, left))
    }

    /// Runs another command to its end.
    pub fn ends(&self, command: &str, more: &[&str]) -> Result<Ended> {
        let _gone = fs::remove_file(self.termination_log());
        let mut words = self.command(command);
        words.args(more);
        Running::start(words)?.wait(WITHIN)
    }

    /// What the last pod has left.
    pub fn termination(&self) -> Result<Termination> {
        let text = fs::read_to_string(self.termination_log()).context("no termination message")?;
        ensure!(text.lines().count() == 1, "not one line: {text}");
        Termination::parse(&text).with_context(|| format!("no termination message: {text}"))
    }

    /// Whether nothing was left.
    pub fn left_nothing(&self) -> bool {
        !self.termination_log().exists()
    }

    fn termination_log(&self) -> PathBuf {
        self.path().join("termination-log")
    }
}

impl Pod {
    /// Asks the admin port.
    pub fn get(&self, path: &str) -> Result<Answer> {
        ask(&self.admin, "GET", path, None, "")
    }

    /// Asks the control port, as the operator.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.post_as(path, Some(&self.token), &body.to_string())
    }

    /// Asks the control port with another token, or without one.
    pub fn post_as(&self, path: &str, token: Option<&str>, body: &str) -> Result<Answer> {
        ask(&self.control, "POST", path, token, body)
    }

    /// Where the job stands.
    pub fn status(&self) -> Result<WorkerStatus> {
        let answer = self.get("/v1/status")?;
        ensure!(answer.code == 200, "{answer:?}");
        serde_json::from_str(&answer.body).with_context(|| answer.body.clone())
    }

    /// Waits until the status is as it should be.
    pub fn wait(&self, what: &str, is: impl Fn(&WorkerStatus) -> bool) -> Result<WorkerStatus> {
        let began = Instant::now();
        loop {
            let status = self.status().with_context(|| self.running.said())?;
            if is(&status) {
                return Ok(status);
            }
            ensure!(began.elapsed() < WITHIN, "{what}: {status:?}\n{}", self.running.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it has processed rows and completed so many checkpoints.
    pub fn wait_for_checkpoints(&self, count: i64) -> Result<WorkerStatus> {
        self.wait("checkpoints", |status| {
            status.phase == WorkerPhase::Running
                && status.checkpoints_since_start >= count
                && status.records > 0
        })
    }

    /// Asks it to stop within so long, once.
    pub fn stop(&self, operation: &str, within: Duration) -> Result<StopAnswer> {
        let deadline = jiff::Timestamp::now() + jiff::SignedDuration::try_from(within)?;
        self.stop_by(operation, deadline)
    }

    /// Asks it to stop until then, once.
    pub fn stop_by(&self, operation: &str, deadline: jiff::Timestamp) -> Result<StopAnswer> {
        let body = json!({"operationID": operation, "deadline": deadline.to_string()});
        let answer = self.post("/v1/stop", &body)?;
        ensure!(answer.code == 200, "{answer:?}");
        serde_json::from_str(&answer.body).with_context(|| answer.body.clone())
    }

    /// Asks it to stop, again and again, until it has an answer for good.
    pub fn stops(&self, operation: &str, within: Duration) -> Result<StopAnswer> {
        let deadline = jiff::Timestamp::now() + jiff::SignedDuration::try_from(within)?;
        let began = Instant::now();
        loop {
            let answer = self.stop_by(operation, deadline)?;
            if answer.state != StopState::Stopping {
                return Ok(answer);
            }
            ensure!(began.elapsed() < WITHIN, "{answer:?}\n{}", self.running.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn ask(address: &str, method: &str, path: &str, token: Option<&str>, body: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(address).with_context(|| address.to_owned())?;
    stream.set_read_timeout(Some(ANSWER))?;
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\nContent-Length: {}\r\n{authorization}\r\n{body}",
        body.len()
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no answer: {text}"))?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("a status code")?;
    Ok(Answer { code, body: body.to_owned() })
}
