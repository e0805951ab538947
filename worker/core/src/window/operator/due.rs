//! What a slot's windows have to hand out: firings, and updates of windows that have fired.
//!
//! Owns: their order, and late rows that wait in it for old state.
//! Never: lets one result overtake another.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use hashbrown::HashSet;

use super::WindowOperator;
use crate::table::Selection;
use crate::window::emitted::{Emitted, Progress};
use crate::window::firing::Firing;
use crate::window::{KeyedRows, WindowError};

/// How many keys at once when results must go into memory before rows can go on.
const DRAIN_ROWS: usize = 8192;
/// When held rows take this much memory, all rows wait.
const HELD_BYTES_MAX: usize = 16 << 20;

/// What is due next.
#[derive(Debug)]
pub(super) enum Due {
    /// The results of the window that ends then. It may be under way.
    Window(i64),
    /// Updated results of windows that have fired, once their old state, and that of those before them, is there.
    Updates(Box<HeldRows>),
}

/// Rows of windows that have fired.
#[derive(Debug)]
pub(super) struct HeldRows {
    rows: KeyedRows,
    /// The end of each one's window.
    windows: Vec<(i64, u32)>,
    bytes: usize,
}

impl WindowOperator {
    /// Whether something is due whose old state has not come: [`poll_results`](Self::poll_results) gives only what comes
    /// before it.
    pub fn awaits(&self) -> bool {
        let awaits = |end: &i64| self.slices[end].awaiting;
        self.awaiting > 0
            && match self.due.front() {
                Some(Due::Window(end)) => awaits(end),
                Some(Due::Updates(held)) => held.windows.iter().any(|(end, _)| awaits(end)),
                None => false,
            }
    }

    /// Whether rows must wait for old state: too many late ones are held for it.
    pub fn awaits_before_rows(&self) -> bool {
        self.held_bytes > HELD_BYTES_MAX
    }

    /// Whether updated results are to be handed out, which must happen before a freeze. Until old state has come there
    /// may be none to [take](Self::poll_results).
    pub fn has_updates(&self) -> bool {
        !self.updates.is_empty() || self.held_bytes > 0
    }

    /// Adds rows to windows that have fired: each gives an updated result, in their order, behind all that was due before.
    /// An update is right only with the whole state, so if there is something to wait for the rows are held.
    pub(super) fn update_fired(
        &mut self,
        rows: &KeyedRows,
        windows: &[(i64, u32)],
    ) -> Result<(), WindowError> {
        if windows.is_empty() {
            return Ok(());
        }
        while let Some(batch) = self.next_due(DRAIN_ROWS)? {
            self.updates.push_back(batch);
        }
        self.hold(rows, windows);
        if let Some(batch) = self.next_due(DRAIN_ROWS)? {
            self.updates.push_back(batch);
        }
        Ok(())
    }

    fn hold(&mut self, rows: &KeyedRows, windows: &[(i64, u32)]) {
        let indices: Vec<u32> = windows.iter().map(|&(_, row)| row).collect();
        let rows = rows.select(&indices);
        let bytes = rows.bytes() + size_of_val(windows);
        let windows: Vec<_> = windows.iter().zip(0..).map(|(&(end, _), row)| (end, row)).collect();
        for &(end, _) in &windows {
            self.slices.entry(end).or_default().held_rows += 1;
        }
        self.held_bytes += bytes;
        self.due.push_back(Due::Updates(Box::new(HeldRows { rows, windows, bytes })));
    }

    /// The results that come next: of a window that fires at most `rows_max`, of late rows all that came together. None:
    /// nothing is due, or its state has not come.
    pub(super) fn next_due(&mut self, rows_max: usize) -> Result<Option<RecordBatch>, WindowError> {
        loop {
            if self.awaits() {
                return Ok(None);
            }
            match self.due.front() {
                None => return Ok(None),
                Some(&Due::Window(end)) => {
                    if let Some(results) = self.fire(end, rows_max)? {
                        return Ok(Some(results));
                    }
                    self.due.pop_front();
                }
                Some(Due::Updates(_)) => {
                    let Some(Due::Updates(held)) = self.due.pop_front() else { continue };
                    return self.update_held(*held).map(Some);
                }
            }
        }
    }

    /// The next results of a window. None: all were handed out.
    fn fire(&mut self, end: i64, rows_max: usize) -> Result<Option<RecordBatch>, WindowError> {
        let slice = self.slices.get_mut(&end).expect("a slice is there until its results were handed out");
        let firing = self.firing.get_or_insert_with(|| {
            slice.check_rows(end);
            let nothing = || Progress::whole(&self.key_groups, Emitted::Nothing);
            Firing::new(slice.layers(), slice.emitted.take().unwrap_or_else(nothing))
        });
        if let Some(chunk) = firing.next_chunk(rows_max) {
            return self.results.of_chunk(&self.aggregates, end, &chunk).map(Some);
        }
        self.firing = None;
        slice.is_due = false;
        self.fired_windows += 1;
        self.close_passed();
        Ok(None)
    }

    fn update_held(&mut self, held: HeldRows) -> Result<RecordBatch, WindowError> {
        let HeldRows { rows, windows, bytes } = held;
        self.held_bytes -= bytes;
        let mut updates = Vec::new();
        let mut rest = windows.as_slice();
        while let Some(&(end, _)) = rest.first() {
            let mut seen = HashSet::new();
            let new = |&&(other, row): &&(i64, u32)| other == end && seen.insert(rows.keys.get(row as usize));
            let run: Vec<u32> = rest.iter().take_while(new).map(|&(_, row)| row).collect();
            rest = &rest[run.len()..];
            self.update(end, &rows, Selection::Indices(&run));
            let slice = self.slices.get_mut(&end).expect("a slice is there until its rows are in");
            slice.held_rows -= run.len();
            let layers = slice.layers();
            updates.push(self.results.of_keys(&self.aggregates, (end, &layers), &rows.keys, &run)?);
        }
        self.close_passed();
        let updates = concat_batches(self.results.schema(), &updates);
        Ok(updates.expect("results have one schema"))
    }
}
