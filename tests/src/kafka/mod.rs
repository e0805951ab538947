//! A real Kafka cluster for tests, on the loopback, in a temporary folder.
//!
//! Owns: the brokers' configuration, starting, freezing, killing and restarting them; that they end with this process.
//! Never: is shared between test programs: each starts its own.

mod client;
mod segments;

use std::fmt::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

pub use client::{Producing, Read, Record};
pub use segments::Marker;

use crate::process::Signal;
use crate::proxy::{Framing, Proxy};

const STARTED_WITHIN: Duration = Duration::from_secs(90);

/// What a cluster is like.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// How many brokers; each is a controller, too, and the first is in the rack `zone-1`.
    pub brokers: usize,
    /// Further lines of every broker's configuration.
    pub properties: Vec<(String, String)>,
    /// How clients reach it.
    pub security: Security,
    /// Further ways to it, each through proxies: who comes in through a door stays behind it.
    pub doors: usize,
}

/// How clients reach a cluster.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// A user and a password: clients prove it by SCRAM-SHA-512 or, with `plain`, send it.
    pub user: Option<(String, String)>,
    /// SASL PLAIN in place of SCRAM-SHA-512.
    pub plain: bool,
    /// PEM files: the authority, and the brokers' certificate with its key in one file.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Clients must show a certificate of that authority.
    pub client_certificates: bool,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        Self { brokers: 1, properties: Vec::new(), security: Security::default(), doors: 0 }
    }
}

/// A running cluster. Dropped, it ends; so it does if this process is killed.
pub struct Cluster {
    spec: ClusterSpec,
    brokers: Vec<Broker>,
    /// By door and broker.
    doors: Vec<Vec<Proxy>>,
    folder: tempfile::TempDir,
    /// Where it is, if somebody else runs it.
    elsewhere: Option<String>,
}

struct Broker {
    folder: PathBuf,
    port: u16,
    /// Holds the broker's standard input: without it the broker ends.
    child: Mutex<Option<Child>>,
}

/// The cluster of one broker that the tests of this program share.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| {
        Cluster::start(ClusterSpec::default()).expect("a broker starts; see tests/setup kafka")
    })
}

impl Cluster {
    /// Starts it and waits until all brokers are there.
    pub fn start(spec: ClusterSpec) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("streamjob-kafka-").tempdir()?;
        let ports = free_ports((2 + spec.doors) * spec.brokers)?;
        let (ports, others) = ports.split_at(spec.brokers);
        let (controllers, behind) = others.split_at(spec.brokers);
        let mut brokers = Vec::new();
        let doors = behind.chunks(spec.brokers).map(proxies_before).collect::<Result<Vec<_>>>()?;
        for (i, &port) in ports.iter().enumerate() {
            let home = folder.path().join(format!("broker-{}", i + 1));
            std::fs::create_dir(&home)?;
            let mut properties = server_properties(&spec, i + 1, port, controllers, &home);
            let ways =
                behind.chunks(spec.brokers).zip(&doors).map(|(ports, door)| (ports[i], door[i].port()));
            add_doors(&mut properties, &ways.collect::<Vec<_>>());
            std::fs::write(home.join("server.properties"), properties)?;
            brokers.push(Broker { folder: home, port, child: Mutex::default() });
        }
        let cluster = Self { spec, brokers, doors, folder, elsewhere: None };
        for index in 0..cluster.brokers.len() {
            cluster.begin(index)?;
        }
        cluster.wait(cluster.brokers.len())?;
        Ok(cluster)
    }

    /// One that somebody else runs, of a single broker, at this address.
    pub fn at(address: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (brokers, doors) = (Vec::new(), Vec::new());
        Ok(Self { spec: ClusterSpec::default(), brokers, doors, folder, elsewhere: Some(address.to_owned()) })
    }

    /// The brokers' addresses.
    pub fn bootstrap(&self) -> String {
        if let Some(address) = &self.elsewhere {
            return address.clone();
        }
        let addresses = self.brokers.iter().map(|broker| format!("127.0.0.1:{}", broker.port));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// The brokers' addresses behind a door; from 0.
    pub fn bootstrap_behind(&self, door: usize) -> String {
        self.doors[door].iter().map(Proxy::address).collect::<Vec<_>>().join(",")
    }

    /// The proxies of a door, one for each broker.
    pub fn door(&self, door: usize) -> &[Proxy] {
        &self.doors[door]
    }

    /// Where a broker keeps its partitions; from 0.
    pub fn data(&self, broker: usize) -> PathBuf {
        self.brokers[broker].folder.join("data")
    }

    /// Sends a signal to a broker; from 0. Killed, it can be started again.
    pub fn signal(&self, broker: usize, signal: Signal) -> Result<()> {
        let mut running = self.brokers[broker].child();
        let child = running.as_mut().context("the broker is not running")?;
        let group = format!("-{}", child.id());
        let sent = Command::new("kill").args(["-s", signal.name(), "--", &group]).status()?;
        ensure!(sent.success(), "kill -s {} {group}", signal.name());
        if signal == Signal::Kill {
            child.wait()?;
            *running = None;
        }
        Ok(())
    }

    /// Starts a broker that was killed, with its data, and waits until it is there.
    pub fn restart(&self, broker: usize) -> Result<()> {
        self.begin(broker)?;
        self.wait(self.brokers.iter().filter(|broker| broker.child().is_some()).count())
    }

    /// The file in which a broker keeps the first records of a partition.
    pub fn first_segment(&self, broker: usize, topic: &str, partition: i32) -> PathBuf {
        let folder = self.brokers[broker].folder.join(format!("data/{topic}-{partition}"));
        folder.join("00000000000000000000.log")
    }

    /// Changes rights, as the arguments of Kafka's own tool say.
    pub fn acls(&self, arguments: &[&str]) -> Result<()> {
        self.tool("org.apache.kafka.tools.AclCommand", arguments)
    }

    /// Gives a user another password, or makes the user.
    pub fn set_password(&self, user: &str, password: &str) -> Result<()> {
        let scram = format!("SCRAM-SHA-512=[password={password}]");
        let of_user = ["--alter", "--entity-type", "users", "--entity-name", user, "--add-config", &scram];
        self.tool("kafka.admin.ConfigCommand", &of_user)
    }

    /// Runs one of Kafka's own tools on the cluster.
    fn tool(&self, class: &str, arguments: &[&str]) -> Result<()> {
        let client = self.folder.path().join("tool.properties");
        let mut text = String::new();
        if let (Some((user, password)), None) = (&self.spec.security.user, &self.spec.security.tls) {
            write!(
                text,
                "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n\
                 sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
                 username=\"{user}\" password=\"{password}\";\n"
            )?;
        }
        if let Some((authority, identity)) = &self.spec.security.tls {
            write!(
                text,
                "security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location={}\n\
                 ssl.keystore.type=PEM\nssl.keystore.location={}\n",
                authority.display(),
                identity.display()
            )?;
        }
        std::fs::write(&client, text)?;
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("broker"));
        command.args(["tool", class, "--bootstrap-server", &self.bootstrap()]);
        let done = command.arg("--command-config").arg(&client).args(arguments).output()?;
        std::fs::remove_file(client)?;
        let said = [done.stdout, done.stderr].concat();
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&said));
        Ok(())
    }

    /// What a client of this process is set up with.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        let security = &self.spec.security;
        let protocol = match (&security.tls, &security.user) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some((user, password)) = &security.user {
            config.set("sasl.mechanism", if security.plain { "PLAIN" } else { "SCRAM-SHA-512" });
            config.set("sasl.username", user).set("sasl.password", password);
        }
        if let Some((authority, identity)) = &security.tls {
            config.set("ssl.ca.location", authority.display().to_string());
            if security.client_certificates {
                let identity = identity.display().to_string();
                config.set("ssl.certificate.location", &identity).set("ssl.key.location", identity);
            }
        }
        config
    }

    fn begin(&self, index: usize) -> Result<()> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("broker");
        let broker = &self.brokers[index];
        let mut command = Command::new(script);
        command.arg("run").arg(&broker.folder);
        if let (Some((user, password)), false) = (&self.spec.security.user, self.spec.security.plain) {
            command.args(["--add-scram", &format!("SCRAM-SHA-512=[name={user},password={password}]")]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit()).process_group(0);
        *broker.child() = Some(command.spawn().context("tests/broker cannot be run")?);
        Ok(())
    }

    fn wait(&self, brokers: usize) -> Result<()> {
        let began = Instant::now();
        let consumer: BaseConsumer = self.client().set("log_level", "0").create()?;
        while began.elapsed() < STARTED_WITHIN {
            let seen = consumer.fetch_metadata(None, Duration::from_millis(500));
            if seen.is_ok_and(|seen| seen.brokers().len() >= brokers) {
                return Ok(());
            }
            for broker in &self.brokers {
                if let Some(child) = broker.child().as_mut()
                    && child.try_wait()?.is_some()
                {
                    bail!("a broker ended: {}", tail(&broker.folder.join("log")));
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = tail(&self.brokers[0].folder.join("log"));
        bail!("no broker in {STARTED_WITHIN:?}, in {}: {log}", self.folder.path().display())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl Broker {
    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child().take() {
            // Whatever state it is in: the group is ours.
            let group = format!("-{}", child.id());
            let _gone =
                Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
            let _gone = child.wait();
        }
    }
}

/// One before each of these ports, which nobody listens on yet.
fn proxies_before(ports: &[u16]) -> Result<Vec<Proxy>> {
    ports.iter().map(|port| Proxy::start(&format!("127.0.0.1:{port}"), Framing::Kafka)).collect()
}

/// Further listeners: where the broker listens, and where clients are told to go.
fn add_doors(properties: &mut String, ways: &[(u16, u16)]) {
    for (number, (port, before)) in ways.iter().enumerate() {
        let more = [
            ("\nlisteners=", format!("DOOR{number}://127.0.0.1:{port},")),
            ("\nadvertised.listeners=", format!("DOOR{number}://127.0.0.1:{before},")),
            ("\nlistener.security.protocol.map=", format!("DOOR{number}:PLAINTEXT,")),
        ];
        for (name, value) in more {
            *properties = properties.replacen(name, &format!("{name}{value}"), 1);
        }
    }
}

/// Ports that nobody listens on now.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    Ok(listeners
        .iter()
        .map(|listener| listener.local_addr().map(|at| at.port()))
        .collect::<Result<_, _>>()?)
}

fn server_properties(spec: &ClusterSpec, id: usize, port: u16, controllers: &[u16], home: &Path) -> String {
    let voters = (1..).zip(controllers).map(|(id, port)| format!("{id}@127.0.0.1:{port}"));
    let voters = voters.collect::<Vec<_>>().join(",");
    let security = &spec.security;
    let protocol = match (&security.tls, &security.user) {
        (None, None) => "PLAINTEXT",
        (Some(_), None) => "SSL",
        (None, Some(_)) => "SASL_PLAINTEXT",
        (Some(_), Some(_)) => "SASL_SSL",
    };
    let replicas = spec.brokers.min(3);
    let mut text = format!(
        "process.roles=broker,controller\nnode.id={id}\nbroker.rack=zone-{id}\ncontroller.quorum.voters={voters}\n\
         listeners=CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{}\n\
         advertised.listeners=CLIENT://127.0.0.1:{port}\ninter.broker.listener.name=CLIENT\n\
         listener.security.protocol.map=CLIENT:{protocol},CONTROLLER:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\nlog.dirs={}\nauto.create.topics.enable=false\n\
         default.replication.factor={replicas}\noffsets.topic.replication.factor={replicas}\n\
         offsets.topic.num.partitions=4\ntransaction.state.log.replication.factor={replicas}\n\
         transaction.state.log.min.isr=1\ntransaction.state.log.num.partitions=4\n\
         group.initial.rebalance.delay.ms=0\nlog.retention.ms=-1\n\
         log.initial.task.delay.ms=100\nnum.network.threads=2\nnum.io.threads=2\n\
         log.cleaner.dedupe.buffer.size=4194304\n",
        controllers[id - 1],
        home.join("data").display(),
    );
    let mut set =
        |name: &str, value: &str| writeln!(text, "{name}={value}").expect("a String takes everything");
    if let Some((user, password)) = &security.user {
        let (mechanism, module) = if security.plain {
            ("PLAIN", "org.apache.kafka.common.security.plain.PlainLoginModule")
        } else {
            ("SCRAM-SHA-512", "org.apache.kafka.common.security.scram.ScramLoginModule")
        };
        let known = if security.plain { format!(" user_{user}=\"{password}\"") } else { String::new() };
        let jaas = format!("{module} required username=\"{user}\" password=\"{password}\"{known};");
        set(&format!("listener.name.client.{}.sasl.jaas.config", mechanism.to_lowercase()), &jaas);
        set("sasl.enabled.mechanisms", mechanism);
        set("sasl.mechanism.inter.broker.protocol", mechanism);
    }
    if let Some((authority, identity)) = &security.tls {
        set("ssl.truststore.type", "PEM");
        set("ssl.truststore.location", &authority.display().to_string());
        set("ssl.keystore.type", "PEM");
        set("ssl.keystore.location", &identity.display().to_string());
        set("ssl.client.auth", if security.client_certificates { "required" } else { "none" });
    }
    for (name, value) in &spec.properties {
        set(name, value);
    }
    text
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
