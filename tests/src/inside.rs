//! Runs a job inside the test's process, with options that users do not have.
//!
//! Owns: compiling the manifest and waiting for the end.
//! Never: replaces a part of the runtime.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use streamjob_checkpoint::protocol::BeginAt;
use streamjob_crds::StreamJob;
use streamjob_plan::Plan;
use streamjob_worker::metrics::JobMetrics;
use streamjob_worker::pipeline::clock::{Clock, SystemClock};
use streamjob_worker::runtime::{self, Ending, Inputs, Job, Options, SourceInputs, Started, State, StopFlag};

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
    let plan = Arc::new(plan);
    let inputs = Arc::new(SourceInputs::new(Arc::clone(&plan), Arc::clone(&clock)));
    run_from(plan, inputs, options, stop)
}

/// Runs a plan over these inputs instead of those that its source names.
pub fn run_from(plan: Arc<Plan>, inputs: Arc<dyn Inputs>, options: Options, stop: StopFlag) -> Result<Ran> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let state = State::open(&plan)?;
    let begun = match runtime::start(&state, &plan, &*inputs, BeginAt::Latest, &*clock)? {
        Started::Begun(begun) => *begun,
        Started::Finished(_) => bail!("the job has finished before"),
    };
    let metrics = Arc::new(JobMetrics::new(plan.job.clone(), plan.parallelism, begun.partition_names()));
    let job = Job { plan, inputs, state, begun, options, metrics: Arc::clone(&metrics), clock, stop };
    Ok(Ran { ending: job.run()?, metrics })
}
