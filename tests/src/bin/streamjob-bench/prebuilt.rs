//! Runs a job in this process over batches that were built before the clock starts.
//!
//! Owns: the source in memory; everything behind it is the product as it is.
//! Never: counts the building.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringBuilder, TimestampMillisecondArray};
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};
use streamjob_checkpoint::checkpoint::{PartitionState, PartitionStatus, SourcePosition};
use streamjob_crds::StreamJob;
use streamjob_tests::inside;
use streamjob_worker::pipeline::records::{
    DecodedRows, PartitionReader, Position, Progress, Read, SourceError,
};
use streamjob_worker::runtime::{Ending, Input, Inputs, Options, StopFlag};

use crate::input::Uniform;
use crate::process;

/// What a run needed, from the first batch to the end.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Measured {
    /// Seconds.
    pub(crate) wall_s: f64,
    /// User and system time of all threads, seconds.
    pub(crate) cpu_s: f64,
    /// The longest time for which a slot with input took none, milliseconds.
    pub(crate) longest_gap_ms: f64,
    /// Of the seconds above, those until half of the rows were taken.
    pub(crate) first_half: Half,
}

/// How far a run was, and what it had needed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Half {
    /// Rows, at least half of them.
    pub(crate) rows: u64,
    /// Seconds.
    pub(crate) wall_s: f64,
    /// User and system time of all threads, seconds.
    pub(crate) cpu_s: f64,
}

/// Does what [`run`] does in a process of its own, so that one case's memory is not another's.
pub(crate) fn run_elsewhere(manifest: &Path, rows: &Uniform) -> Result<Measured> {
    let program = std::env::current_exe()?;
    let numbers = [rows.keys.to_string(), rows.rows.to_string(), rows.files.to_string()];
    let output = Command::new(program).arg("prebuilt").arg(manifest).args(numbers).output()?;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs the manifest's job with these rows instead of its source.
pub(crate) fn run(manifest: &Path, rows: &Uniform) -> Result<Measured> {
    let job = StreamJob::load(manifest)?;
    let plan = streamjob_plan::compile(&job, manifest.parent().context("a manifest lies in a folder")?)?;
    let options = Options::default();
    let parts = (0..rows.files).map(|part| build(&plan.source.schema, rows, part, options.batch_rows));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    let half = Arc::new(Halfway { taken: AtomicU64::new(0), of: rows.rows, at: OnceLock::new() });
    let memory = Arc::new(Memory { parts, half: Arc::clone(&half) });

    let cpu_before = process::own_cpu_s()?;
    let started = Instant::now();
    let ran = inside::run_from(Arc::new(plan), memory, options, StopFlag::default())?;
    let wall_s = started.elapsed().as_secs_f64();
    let cpu_s = process::own_cpu_s()? - cpu_before;

    ensure!(ran.ending == Ending::Finished, "the job did not come to its end");
    let gaps = ran.metrics.slots.iter().map(|slot| slot.longest_gap_nanos.load(Ordering::Relaxed));
    let (at, rows, cpu) = half.at.get().context("half of the rows were taken")?;
    let first_half = Half { rows: *rows, wall_s: (*at - started).as_secs_f64(), cpu_s: cpu - cpu_before };
    Ok(Measured { wall_s, cpu_s, longest_gap_ms: gaps.max().unwrap_or(0) as f64 / 1e6, first_half })
}

/// Batches as a source; each list of them is a partition.
struct Memory {
    parts: Vec<Vec<RecordBatch>>,
    half: Arc<Halfway>,
}

/// Counts rows over all partitions, and notes when half of them are taken: instant, rows, CPU seconds.
struct Halfway {
    taken: AtomicU64,
    of: u64,
    at: OnceLock<(Instant, u64, f64)>,
}

impl Inputs for Memory {
    fn list(&self) -> Result<Vec<PartitionState>, SourceError> {
        let position = SourcePosition::Row { row: 0, started_ms: 0 };
        let state = |part| PartitionState {
            name: format!("memory-{part}"),
            files: Vec::new(),
            topic: None,
            position,
            max_timestamp_ms: None,
            status: PartitionStatus::Active,
        };
        Ok((0..self.parts.len()).map(state).collect())
    }

    fn open(&self, states: &[PartitionState]) -> Result<Vec<Input>, SourceError> {
        let inputs = states.iter().map(|state| {
            let part = state.name.strip_prefix("memory-").and_then(|part| part.parse::<usize>().ok());
            let batches = self.parts[part.expect("list made the name")].clone();
            let rows_total = batches.iter().map(|batch| batch.num_rows() as u64).sum();
            let half = Arc::clone(&self.half);
            let name = state.name.as_str().into();
            let reader = Batches { name, batches: batches.into_iter(), rows: 0, rows_total, half };
            Input { state: state.clone(), open: Box::new(move || Ok(Box::new(reader))) }
        });
        Ok(inputs.collect())
    }
}

fn build(schema: &SchemaRef, rows: &Uniform, part: u64, batch_rows: usize) -> Result<Vec<RecordBatch>> {
    let numbers: Vec<u64> = (part..rows.rows).step_by(rows.files as usize).collect();
    numbers.chunks(batch_rows).map(|numbers| build_batch(schema, rows, numbers)).collect()
}

fn build_batch(schema: &SchemaRef, rows: &Uniform, numbers: &[u64]) -> Result<RecordBatch> {
    let mut keys = StringBuilder::new();
    let mut values = Vec::new();
    let mut times = Vec::new();
    for &i in numbers {
        let row = rows.row(i);
        keys.append_value(format!("user-{:08}", row.key));
        values.push(i64::from(row.value));
        times.push(row.time_ms);
    }
    let keys: ArrayRef = Arc::new(keys.finish());
    let values: ArrayRef = Arc::new(Int64Array::from(values));
    let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(times));
    let column = |name: &str| match name {
        "key" => Ok(Arc::clone(&keys)),
        "value" => Ok(Arc::clone(&values)),
        "ts" => Ok(Arc::clone(&times)),
        other => anyhow::bail!("the manifest reads a column `{other}`"),
    };
    let columns: Result<Vec<ArrayRef>> = schema.fields().iter().map(|field| column(field.name())).collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns?)?)
}

/// A partition in memory.
struct Batches {
    name: Arc<str>,
    batches: std::vec::IntoIter<RecordBatch>,
    rows: u64,
    rows_total: u64,
    half: Arc<Halfway>,
}

impl Halfway {
    fn take(&self, rows: u64) {
        let taken = self.taken.fetch_add(rows, Ordering::Relaxed) + rows;
        if taken * 2 >= self.of && self.at.get().is_none() {
            let cpu_s = process::own_cpu_s().unwrap_or_default();
            // Of two slots that come at once, either one is right.
            let _noted = self.at.set((Instant::now(), taken, cpu_s));
        }
    }
}

impl PartitionReader for Batches {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn read(&mut self, _rows_max: usize) -> Result<Read, SourceError> {
        let Some(rows) = self.batches.next() else { return Ok(Read::End) };
        let first_row = self.rows;
        self.rows += rows.num_rows() as u64;
        self.half.take(rows.num_rows() as u64);
        Ok(Read::Rows(DecodedRows { rows, first_row, numbers: None, bad: Vec::new(), bytes: 0 }))
    }

    fn raw(&self, _row: u32) -> &[u8] {
        &[]
    }

    fn position(&self, row: u32) -> Position {
        let record = self.rows + u64::from(row);
        Position { file: Arc::clone(&self.name), line: record + 1, record, byte: 0 }
    }

    fn next_position(&self) -> SourcePosition {
        SourcePosition::Row { row: self.rows, started_ms: 0 }
    }

    fn progress(&self) -> Progress {
        Progress { bytes: 0, bytes_total: None, rows: self.rows, rows_total: Some(self.rows_total) }
    }
}
