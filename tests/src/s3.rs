//! A real S3 server for a test: versitygw over a temporary folder, or ministack, which has its own opinion of S3.
//!
//! Owns: its process, port, bucket and credentials. It ends with the test, or with the test's process if that is killed.
//! Never: listens where other machines could reach it with something of value: its folder is temporary.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use streamjob_checkpoint::store::{Remote, RemoteKind, StateStore, StoreError};
use tempfile::TempDir;

use crate::process::{Running, Signal};
use crate::trial::Bucket;

/// The bucket that is there.
pub const BUCKET: &str = "streams";
/// Who may use it.
pub const ACCESS_KEY: &str = "tests";
/// The password of that. A canary: it must be nowhere but in the environment.
pub const SECRET_KEY: &str = "canary-secret-3f1d5c";
/// tests/setup builds it.
const VERSITYGW: &str = "bin/versitygw-1.8.0";
/// tests/setup installs it.
const MINISTACK: &str = "venv/bin/ministack";
const START_AT_MOST: Duration = Duration::from_secs(30);

/// Which server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Every object is a file of its folder.
    Versitygw,
    /// Keeps objects in memory; knows no credentials.
    Ministack,
}

/// A server under way.
pub struct S3Server {
    kind: Kind,
    folder: TempDir,
    port: u16,
    running: Option<Running>,
}

impl S3Server {
    /// Starts one with an empty bucket.
    pub fn start(kind: Kind) -> Result<Self> {
        let mut failure = None;
        // The port may be taken between our look and its start.
        for _ in 0..3 {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let mut server = Self { kind, folder: tempfile::tempdir()?, port, running: None };
            std::fs::create_dir(server.bucket())?;
            match server.start_again() {
                Ok(()) => return Ok(server),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.context("it was tried")?)
    }

    /// Starts it once more after [`Self::stop`], on the same port and folder.
    pub fn start_again(&mut self) -> Result<()> {
        let program = cache().join(match self.kind {
            Kind::Versitygw => VERSITYGW,
            Kind::Ministack => MINISTACK,
        });
        ensure!(program.exists(), "{} is missing: run `tests/setup answers s3` first", program.display());
        // Not left behind if this process is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program).current_dir(self.folder.path());
        match self.kind {
            Kind::Versitygw => {
                command.env("ROOT_ACCESS_KEY", ACCESS_KEY).env("ROOT_SECRET_KEY", SECRET_KEY);
                command.args(["--quiet", "--keep-alive", "--port", &format!("127.0.0.1:{}", self.port)]);
                command.arg("posix").arg(self.folder.path());
            }
            Kind::Ministack => {
                command.env("GATEWAY_PORT", self.port.to_string());
            }
        }
        let mut running = Running::start(command)?;
        let deadline = Instant::now() + START_AT_MOST;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            ensure!(!running.has_ended()?, "{:?} ended: {}", self.kind, running.said());
            ensure!(Instant::now() < deadline, "{:?} does not listen: {}", self.kind, running.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.running = Some(running);
        if self.kind == Kind::Ministack { self.make_bucket() } else { Ok(()) }
    }

    /// Ends it as a power failure would; its folder stays.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Freezes it, or lets it go on.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.running.as_mut().context("it is running")?.signal(signal)
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where versitygw keeps the objects of the bucket, as files.
    pub fn bucket(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// A folder of its bucket for a trial whose job finds the server behind this address.
    pub fn trial_bucket(&self, address: &str, prefix: &str) -> Bucket {
        Bucket { address: address.to_owned(), files: self.bucket(), prefix: prefix.to_owned() }
    }

    /// A folder of its bucket.
    pub fn store(&self, prefix: &str) -> Result<StateStore, StoreError> {
        store_at(&self.address(), prefix)
    }

    fn make_bucket(&self) -> Result<()> {
        let mut stream = TcpStream::connect(self.address())?;
        let host = self.address();
        write!(
            stream,
            "PUT /{BUCKET} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "no bucket was made: {answer}");
        Ok(())
    }
}

/// A folder of the bucket behind an address: the server's, or a proxy's before it.
pub fn store_at(address: &str, prefix: &str) -> Result<StateStore, StoreError> {
    let remote = Remote {
        kind: RemoteKind::S3,
        bucket: BUCKET.to_owned(),
        prefix: prefix.to_owned(),
        endpoint: Some(format!("http://{address}")),
        region: Some("us-east-1".to_owned()),
        path_style: None,
    };
    remote.open_in(&|name| {
        environment().into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    })
}

/// What a process needs to use it.
pub fn environment() -> [(&'static str, &'static str); 2] {
    [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)]
}

/// What outlives a clone.
pub fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/streamjob"));
    std::env::var_os("STREAMJOB_CACHE").map(PathBuf::from).or_else(home).unwrap_or_default()
}
