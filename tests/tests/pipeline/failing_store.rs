//! Whole jobs over a store that fails: coordinator, worker and log as they run for users.
//!
//! Owns: which calls fail; that the output is right all the same.
//! Never: ends a process; a job that fails is started again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use object_store::memory::InMemory;
use streamjob_checkpoint::protocol::BeginAt;
use streamjob_checkpoint::store::StateStore;
use streamjob_plan::Plan;
use streamjob_tests::faulty_store::{Fault, FaultyStore, Step};
use streamjob_tests::inside;
use streamjob_tests::job::JobFolder;
use streamjob_worker::metrics::JobMetrics;
use streamjob_worker::pipeline::clock::{Clock, SystemClock};
use streamjob_worker::runtime::{
    self, Ending, Inputs, Job, Options, RunError, SourceInputs, Started, State, StopFlag,
};

const ROWS: u64 = 60_000;
const STARTS_MAX: u64 = 100;
const WAIT_MAX: Duration = Duration::from_secs(60);

fn manifest(pace: u64) -> String {
    format!(
        r#"
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: failing}}
spec:
  parallelism: 2
  state: {{checkpoint: {{interval: 50ms}}}}
  pipeline:
    source:
      generator:
        seed: 7
        partitions: 3
        rows: {ROWS}
        rowsPerSecond: {pace}
        columns:
          - {{name: key, choice: {{values: [a, b, c, d, e]}}}}
          - {{name: ts, timestamp: {{start: "2026-01-01T00:00:00Z", rowsPerSecond: 1000}}}}
    eventTime: {{field: ts}}
    keyBy: [key]
    window: {{tumbling: {{size: 1s}}}}
    aggregates:
      - {{name: rows, function: Count}}
    sink: {{files: {{url: out}}}}
"#
    )
}

/// A start of a job over a store.
struct Begun {
    job: Job,
    metrics: Arc<JobMetrics>,
}

/// `None`: it has finished before.
fn begin(plan: &Arc<Plan>, store: Arc<FaultyStore>) -> Result<Option<Begun>, RunError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let state = State::over(StateStore::new(store, "failing".into(), "memory".to_owned()))?;
    let inputs: Arc<dyn Inputs> = Arc::new(SourceInputs::new(Arc::clone(plan), Arc::clone(&clock)));
    let begun = match runtime::start(&state, plan, &*inputs, BeginAt::Latest, &*clock)? {
        Started::Begun(begun) => *begun,
        Started::Finished(_) => return Ok(None),
    };
    let metrics = Arc::new(JobMetrics::new(plan.job.clone(), plan.parallelism, begun.partition_names()));
    let (plan, options, stop) = (Arc::clone(plan), Options::default(), StopFlag::default());
    let job = Job { plan, inputs, state, begun, options, metrics: Arc::clone(&metrics), clock, stop };
    Ok(Some(Begun { job, metrics }))
}

/// Every row is in one result, and no result is there twice.
fn assert_every_row_once(folder: &JobFolder) -> Result<()> {
    let (mut seen, mut sum) = (BTreeSet::new(), 0);
    for mut row in folder.rows("out")? {
        let fields = row.as_object_mut().context("a result is an object")?;
        sum += fields.remove("rows").and_then(|rows| rows.as_u64()).context("it has a count")?;
        ensure!(seen.insert(row.to_string()), "twice: {row}");
    }
    ensure!(sum == ROWS, "{sum} rows of {ROWS}");
    Ok(())
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + WAIT_MAX;
    while !holds() {
        ensure!(Instant::now() < deadline, "not within {WAIT_MAX:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[test]
fn over_a_store_that_fails_now_and_then_every_row_counts_once() -> Result<()> {
    let folder = JobFolder::new("")?;
    let plan = Arc::new(inside::plan(&manifest(30_000), folder.path())?);
    let inner: Arc<InMemory> = Arc::default();
    let (mut commits, mut abandoned, mut errors) = (0, 0, Vec::new());

    for seed in 0..STARTS_MAX {
        let store = Arc::new(FaultyStore::new(inner.clone(), seed, 20));
        let begun = match begin(&plan, Arc::clone(&store)) {
            Ok(Some(begun)) => begun,
            Ok(None) => break,
            Err(error) => {
                errors.push(error.to_string());
                continue;
            }
        };
        let Begun { job, metrics } = begun;
        let ended = job.run();
        commits += metrics.checkpoints.committed.load(Relaxed);
        abandoned += metrics.checkpoints.failed.load(Relaxed);
        match ended {
            Ok(ending) => assert_eq!(ending, Ending::Finished),
            Err(error) => errors.push(error.to_string()),
        }
    }

    println!("{commits} commits, {abandoned} abandoned, {} starts ended early: {errors:?}", errors.len());
    assert!(commits >= 3, "something happened");
    assert_every_row_once(&folder)
}

#[test]
fn while_nobody_knows_whether_a_commit_is_in_the_log_rows_are_processed_and_metrics_say_so() -> Result<()> {
    let folder = JobFolder::new("")?;
    let plan = Arc::new(inside::plan(&manifest(6_000), folder.path())?);
    let store = Arc::new(FaultyStore::new(Arc::new(InMemory::new()), 1, 0));
    let Some(Begun { job, metrics }) = begin(&plan, Arc::clone(&store))? else { bail!("it is new") };
    let running = std::thread::spawn(move || job.run());
    let checkpoints = &metrics.checkpoints;

    wait_until("two commits", || checkpoints.committed.load(Relaxed) >= 2)?;
    (0..30).for_each(|_| store.fail_next(Step::LogCreate, Fault::Before));
    wait_until("a commit that is not resolved", || checkpoints.unresolved.load(Relaxed))?;
    let (committed, rows) = (checkpoints.committed.load(Relaxed), metrics.sum(|slot| &slot.rows_in));
    wait_until("rows meanwhile", || {
        metrics.sum(|slot| &slot.rows_in) > rows || !checkpoints.unresolved.load(Relaxed)
    })?;
    let waited = checkpoints.unresolved.load(Relaxed) && checkpoints.committed.load(Relaxed) == committed;
    wait_until("the answer", || !checkpoints.unresolved.load(Relaxed))?;
    let ending = running.join().expect("a job does not panic")?;

    assert!(waited, "rows went on while the commit was not resolved");
    assert_eq!(ending, Ending::Finished);
    assert_every_row_once(&folder)
}
