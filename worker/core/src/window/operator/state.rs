//! The operator's state at a barrier and after a restart.
//!
//! Owns: what is frozen, durable, folded, and still to come.
//! Never: writes or reads a checkpoint.

use std::ops::Bound::{Excluded, Unbounded};

use super::WindowOperator;
use super::due::Due;
use crate::table::RowGroup;
use crate::window::emitted::Progress;
use crate::window::slice::{Folded, Merging, Slice};
use crate::window::{Emitted, Frozen, RestoredLayer, RestoredSlice, SliceStatus};

impl WindowOperator {
    /// Ends all deltas and gives out all state that is not durable: what came in since the last freeze that
    /// [`on_committed`](Self::on_committed) followed. Of windows whose ends are in `compact` it gives everything, if
    /// none of that is still to come. The state stays the operator's, and new deltas begin with the next rows.
    ///
    /// # Panics
    /// If there are results of late rows ([`has_updates`](Self::has_updates)): take them first, as no position says
    /// that they were not handed out.
    pub fn freeze(&mut self, compact: &[i64]) -> Frozen {
        assert!(!self.has_updates(), "results of late rows are handed out before a freeze");
        let mut frozen = Frozen::default();
        for (&end, slice) in &mut self.slices {
            frozen.slices.extend(slice.freeze(end, compact.contains(&end)));
            if slice.can_fold() {
                self.foldable.insert(end);
            }
        }
        frozen
    }

    /// All windows with state, at this instant, by their ends.
    pub fn statuses(&self) -> Vec<SliceStatus> {
        let status = |(&end, slice): (&i64, &Slice)| SliceStatus {
            end,
            input_rows: slice.rows,
            emitted: self.progress(end, slice).into_parts(),
        };
        self.slices.iter().map(status).collect()
    }

    fn progress(&self, end: i64, slice: &Slice) -> Progress {
        let whole = |emitted| Progress::whole(&self.key_groups, emitted);
        if !self.rule.has_fired(end) {
            return whole(Emitted::Nothing);
        }
        if !slice.is_due {
            return whole(Emitted::All);
        }
        match (&self.firing, self.due.front()) {
            (Some(firing), Some(&Due::Window(first))) if first == end => firing.progress(),
            (_, _) => slice.emitted.clone().unwrap_or_else(|| whole(Emitted::Nothing)),
        }
    }

    /// What the last freeze gave is durable. A freeze without this is abandoned: the next one gives the same again.
    pub fn on_committed(&mut self) {
        for (&end, slice) in &mut self.slices {
            slice.on_committed();
            if slice.can_fold() {
                self.foldable.insert(end);
            }
        }
    }

    /// Merges tables of durable state, and of abandoned freezes, into one another: about `keys_max` keys. False:
    /// there is no more to do now. Tables that a freeze or a firing still reads are left for later.
    pub fn fold_some(&mut self, keys_max: usize) -> bool {
        let free = self.pool.bytes();
        let folding = self.fold_up_to(keys_max);
        let freed = self.pool.bytes().saturating_sub(free);
        if freed > 0 {
            let held = self.held();
            self.pool.note(held + freed);
            self.pool.trim(held);
        }
        folding
    }

    fn fold_up_to(&mut self, keys_max: usize) -> bool {
        let mut left = keys_max;
        let mut groups: [RowGroup; 2] = Default::default();
        let mut from = Unbounded;
        while let Some(&end) = self.foldable.range((from, Unbounded)).next() {
            from = Excluded(end);
            // What is about to be handed out is merged on its way.
            let slice = self.slices.get_mut(&end).expect("a closed slice is not folded");
            if slice.is_due {
                continue;
            }
            let with =
                &mut Merging { aggregates: &self.aggregates, pool: &mut self.pool, groups: &mut groups };
            match slice.fold(&mut left, with) {
                Folded::Done => self.foldable.remove(&end),
                Folded::Shared => continue,
                Folded::Some => return true,
            };
        }
        false
    }

    /// Takes up a checkpoint, before the first row: windows that its watermark passes become due, behind what was
    /// handed out of them.
    ///
    /// # Panics
    /// If there was a row or a watermark before; if a window comes twice, or was handed out before its end.
    pub fn restore(&mut self, watermark: i64, slices: Vec<RestoredSlice>) {
        assert!(
            self.slices.is_empty() && self.rule.watermark == i64::MIN,
            "state is restored before the first row"
        );
        self.rule.watermark = watermark;
        for restored in slices {
            let end = restored.end;
            let fired = self.rule.has_fired(end);
            let unsaid = if fired { Emitted::All } else { Emitted::Nothing };
            let emitted = Progress::restored(&self.key_groups, restored.emitted, &unsaid);
            assert!(
                fired || emitted.is_nothing(),
                "the window that ends at {end} was handed out before its end"
            );
            if emitted.is_all() && self.rule.is_closed(end) {
                continue;
            }
            let is_due = fired && !emitted.is_all();
            let mut slice = Slice::restored(restored.input_rows, restored.awaiting, emitted);
            slice.is_due = is_due;
            let before = self.slices.insert(end, slice);
            assert!(before.is_none(), "the window that ends at {end} is restored once");
            self.awaiting += usize::from(restored.awaiting);
        }
        let due = self.slices.iter().filter(|(_, slice)| slice.is_due);
        self.due = due.map(|(&end, _)| Due::Window(end)).collect();
    }

    /// Adds the old state of a window that awaits it. If the window has closed meanwhile this changes nothing.
    ///
    /// # Panics
    /// If the window does not await it.
    pub fn add_restored(&mut self, end: i64, layer: RestoredLayer) {
        let Some(slice) = self.slices.get_mut(&end) else { return layer.table.retire(&mut self.pool) };
        assert!(slice.awaiting, "the old state of the window that ends at {end} comes once");
        slice.add_restored(layer.table);
        self.awaiting -= 1;
        if slice.can_fold() {
            self.foldable.insert(end);
        }
    }
}
