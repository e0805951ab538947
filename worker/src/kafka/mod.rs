//! A Kafka cluster, as source, sink and checks see it.
//!
//! Owns: the client's configuration, and what its errors mean.
//! Never: knows a row.

pub mod config;

pub use config::{ConfigError, KafkaConfig};
