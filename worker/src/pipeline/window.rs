//! The window stage of a slot: aligns barriers, combines the time of all partitions, aggregates, fires.
//!
//! Owns: the combined watermark, the barrier alignment and the window state of the slot's key groups.
//! Never: waits, writes, or decides when a barrier starts.

use std::collections::VecDeque;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use streamjob_core::barrier::{Alignment, BarrierAligner};
use streamjob_core::table::Ahead;
use streamjob_core::watermark::{Status, WatermarkCombiner};
use streamjob_core::window::{
    Frozen, KeyedRows, Partials, RestoredLayer, RestoredSlice, SliceStatus, WindowError, WindowOperator,
    WindowStats,
};

/// The window stage of one slot.
pub struct WindowStage {
    operator: WindowOperator,
    combiner: WatermarkCombiner,
    aligner: BarrierAligner,
    schemas: Schemas,
    late_rows: u64,
    late: VecDeque<RecordBatch>,
    scratch: Vec<u32>,
}

/// What the rows that leave the stage look like.
pub struct Schemas {
    /// Results.
    pub result: SchemaRef,
    /// Columns of the payload that make a late row; `None` when late rows are only counted.
    pub late: Option<Vec<usize>>,
}

impl WindowStage {
    /// The stage over an operator, for rows of `partitions` partitions that come through `channels` channels.
    pub fn new(operator: WindowOperator, partitions: u32, channels: u32, schemas: Schemas) -> Self {
        Self {
            operator,
            combiner: WatermarkCombiner::new(partitions),
            aligner: BarrierAligner::new(channels),
            schemas,
            late_rows: 0,
            late: VecDeque::new(),
            scratch: Vec::new(),
        }
    }

    /// Goes on from a checkpoint, before the first row: with the time that `combiner` has, and these windows.
    pub fn restore(&mut self, combiner: WatermarkCombiner, slices: Vec<RestoredSlice>) {
        self.operator.restore(combiner.current(), slices);
        self.combiner = combiner;
    }

    /// Adds the old state of a window.
    pub fn add_restored(&mut self, end: i64, layer: RestoredLayer) {
        self.operator.add_restored(end, layer);
    }

    /// Whether rows must wait for old state: too many that update a window that has fired are held for it.
    pub fn awaits_before_rows(&self) -> bool {
        self.operator.awaits_before_rows()
    }

    /// Whether results of late rows wait, which must be taken before a freeze. Some may come only behind old state.
    pub fn has_updates(&self) -> bool {
        self.operator.has_updates()
    }

    /// Gives out all state that is not durable, and what stands about the windows in a checkpoint. Of the windows that
    /// end at these instants it gives everything.
    pub fn freeze(&mut self, compact: &[i64]) -> (Frozen, Vec<SliceStatus>) {
        (self.operator.freeze(compact), self.operator.statuses())
    }

    /// What the last freeze gave is durable.
    pub fn on_committed(&mut self) {
        self.operator.on_committed();
    }

    /// Merges some durable state into what lies below it; whether there is more to do.
    pub fn fold_some(&mut self, keys_max: usize) -> bool {
        self.operator.fold_some(keys_max)
    }

    /// Aggregates rows; late ones are counted and kept for [`Self::take_late`].
    pub fn on_rows(&mut self, rows: &KeyedRows) -> Result<(), WindowError> {
        self.scratch.clear();
        self.operator.on_rows(rows, &mut self.scratch)?;
        if self.scratch.is_empty() {
            return Ok(());
        }
        self.late_rows += self.scratch.len() as u64;
        if let Some(columns) = &self.schemas.late {
            let source = rows.rows.project(columns).expect("late columns are part of the payload");
            let indices = UInt32Array::from(self.scratch.clone());
            self.late
                .push_back(take_record_batch(&source, &indices).expect("late rows are rows of the batch"));
        }
        Ok(())
    }

    /// Merges partial states.
    pub fn on_partials(&mut self, partials: &Partials) -> Result<(), WindowError> {
        self.operator.on_partials(partials)
    }

    /// Takes note of a partition's watermark.
    pub fn on_watermark(&mut self, partition: u32, watermark: i64) {
        let advanced = self.combiner.advance(partition, watermark);
        self.advance(advanced);
    }

    /// Takes note of a partition's status.
    pub fn on_status(&mut self, partition: u32, status: Status) {
        let advanced = self.combiner.set_status(partition, status);
        self.advance(advanced);
    }

    fn advance(&mut self, advanced: Option<i64>) {
        if let Some(watermark) = advanced {
            self.operator.on_watermark(watermark);
        }
    }

    /// Takes note of a barrier; true when it has come through every channel.
    pub fn on_barrier(&mut self, channel: u32, epoch: u64) -> bool {
        match self.aligner.on_barrier(channel, epoch) {
            Alignment::Aligned => true,
            Alignment::Waiting => false,
        }
    }

    /// Whether a channel must wait for the others to deliver the barrier.
    pub fn is_blocked(&self, channel: u32) -> bool {
        self.aligner.is_blocked(channel)
    }

    /// The next results that have fired, at most `rows_max` rows.
    pub fn poll_results(&mut self, rows_max: usize) -> Result<Option<RecordBatch>, WindowError> {
        let Some(rows) = self.operator.poll_results(rows_max)? else { return Ok(None) };
        let named = RecordBatch::try_new(SchemaRef::clone(&self.schemas.result), rows.columns().to_vec());
        Ok(Some(named.expect("the plan's result has the operator's types")))
    }

    /// The next late rows to write.
    pub fn take_late(&mut self) -> Option<RecordBatch> {
        self.late.pop_front()
    }

    /// Rows that came too late so far.
    pub fn late_rows(&self) -> u64 {
        self.late_rows
    }

    /// Whether the input has ended and everything has fired.
    pub fn is_drained(&self) -> bool {
        self.combiner.all_finished() && !self.operator.has_pending() && self.late.is_empty()
    }

    /// The combined watermark; `i64::MIN` while there is none.
    pub fn watermark(&self) -> i64 {
        self.combiner.current()
    }

    /// The partition that holds time back.
    pub fn holding(&self) -> Option<u32> {
        self.combiner.holding()
    }

    /// The least watermark of all active partitions; `None` if none is active.
    pub fn slowest(&self) -> Option<i64> {
        self.combiner.slowest()
    }

    /// Partitions that are behind the combined watermark since they were idle; their rows may be late.
    pub fn behind(&self) -> Vec<u32> {
        self.combiner.behind().collect()
    }

    /// Memory that will be used soon, for another thread to have ready.
    pub fn take_ahead(&mut self) -> impl Iterator<Item = Ahead> + '_ {
        self.operator.take_ahead()
    }

    /// Figures for metrics.
    pub fn stats(&self) -> WindowStats {
        self.operator.stats()
    }
}
