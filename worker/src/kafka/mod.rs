//! A Kafka cluster, as source, sink and checks see it.
//!
//! Owns: the client's configuration, what is asked of a cluster, and what its errors mean.
//! Never: knows a row.

pub mod cluster;
pub mod config;
mod error;
pub mod fetch;
pub mod native;
mod watch;

pub use cluster::Cluster;
pub use config::{ConfigError, KafkaConfig};
pub use error::{TopicError, may_pass, unreachable};
pub use native::WatchedConsumer;
pub use watch::Watch;
