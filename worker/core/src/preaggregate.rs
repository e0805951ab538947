//! Aggregates rows before they are sent to the slots of their keys, where that makes fewer of them.
//!
//! Owns: a bounded table for each open slice, and the decision whether it is worth it.
//! Never: sees a row that could be late: its partial state would have no window to go to.

use std::collections::BTreeMap;

use arrow::array::BinaryBuilder;

use crate::aggregate::Aggregates;
use crate::key::Keys;
use crate::key_group::{KEY_GROUPS, key_group, slot_of};
use crate::table::{Pool, RowGroup, Selection, SliceTable};
use crate::window::{
    Adding, Division, KeyedRows, Partials, Rule, Side, Tumbling, WindowError, WindowSpec, WindowStats,
    add_rows,
};

/// How many rows, at least, a decision is made from.
const SAMPLE_ROWS: u64 = 16_384;
/// The most keys that are sent at once, so that no slot is held up by them for long.
const PARTIALS_MAX: usize = 8_192;
/// Rows per partial state from which a table costs less than it saves.
const ROWS_PER_KEY_MIN: u64 = 3;
/// When keys do not repeat, this many times the rows that showed it pass before the next look.
const OFF_FACTOR: u64 = 64;

/// Partial states of the slices that are open, for all slots.
#[derive(Debug)]
pub struct PreAggregator {
    tumbling: Tumbling,
    aggregates: Aggregates,
    template: Vec<u8>,
    parallelism: u32,
    bytes_max: usize,
    tables: BTreeMap<i64, SliceTable<Side>>,
    division: Division,
    pool: Pool,
    group: RowGroup,
    /// Rows and keys of tables drained since the last decision. Open tables do not count: their keys may repeat later.
    drained_rows: u64,
    drained_keys: u64,
    /// Rows to let pass before the next look. 0: it is on.
    off_rows: u64,
}

impl PreAggregator {
    /// For `parallelism` slots, with tables of about `bytes_max` in all.
    pub fn new(spec: &WindowSpec, parallelism: u32, bytes_max: usize) -> Result<Self, WindowError> {
        let aggregates = Aggregates::new(&spec.aggregates)?;
        Ok(Self {
            tumbling: spec.tumbling,
            template: aggregates.template(),
            aggregates,
            parallelism,
            bytes_max,
            tables: BTreeMap::new(),
            division: Division::default(),
            pool: Pool::default(),
            group: RowGroup::default(),
            drained_rows: 0,
            drained_keys: 0,
            off_rows: 0,
        })
    }

    /// Takes all rows, none of which can be late: true. Or none, because keys do not repeat: false.
    pub fn on_rows(&mut self, rows: &KeyedRows) -> bool {
        if self.off_rows > 0 {
            self.off_rows = self.off_rows.saturating_sub(rows.len() as u64);
            return false;
        }
        if rows.is_empty() {
            return true;
        }
        let rule = Rule { tumbling: self.tumbling, allowed_lateness_ms: 0, watermark: i64::MIN };
        if let Some(end) = Division::only_slice(&rule, &rows.event_time) {
            self.add(end, rows, &Selection::Range(0..rows.len()));
        } else {
            let mut division = std::mem::take(&mut self.division);
            division.divide(&rule, &rows.event_time, &mut Vec::new());
            for (end, indices) in division.slices() {
                self.add(*end, rows, &Selection::Indices(indices));
            }
            self.division = division;
        }
        true
    }

    /// Whether the tables have reached their bound and should be drained.
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.bytes_max
    }

    /// What the tables hold; they never fire.
    pub fn stats(&self) -> WindowStats {
        WindowStats {
            open_windows: self.tables.len(),
            keys: self.tables.values().map(SliceTable::len).sum(),
            state_bytes: self.bytes() + self.pool.bytes(),
            fired_windows: 0,
        }
    }

    /// Whether there is nothing to drain.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The partial states of the slices that this watermark passes, by slot.
    pub fn drain_up_to(&mut self, watermark: i64) -> Vec<(u32, Partials)> {
        let mut drained = Vec::new();
        while let Some(first) = self.tables.first_entry() {
            if *first.key() - 1 > watermark {
                break;
            }
            let (end, table) = first.remove_entry();
            self.drain(end, table, &mut drained);
        }
        self.judge();
        drained
    }

    /// All partial states, by slot.
    pub fn drain_all(&mut self) -> Vec<(u32, Partials)> {
        self.drain_up_to(i64::MAX)
    }

    fn bytes(&self) -> usize {
        let bytes = |table: &SliceTable<Side>| table.bytes() + table.side().heap.bytes();
        self.tables.values().map(bytes).sum()
    }

    fn add(&mut self, end: i64, rows: &KeyedRows, selection: &Selection<'_>) {
        let table = self.tables.entry(end);
        let table =
            table.or_insert_with(|| SliceTable::new(&(0..KEY_GROUPS), &self.template, Side::default()));
        let with = Adding { aggregates: &self.aggregates, pool: &mut self.pool, group: &mut self.group };
        add_rows(table, rows, selection, with);
    }

    /// Once tables of enough rows were drained: whether the rows were worth taking.
    fn judge(&mut self) {
        if self.drained_rows < SAMPLE_ROWS {
            return;
        }
        if self.drained_rows < self.drained_keys * ROWS_PER_KEY_MIN {
            self.off_rows = self.drained_rows * OFF_FACTOR;
        }
        (self.drained_rows, self.drained_keys) = (0, 0);
    }

    fn drain(&mut self, slice_end: i64, table: SliceTable<Side>, drained: &mut Vec<(u32, Partials)>) {
        let mut rows = table.side().rows;
        self.drained_keys += table.len() as u64;
        self.drained_rows += rows;
        if let Some(listed) = table.list(0, table.len(), &mut self.group) {
            let bytes = listed.keys().map(<[u8]>::len).sum();
            let mut keys = BinaryBuilder::with_capacity(table.len(), bytes);
            listed.keys().for_each(|key| keys.append_value(key));
            let keys = Keys::new(keys.finish());
            let states = self.aggregates.states(&listed.rows, &table.side().heap);
            let mut at = 0;
            while at < keys.len() {
                let slot = slot_of(key_group(keys.hashes[at]), self.parallelism);
                let same = |hash: &&u64| slot_of(key_group(**hash), self.parallelism) == slot;
                let len = keys.hashes[at..].iter().take(PARTIALS_MAX).take_while(same).count();
                let states = states.iter().map(|column| column.slice(at, len)).collect();
                let partials = Partials { slice_end, keys: keys.slice(at, len), states, rows };
                drained.push((slot, partials));
                // Only the sum over all of them matters: the first takes all.
                rows = 0;
                at += len;
            }
        }
        self.pool.next_period();
        let held = self.tables.values().map(SliceTable::reserved_bytes).sum::<usize>();
        self.pool.note(held + table.reserved_bytes());
        table.retire(&mut self.pool);
        self.pool.trim(held);
    }
}
