//! From decoded rows to keyed rows: event time, transforms, key, and where the batch must be cut.
//!
//! Owns: the watermark of each partition of a slot.
//! Never: knows windows beyond where time must stop for them, or what becomes of a rejected row.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, SchemaRef};
use streamjob_core::aggregate::{AggregateSpec, Function};
use streamjob_core::key::{KeyEncoder, KeyError};
use streamjob_core::watermark::PartitionWatermark;
use streamjob_core::window::{CutFinder, KeyedRows, Tumbling};
use streamjob_plan::{Cause, Plan, Rejected};

use super::records::DecodedRows;

/// The transform stage of one slot.
pub struct Transform {
    event_time: streamjob_plan::EventTimePlan,
    transforms: streamjob_plan::Transforms,
    encoder: KeyEncoder,
    key: Vec<usize>,
    payload: Payload,
    cuts: CutFinder,
    with_positions: bool,
}

/// The columns that travel with a key: inputs of aggregates, and late rows when they are written.
#[derive(Clone, Debug)]
pub struct Payload {
    /// Indices into the columns after the transforms.
    pub columns: Vec<usize>,
    /// Their schema.
    pub schema: SchemaRef,
    /// Indices into `columns` that make a late row.
    pub late: Option<Vec<usize>>,
}

/// Rows under one watermark, and the watermark after them.
pub struct Piece {
    /// May be empty: time advances even if no row is left.
    pub rows: KeyedRows,
    /// The watermark of the partition after these rows; `i64::MIN` while there is none.
    pub watermark: i64,
}

impl Payload {
    /// The columns that the plan needs behind the key.
    pub fn of(plan: &Plan) -> Self {
        let output = plan.transforms.output();
        let inputs = plan.aggregates.iter().filter_map(|aggregate| aggregate.input.as_ref().map(|(i, _)| *i));
        let late = plan.transforms.late_columns();
        let mut columns: Vec<usize> = inputs.chain(late.into_iter().flatten().copied()).collect();
        columns.sort_unstable();
        columns.dedup();
        let place = |column: &usize| columns.binary_search(column).expect("collected just above");
        let late = late.map(|late| late.iter().map(place).collect());
        let schema = output.project(&columns).expect("the plan's indices are in range").into();
        Self { columns, schema, late }
    }

    /// The aggregates with inputs counted in these columns.
    pub fn remap(&self, plan: &Plan) -> Vec<AggregateSpec> {
        let mut aggregates = plan.aggregates.clone();
        for aggregate in &mut aggregates {
            if let Some((input, _)) = &mut aggregate.input {
                *input = self.columns.binary_search(input).expect("inputs are part of the payload");
            }
        }
        aggregates
    }
}

impl Transform {
    /// The stage for a plan; `payload` says which columns travel on.
    pub fn new(plan: &Plan, payload: Payload) -> Result<Self, KeyError> {
        let output = plan.transforms.output();
        let types: Vec<DataType> = plan.key.iter().map(|&i| output.field(i).data_type().clone()).collect();
        Ok(Self {
            event_time: plan.event_time.clone(),
            transforms: plan.transforms.clone(),
            encoder: KeyEncoder::new(&types)?,
            key: plan.key.clone(),
            payload,
            cuts: CutFinder::new(
                Tumbling::new(plan.window.size_ms, plan.window.offset_ms),
                plan.window.allowed_lateness_ms,
            ),
            with_positions: plan.aggregates.iter().any(needs_position),
        })
    }

    /// Stamps, transforms and keys a batch of one partition and appends it to `pieces`, cut wherever the partition's
    /// watermark passes a window's end. Returns the rows that cannot be used. `now_ms` is the wall clock.
    pub fn on_rows(
        &self,
        partition: &mut PartitionTime,
        batch: &DecodedRows,
        now_ms: i64,
        pieces: &mut Vec<Piece>,
    ) -> Vec<Rejected> {
        let stamped = self.event_time.expr.evaluate(&batch.rows);
        let mut rejected = stamped.rejected;
        let mut times = stamped.times;
        self.reject_future(&times, now_ms, &mut rejected);
        let transformed = self.transforms.apply(&batch.rows, &mut rejected);
        if !rejected.is_empty() {
            let mut kept = times.to_vec();
            rejected.iter().for_each(|rejected| kept[rejected.row as usize] = i64::MIN);
            times = kept.into();
        }
        let rows = self.keyed(partition.id, batch, &times, &transformed);
        let mut start = 0;
        self.cuts.find(&mut partition.watermark, &times, |end_row, watermark| {
            let end = match &transformed.origin {
                Some(origin) => origin.partition_point(|&row| (row as usize) < end_row),
                None => end_row,
            };
            let whole = start == 0 && end == rows.keys.len();
            let piece = if whole { rows.clone() } else { rows.slice(start, end - start) };
            pieces.push(Piece { rows: piece, watermark });
            start = end;
        });
        assert_eq!(start, rows.keys.len(), "every row is in one piece");
        rejected
    }

    fn reject_future(&self, times: &[i64], now_ms: i64, rejected: &mut Vec<Rejected>) {
        let Some(max_future_ms) = self.event_time.max_future_ms else { return };
        let bound = now_ms.saturating_add(max_future_ms);
        for (row, &time) in times.iter().enumerate() {
            if time > bound {
                let ahead = |by: &str| {
                    format!("event time is {by} ahead of the clock; `maxFuture` allows {max_future_ms} ms")
                };
                let by = format!("{} ms", time.saturating_sub(now_ms));
                let cause = Cause::quoting(ahead(&by), ahead("too far"));
                rejected.push(Rejected { row: row as u32, cause });
            }
        }
    }

    fn keyed(
        &self,
        partition: u32,
        batch: &DecodedRows,
        times: &ScalarBuffer<i64>,
        transformed: &streamjob_plan::Transformed,
    ) -> KeyedRows {
        let rows = &transformed.rows;
        let key_columns: Vec<_> = self.key.iter().map(|&column| rows.column(column).clone()).collect();
        let event_time = match &transformed.origin {
            Some(origin) => origin.iter().map(|&row| times[row as usize]).collect(),
            None => times.clone(),
        };
        let positions = self.with_positions.then(|| match &transformed.origin {
            Some(origin) => origin.iter().map(|&row| batch.number(row)).collect(),
            None => (0..batch.rows.num_rows() as u32).map(|row| batch.number(row)).collect(),
        });
        let columns = self.payload.columns.iter().map(|&column| rows.column(column).clone()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let payload = RecordBatch::try_new_with_options(self.payload.schema.clone(), columns, &options)
            .expect("the payload is a projection of the transforms' output");
        KeyedRows { partition, keys: self.encoder.encode(&key_columns), event_time, positions, rows: payload }
    }
}

/// The time of one partition.
pub struct PartitionTime {
    /// Which partition.
    pub id: u32,
    /// Its watermark.
    pub watermark: PartitionWatermark,
}

/// First and Last go by position where event times are equal.
fn needs_position(aggregate: &AggregateSpec) -> bool {
    match aggregate.function {
        Function::First | Function::Last => true,
        Function::Count
        | Function::Sum
        | Function::Min
        | Function::Max
        | Function::Avg
        | Function::CountDistinct => false,
    }
}
