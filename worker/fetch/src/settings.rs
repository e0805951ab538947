//! How brokers are reached, and how much is fetched.
//!
//! Owns: what can be set, and its defaults.
//! Never: keeps a secret: they are read for each connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a fetcher is set up with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `host:port` of brokers that say which others there are.
    pub servers: Vec<String>,
    /// What brokers call us in their logs and quotas.
    pub client_id: String,
    /// Where we are: a replica there is read from, if the cluster says so. Empty: from leaders only.
    pub rack: String,
    /// Which addresses of a name are tried.
    pub family: Family,
    /// A connection that takes longer has failed.
    pub connect_timeout: Duration,
    /// An answer that takes longer does not come.
    pub answer_timeout: Duration,
    /// Between two connections to a broker that fail: the first pause and the longest.
    pub reconnect_pauses: (Duration, Duration),
    /// After this long it is asked again who leads.
    pub metadata_age: Duration,
    /// Whether the system looks after connections that are silent.
    pub keepalive: bool,
    /// Bytes that the system keeps for a connection; `None`: it chooses.
    pub receive_buffer: Option<usize>,
    /// The same, of what is sent.
    pub send_buffer: Option<usize>,
    /// How long a broker waits for records.
    pub wait: Duration,
    /// It waits for so many bytes.
    pub bytes_min: i32,
    /// Bytes of an answer, about.
    pub bytes_max: i32,
    /// Of a partition in an answer, about.
    pub partition_bytes: i32,
    /// With so many bytes waiting for its reader a partition is not fetched.
    pub waiting_bytes: usize,
    /// How connections are secured, asked for each.
    pub security: Secrets,
}

/// Reads what secures a connection. The error says what cannot be read.
#[derive(Clone)]
pub struct Secrets(pub Arc<dyn Fn() -> Result<Security, String> + Send + Sync>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// What secures a connection. It has no `Debug`: it holds secrets.
#[derive(Clone, Default)]
pub struct Security {
    /// `None`: it is not encrypted.
    pub tls: Option<Tls>,
    /// `None`: brokers do not ask who we are.
    pub sasl: Option<Sasl>,
}

/// Encryption, and who the brokers are.
#[derive(Clone, Default)]
pub struct Tls {
    /// Certificates of those who sign brokers', as PEM; `None`: those that this machine trusts.
    pub ca: Option<String>,
    /// Our certificates and their key, as PEM.
    pub client: Option<(String, String)>,
}

/// Who we are.
#[derive(Clone)]
pub struct Sasl {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: String,
    /// Our name.
    pub username: String,
    /// Our password.
    pub password: String,
}

/// Kinds of addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// Whatever a name has.
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Settings {
    /// The defaults, with so many partitions that share what may wait in memory.
    pub fn new(servers: &str, partitions: usize, security: Secrets) -> Self {
        const WAITING: usize = 16 << 20;
        Self {
            servers: servers.split(',').map(|server| server.trim().to_owned()).collect(),
            client_id: "streamjob".to_owned(),
            rack: String::new(),
            family: Family::Any,
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
            reconnect_pauses: (Duration::from_millis(100), Duration::from_secs(5)),
            metadata_age: Duration::from_secs(300),
            keepalive: true,
            receive_buffer: None,
            send_buffer: None,
            wait: Duration::from_millis(100),
            bytes_min: 1,
            bytes_max: 4 << 20,
            partition_bytes: 1 << 20,
            waiting_bytes: (WAITING / partitions.max(1)).clamp(64 << 10, 2 << 20),
            security,
        }
    }

    /// How long to stay away from a broker that has failed so often in a row, once at least.
    pub(crate) fn reconnect_pause(&self, failures: u32) -> Duration {
        let (first, longest) = self.reconnect_pauses;
        (first * 2_u32.saturating_pow(failures.min(16) - 1)).min(longest)
    }
}
