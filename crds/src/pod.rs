//! A job as its pods read it.
//!
//! Owns: from the Kubernetes object to the manifest; from Secrets to the files that they are mounted as.
//! Never: applies a default.

use std::collections::BTreeSet;

use crate::names::SECRETS_FOLDER;
use crate::validate::{API_VERSION, KIND};
use crate::{KafkaCluster, Metadata, SecretSource, StreamJob, StreamJobObject, StreamJobSpec};

impl StreamJobObject {
    /// The manifest that this object was made from, as `validate` and the planner read it.
    pub fn manifest(&self) -> StreamJob {
        StreamJob {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            metadata: Metadata {
                name: self.metadata.name.clone().unwrap_or_default(),
                namespace: self.metadata.namespace.clone(),
                ..Metadata::default()
            },
            spec: self.spec.clone(),
        }
    }
}

impl StreamJobSpec {
    /// The Secrets of Kafka clusters, to be mounted at `/etc/streamjob/secrets/NAME`. The store's are not among them.
    pub fn kafka_secrets(&self) -> BTreeSet<String> {
        let mut copy = self.clone();
        let mut names = BTreeSet::new();
        copy.each_secret(&mut |secret| names.extend(secret.name.clone()));
        names
    }

    /// The same spec as a pod reads it: each key of a Secret is a file, and what arguments say instead is left out.
    pub fn in_pod(&self) -> Self {
        let mut spec = self.clone();
        spec.each_secret(&mut |secret| {
            if let (Some(name), Some(key)) = (secret.name.take(), secret.key.take()) {
                secret.file = Some(format!("{SECRETS_FOLDER}/{name}/{key}"));
            }
        });
        if let Some(location) = spec.state.as_mut().and_then(|state| state.location.as_mut()) {
            location.credentials = None;
            location.ca = None;
        }
        spec
    }

    fn each_secret(&mut self, visit: &mut impl FnMut(&mut SecretSource)) {
        let pipeline = &mut self.pipeline;
        let source = pipeline.source.kafka.as_mut().map(|kafka| &mut kafka.cluster);
        let sink = pipeline.sink.kafka.as_mut().and_then(|kafka| kafka.cluster.as_mut());
        for cluster in source.into_iter().chain(sink) {
            secrets_of(cluster).into_iter().for_each(&mut *visit);
        }
    }
}

fn secrets_of(cluster: &mut KafkaCluster) -> Vec<&mut SecretSource> {
    let mut secrets = Vec::new();
    if let Some(tls) = &mut cluster.tls {
        secrets.extend(tls.ca.as_mut());
        if let Some(client) = &mut tls.client_certificate {
            secrets.push(&mut client.certificate);
            secrets.push(&mut client.private_key);
        }
    }
    secrets.extend(cluster.sasl.as_mut().map(|sasl| &mut sasl.password));
    secrets
}
