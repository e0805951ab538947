//! A real Kubernetes cluster for tests: two nodes, Kafka and S3 for its pods, the operator installed from its chart.
//!
//! Owns: that one is started for this test program and ends with it; that a test's body runs inside the cluster's network.
//! Never: shares an object between tests: each has a namespace of its own.

mod faults;
mod objects;
mod scene;

use std::any::type_name;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::runtime::Runtime;

pub use objects::{Kind, text};
pub use scene::{Scene, Shape, merge};

use crate::kafka;

/// Where pods and tests find Kafka.
pub const KAFKA: &str = "198.18.0.254:9092";
/// And the S3 server.
pub const S3: &str = "198.18.0.254:7070";
/// Where the operator is.
pub const OPERATOR_NAMESPACE: &str = "streamjob-system";

/// Set in the process that runs one test's body: the folder of the cluster.
const INSIDE: &str = "STREAMJOB_CLUSTER_INSIDE";
/// The folder of a cluster that runs already, as `make cluster` leaves it: tests use that one.
const RUNNING: &str = "STREAMJOB_CLUSTER";
/// Set where no cluster can be run: the tests on it say so and pass.
const WITHOUT: &str = "STREAMJOB_NO_CLUSTER";

/// What takes seconds takes no longer.
pub const SOON: Duration = Duration::from_secs(30);
/// What waits for a deadline or a back-off takes no longer.
pub const LONG: Duration = Duration::from_secs(90);

const STARTED_WITHIN: Duration = Duration::from_secs(120);

/// A cluster, seen from inside its network.
pub struct Kubernetes {
    folder: PathBuf,
    runtime: Runtime,
    client: kube::Client,
    kafka: Arc<kafka::Cluster>,
}

/// What keeps the cluster of this test program alive.
struct Started {
    folder: PathBuf,
    /// Holds the cluster's standard input: without it the cluster ends.
    _process: Option<Child>,
}

/// Runs the body of the test that calls it on the shared cluster, which has the CRDs: in a process of its own, inside the cluster's network.
pub fn on_cluster<F: FnOnce(&Kubernetes) -> Result<()>>(body: F) {
    run_test(body, Needs::Definitions);
}

/// As [`on_cluster`], while no other test is on the cluster, and no operator.
pub fn without_operator<F: FnOnce(&Kubernetes) -> Result<()>>(body: F) {
    run_test(body, Needs::NoOperator);
}

/// The same, with the operator.
pub fn with_operator<F: FnOnce(&Kubernetes) -> Result<()>>(body: F) {
    run_test(body, Needs::Operator);
}

/// The same, while no other test is on the cluster: for what happens to a node, or to the operator.
pub fn with_operator_alone<F: FnOnce(&Kubernetes) -> Result<()>>(body: F) {
    run_test(body, Needs::All);
}

/// What a test needs of the cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Needs {
    Definitions,
    Operator,
    All,
    NoOperator,
}

fn run_test<F: FnOnce(&Kubernetes) -> Result<()>>(body: F, needs: Needs) {
    static TESTS: RwLock<()> = RwLock::new(());
    if std::env::var_os(WITHOUT).is_some() {
        println!("left out: {WITHOUT} is set");
        return;
    }
    if let Some(folder) = std::env::var_os(INSIDE) {
        let cluster = Kubernetes::attach(folder.into()).expect("the cluster answers");
        let done = match needs {
            Needs::NoOperator => cluster.while_no_operator_runs(|| body(&cluster)),
            Needs::Definitions | Needs::Operator | Needs::All => body(&cluster),
        };
        return done.unwrap_or_else(|error| panic!("{error:?}"));
    }
    // The closure's type has the name of the test that it is in.
    let name = type_name::<F>().trim_end_matches("::{{closure}}");
    let (_, test) = name.split_once("::").expect("a test is in a crate");
    let alone = matches!(needs, Needs::All | Needs::NoOperator);
    let _others = (!alone).then(|| TESTS.read().unwrap_or_else(PoisonError::into_inner));
    let _none = alone.then(|| TESTS.write().unwrap_or_else(PoisonError::into_inner));
    let ran = run_inside(test, needs).unwrap_or_else(|error| panic!("{error:?}"));
    println!("{ran}");
}

fn run_inside(test: &str, needs: Needs) -> Result<String> {
    static SHARED: OnceLock<Result<Started, String>> = OnceLock::new();
    static OPERATOR: OnceLock<Result<(), String>> = OnceLock::new();
    let started = SHARED.get_or_init(|| Started::start().map_err(|error| format!("{error:?}")));
    let folder = &started.as_ref().map_err(|error| anyhow::anyhow!("no cluster: {error}"))?.folder;
    if matches!(needs, Needs::Operator | Needs::All) {
        let installed = OPERATOR.get_or_init(|| install(folder).map_err(|error| format!("{error:?}")));
        installed.as_ref().map_err(|error| anyhow::anyhow!("no operator: {error}"))?;
    }
    let network = std::fs::read_to_string(folder.join("network"))?;
    let mut command = Command::new("nsenter");
    command.args(["--target", network.trim(), "--net"]).arg(std::env::current_exe()?);
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, folder);
    command.env("KUBECONFIG", folder.join("admin.kubeconfig"));
    let done = command.stdin(Stdio::null()).output().context("nsenter cannot be run")?;
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    ensure!(done.status.success(), "{said}");
    // A name that fits no test would pass, too.
    ensure!(said.contains("1 passed"), "{test} is no test of this program:\n{said}");
    Ok(said)
}

impl Started {
    fn start() -> Result<Self> {
        let started = match std::env::var_os(RUNNING) {
            Some(folder) => Self { folder: folder.into(), _process: None },
            None => Self::begin()?,
        };
        run(script("install").arg("definitions").env(RUNNING, &started.folder), "")?;
        Ok(started)
    }

    fn begin() -> Result<Self> {
        let folder = crate::s3::cache().join(format!("cluster-test-{}", std::process::id()));
        let mut command = script("cluster");
        command.arg("run").arg(&folder).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut process = command.stderr(Stdio::inherit()).spawn().context("tests/cluster cannot be run")?;
        let began = Instant::now();
        while !folder.join("ready").exists() {
            ensure!(
                process.try_wait()?.is_none(),
                "the cluster ended; tests/setup cluster brings what it needs"
            );
            ensure!(began.elapsed() < STARTED_WITHIN, "no cluster within {STARTED_WITHIN:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        println!("cluster ready after {:.1?}", began.elapsed());
        Ok(Self { folder, _process: Some(process) })
    }
}

impl Kubernetes {
    /// One that runs, with its folder, from inside its network.
    pub fn attach(folder: PathBuf) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let client = runtime.block_on(async {
            let config = Kubeconfig::read_from(folder.join("admin.kubeconfig"))?;
            let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
            anyhow::Ok(kube::Client::try_from(config)?)
        })?;
        let kafka = Arc::new(kafka::Cluster::at(KAFKA)?);
        Ok(Self { folder, runtime, client, kafka })
    }

    /// Its broker.
    pub fn kafka(&self) -> &Arc<kafka::Cluster> {
        &self.kafka
    }

    /// A client with all rights.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Waits for something that a client does.
    pub fn block_on<T>(&self, asked: impl Future<Output = T>) -> T {
        self.runtime.block_on(asked)
    }

    /// What is in its folder: logs, kubeconfigs, `s3.env`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `kubectl` with these arguments and this standard input; what it prints.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        run(tool("kubectl")?.args(arguments), input)
    }

    /// The same, which must be refused; what it says.
    pub fn refused(&self, arguments: &[&str], input: &str) -> Result<String> {
        match self.kubectl(arguments, input) {
            Ok(said) => bail!("`kubectl {}` was not refused: {said}", arguments.join(" ")),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    /// Looks until there is something.
    pub fn wait<T>(
        &self,
        what: &str,
        at_most: Duration,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let began = Instant::now();
        loop {
            if let Some(found) = look().with_context(|| format!("waiting for: {what}"))? {
                println!("{what}: after {:.1?}", began.elapsed());
                return Ok(found);
            }
            ensure!(began.elapsed() < at_most, "not within {at_most:?}: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The operator, and the image of the worker, of the programs that were built with this one.
fn install(folder: &Path) -> Result<()> {
    let programs = crate::job::built("streamjob-operator");
    let programs = programs.parent().context("a program is in a folder")?;
    run(script("install").arg("operator").arg(programs).env(RUNNING, folder), "").map(drop)
}

/// A script of tests/cluster.
fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster").join(name))
}

/// A program that tests/setup has built.
fn tool(name: &str) -> Result<Command> {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = match FOLDER.get() {
        Some(folder) => folder,
        None => {
            let found = run(script("tools/build").arg("folder"), "")?;
            FOLDER.get_or_init(|| found.trim_end().into())
        }
    };
    Ok(Command::new(folder.join(name)))
}

/// Runs a command with this standard input; what it prints, or why it failed.
fn run(command: &mut Command, input: &str) -> Result<String> {
    use std::io::Write;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let mut stdin = child.stdin.take().context("standard input is piped")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let done = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{command:?}: {}", said.trim_end());
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
