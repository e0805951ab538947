//! Whole jobs over a store that fails: coordinator, worker and log as they run for users.
//!
//! Owns: which calls fail; that the job ends in its first start all the same, and its output is right.
//! Never: ends a process, or starts a job again that has failed.

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
use streamjob_worker::runtime::{self, Ending, Inputs, Job, Options, SourceInputs, Started, State, StopFlag};

const ROWS: u64 = 60_000;
const WAIT_MAX: Duration = Duration::from_secs(120);

fn manifest(pace: u64) -> String {
    manifest_of(pace, 1)
}

/// With keys of so many bytes.
fn manifest_of(pace: u64, key_bytes: usize) -> String {
    let keys = ["a", "b", "c", "d", "e"].map(|key| key.repeat(key_bytes)).join(", ");
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
          - {{name: key, choice: {{values: [{keys}]}}}}
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
    stop: StopFlag,
}

fn state_in(store: &Arc<FaultyStore>) -> StateStore {
    StateStore::new(store.clone(), "failing".into(), "memory".to_owned())
}

fn begin(plan: &Arc<Plan>, store: StateStore) -> Result<Begun> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let state = State::over(store)?;
    let inputs: Arc<dyn Inputs> = Arc::new(SourceInputs::new(Arc::clone(plan), Arc::clone(&clock)));
    let begun = match runtime::start(&state, plan, &*inputs, BeginAt::Latest, &*clock)? {
        Started::Begun(begun) => *begun,
        Started::Finished(_) => bail!("it has finished before"),
    };
    let metrics = JobMetrics::new(plan.job.clone(), plan.parallelism, begun.partition_names());
    let metrics = Arc::new(metrics.with_outages(state.outages.clone()));
    let (plan, options, stop) = (Arc::clone(plan), Options::default(), StopFlag::default());
    let job =
        Job { plan, inputs, state, begun, options, metrics: Arc::clone(&metrics), clock, stop: stop.clone() };
    Ok(Begun { job, metrics, stop })
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
fn over_a_store_of_which_one_call_in_fifty_fails_every_row_counts_once() -> Result<()> {
    let folder = JobFolder::new("")?;
    let plan = Arc::new(inside::plan(&manifest(30_000), folder.path())?);
    let store = Arc::new(FaultyStore::new(Arc::new(InMemory::new()), 1, 20));

    let Begun { job, metrics, .. } = begin(&plan, state_in(&store))?;
    let ending = job.run()?;

    let (commits, retries) = (&metrics.checkpoints.committed, &metrics.outages.store.retries);
    println!("{commits:?} commits, {retries:?} retries, {:?}", store.counts());
    assert_eq!(ending, Ending::Finished);
    assert!(commits.load(Relaxed) >= 3 && retries.load(Relaxed) > 0, "something happened");
    assert_every_row_once(&folder)
}

#[test]
fn over_a_store_of_which_half_of_all_calls_fail_a_job_is_brought_back_and_comes_to_its_end() -> Result<()> {
    let folder = JobFolder::new("")?;
    let plan = Arc::new(inside::plan(&manifest(20_000), folder.path())?);
    let store = Arc::new(FaultyStore::new(Arc::new(InMemory::new()), 2, 0));
    let Begun { job, metrics, stop } = begin(&plan, state_in(&store))?;
    let running = std::thread::spawn(move || job.run());
    wait_until("some commits", || metrics.checkpoints.committed.load(Relaxed) >= 5)?;
    stop.set();
    assert_eq!(running.join().expect("a job does not panic")?, Ending::Stopped);

    store.set_per_mille(500);
    let Begun { job, metrics, .. } = begin(&plan, state_in(&store))?;
    let resumed = job.begun.resumed;
    let ending = job.run()?;

    let checkpoints = &metrics.checkpoints;
    println!("{:?} commits, {:?} abandoned, {:?}", checkpoints.committed, checkpoints.failed, store.counts());
    assert!(resumed.is_some(), "windows were open");
    assert_eq!(ending, Ending::Finished);
    for step in [Step::DataRead, Step::DataCreate, Step::LogCreate, Step::LogRead, Step::LogList] {
        assert!(store.counts().keys().any(|(failed, _)| *failed == step), "no {step:?} failed");
    }
    assert_every_row_once(&folder)
}

#[test]
fn a_store_that_is_away_at_the_start_and_in_between_is_waited_for() -> Result<()> {
    let folder = JobFolder::new("")?;
    let plan = Arc::new(inside::plan(&manifest(6_000), folder.path())?);
    let store = Arc::new(FaultyStore::new(Arc::new(InMemory::new()), 3, 1_000));
    let state = state_in(&store);
    let failures = Arc::clone(state.retries().failures());
    let is_waited_for = || failures.waiting.load(Relaxed) > 0;

    let beginning = std::thread::spawn({
        let plan = Arc::clone(&plan);
        move || begin(&plan, state)
    });
    wait_until("that the start waits", is_waited_for)?;
    std::thread::sleep(Duration::from_millis(500));
    let waited = is_waited_for() && !beginning.is_finished();
    store.set_per_mille(0);
    let Begun { job, metrics, .. } = beginning.join().expect("a start does not panic")?;
    let running = std::thread::spawn(move || job.run());
    wait_until("two commits", || metrics.checkpoints.committed.load(Relaxed) >= 2)?;
    store.set_per_mille(1_000);
    wait_until("that the job waits", is_waited_for)?;
    let rows = metrics.sum(|slot| &slot.rows_in);
    wait_until("rows meanwhile", || metrics.sum(|slot| &slot.rows_in) > rows)?;
    let still_waiting = is_waited_for();
    store.set_per_mille(0);
    let ending = running.join().expect("a job does not panic")?;

    assert!(waited && still_waiting, "at the start {waited}, in between {still_waiting}");
    assert_eq!(ending, Ending::Finished);
    assert!(!is_waited_for());
    assert_every_row_once(&folder)
}

#[test]
fn with_its_budget_of_output_full_a_job_waits_for_the_store_and_then_goes_on() -> Result<()> {
    let folder = JobFolder::new("")?;
    // Slots hand output on in pieces of 256 KB: the budget is full with the second.
    let plan = Arc::new(inside::plan(&manifest_of(20_000, 20_000), folder.path())?);
    let store = Arc::new(FaultyStore::new(Arc::new(InMemory::new()), 4, 0));
    let Begun { mut job, metrics, .. } = begin(&plan, state_in(&store))?;
    let budget = 300_000;
    job.options.unpublished_bytes_max = budget;
    let rows = || metrics.sum(|slot| &slot.rows_in);
    let stands_still = || {
        let before = rows();
        std::thread::sleep(Duration::from_millis(500));
        before == rows()
    };

    store.set_per_mille(1_000);
    let running = std::thread::spawn(move || job.run());
    wait_until("that the budget is full", || metrics.unpublished_bytes.load(Relaxed) >= budget)?;
    wait_until("that reading stops", stands_still)?;
    let (read, ended) = (rows(), running.is_finished());
    store.set_per_mille(0);
    let ending = running.join().expect("a job does not panic")?;

    assert!(!ended && read < ROWS, "it waits with {read} rows read");
    assert_eq!(ending, Ending::Finished);
    assert_every_row_once(&folder)
}

#[test]
fn while_nobody_knows_whether_a_commit_is_in_the_log_rows_are_processed_and_metrics_say_so() -> Result<()> {
    let folder = JobFolder::new("")?;
    let plan = Arc::new(inside::plan(&manifest(6_000), folder.path())?);
    let store = Arc::new(FaultyStore::new(Arc::new(InMemory::new()), 1, 0));
    let Begun { job, metrics, .. } = begin(&plan, state_in(&store))?;
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
