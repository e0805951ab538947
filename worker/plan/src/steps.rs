//! One transform: from a batch to a batch.
//!
//! Owns: where, select and flatMap over whole batches, and which row each result comes from.
//! Never: handles a failing row; it fails as a whole.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array,
};
use arrow::compute::{FilterBuilder, prep_null_mask_filter, take};
use arrow::datatypes::{DataType, SchemaRef};

use crate::expr::Expression;
use crate::{Cause, sql, types};

/// A compiled transform, with the layout of what it gives: only columns that something after it uses.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) kind: StepKind,
    pub(crate) output: SchemaRef,
}

/// The kinds of transform.
#[derive(Clone, Debug)]
pub(crate) enum StepKind {
    /// Rows for which the predicate is true; of them the columns `keep` of the input.
    Where { predicate: Expression, keep: Vec<usize> },
    /// New columns in place of all others.
    Select { columns: Vec<Expression>, unused: Vec<String> },
    /// A row for each element of a list.
    FlatMap { column: String, list: Expression, element: DataType, keep: Vec<Repeated> },
}

/// A column after flatMap.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Repeated {
    /// This column of the input, repeated.
    Input(usize),
    /// The element.
    Element,
}

/// What a step gives.
pub(crate) struct StepOutput {
    pub(crate) rows: RecordBatch,
    /// For each row the index of the row it comes from; `None` is the same row.
    pub(crate) origin: Option<Vec<u32>>,
}

impl Step {
    /// Applies the step. The error says what failed, not for which row.
    pub(crate) fn run(&self, rows: &RecordBatch) -> Result<StepOutput, Cause> {
        if rows.num_rows() == 0 {
            return Ok(StepOutput { rows: RecordBatch::new_empty(Arc::clone(&self.output)), origin: None });
        }
        match &self.kind {
            StepKind::Where { predicate, keep } => self.filter(rows, predicate, keep),
            StepKind::Select { columns, .. } => self.select(rows, columns),
            StepKind::FlatMap { list, element, keep, .. } => self.flat_map(rows, list, element, keep),
        }
    }

    fn filter(
        &self,
        rows: &RecordBatch,
        predicate: &Expression,
        keep: &[usize],
    ) -> Result<StepOutput, Cause> {
        let mask = predicate.evaluate(rows)?;
        let mask = without_nulls(mask.as_boolean());
        let kept = mask.true_count();
        let columns = keep.iter().map(|&column| rows.column(column));
        if kept == rows.num_rows() {
            let rows = batch(&self.output, columns.cloned().collect(), kept);
            return Ok(StepOutput { rows, origin: None });
        }
        let origin = mask.values().set_indices_u32().collect();
        let filter = FilterBuilder::new(&mask).optimize().build();
        let columns = columns
            .map(|values| filter.filter(values))
            .collect::<Result<Vec<_>, _>>()
            .expect("the mask is as long as the columns");
        Ok(StepOutput { rows: batch(&self.output, columns, kept), origin: Some(origin) })
    }

    fn select(&self, rows: &RecordBatch, columns: &[Expression]) -> Result<StepOutput, Cause> {
        let columns = columns.iter().map(|column| column.evaluate(rows)).collect::<Result<Vec<_>, _>>()?;
        Ok(StepOutput { rows: batch(&self.output, columns, rows.num_rows()), origin: None })
    }

    fn flat_map(
        &self,
        rows: &RecordBatch,
        list: &Expression,
        element: &DataType,
        keep: &[Repeated],
    ) -> Result<StepOutput, Cause> {
        let list = list.evaluate(rows)?;
        let Elements { values, origin } = elements(&list);
        let values = types::to_type(values, element)?;
        let origin = UInt32Array::from(origin);
        let columns = keep
            .iter()
            .map(|kept| match kept {
                Repeated::Element => Ok(Arc::clone(&values)),
                Repeated::Input(column) => take(rows.column(*column), &origin, None),
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| sql::arrow_failure(&error))?;
        let rows = batch(&self.output, columns, origin.len());
        Ok(StepOutput { rows, origin: Some(origin.values().to_vec()) })
    }
}

/// A batch of a known layout, also when it has no columns.
pub(crate) fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .expect("a step gives the columns of its layout")
}

/// Null is not true.
fn without_nulls(mask: &BooleanArray) -> BooleanArray {
    if mask.null_count() == 0 { mask.clone() } else { prep_null_mask_filter(mask) }
}

/// The elements of all lists one after another, and the row of each.
struct Elements {
    values: ArrayRef,
    origin: Vec<u32>,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is Arrow's")]
fn elements(list: &ArrayRef) -> Elements {
    match list.data_type() {
        DataType::List(_) => {
            let lists = list.as_list::<i32>();
            let offsets = lists.value_offsets();
            taken_apart(list, lists.values(), |row| offsets[row] as usize..offsets[row + 1] as usize)
        }
        DataType::LargeList(_) => {
            let lists = list.as_list::<i64>();
            let offsets = lists.value_offsets();
            taken_apart(list, lists.values(), |row| offsets[row] as usize..offsets[row + 1] as usize)
        }
        _ => {
            let lists = list.as_fixed_size_list();
            let width = usize::try_from(lists.value_length()).expect("a list is not shorter than empty");
            taken_apart(list, lists.values(), |row| row * width..(row + 1) * width)
        }
    }
}

fn taken_apart(list: &ArrayRef, values: &ArrayRef, range: impl Fn(usize) -> Range<usize>) -> Elements {
    let mut origin = Vec::with_capacity(values.len());
    let mut indices: Vec<u64> = Vec::with_capacity(values.len());
    for row in (0..list.len()).filter(|&row| list.is_valid(row)) {
        let range = range(row);
        origin.resize(origin.len() + range.len(), row as u32);
        indices.extend(range.start as u64..range.end as u64);
    }
    Elements { values: gather(values, indices), origin }
}

/// The values at these ascending indices, without a copy if they are neighbours.
fn gather(values: &ArrayRef, indices: Vec<u64>) -> ArrayRef {
    let (Some(&first), Some(&last)) = (indices.first(), indices.last()) else {
        return values.slice(0, 0);
    };
    if last - first + 1 == indices.len() as u64 {
        return values.slice(first as usize, indices.len());
    }
    take(values, &UInt64Array::from(indices), None).expect("the indices are inside the values")
}
