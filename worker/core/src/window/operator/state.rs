//! The operator's state at a barrier and after a restart.
//!
//! Owns: what is frozen, durable, folded, and still to come.
//! Never: writes or reads a checkpoint.

use std::ops::Bound::{Excluded, Unbounded};

use super::WindowOperator;
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
    /// If there are results of late rows ([`has_ready`](Self::has_ready)): take them first, as no position says that
    /// they were not handed out.
    pub fn freeze(&mut self, compact: &[i64]) -> Frozen {
        assert!(!self.has_ready(), "results of late rows are handed out before a freeze");
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
        if !self.is_pending(end) {
            return whole(Emitted::All);
        }
        match &self.firing {
            Some(firing) if self.pending.front() == Some(&end) => firing.progress(),
            Some(_) | None => slice.emitted.clone().unwrap_or_else(|| whole(Emitted::Nothing)),
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
            if self.is_pending(end) {
                continue;
            }
            let slice = self.slices.get_mut(&end).expect("a closed slice is not folded");
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
            let pending = fired && !emitted.is_all();
            let slice = Slice::restored(restored.input_rows, restored.awaiting, emitted);
            let before = self.slices.insert(end, slice);
            assert!(before.is_none(), "the window that ends at {end} is restored once");
            self.awaiting += usize::from(restored.awaiting);
            if pending {
                self.pending.push_back(end);
            }
        }
        self.pending.make_contiguous().sort_unstable();
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

    /// Whether results are due whose state has not come: [`poll_results`](Self::poll_results) gives none until then.
    pub fn awaits(&self) -> bool {
        self.awaiting > 0 && self.pending.front().is_some_and(|end| self.slices[end].awaiting)
    }

    /// Whether rows must wait for old state. They never do if no lateness is allowed. If some is, they wait for all of
    /// it: rows and watermarks of one batch may make a window fire and then update it, and an update is only right if
    /// the whole state is there.
    pub fn awaits_before_rows(&self) -> bool {
        self.awaiting > 0 && self.rule.allowed_lateness_ms > 0
    }

    /// Whether results of late rows wait to be handed out, which must happen before a freeze.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn is_pending(&self, end: i64) -> bool {
        self.pending.binary_search(&end).is_ok()
    }
}
