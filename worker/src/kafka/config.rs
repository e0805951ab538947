//! How a client of a cluster is set up.
//!
//! Owns: every property that is given to librdkafka, and reading secrets where the plan says they are.
//! Never: shows a secret: neither in `Debug` nor in an error.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use streamjob_crds::{KafkaRole, SaslMechanism, kafka_property_role};
use streamjob_plan::{KafkaClusterPlan, KafkaSaslPlan, KafkaTlsPlan, SecretPlan};

/// What every client is set up with; the manifest may turn those that are in its allow-list.
const CLIENT: &[(&str, &str)] = &[
    ("client.id", "streamjob"),
    ("socket.keepalive.enable", "true"),
    // Small requests are many here: positions, transactions, a late batch.
    ("socket.nagle.disable", "true"),
    ("allow.auto.create.topics", "false"),
];

/// The properties of a client. Its `Debug` has their names only.
#[derive(Clone)]
pub struct KafkaConfig {
    properties: BTreeMap<String, String>,
}

impl KafkaConfig {
    /// What a client of this role needs to reach the cluster. Secrets are read now.
    pub fn new(cluster: &KafkaClusterPlan, role: KafkaRole) -> Result<Self, ConfigError> {
        let mut config = Self { properties: BTreeMap::new() };
        config.set_all(CLIENT);
        config.set("bootstrap.servers", &cluster.bootstrap_servers);
        let protocol = match (&cluster.tls, &cluster.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(tls) = &cluster.tls {
            config.set_tls(tls)?;
        }
        if let Some(sasl) = &cluster.sasl {
            config.set_sasl(sasl)?;
        }
        for (name, value) in &cluster.properties {
            match kafka_property_role(name) {
                Some(KafkaRole::Client) => config.set(name, value),
                Some(other) if other == role => config.set(name, value),
                Some(KafkaRole::Consumer | KafkaRole::Producer) => {}
                None => return Err(ConfigError::Refused { property: name.clone() }),
            }
        }
        Ok(config)
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// Sets a property.
    pub fn set(&mut self, name: &str, value: &str) {
        self.properties.insert(name.to_owned(), value.to_owned());
    }

    /// Sets several.
    pub fn set_all(&mut self, properties: &[(&str, &str)]) {
        for (name, value) in properties {
            self.set(name, value);
        }
    }

    /// Sets those that the manifest has not set.
    pub fn set_defaults(&mut self, properties: &[(&str, &str)]) {
        for (name, value) in properties {
            self.properties.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
        }
    }

    /// Makes the client. It connects later, in threads of its own.
    pub fn create<C, T>(&self, context: C) -> Result<T, ConfigError>
    where
        C: ClientContext,
        T: FromClientConfigAndContext<C>,
    {
        let mut config = ClientConfig::new();
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.create_with_context(context).map_err(ConfigError::of_client)
    }

    fn set_tls(&mut self, tls: &KafkaTlsPlan) -> Result<(), ConfigError> {
        if let Some(ca) = &tls.ca {
            self.set("ssl.ca.pem", &read(ca)?);
        }
        if let Some((certificate, key)) = &tls.client {
            self.set("ssl.certificate.pem", &read(certificate)?);
            self.set("ssl.key.pem", &read(key)?);
        }
        Ok(())
    }

    fn set_sasl(&mut self, sasl: &KafkaSaslPlan) -> Result<(), ConfigError> {
        let mechanism = match sasl.mechanism {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        self.set("sasl.mechanism", mechanism);
        self.set("sasl.username", &sasl.username);
        let password = read(&sasl.password)?;
        let password = password.strip_suffix('\n').unwrap_or(&password);
        self.set("sasl.password", password.strip_suffix('\r').unwrap_or(password));
        Ok(())
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.properties.keys()).finish()
    }
}

fn read(secret: &SecretPlan) -> Result<String, ConfigError> {
    let text = match secret {
        SecretPlan::File(path) => std::fs::read(path)
            .map_err(|source| ConfigError::File { path: path.clone(), source })
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| ConfigError::Text { path: path.clone() })),
        SecretPlan::Environment(name) => {
            std::env::var(name).map_err(|_| ConfigError::Environment { name: name.clone() })
        }
    }?;
    if text.trim().is_empty() {
        let place = match secret {
            SecretPlan::File(path) => path.display().to_string(),
            SecretPlan::Environment(name) => format!("the variable {name}"),
        };
        return Err(ConfigError::Empty { place });
    }
    Ok(text)
}

/// A client that cannot be set up. No message has a secret in it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file with a secret or a certificate.
    #[error("cannot read {path}, which the manifest names for Kafka; check that it exists and may be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The same, but it is not text.
    #[error("{path}, which the manifest names for Kafka, is not UTF-8 text; certificates and keys are PEM")]
    Text {
        /// Which.
        path: PathBuf,
    },
    /// A variable that is not there.
    #[error(
        "the environment has no variable `{name}`, which the manifest names for Kafka; set it and run again"
    )]
    Environment {
        /// Which.
        name: String,
    },
    /// Nothing where a secret should be.
    #[error("{place}, which the manifest names for Kafka, is empty; put the secret there and run again")]
    Empty {
        /// Where.
        place: String,
    },
    /// A property that is not in the allow-list: validation is passed by.
    #[error("the Kafka property `{property}` may not be set; remove it")]
    Refused {
        /// Its name.
        property: String,
    },
    /// librdkafka does not take a property's value.
    #[error("Kafka client: {cause}{}", of_property(property))]
    Client {
        /// What it says.
        cause: String,
        /// The name, if it is about one. Never the value.
        property: Option<String>,
    },
}

fn of_property(property: &Option<String>) -> String {
    property.as_ref().map_or(String::new(), |property| format!("; check what sets `{property}`"))
}

impl ConfigError {
    /// librdkafka's words about secrets may quote them.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is rdkafka's and open")]
    fn of_client(error: KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(_, _, property, _) => {
                let cause = "a property has a value that it cannot have".to_owned();
                Self::Client { cause, property: Some(property) }
            }
            KafkaError::ClientCreation(cause) => Self::Client { cause, property: None },
            other => Self::Client { cause: other.to_string(), property: None },
        }
    }
}

#[cfg(test)]
mod tests;
