//! The window operator of a slot.
//!
//! Owns: the open slices, the watermark they obey, and the results that are due.
//! Never: loses a row: each is in a slice, late, or an error.

mod due;
mod state;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound::{Excluded, Included};
use std::ops::Range;

use arrow::array::RecordBatch;

use self::due::Due;
use super::divide::Rule;
use super::firing::{Firing, Results};
use super::slice::{Adding, Side, Slice, add_partials, add_rows};
use super::{Division, KeyedRows, Partials, WindowError, WindowSpec};
use crate::aggregate::Aggregates;
use crate::table::{Ahead, Pool, RowGroup, Selection, SliceTable};

/// So many slots of an index are looked at for each row that comes, when it grows: enough to be through before it is
/// full.
const SLOTS_PER_ROW: usize = 16;

/// The windows of the keys of some key groups.
#[derive(Debug)]
pub struct WindowOperator {
    rule: Rule,
    aggregates: Aggregates,
    template: Vec<u8>,
    key_groups: Range<u32>,
    slices: BTreeMap<i64, Slice>,
    /// Windows whose results are due, in order, and late rows among them. The first window may be under way.
    due: VecDeque<Due>,
    firing: Option<Firing>,
    /// Memory of these rows.
    held_bytes: usize,
    /// Results of late rows, and what came before them: they come before what is due.
    updates: VecDeque<RecordBatch>,
    results: Results,
    division: Division,
    pool: Pool,
    group: RowGroup,
    fired_windows: u64,
    /// Keys of the largest delta of the slice that closed last: the next ones will have about as many.
    keys_expected: usize,
    /// Slices whose old state has not come.
    awaiting: usize,
    /// Slices with tables that can be folded. They may have closed.
    foldable: BTreeSet<i64>,
}

/// What an operator holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WindowStats {
    /// Windows with state.
    pub open_windows: usize,
    /// Keys of all of them; a key counts once for each base or delta it is in.
    pub keys: usize,
    /// Memory of tables, and of free blocks that wait for the next.
    pub state_bytes: usize,
    /// Windows whose results were all handed out, first firings only.
    pub fired_windows: u64,
}

impl WindowOperator {
    /// An operator for keys of these key groups.
    pub fn new(spec: &WindowSpec, key_groups: Range<u32>) -> Result<Self, WindowError> {
        assert!(spec.allowed_lateness_ms >= 0, "allowed lateness is not negative");
        let aggregates = Aggregates::new(&spec.aggregates)?;
        let template = aggregates.template();
        let rule = Rule {
            tumbling: spec.tumbling,
            allowed_lateness_ms: spec.allowed_lateness_ms,
            watermark: i64::MIN,
        };
        Ok(Self {
            rule,
            results: Results::new(spec, &template)?,
            aggregates,
            template,
            key_groups,
            slices: BTreeMap::new(),
            due: VecDeque::new(),
            firing: None,
            held_bytes: 0,
            updates: VecDeque::new(),
            division: Division::default(),
            pool: Pool::default(),
            group: RowGroup::default(),
            fired_windows: 0,
            keys_expected: 0,
            awaiting: 0,
            foldable: BTreeSet::new(),
        })
    }

    /// Adds rows that arrived under the current watermark. Indices of late ones, which change nothing, are appended to
    /// `late` in order. A row of a window that has fired but is not closed gives an updated result, once the old state of
    /// all that has fired before is there.
    pub fn on_rows(&mut self, rows: &KeyedRows, late: &mut Vec<u32>) -> Result<(), WindowError> {
        if rows.is_empty() {
            return Ok(());
        }
        if let Some(end) = Division::only_slice(&self.rule, &rows.event_time) {
            self.update(end, rows, Selection::Range(0..rows.len()));
            return Ok(());
        }
        let mut division = std::mem::take(&mut self.division);
        division.divide(&self.rule, &rows.event_time, late);
        for (end, indices) in division.slices() {
            self.update(*end, rows, Selection::Indices(indices));
        }
        let updated = self.update_fired(rows, division.fired());
        self.division = division;
        updated
    }

    /// Adds partial states of rows that cannot be late.
    ///
    /// # Panics
    /// If their slice has fired.
    pub fn on_partials(&mut self, partials: &Partials) -> Result<(), WindowError> {
        let end = partials.slice_end;
        assert!(
            !self.rule.has_fired(end),
            "partial states for the window that ended at {end}, which has fired"
        );
        self.add(end, partials.rows, |delta, with| add_partials(delta, partials, with));
        Ok(())
    }

    /// Time has come this far: windows that are over become due, and those past the allowed lateness are closed.
    ///
    /// # Panics
    /// If the watermark goes back.
    pub fn on_watermark(&mut self, watermark: i64) {
        assert!(
            self.rule.watermark <= watermark,
            "watermarks only grow: {} then {watermark}",
            self.rule.watermark
        );
        let before = std::mem::replace(&mut self.rule.watermark, watermark);
        let due = (Excluded(before.saturating_add(1)), Included(watermark.saturating_add(1)));
        for (&end, slice) in self.slices.range_mut(due) {
            slice.is_due = true;
            self.due.push_back(Due::Window(end));
        }
        self.close_passed();
    }

    /// Whether [`poll_results`](Self::poll_results) has something to give.
    pub fn has_pending(&self) -> bool {
        !self.updates.is_empty() || !self.due.is_empty()
    }

    /// The next results, at most `rows_max`, in the order (window end, key group, key): key columns (`key_0`…),
    /// `window_start`, `window_end`, aggregates. None: nothing is due.
    pub fn poll_results(&mut self, rows_max: usize) -> Result<Option<RecordBatch>, WindowError> {
        let next = match self.updates.pop_front() {
            None => self.next_due(rows_max)?,
            updates => updates,
        };
        let Some(mut batch) = next else { return Ok(None) };
        if batch.num_rows() > rows_max {
            self.updates.push_front(batch.slice(rows_max, batch.num_rows() - rows_max));
            batch = batch.slice(0, rows_max);
        }
        Ok(Some(batch))
    }

    /// What the operator holds.
    pub fn stats(&self) -> WindowStats {
        WindowStats {
            open_windows: self.slices.len(),
            keys: self.slices.values().map(Slice::keys).sum(),
            state_bytes: self.slices.values().map(Slice::bytes).sum::<usize>() + self.pool.bytes(),
            fired_windows: self.fired_windows,
        }
    }

    /// Memory that will be used soon, for another thread to have ready.
    pub fn take_ahead(&mut self) -> impl Iterator<Item = Ahead> + '_ {
        self.pool.take_ahead()
    }

    /// Memory of tables that goes back to the pool in the end.
    fn held(&self) -> usize {
        self.slices.values().map(Slice::reserved_bytes).sum()
    }

    fn update(&mut self, end: i64, rows: &KeyedRows, selection: Selection<'_>) {
        self.add(end, selection.len() as u64, |delta, with| add_rows(delta, rows, &selection, with));
    }

    fn add(&mut self, end: i64, rows: u64, add: impl FnOnce(&mut SliceTable<Side>, Adding<'_>)) {
        let slice = self.slices.entry(end).or_default();
        slice.rows += rows;
        let keys_before = slice.delta_keys;
        let delta = slice.delta(|| SliceTable::new(&self.key_groups, &self.template, Side::default()));
        let with = Adding { aggregates: &self.aggregates, pool: &mut self.pool, group: &mut self.group };
        add(delta, with);
        // A delta that has come this far is one like the last, not one of stragglers with a few keys.
        let keys_expected = self.keys_expected.max(keys_before);
        let expected = if delta.len() > keys_expected / 16 { keys_expected } else { 0 };
        delta.grow_some(expected, rows as usize * SLOTS_PER_ROW, &mut self.pool);
    }

    /// Closes slices that take no more rows. Those that something is due of are closed once it was handed out, and so
    /// are all after them.
    fn close_passed(&mut self) {
        while let Some((&end, slice)) = self.slices.first_key_value() {
            if !self.rule.is_closed(end) || slice.is_due || slice.held_rows > 0 {
                break;
            }
            self.close(end);
        }
    }

    fn close(&mut self, end: i64) {
        self.pool.next_period();
        self.pool.note(self.held());
        let slice = self.slices.remove(&end).expect("a slice is closed once");
        self.foldable.remove(&end);
        self.awaiting -= usize::from(slice.awaiting);
        self.keys_expected = slice.delta_keys_max();
        slice.retire(&mut self.pool);
        self.pool.trim(self.held());
    }
}
