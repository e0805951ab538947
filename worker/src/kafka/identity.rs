//! Which cluster brokers belong to.
//!
//! Owns: asking a cluster for its id, which stays while brokers and addresses change.
//! Never: waits longer than it is told to.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka_sys as sys;

use super::{ConfigError, KafkaConfig};

/// The id of the cluster that a client of this configuration talks to. `None`: it has not said within `wait`.
pub fn cluster_id(config: &KafkaConfig, wait: Duration) -> Result<Option<String>, ConfigError> {
    let client: AdminClient<DefaultClientContext> = config.create(DefaultClientContext)?;
    let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client lives through the call. What is returned is null or a C string that is ours, is copied, and is
    // given back to the allocator that it comes from.
    unsafe {
        let client = client.inner().native_ptr();
        let id = sys::rd_kafka_clusterid(client, wait_ms);
        if id.is_null() {
            return Ok(None);
        }
        let text = CStr::from_ptr(id).to_string_lossy().into_owned();
        sys::rd_kafka_mem_free(client, id.cast());
        Ok(Some(text))
    }
}
