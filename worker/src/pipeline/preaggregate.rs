//! Aggregates rows before they cross to another slot, and says which slot gets what.
//!
//! Owns: which partitions may be pre-aggregated, and the partial states that have not been sent.
//! Never: takes a row that could be late.

use streamjob_core::key_group::{key_group, slot_of};
use streamjob_core::preaggregate::PreAggregator;
use streamjob_core::window::{KeyedRows, Partials, WindowStats};

/// What goes to one slot.
pub enum Routed {
    /// Rows as they are.
    Rows(KeyedRows),
    /// Partial states.
    Partials(Partials),
}

/// The pre-aggregation stage of one slot.
pub struct PreAggregate {
    table: PreAggregator,
    parallelism: u32,
    /// For each partition, whether it may lag behind the window operators.
    suspect: Vec<bool>,
    /// Rows of the current batch for each slot; kept to reuse its memory.
    routes: Vec<Vec<u32>>,
}

impl PreAggregate {
    /// The stage over a table.
    pub fn new(table: PreAggregator, parallelism: u32, partitions: usize) -> Self {
        let routes = (0..parallelism).map(|_| Vec::new()).collect();
        Self { table, parallelism, suspect: vec![false; partitions], routes }
    }

    /// Rows of one partition whose watermark before them is `watermark`. What must be sent is handed to `send`, in order.
    pub fn on_rows(&mut self, rows: KeyedRows, watermark: i64, mut send: impl FnMut(u32, Routed)) {
        if rows.is_empty() {
            return;
        }
        if self.suspect[rows.partition as usize] {
            return self.route(rows, &mut send);
        }
        let on_time = rows.event_time.iter().filter(|&&time| time > watermark).count();
        if on_time == rows.len() {
            if !self.table.on_rows(&rows) {
                self.route(rows, &mut send);
            }
            return;
        }
        let split = |keep: bool| -> Vec<u32> {
            let indices = 0..rows.len() as u32;
            indices.filter(|&i| (rows.event_time[i as usize] > watermark) == keep).collect()
        };
        let early = rows.select(&split(true));
        if !self.table.on_rows(&early) {
            return self.route(rows, &mut send);
        }
        self.route(rows.select(&split(false)), &mut send);
    }

    fn route(&mut self, rows: KeyedRows, send: &mut impl FnMut(u32, Routed)) {
        self.routes.iter_mut().for_each(Vec::clear);
        for (row, &hash) in rows.keys.hashes.iter().enumerate() {
            let slot = slot_of(key_group(hash), self.parallelism);
            self.routes[slot as usize].push(row as u32);
        }
        for (slot, indices) in self.routes.iter().enumerate() {
            if indices.len() == rows.len() {
                return send(slot as u32, Routed::Rows(rows));
            }
            if !indices.is_empty() {
                send(slot as u32, Routed::Rows(rows.select(indices)));
            }
        }
    }

    /// Sends the partial states of every slice that ends at or before the watermark.
    pub fn drain_up_to(&mut self, watermark: i64, mut send: impl FnMut(u32, Routed)) {
        for (slot, partials) in self.table.drain_up_to(watermark) {
            send(slot, Routed::Partials(partials));
        }
    }

    /// Sends all partial states: before a barrier, and before a partition goes idle or finishes.
    pub fn drain_all(&mut self, mut send: impl FnMut(u32, Routed)) {
        for (slot, partials) in self.table.drain_all() {
            send(slot, Routed::Partials(partials));
        }
    }

    /// Whether the table has reached its bound: drain it.
    pub fn is_full(&self) -> bool {
        self.table.is_full()
    }

    /// What waits here to be sent.
    pub fn stats(&self) -> WindowStats {
        self.table.stats()
    }

    /// A partition went idle: the window operators may move on without it, so that its rows can be late.
    pub fn on_idle(&mut self, partition: u32) {
        self.suspect[partition as usize] = true;
    }

    /// An epoch is complete: `behind` has every partition that some window operator still counts as left behind, and
    /// `active` says which have been active since its barrier.
    pub fn on_caught_up(&mut self, behind: &[u32], active: impl Fn(u32) -> bool) {
        for id in 0..self.suspect.len() as u32 {
            let partition = id as usize;
            if self.suspect[partition] && active(id) && !behind.contains(&id) {
                self.suspect[partition] = false;
            }
        }
    }
}
