//! Tests of the order in which partitions are read, held and fall idle.
//!
//! Owns: readers that give what a test says.
//! Never: decodes anything.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use crossbeam_utils::sync::Parker;
use streamjob_core::watermark::NONE;
use streamjob_crds::StreamJob;
use streamjob_plan::Plan;

use super::*;
use crate::pipeline::records::{Position, Progress};

/// Reads as told, and then waits for more. What it gives after a pause it can say that it has.
struct Told(VecDeque<Read>, Arc<AtomicBool>);

impl PartitionReader for Told {
    fn name(&self) -> String {
        "told".to_owned()
    }

    fn read(&mut self, _rows_max: usize) -> Result<Read, SourceError> {
        Ok(self.0.pop_front().unwrap_or_else(nothing))
    }

    fn raw(&self, _row: u32) -> &[u8] {
        &[]
    }

    fn position(&self, _row: u32) -> Position {
        Position { file: "told".into(), line: 0, record: 0, byte: 0 }
    }

    fn next_position(&self) -> SourcePosition {
        SourcePosition::Topic { offset: 0 }
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }

    fn has_come(&self) -> bool {
        self.1.load(Relaxed)
    }
}

/// A batch of one row.
fn batch() -> Read {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options);
    let rows = rows.expect("no columns");
    Read::Rows(DecodedRows { rows, first_row: 0, numbers: None, bad: Vec::new(), bytes: 0 })
}

fn plan(event_time: &str) -> Plan {
    let job = StreamJob::parse(
        &format!(
            "apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: told}}
spec:
  parallelism: 1
  pipeline:
    source:
      kafka: {{cluster: {{bootstrapServers: \"127.0.0.1:9\"}}, topics: [told]}}
      format: {{json: {{}}}}
      columns: [{{name: ts, type: TimestampMillis}}]
    eventTime: {{field: ts{event_time}}}
    keyBy: [ts]
    window: {{tumbling: {{size: 10s}}}}
    aggregates: [{{name: rows, function: Count}}]
    sink: {{blackhole: {{}}}}
"
        ),
        "job.yaml",
    );
    let job = job.expect("the manifest of a test parses");
    streamjob_plan::compile(&job, std::path::Path::new("/jobs")).expect("the manifest of a test compiles")
}

/// Two partitions that give this.
fn intake(event_time: &str, told: [Vec<Read>; 2]) -> Intake {
    intake_told_by(event_time, told, &Arc::default())
}

/// The same, which say by this that something has come.
fn intake_told_by(event_time: &str, told: [Vec<Read>; 2], come: &Arc<AtomicBool>) -> Intake {
    let input = |told: Vec<Read>| {
        let state = PartitionState {
            name: "told".to_owned(),
            files: Vec::new(),
            topic: None,
            position: SourcePosition::Topic { offset: 0 },
            max_timestamp_ms: None,
            status: PartitionStatus::Active,
        };
        let reader: Box<dyn PartitionReader> = Box::new(Told(told.into(), Arc::clone(come)));
        Input { state, open: Box::new(|| Ok(reader)) }
    };
    let inputs = (0..).zip(told.map(input)).collect();
    Intake::new(inputs, &plan(event_time).event_time, 100).all_open(Parker::new().unparker().clone())
}

fn batches(count: usize) -> Vec<Read> {
    std::iter::repeat_with(batch).take(count).collect()
}

fn nothing() -> Read {
    Read::Wait(Duration::from_millis(1))
}

/// The slowest active partition, as the window stage would say.
fn slowest(intake: &Intake) -> Option<i64> {
    let active = intake.open.iter().filter(|open| open.status == Status::Active);
    active.map(|open| open.time.watermark.current()).min()
}

/// Takes until nothing is left to take at that time. Each batch of a partition brings it to the next of its times.
fn take(intake: &mut Intake, now_ms: u64, times: &mut [Vec<i64>; 2]) -> Vec<String> {
    let mut taken = Vec::new();
    loop {
        let slowest = if intake.open.is_empty() { Some(NONE) } else { slowest(intake) };
        intake.align(|| slowest);
        match intake.take(Duration::from_millis(now_ms), false, 1).expect("nothing fails") {
            Taken::Rows(partition, _) => {
                partition.status = Status::Active;
                let id = partition.time.id;
                partition.time.watermark.observe(times[id as usize].remove(0));
                taken.push(format!("rows of {id}"));
            }
            Taken::Idle(id) => taken.push(format!("{id} is idle")),
            Taken::Finished(id) => taken.push(format!("{id} has ended")),
            Taken::Wait(pause) if pause.is_zero() => {}
            Taken::Wait(_) => return taken,
            Taken::End => {
                taken.push("end".to_owned());
                return taken;
            }
        }
    }
}

#[test]
fn a_partition_that_is_too_far_ahead_is_held_until_the_other_has_caught_up() {
    let slow = vec![batch(), nothing(), batch(), Read::End];
    let mut intake = intake(", maxDrift: 10s", [batches(4), slow]);
    let mut times = [vec![60_000, 64_000, 80_000, 90_000], vec![1_000, 55_000]];

    let first = take(&mut intake, 0, &mut times);
    let then = take(&mut intake, 10, &mut times);

    // Of its first batch nobody knows how far it goes.
    assert_eq!(first, ["rows of 0", "rows of 1"]);
    assert_eq!(then, ["rows of 1", "1 has ended", "rows of 0", "rows of 0", "rows of 0"]);
}

#[test]
fn a_partition_is_read_as_long_as_it_is_not_further_ahead_than_allowed() {
    let slow = vec![batch(), nothing(), nothing()];
    let mut intake = intake(", maxDrift: 10s", [batches(4), slow]);
    let mut times = [vec![5_000, 11_000, 11_001, 12_000], vec![1_000]];

    let first = take(&mut intake, 0, &mut times);

    assert_eq!(first, ["rows of 0", "rows of 1", "rows of 0", "rows of 0"]);
}

#[test]
fn an_idle_partition_holds_nobody() {
    let mut intake = intake(", maxDrift: 10s, idleTimeout: 1s", [batches(3), batches(1)]);
    let mut times = [vec![60_000, 70_000, 80_000], vec![1_000]];

    let first = take(&mut intake, 0, &mut times);
    let held = take(&mut intake, 500, &mut times);
    let after = take(&mut intake, 1_500, &mut times);

    assert_eq!(first, ["rows of 0", "rows of 1"]);
    assert_eq!(held, [""; 0]);
    assert_eq!(after, ["1 is idle", "rows of 0", "rows of 0"]);
}

#[test]
fn time_in_which_a_partition_is_held_does_not_make_it_idle() {
    let slow = vec![nothing(), nothing(), batch(), nothing(), batch()];
    let mut intake = intake(", maxDrift: 10s, idleTimeout: 1s", [batches(1), slow]);
    let mut times = [vec![60_000], vec![1_000, 65_000]];
    assert_eq!(take(&mut intake, 0, &mut times), ["rows of 0"]);
    // Alone, the first one is seen to have nothing; then the second one comes back, far behind.
    assert_eq!(take(&mut intake, 1_000, &mut times), ["1 is idle"]);
    assert_eq!(take(&mut intake, 1_500, &mut times), ["rows of 1"]);

    let caught_up = take(&mut intake, 100_000, &mut times);
    let idle = take(&mut intake, 101_100, &mut times);

    assert_eq!(caught_up, ["rows of 1"]);
    assert_eq!(idle, ["0 is idle", "1 is idle"]);
}

#[test]
fn without_a_bound_the_one_that_has_rows_is_read_however_far_it_is() {
    let mut intake = intake("", [batches(3), batches(1)]);
    let mut times = [vec![60_000, 70_000, 80_000], vec![1_000]];

    assert_eq!(take(&mut intake, 0, &mut times), ["rows of 0", "rows of 1", "rows of 0", "rows of 0"]);
}

#[test]
fn what_has_come_is_read_before_the_pause_is_over() {
    let come = Arc::new(AtomicBool::new(false));
    let paused = || vec![Read::Stalled(Duration::from_secs(60)), batch()];
    let mut intake = intake_told_by("", [paused(), vec![Read::End]], &come);
    let mut times = [vec![1], vec![]];

    let before = take(&mut intake, 0, &mut times);
    let still = take(&mut intake, 1, &mut times);
    come.store(true, Relaxed);
    let after = intake.take(Duration::from_millis(2), false, 1).expect("nothing fails");

    assert_eq!((before, still), (vec!["1 has ended".to_owned()], vec![]));
    assert!(matches!(after, Taken::Rows(partition, _) if partition.time.id == 0));
}
