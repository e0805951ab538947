//! Rows made from a seed: row i of partition p is a pure function of (seed, p, i).
//!
//! Owns: which rows a partition has, and when each is due.
//! Never: depends on batch sizes, parallelism or, but for the start of timestamps, on the clock.

mod random;
#[cfg(test)]
mod tests;
mod value;
mod zipf;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use streamjob_checkpoint::checkpoint::SourcePosition;
use streamjob_plan::GeneratorPlan;

use self::value::Maker;
use crate::pipeline::clock::Clock;
use crate::pipeline::records::{DecodedRows, PartitionReader, Position, Progress, Read, SourceError};

/// Rows that are due sooner than this are waited for together.
const WAIT_MIN: Duration = Duration::from_millis(2);

/// A generator, its partitions not yet opened.
#[derive(Clone)]
pub(super) struct Generator {
    schema: SchemaRef,
    plan: Arc<GeneratorPlan>,
    makers: Arc<[Maker]>,
    clock: Arc<dyn Clock>,
    /// The wall clock that timestamps without a fixed start count from.
    started_ms: i64,
    /// By `clock.elapsed()`: when the first row that is read is due.
    started: Duration,
}

impl Generator {
    /// The job started at `started_ms`; rows are due from now on.
    pub(super) fn new(
        plan: &GeneratorPlan,
        schema: &SchemaRef,
        clock: Arc<dyn Clock>,
        started_ms: i64,
    ) -> Self {
        let makers = plan.columns.iter().map(|column| Maker::new(plan.seed, column, started_ms));
        Self {
            schema: Arc::clone(schema),
            plan: Arc::new(plan.clone()),
            makers: makers.collect(),
            started_ms,
            started: clock.elapsed(),
            clock,
        }
    }

    pub(super) fn started_ms(&self) -> i64 {
        self.started_ms
    }

    /// Reads a partition from a row on.
    pub(super) fn open(&self, partition: u32, row: u64) -> GeneratorReader {
        let (partitions, first) = (u64::from(self.plan.partitions), u64::from(partition));
        let rows = self.plan.rows.map(|rows| rows.saturating_sub(first).div_ceil(partitions));
        let name = name(partition).into();
        GeneratorReader { generator: self.clone(), name, first, rows, begin: row, next: row, last_first: row }
    }
}

/// The name of a partition.
pub(super) fn name(partition: u32) -> String {
    format!("generator-{partition}")
}

/// One partition of a generator.
pub(super) struct GeneratorReader {
    generator: Generator,
    name: Arc<str>,
    /// The number of its first row over all partitions.
    first: u64,
    /// How many rows it has; `None` is endless.
    rows: Option<u64>,
    /// The row that it was opened at: the time before is not made up for.
    begin: u64,
    /// The next row to make.
    next: u64,
    /// The first row of the last batch.
    last_first: u64,
}

impl GeneratorReader {
    /// The number over all partitions of a row of this one.
    fn number(&self, row: u64) -> u64 {
        row * u64::from(self.generator.plan.partitions) + self.first
    }

    /// How many rows are due by now, made ones included; or how long until the next is.
    fn due(&self) -> Result<u64, Duration> {
        let Some(rate) = self.generator.plan.rows_per_second else { return Ok(u64::MAX) };
        let elapsed = self.generator.clock.elapsed().saturating_sub(self.generator.started);
        // Row n is due (n - before) / rate seconds after the start.
        let before = self.begin * u64::from(self.generator.plan.partitions);
        let due_all = elapsed.as_nanos() * u128::from(rate) / 1_000_000_000 + 1 + u128::from(before);
        let due_all = u64::try_from(due_all).unwrap_or(u64::MAX);
        let due = due_all.saturating_sub(self.first).div_ceil(u64::from(self.generator.plan.partitions));
        if due > self.next {
            return Ok(due);
        }
        let next_at = u128::from(self.number(self.next) - before) * 1_000_000_000 / u128::from(rate);
        let next_at = Duration::from_nanos(u64::try_from(next_at).unwrap_or(u64::MAX));
        Err(next_at.saturating_sub(elapsed).max(WAIT_MIN))
    }
}

impl PartitionReader for GeneratorReader {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn read(&mut self, rows_max: usize) -> Result<Read, SourceError> {
        assert!(rows_max > 0, "a batch has room for a row");
        let end = self.rows.unwrap_or(u64::MAX);
        if self.next >= end {
            return Ok(Read::End);
        }
        let due = match self.due() {
            Ok(due) => due.min(end),
            Err(wait) => return Ok(Read::Wait(wait)),
        };
        let count = usize::try_from(due - self.next).unwrap_or(usize::MAX).min(rows_max);
        let numbers = (0..count).map(|index| self.number(self.next + index as u64));
        let columns = self.generator.makers.iter().map(|maker| maker.make(numbers.clone())).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let schema = Arc::clone(&self.generator.schema);
        let rows = RecordBatch::try_new_with_options(schema, columns, &options)
            .expect("the plan gives generated columns the types that they have");
        self.last_first = self.next;
        self.next += count as u64;
        Ok(Read::Rows(DecodedRows {
            rows,
            first_row: self.last_first,
            numbers: None,
            bad: Vec::new(),
            bytes: 0,
        }))
    }

    fn raw(&self, _row: u32) -> &[u8] {
        &[]
    }

    fn position(&self, row: u32) -> Position {
        let record = self.last_first + u64::from(row);
        Position { file: Arc::clone(&self.name), line: record + 1, record, byte: 0 }
    }

    fn next_position(&self) -> SourcePosition {
        SourcePosition::Row { row: self.next, started_ms: self.generator.started_ms }
    }

    fn progress(&self) -> Progress {
        Progress { bytes: 0, bytes_total: None, rows: self.next, rows_total: self.rows }
    }
}
