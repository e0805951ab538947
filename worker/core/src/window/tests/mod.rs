//! The window operator against a naive model, row by row.
//!
//! Owns: random jobs, and the model that says what they give.
//! Never: depends on where batches end.

mod barriers;
mod restart;
mod states;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use proptest::prelude::*;

use super::*;
use crate::aggregate::{Function, Overflow};
use crate::key::KeyEncoder;
use crate::key_group::{key_group, range_of, slot_of};
use crate::preaggregate::PreAggregator;
use crate::watermark::PartitionWatermark;

type Row = (Option<String>, i64, i64);
/// Key, window start, window end, count, sum, min, max, distinct values.
type Fired = (Option<String>, [i64; 7]);

#[derive(Clone, Debug)]
struct Job {
    size_ms: i64,
    offset_ms: i64,
    lateness_ms: i64,
    bound_ms: i64,
    rows: Vec<Row>,
    parallelism: u32,
}

#[derive(Clone, Debug)]
struct Schedule {
    batch_rows: usize,
    chunk_rows: usize,
    /// What to do after each piece, by turns.
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Nothing,
    PollOne,
    PollAll,
    Freeze,
    Commit,
    /// Nobody reads what was frozen any more.
    Release,
    Fold(usize),
}

fn spec(job: &Job) -> WindowSpec {
    let of = |function, name: &str| AggregateSpec {
        name: name.into(),
        function,
        input: Some((0, DataType::Int64)),
        overflow: Overflow::Fail,
    };
    WindowSpec {
        tumbling: Tumbling::new(job.size_ms, job.offset_ms),
        allowed_lateness_ms: job.lateness_ms,
        aggregates: vec![
            AggregateSpec { input: None, ..of(Function::Count, "count") },
            of(Function::Sum, "sum"),
            of(Function::Min, "min"),
            of(Function::Max, "max"),
            of(Function::CountDistinct, "distinct"),
        ],
        key_types: vec![DataType::Utf8],
    }
}

fn keyed(rows: &[Row]) -> KeyedRows {
    let keys: StringArray = rows.iter().map(|row| row.0.as_deref()).collect();
    let encoder = KeyEncoder::new(&[DataType::Utf8]).expect("text can be a key");
    let values: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int64Array>());
    let schema = Schema::new(vec![Field::new("value", DataType::Int64, true)]);
    KeyedRows {
        partition: 0,
        keys: encoder.encode(&[Arc::new(keys)]),
        event_time: rows.iter().map(|row| row.2).collect(),
        positions: None,
        rows: RecordBatch::try_new(Arc::new(schema), vec![values]).expect("one column"),
    }
}

fn emitted(batch: &RecordBatch) -> Vec<Fired> {
    let keys = batch.column(0).as_string::<i32>();
    let number = |column: usize, row| batch.column(column).as_primitive::<Int64Type>().value(row);
    let key = |row| keys.is_valid(row).then(|| keys.value(row).to_owned());
    (0..batch.num_rows()).map(|row| (key(row), std::array::from_fn(|at| number(at + 1, row)))).collect()
}

/// Rows of each slot's keys.
fn of_slot(rows: &[Row], slot: u32, parallelism: u32) -> Vec<Row> {
    let hashes = keyed(rows).keys.hashes;
    let ours = |hash: u64| slot_of(key_group(hash), parallelism) == slot;
    rows.iter().zip(hashes).filter(|&(_, hash)| ours(hash)).map(|(row, _)| row.clone()).collect()
}

/// What one slot gives, row by row, and its late rows.
fn model(job: &Job, slot: u32) -> (Vec<Fired>, Vec<Row>) {
    type Window = BTreeMap<(u16, Vec<u8>), Vec<Row>>;
    let mut windows: BTreeMap<i64, Window> = BTreeMap::new();
    let (mut results, mut late) = (Vec::new(), Vec::new());
    let (mut watermark, mut latest) = (i64::MIN, i64::MIN);
    for (at, row) in job.rows.iter().enumerate() {
        let keys = keyed(std::slice::from_ref(row)).keys;
        let start = row.2 - (row.2 - job.offset_ms).rem_euclid(job.size_ms);
        let end = start + job.size_ms;
        if slot_of(key_group(keys.hashes[0]), job.parallelism) == slot {
            if end - 1 + job.lateness_ms <= watermark {
                late.push(row.clone());
            } else {
                let key = (key_group(keys.hashes[0]).0, keys.get(0).to_vec());
                let rows = windows.entry(end).or_default().entry(key).or_default();
                rows.push(row.clone());
                if end - 1 <= watermark {
                    results.push(result(job, end, rows));
                }
            }
        }
        latest = latest.max(row.2);
        let last = at + 1 == job.rows.len();
        let next = if last { i64::MAX } else { latest - job.bound_ms - 1 };
        for (&end, keys) in windows.iter().filter(|(end, _)| watermark < *end - 1 && *end - 1 <= next) {
            results.extend(keys.values().map(|rows| result(job, end, rows)));
        }
        watermark = next;
        windows.retain(|end, _| end - 1 + job.lateness_ms > watermark);
    }
    (results, late)
}

fn result(job: &Job, end: i64, rows: &[Row]) -> Fired {
    let values = || rows.iter().map(|row| row.1);
    let distinct: BTreeSet<i64> = values().collect();
    let (least, greatest) = (values().min().unwrap_or_default(), values().max().unwrap_or_default());
    let numbers = [end - job.size_ms, end, rows.len() as i64, values().sum(), least, greatest];
    let mut all = [distinct.len() as i64; 7];
    all[..6].copy_from_slice(&numbers);
    (rows[0].0.clone(), all)
}

struct Slot {
    operator: WindowOperator,
    frozen: Vec<Frozen>,
    results: Vec<Fired>,
    late: Vec<Row>,
    chunk_rows: usize,
}

impl Slot {
    fn new(job: &Job, schedule: &Schedule, slot: u32) -> Self {
        let operator = WindowOperator::new(&spec(job), range_of(slot, job.parallelism));
        Self {
            operator: operator.expect("the job is sound"),
            frozen: Vec::new(),
            results: Vec::new(),
            late: Vec::new(),
            chunk_rows: schedule.chunk_rows,
        }
    }

    fn feed(&mut self, rows: &[Row]) {
        let mut late = Vec::new();
        self.operator.on_rows(&keyed(rows), &mut late).expect("nothing overflows");
        assert!(late.is_sorted());
        self.late.extend(late.iter().map(|&row| rows[row as usize].clone()));
    }

    fn poll(&mut self) -> bool {
        let batch = self.operator.poll_results(self.chunk_rows).expect("nothing overflows");
        assert_eq!(batch.is_none(), !self.operator.has_pending() && batch.is_none());
        let Some(batch) = batch else { return false };
        assert!(batch.num_rows() <= self.chunk_rows && batch.num_rows() > 0);
        self.results.extend(emitted(&batch));
        true
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Nothing => {}
            Step::PollOne => {
                self.poll();
            }
            Step::PollAll => while self.poll() {},
            Step::Freeze => {
                while self.operator.has_updates() {
                    self.poll();
                }
                self.frozen.push(self.operator.freeze(&[]));
                self.operator.statuses().iter().for_each(|status| assert_eq!(status.emitted.len(), 1));
            }
            Step::Commit => self.operator.on_committed(),
            Step::Release => self.frozen.clear(),
            Step::Fold(keys_max) => {
                self.operator.fold_some(keys_max);
            }
        }
    }
}

/// Batches, cut where the watermark says, into one slot.
fn run(job: &Job, schedule: &Schedule, slot: u32) -> (Vec<Fired>, Vec<Row>) {
    let mut out = Slot::new(job, schedule, slot);
    let cuts = CutFinder::new(Tumbling::new(job.size_ms, job.offset_ms), job.lateness_ms);
    let mut watermark = PartitionWatermark::new(job.bound_ms);
    let mut steps = schedule.steps.iter().cycle();
    for batch in job.rows.chunks(schedule.batch_rows) {
        let times: Vec<i64> = batch.iter().map(|row| row.2).collect();
        let mut start = 0;
        cuts.find(&mut watermark, &times, |end, after| {
            out.feed(&of_slot(&batch[start..end], slot, job.parallelism));
            out.operator.on_watermark(after);
            out.step(*steps.next().expect("steps go round"));
            start = end;
        });
        assert_eq!(start, batch.len());
    }
    out.operator.on_watermark(i64::MAX);
    out.step(Step::PollAll);
    assert_eq!((out.operator.stats().open_windows, out.operator.stats().keys), (0, 0));
    (out.results, out.late)
}

fn jobs() -> impl Strategy<Value = Job> {
    let window = (1..40_i64).prop_flat_map(|size| (Just(size), 1 - size..size));
    let key = prop_oneof![
        1 => Just(None),
        8 => (0..6_u8).prop_map(|key| Some(format!("k{key}"))),
        2 => "[a-z]{0,20}".prop_map(Some),
    ];
    // Steps forward and back make rows of open, fired and closed windows.
    let row = (key, -5..5_i64, -60..75_i64);
    (window, 0..80_i64, 0..50_i64, prop::collection::vec(row, 1..120), -1000..1000_i64, 1..4_u32).prop_map(
        |((size_ms, offset_ms), lateness, bound_ms, steps, first, parallelism)| {
            let mut now = first;
            let rows = steps.into_iter().map(|(key, value, step)| {
                now += step / 2;
                (key, value, now + step % 13)
            });
            let lateness_ms = if lateness < 40 { 0 } else { lateness - 40 };
            Job { size_ms, offset_ms, lateness_ms, bound_ms, rows: rows.collect(), parallelism }
        },
    )
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let step = prop::sample::select(vec![
        Step::Nothing,
        Step::Nothing,
        Step::PollOne,
        Step::PollAll,
        Step::Freeze,
        Step::Freeze,
        Step::Commit,
        Step::Release,
        Step::Release,
        Step::Fold(1),
        Step::Fold(3),
        Step::Fold(usize::MAX),
    ]);
    (1..130_usize, 1..20_usize, prop::collection::vec(step, 1..40))
        .prop_map(|(batch_rows, chunk_rows, steps)| Schedule { batch_rows, chunk_rows, steps })
}

proptest! {
    // PROPTEST_CASES is 256 where nobody sets it.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 400 / 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_batches_freezes_and_chunks_give_what_the_model_gives(job in jobs(), schedule in schedules()) {
        for slot in 0..job.parallelism {
            let (results, late) = model(&job, slot);

            let (found, found_late) = run(&job, &schedule, slot);

            prop_assert_eq!(found, results);
            prop_assert_eq!(found_late, late);
        }
    }

    #[test]
    fn partial_states_give_what_rows_give(job in jobs(), bytes_max in 1..20_000_usize, drains in 1..9_usize) {
        let mut pre = PreAggregator::new(&spec(&job), job.parallelism, bytes_max).expect("the job is sound");
        let new = |slot| WindowOperator::new(&spec(&job), range_of(slot, job.parallelism)).expect("sound");
        let mut slots: Vec<WindowOperator> = (0..job.parallelism).map(new).collect();
        let mut whole = new(0);
        if job.parallelism > 1 {
            whole = WindowOperator::new(&spec(&job), range_of(0, 1)).expect("sound");
        }

        for (at, rows) in job.rows.chunks(10).enumerate() {
            whole.on_rows(&keyed(rows), &mut Vec::new()).expect("no overflow");
            if !pre.on_rows(&keyed(rows)) {
                for (slot, operator) in slots.iter_mut().enumerate() {
                    let ours = of_slot(rows, slot as u32, job.parallelism);
                    operator.on_rows(&keyed(&ours), &mut Vec::new()).expect("no overflow");
                }
            }
            if pre.is_full() || at % drains == 0 {
                let first = if at % 2 == 0 { pre.drain_up_to(rows[0].2) } else { Vec::new() };
                for (slot, partials) in first.into_iter().chain(pre.drain_all()) {
                    slots[slot as usize].on_partials(&partials).expect("no overflow");
                }
                prop_assert!(pre.is_empty());
            }
        }
        for (slot, partials) in pre.drain_all() {
            slots[slot as usize].on_partials(&partials).expect("no overflow");
        }

        let mut found: Vec<Fired> = slots.iter_mut().flat_map(finish).collect();
        // Slots divide each window by key group: in the order of windows they are the order of one slot.
        found.sort_by_key(|row| row.1[1]);
        prop_assert_eq!(found, finish(&mut whole));
    }
}

fn finish(operator: &mut WindowOperator) -> Vec<Fired> {
    operator.on_watermark(i64::MAX);
    let mut results = Vec::new();
    while let Some(batch) = operator.poll_results(5).expect("no overflow") {
        results.extend(emitted(&batch));
    }
    results
}
