//! The state of one window, merged from its blocks.
//!
//! Owns: which columns of a block are key and state; one window in memory at a time.
//! Never: reads a store or writes a file.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, SchemaRef};
use streamjob_checkpoint::bundle::StateRows;
use streamjob_checkpoint::checkpoint::Block;
use streamjob_checkpoint::ids::Groups;
use streamjob_core::aggregate::{AggregateSpec, Aggregates, Overflow};
use streamjob_core::key::KeyEncoder;
use streamjob_core::window::{Partials, Tumbling, WindowError, WindowOperator, WindowSpec};
use streamjob_plan::Plan;
use thiserror::Error;

/// Rows that are handed out at once.
const ROWS_MAX: usize = 8_192;

/// Why the state of a window cannot be shown.
#[derive(Debug, Error)]
pub(super) enum MergeError {
    /// The block has other columns than the manifest's aggregates.
    #[error(
        "{object}: has no column `{column}` of type {data_type}; export with the manifest that the checkpoint was \
         written with"
    )]
    Column {
        /// The object.
        object: String,
        /// The column.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// A value that cannot be computed.
    #[error(transparent)]
    Window(#[from] WindowError),
}

/// Turns the blocks of windows into rows as the sink would get them.
#[derive(Debug)]
pub(super) struct Merger {
    spec: WindowSpec,
    encoder: KeyEncoder,
    keys: Vec<Field>,
    states: Vec<Field>,
    result: SchemaRef,
}

/// A window that takes blocks.
pub(super) struct Window<'a> {
    merger: &'a Merger,
    end_ms: i64,
    operator: WindowOperator,
}

impl Merger {
    /// For the windows of a job.
    pub(super) fn new(plan: &Plan) -> Result<Self, WindowError> {
        let keys: Vec<Field> =
            plan.key.iter().map(|&column| plan.transforms.output().field(column).clone()).collect();
        let spec = WindowSpec {
            tumbling: Tumbling::new(plan.window.size_ms, plan.window.offset_ms),
            allowed_lateness_ms: 0,
            // A job stops where a sum does not fit; one that is only looked at shows null.
            aggregates: plan.aggregates.iter().map(null_on_overflow).collect(),
            key_types: keys.iter().map(|key| key.data_type().clone()).collect(),
        };
        let states = Aggregates::new(&spec.aggregates)?.state_fields();
        let encoder = KeyEncoder::new(&spec.key_types)?;
        Ok(Self { spec, encoder, keys, states, result: Arc::clone(&plan.result) })
    }

    /// The columns of exported rows: those of results.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.result
    }

    /// A window without state yet.
    pub(super) fn window(&self, end_ms: i64) -> Result<Window<'_>, WindowError> {
        let operator = WindowOperator::new(&self.spec, Groups::ALL.range())?;
        Ok(Window { merger: self, end_ms, operator })
    }
}

impl Window<'_> {
    /// Merges rows of a block.
    pub(super) fn add(&mut self, block: &Block, rows: &StateRows) -> Result<(), MergeError> {
        check(&rows.keys, &self.merger.keys, block)?;
        check(&rows.states, &self.merger.states, block)?;
        let (keys, states) = only(rows, block);
        let keys = self.merger.encoder.encode(&keys);
        let partials = Partials { slice_end: self.end_ms, keys, states, rows: 0 };
        if !partials.is_empty() {
            self.operator.on_partials(&partials)?;
        }
        Ok(())
    }

    /// Gives out all rows, in the order (key group, key).
    pub(super) fn rows<E: From<MergeError>>(
        mut self,
        mut take: impl FnMut(&RecordBatch) -> Result<(), E>,
    ) -> Result<u64, E> {
        self.operator.on_watermark(i64::MAX);
        let mut rows = 0;
        while let Some(batch) = self.operator.poll_results(ROWS_MAX).map_err(MergeError::from)? {
            let named = RecordBatch::try_new(Arc::clone(&self.merger.result), batch.columns().to_vec());
            take(&named.expect("the plan's result has the operator's types"))?;
            rows += batch.num_rows() as u64;
        }
        Ok(rows)
    }
}

fn null_on_overflow(spec: &AggregateSpec) -> AggregateSpec {
    AggregateSpec { overflow: Overflow::Null, ..spec.clone() }
}

/// Keys and states of the rows whose key groups count in this block.
fn only(batch: &StateRows, block: &Block) -> (Vec<ArrayRef>, Vec<ArrayRef>) {
    if batch.groups.values().iter().all(|&group| block.groups.contains(group)) {
        return (batch.keys.clone(), batch.states.clone());
    }
    let wanted: BooleanArray =
        batch.groups.values().iter().map(|&group| Some(block.groups.contains(group))).collect();
    let only = |columns: &[ArrayRef]| {
        let columns = columns.iter().map(|column| filter(column, &wanted));
        columns.collect::<Result<_, _>>().expect("a batch has a group for each row")
    };
    (only(&batch.keys), only(&batch.states))
}

fn check(columns: &[ArrayRef], fields: &[Field], block: &Block) -> Result<(), MergeError> {
    for (at, field) in fields.iter().enumerate() {
        let found = columns.get(at);
        if !found.is_some_and(|column| column.data_type().equals_datatype(field.data_type())) {
            return Err(MergeError::Column {
                object: block.object.clone(),
                column: field.name().clone(),
                data_type: field.data_type().clone(),
            });
        }
    }
    Ok(())
}
