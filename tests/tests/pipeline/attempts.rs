//! A failure that may pass ends an attempt, not the job.
//!
//! Owns: when a source fails, and what of it.
//! Never: starts a job again.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use streamjob_checkpoint::checkpoint::{PartitionState, SourcePosition};
use streamjob_plan::Plan;
use streamjob_tests::inside;
use streamjob_tests::job::JobFolder;
use streamjob_worker::pipeline::clock::{Clock, SystemClock};
use streamjob_worker::pipeline::records::{PartitionReader, Position, Progress, Read, SourceError};
use streamjob_worker::runtime::{Ending, Input, Inputs, Options, SourceInputs, State, StopFlag};

const ROWS: u64 = 40_000;
const MANIFEST: &str = r#"
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: attempts}
spec:
  parallelism: 2
  state: {checkpoint: {interval: 50ms}}
  pipeline:
    source:
      generator:
        seed: 7
        partitions: 3
        rows: 40000
        rowsPerSecond: 20000
        columns:
          - {name: key, choice: {values: [a, b, c, d, e]}}
          - {name: ts, timestamp: {start: "2026-01-01T00:00:00Z", rowsPerSecond: 1000}}
    eventTime: {field: ts}
    keyBy: [key]
    window: {tumbling: {size: 1s}}
    aggregates:
      - {name: rows, function: Count}
    sink: {files: {url: out}}
"#;

/// The plan's source, of which every so-many-th read fails as long as failures are left.
struct Failing {
    source: SourceInputs,
    kind: io::ErrorKind,
    every: u64,
    reads: Arc<AtomicU64>,
    left: Arc<AtomicU64>,
}

/// One of its partitions.
struct FailingReader {
    reader: Box<dyn PartitionReader>,
    kind: io::ErrorKind,
    every: u64,
    reads: Arc<AtomicU64>,
    left: Arc<AtomicU64>,
}

impl Inputs for Failing {
    fn list(&self) -> Result<Vec<PartitionState>, SourceError> {
        self.source.list()
    }

    fn open(&self, states: &[PartitionState]) -> Result<Vec<Input>, SourceError> {
        let fails = |input: Input| {
            let (kind, every) = (self.kind, self.every);
            let (reads, left) = (Arc::clone(&self.reads), Arc::clone(&self.left));
            let open = move || -> Result<Box<dyn PartitionReader>, SourceError> {
                Ok(Box::new(FailingReader { reader: (input.open)()?, kind, every, reads, left }))
            };
            Input { state: input.state, open: Box::new(open) }
        };
        Ok(self.source.open(states)?.into_iter().map(fails).collect())
    }
}

impl PartitionReader for FailingReader {
    fn name(&self) -> String {
        self.reader.name()
    }

    fn read(&mut self, rows_max: usize) -> Result<Read, SourceError> {
        let read = self.reader.read(rows_max.min(50))?;
        let due = self.reads.fetch_add(1, Ordering::Relaxed) % self.every == self.every - 1;
        let left = |left: u64| left.checked_sub(1);
        if due && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok() {
            let source = io::Error::from(self.kind);
            return Err(SourceError::Read { path: "there".into(), byte: 7, source });
        }
        Ok(read)
    }

    fn raw(&self, row: u32) -> &[u8] {
        self.reader.raw(row)
    }

    fn position(&self, row: u32) -> Position {
        self.reader.position(row)
    }

    fn next_position(&self) -> SourcePosition {
        self.reader.next_position()
    }

    fn progress(&self) -> Progress {
        self.reader.progress()
    }
}

fn failing(plan: &Arc<Plan>, kind: io::ErrorKind, (every, failures): (u64, u64)) -> Arc<Failing> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let source = SourceInputs::new(Arc::clone(plan), clock);
    Arc::new(Failing { source, kind, every, reads: Arc::default(), left: Arc::new(AtomicU64::new(failures)) })
}

#[test]
fn a_failure_that_may_pass_is_followed_by_an_attempt_and_every_row_counts_once() -> Result<()> {
    const FAILURES: u64 = 4;
    let folder = JobFolder::new(MANIFEST)?;
    let plan = Arc::new(inside::plan(MANIFEST, folder.path())?);
    let inputs = failing(&plan, io::ErrorKind::TimedOut, (200, FAILURES));

    let ran = inside::run_from(Arc::clone(&plan), inputs, Options::default(), StopFlag::default())?;

    assert_eq!(ran.ending, Ending::Finished);
    assert_eq!(ran.metrics.attempts.load(Ordering::Relaxed), FAILURES + 1);
    let (mut seen, mut sum) = (BTreeSet::new(), 0);
    for mut row in folder.rows("out")? {
        let fields = row.as_object_mut().context("a result is an object")?;
        sum += fields.remove("rows").and_then(|rows| rows.as_u64()).context("it has a count")?;
        ensure!(seen.insert(row.to_string()), "twice: {row}");
    }
    assert_eq!(sum, ROWS);
    // Rows that an attempt had read in vain are read again; the state counts each once.
    let state = State::open(&plan)?;
    let head = state.runtime().block_on(state.log.head())?.context("it has a log")?;
    let counters = head.record.checkpoint().context("it ends with a checkpoint")?.counters;
    assert_eq!((counters.rows_in, counters.rows_out), (ROWS, seen.len() as u64));
    assert!(ran.metrics.sum(|slot| &slot.rows_in) > ROWS);
    Ok(())
}

#[test]
fn a_failure_that_does_not_pass_ends_the_job_at_once() -> Result<()> {
    let folder = JobFolder::new(MANIFEST)?;
    let plan = Arc::new(inside::plan(MANIFEST, folder.path())?);
    let inputs = failing(&plan, io::ErrorKind::PermissionDenied, (1, 1));

    let ran = inside::run_from(plan, inputs, Options::default(), StopFlag::default());

    let error = ran.err().context("the job fails")?;
    assert!(format!("{error:#}").contains("cannot read there beyond byte 7"), "{error:#}");
    Ok(())
}

#[test]
fn a_request_to_stop_between_two_attempts_ends_the_job_with_the_failure() -> Result<()> {
    let folder = JobFolder::new(MANIFEST)?;
    let plan = Arc::new(inside::plan(MANIFEST, folder.path())?);
    let inputs = failing(&plan, io::ErrorKind::TimedOut, (1, u64::MAX));
    let stop = StopFlag::default();
    let asked = std::thread::spawn({
        let stop = stop.clone();
        move || {
            std::thread::sleep(Duration::from_secs(2));
            stop.set();
        }
    });

    let ran = inside::run_from(plan, inputs, Options::default(), stop);

    asked.join().map_err(|_| anyhow::anyhow!("the thread that asks panicked"))?;
    let error = ran.err().context("the job fails")?;
    assert!(format!("{error:#}").contains("cannot read there"), "{error:#}");
    Ok(())
}
