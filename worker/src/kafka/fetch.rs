//! How records are fetched.
//!
//! Owns: what the manifest's properties mean for the fetch path, and reading its secrets anew for each connection.
//! Never: fetches.

use std::sync::Arc;
use std::time::Duration;

use streamjob_crds::KafkaRole;
use streamjob_fetch::settings::{Family, Sasl, Secrets, Security, Settings, Tls};
use streamjob_plan::KafkaClusterPlan;

use super::{ConfigError, KafkaConfig};

/// The settings for so many partitions, which share what may wait in memory.
pub fn fetch_settings(plan: &KafkaClusterPlan, partitions: usize) -> Result<Settings, ConfigError> {
    let config = KafkaConfig::new(plan, KafkaRole::Consumer)?;
    let mut settings = Settings::new(&plan.bootstrap_servers, partitions, secrets(plan));
    let whole = |name: &str| config.get(name).and_then(|value| value.parse::<u64>().ok());
    let milliseconds = |name: &str| whole(name).map(Duration::from_millis);
    let bytes = |name: &str| whole(name).and_then(|bytes| i32::try_from(bytes).ok());
    // The system's own choice.
    let buffer = |name: &str| whole(name).filter(|bytes| *bytes > 0).map(|bytes| bytes as usize);
    let set = |target: &mut Duration, name: &str| *target = milliseconds(name).unwrap_or(*target);
    set(&mut settings.connect_timeout, "socket.connection.setup.timeout.ms");
    set(&mut settings.answer_timeout, "socket.timeout.ms");
    set(&mut settings.reconnect_pauses.0, "reconnect.backoff.ms");
    set(&mut settings.reconnect_pauses.1, "reconnect.backoff.max.ms");
    set(&mut settings.metadata_age, "topic.metadata.refresh.interval.ms");
    set(&mut settings.wait, "fetch.wait.max.ms");
    settings.bytes_min = bytes("fetch.min.bytes").unwrap_or(settings.bytes_min);
    settings.bytes_max = bytes("fetch.max.bytes").unwrap_or(settings.bytes_max);
    settings.partition_bytes = bytes("max.partition.fetch.bytes").unwrap_or(settings.partition_bytes);
    let waiting = whole("queued.max.messages.kbytes").map(|kilobytes| kilobytes as usize * 1024);
    settings.waiting_bytes = waiting.unwrap_or(settings.waiting_bytes);
    settings.receive_buffer = buffer("socket.receive.buffer.bytes");
    settings.send_buffer = buffer("socket.send.buffer.bytes");
    settings.keepalive = config.get("socket.keepalive.enable") != Some("false");
    settings.client_id = config.get("client.id").unwrap_or_default().to_owned();
    settings.rack = config.get("client.rack").unwrap_or_default().to_owned();
    settings.family = match config.get("broker.address.family") {
        Some("v4") => Family::V4,
        Some("v6") => Family::V6,
        Some(_) | None => Family::Any,
    };
    // An answer may be waited for as long as a broker waits for records.
    settings.answer_timeout = settings.answer_timeout.max(settings.wait * 2);
    Ok(settings)
}

/// Secrets may change while a job runs: a password that is replaced, a certificate that is renewed.
fn secrets(plan: &KafkaClusterPlan) -> Secrets {
    let plan = plan.clone();
    Secrets(Arc::new(move || {
        let config = KafkaConfig::new(&plan, KafkaRole::Consumer).map_err(|error| error.to_string())?;
        let get = |name: &str| config.get(name).map(str::to_owned);
        let tls = plan.tls.as_ref().map(|_| Tls {
            ca: get("ssl.ca.pem"),
            client: get("ssl.certificate.pem").zip(get("ssl.key.pem")),
        });
        let sasl = plan.sasl.as_ref().map(|_| Sasl {
            mechanism: get("sasl.mechanism").unwrap_or_default(),
            username: get("sasl.username").unwrap_or_default(),
            password: get("sasl.password").unwrap_or_default(),
        });
        Ok(Security { tls, sasl })
    }))
}
