//! The operator's state at a barrier and after a restart.
//!
//! Owns: what is frozen, durable, folded, and still to come.
//! Never: writes or reads a checkpoint.

use super::WindowOperator;
use crate::window::{Frozen, RestoredLayer, RestoredSlice, SliceStatus};

impl WindowOperator {
    /// Ends all deltas and gives out all state that is not durable: what came in since the last freeze that
    /// [`on_committed`](Self::on_committed) followed. Of windows whose ends are in `compact` it gives everything, if
    /// none of that is still to come. The state stays the operator's, and new deltas begin with the next rows.
    ///
    /// # Panics
    /// If there are results of late rows ([`has_ready`](Self::has_ready)): take them first, as no position says that
    /// they were not handed out.
    pub fn freeze(&mut self, _compact: &[i64]) -> Frozen {
        todo!()
    }

    /// All windows with state, at this instant, by their ends.
    pub fn statuses(&self) -> Vec<SliceStatus> {
        todo!()
    }

    /// What the last freeze gave is durable. A freeze without this is abandoned: the next one gives the same again.
    pub fn on_committed(&mut self) {
        todo!()
    }

    /// Merges tables of durable state, and of abandoned freezes, into one another: about `keys_max` keys. False:
    /// there is no more to do now. Tables that a freeze or a firing still reads are left for later.
    pub fn fold_some(&mut self, _keys_max: usize) -> bool {
        todo!()
    }

    /// Takes up a checkpoint, before the first row: windows that its watermark passes become due, behind what was
    /// handed out of them.
    ///
    /// # Panics
    /// If there was a row or a watermark before.
    pub fn restore(&mut self, _watermark: i64, _slices: Vec<RestoredSlice>) {
        todo!()
    }

    /// Adds the old state of a window that awaits it. If the window has closed meanwhile this changes nothing.
    pub fn add_restored(&mut self, _end: i64, _layer: RestoredLayer) {
        todo!()
    }

    /// Whether results are due whose state has not come: [`poll_results`](Self::poll_results) gives none until then.
    pub fn awaits(&self) -> bool {
        todo!()
    }

    /// Whether rows must wait: they could update a window that has fired and whose state has not come. Never if no
    /// lateness is allowed.
    pub fn awaits_before_rows(&self) -> bool {
        todo!()
    }

    /// Whether results of late rows wait to be handed out, which must happen before a freeze.
    pub fn has_ready(&self) -> bool {
        todo!()
    }
}
