//! From source rows to the rows that are keyed: where, select, flatMap.
//!
//! Owns: the compiled steps, and which row comes from which.
//! Never: loses a row without saying so.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take};
use arrow::datatypes::{Schema, SchemaRef};

use crate::Cause;
use crate::steps::{Step, StepKind, StepOutput, batch};

/// The compiled transforms of a job, in the order written.
#[derive(Clone, Debug)]
pub struct Transforms {
    input: SchemaRef,
    steps: Vec<Step>,
    /// Columns of the input that are added behind the columns of the last step.
    carried: Vec<usize>,
    output: SchemaRef,
    late: Option<Vec<usize>>,
}

/// A row that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejected {
    /// Its index in the batch that came in.
    pub row: u32,
    /// Why, in a sentence without values of other columns.
    pub cause: Cause,
}

/// Rows after the transforms.
#[derive(Clone, Debug)]
pub struct Transformed {
    /// The rows; their columns are [`Transforms::output`].
    pub rows: RecordBatch,
    /// For each row the index of the row it comes from, ascending. `None`: row i comes from row i.
    pub origin: Option<Vec<u32>>,
}

impl Transforms {
    /// `late` gives, for each column of the input, the column of the last step that still holds it; the others are carried.
    pub(crate) fn new(input: SchemaRef, steps: Vec<Step>, late: Option<Vec<Option<usize>>>) -> Self {
        let last = steps.last().map_or(&input, |step| &step.output);
        let mut fields: Vec<_> = last.fields().iter().cloned().collect();
        let mut carried = Vec::new();
        let late = late.map(|held| {
            let place = |(column, held): (usize, Option<usize>)| {
                held.unwrap_or_else(|| {
                    carried.push(column);
                    fields.push(Arc::clone(&input.fields()[column]));
                    fields.len() - 1
                })
            };
            held.into_iter().enumerate().map(place).collect()
        });
        let output = if carried.is_empty() { Arc::clone(last) } else { Arc::new(Schema::new(fields)) };
        Self { input, steps, carried, output, late }
    }

    /// Whether rows go through as they are.
    pub fn is_identity(&self) -> bool {
        self.steps.is_empty()
    }

    /// The columns that come in: those of the source.
    pub fn input(&self) -> &SchemaRef {
        &self.input
    }

    /// The columns of [`Transformed::rows`]: those of the last step that are used, then, if late rows are written, the
    /// columns of the source that are not among them.
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// The columns of the output that make a late row: all columns of the source. `None` when late rows are not written.
    pub fn late_columns(&self) -> Option<&[usize]> {
        self.late.as_deref()
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Applies the steps to a batch. Rows already in `rejected` are left out; rows whose expressions fail are added to
    /// it. A row is used whole or not at all: if one of the rows that flatMap makes of it fails, none of them is kept.
    pub fn apply(&self, rows: &RecordBatch, rejected: &mut Vec<Rejected>) -> Transformed {
        let mut now = without(Transformed { rows: rows.clone(), origin: None }, rejected);
        let before = rejected.len();
        let mut flattened = false;
        for step in &self.steps {
            let mut pieces = Pieces::default();
            run_or_split(step, &now.rows, 0, &mut pieces);
            rejected.extend(pieces.failed.into_iter().map(|(row, cause)| Rejected {
                row: now.origin.as_ref().map_or(row, |origin| origin[row as usize]),
                cause,
            }));
            let next = joined(step, pieces.done, now.rows.num_rows());
            now = Transformed { rows: next.rows, origin: composed(now.origin, next.origin) };
            flattened |= matches!(step.kind, StepKind::FlatMap { .. });
        }
        if rejected.len() > before {
            rejected.sort_by_key(|rejected| rejected.row);
            rejected.dedup_by_key(|rejected| rejected.row);
            if flattened {
                now = without(now, rejected);
            }
        }
        self.with_carried(rows, now)
    }

    fn with_carried(&self, source: &RecordBatch, now: Transformed) -> Transformed {
        if self.carried.is_empty() {
            return now;
        }
        let mut columns = now.rows.columns().to_vec();
        let origin = now.origin.map(UInt32Array::from);
        for &column in &self.carried {
            let values = source.column(column);
            columns.push(match &origin {
                None => Arc::clone(values),
                Some(origin) => take(values, origin, None).expect("a row comes from a row of the batch"),
            });
        }
        let rows = batch(&self.output, columns, now.rows.num_rows());
        Transformed { rows, origin: origin.map(|origin| origin.values().to_vec()) }
    }
}

/// The rows that do not come from rejected ones.
fn without(now: Transformed, rejected: &[Rejected]) -> Transformed {
    if rejected.is_empty() {
        return now;
    }
    let rows = now.rows.num_rows();
    let last = rejected.iter().map(|rejected| rejected.row as usize + 1).max().unwrap_or(0);
    let mut bad = vec![false; last];
    for rejected in rejected {
        bad[rejected.row as usize] = true;
    }
    let source = |row: usize| now.origin.as_ref().map_or(row as u32, |origin| origin[row]);
    let keep: Vec<bool> =
        (0..rows).map(|row| !bad.get(source(row) as usize).copied().unwrap_or(false)).collect();
    let origin = keep.iter().enumerate().filter(|(_, keep)| **keep).map(|(row, _)| source(row)).collect();
    let kept =
        filter_record_batch(&now.rows, &BooleanArray::from(keep)).expect("the mask is as long as the batch");
    Transformed { rows: kept, origin: Some(origin) }
}

/// What a step gives for the parts of a batch, in their order.
#[derive(Default)]
struct Pieces {
    done: Vec<(u32, StepOutput)>,
    failed: Vec<(u32, Cause)>,
}

/// Runs a step; if it fails, on each half, so that in the end only rows that fail alone are left out.
fn run_or_split(step: &Step, rows: &RecordBatch, first: u32, pieces: &mut Pieces) {
    let cause = match step.run(rows) {
        Ok(done) => return pieces.done.push((first, done)),
        Err(cause) => cause,
    };
    if rows.num_rows() == 1 {
        return pieces.failed.push((first, cause));
    }
    let half = rows.num_rows() / 2;
    run_or_split(step, &rows.slice(0, half), first, pieces);
    run_or_split(step, &rows.slice(half, rows.num_rows() - half), first + half as u32, pieces);
}

fn joined(step: &Step, mut pieces: Vec<(u32, StepOutput)>, rows_in: usize) -> StepOutput {
    let whole = |piece: &StepOutput| piece.origin.is_some() || piece.rows.num_rows() == rows_in;
    if pieces.len() == 1 && pieces[0].0 == 0 && whole(&pieces[0].1) {
        return pieces.remove(0).1;
    }
    let mut origin = Vec::new();
    for (first, piece) in &pieces {
        match &piece.origin {
            Some(rows) => origin.extend(rows.iter().map(|row| first + row)),
            None => origin.extend((0..piece.rows.num_rows() as u32).map(|row| first + row)),
        }
    }
    let rows = concat_batches(&step.output, pieces.iter().map(|(_, piece)| &piece.rows))
        .expect("all pieces have the layout of the step");
    StepOutput { rows, origin: Some(origin) }
}

fn composed(first: Option<Vec<u32>>, then: Option<Vec<u32>>) -> Option<Vec<u32>> {
    match (first, then) {
        (None, then) => then,
        (first, None) => first,
        (Some(first), Some(then)) => Some(then.into_iter().map(|row| first[row as usize]).collect()),
    }
}
