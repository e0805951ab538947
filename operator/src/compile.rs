//! Whether a spec would run: validation and the planner, without a cluster.
//!
//! Owns: what is told of the mistakes of both.
//! Never: reads a Secret; where its file would be is all that is needed.

use std::path::Path;

use streamjob_crds::{Metadata, Place, Reason, StreamJob, StreamJobSpec, validate};

use crate::world::{Fingerprint, Trouble};

/// The state fingerprint of a spec, or everything that is wrong with it.
///
/// Takes a few milliseconds and a deep stack: not for an async thread.
pub fn compile(namespace: &str, name: &str, spec: &StreamJobSpec) -> Result<Fingerprint, Trouble> {
    let job = StreamJob {
        api_version: streamjob_crds::API_VERSION.to_owned(),
        kind: streamjob_crds::KIND.to_owned(),
        metadata: Metadata {
            name: name.to_owned(),
            namespace: Some(namespace.to_owned()),
            ..Metadata::default()
        },
        spec: spec.clone(),
    };
    let wrong = validate(&job, Place::Cluster);
    if !wrong.is_empty() {
        let list: Vec<String> =
            wrong.iter().map(|error| format!("{}: {}", error.path, error.message)).collect();
        return Err(Trouble { reason: Reason::InvalidSpec, message: list.join("; ") });
    }
    let shown = StreamJob { spec: job.spec.in_pod(), ..job };
    match streamjob_plan::compile(&shown, Path::new("/")) {
        Ok(plan) => Ok(plan.fingerprint()),
        Err(errors) => {
            let list: Vec<String> =
                errors.0.iter().map(|error| format!("{}: {}", error.path, error.message)).collect();
            Err(Trouble { reason: Reason::PipelineRejected, message: list.join("; ") })
        }
    }
}
