//! Runs a job inside the test's process, with options that users do not have.
//!
//! Owns: compiling the manifest and waiting for the end.
//! Never: replaces a part of the runtime.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use streamjob_crds::StreamJob;
use streamjob_plan::Plan;
use streamjob_worker::metrics::JobMetrics;
use streamjob_worker::pipeline::clock::{Clock, SystemClock};
use streamjob_worker::runtime::{Ending, Input, Job, Options, StopFlag, inputs};

/// How a job ended, and what it counted.
pub struct Ran {
    /// How.
    pub ending: Ending,
    /// The counts at the end.
    pub metrics: Arc<JobMetrics>,
}

/// The plan of a manifest whose relative paths are under `folder`.
pub fn plan(manifest: &str, folder: &Path) -> Result<Plan> {
    let job = StreamJob::parse(manifest, "job.yaml")?;
    Ok(streamjob_plan::compile(&job, folder)?)
}

/// Runs a plan to its end.
pub fn run(plan: Plan, options: Options, stop: StopFlag) -> Result<Ran> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let partitions = inputs(&plan, &clock)?;
    run_from(plan, partitions, options, stop)
}

/// Runs a plan over these partitions instead of those that its source names.
pub fn run_from(plan: Plan, partitions: Vec<Input>, options: Options, stop: StopFlag) -> Result<Ran> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let names = partitions.iter().map(|partition| partition.name.clone());
    let metrics = Arc::new(JobMetrics::new(plan.job.clone(), plan.parallelism, names));
    let run_id = "0".repeat(32);
    let job = Job { plan, partitions, options, run_id, metrics: Arc::clone(&metrics), clock, stop };
    Ok(Ran { ending: job.run()?, metrics })
}
