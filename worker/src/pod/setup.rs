//! From a pod's arguments to what it does and where its state is.
//!
//! Owns: reading the manifest, logs, opening the store.
//! Never: asks the store or Kafka anything.

use std::sync::Arc;

use streamjob_checkpoint::record::Owner;
use streamjob_checkpoint::store::{Access, StateStore};
use streamjob_crds::worker::Termination;
use streamjob_crds::{Duration, LogFormat, Manifest, Observability, Reason, Recovery};
use streamjob_plan::{LocationPlan, Plan};

use super::args::JobArgs;
use super::reasons;
use super::termination::failure;
use crate::runtime::location;

/// What a pod does.
pub(super) struct Setup {
    /// The job.
    pub(super) plan: Arc<Plan>,
    /// Whose state it is.
    pub(super) owner: Owner,
    /// How its store is reached.
    pub(super) access: Access,
    /// Between two attempts.
    pub(super) pauses: (std::time::Duration, std::time::Duration),
}

/// A manifest that was read and not compiled yet.
pub(super) struct Loaded(Manifest);

/// Reads the manifest.
pub(super) fn load(args: &JobArgs) -> Result<Loaded, Termination> {
    let mut manifest = Manifest::load(&args.job).map_err(|mistakes| {
        // A field is the user's; what is no manifest at all was written by the operator.
        let of_fields = mistakes.errors.iter().all(|mistake| !mistake.path.is_empty());
        let reason = if of_fields { Reason::PipelineRejected } else { Reason::ConfigurationInvalid };
        failure(reason, mistakes.to_string(), false)
    })?;
    let spec = &mut manifest.job.spec;
    spec.parallelism = args.parallelism.unwrap_or(spec.parallelism);
    spec.state.get_or_insert_default().id = Some(args.state_id.clone());
    Ok(Loaded(manifest))
}

impl Loaded {
    /// What the job says of logs.
    pub(super) fn logs(&self) -> (Option<String>, LogFormat) {
        let said = self.0.job.spec.observability.clone().unwrap_or_default();
        let Observability { log_filter, log_format } = said;
        (log_filter, log_format.unwrap_or_default())
    }

    /// Compiles the job.
    pub(super) fn compile(self, args: &JobArgs) -> Result<Setup, Termination> {
        let manifest = self.0;
        let folder = std::path::absolute(&args.job).ok().and_then(|file| Some(file.parent()?.to_owned()));
        let plan = streamjob_plan::compile(&manifest.job, &folder.unwrap_or_default())
            .map_err(|errors| failure(Reason::PipelineRejected, errors.to_string(), false))?;
        let owner = Owner {
            cluster: args.cluster_id.clone(),
            namespace: args.namespace.clone(),
            name: plan.job.clone(),
        };
        let access = Access { credentials: args.store_credentials.clone(), ca: args.store_ca.clone() };
        let pauses = pauses(manifest.job.spec.recovery.as_ref());
        Ok(Setup { plan: Arc::new(plan), owner, access, pauses })
    }
}

impl Setup {
    /// The store of the job's state.
    pub(super) fn store(&self) -> Result<StateStore, Termination> {
        let opened = location::open_with(&self.plan.state.location, &self.access);
        location::warn_if_untested(&self.plan.state.location);
        opened.map_err(|error| reasons::of_store(&error))
    }

    /// The savepoint that is named by its URL, to read.
    pub(super) fn savepoint(&self, uri: &str) -> Result<StateStore, Termination> {
        let place: Result<LocationPlan, _> = location::named_beside(uri, &self.plan.state.location);
        let opened = place.and_then(|place| location::open_to_read_with(&place, &self.access));
        opened.map_err(|error| {
            if error.is_missing() {
                failure(Reason::SavepointNotFound, error.to_string(), false)
            } else {
                reasons::of_store(&error)
            }
        })
    }
}

const INITIAL_BACKOFF: std::time::Duration = std::time::Duration::from_secs(1);
const MAX_BACKOFF: std::time::Duration = std::time::Duration::from_secs(300);

fn pauses(recovery: Option<&Recovery>) -> (std::time::Duration, std::time::Duration) {
    let written = |field: Option<Duration>, default| {
        field.map_or(default, |written| std::time::Duration::from_millis(written.millis().unsigned_abs()))
    };
    let initial = written(recovery.and_then(|recovery| recovery.initial_backoff.clone()), INITIAL_BACKOFF);
    let max = written(recovery.and_then(|recovery| recovery.max_backoff.clone()), MAX_BACKOFF);
    (initial, max.max(initial))
}
