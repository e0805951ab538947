//! How far the results of a window have been handed out.
//!
//! Owns: the position of a firing, by key groups.
//! Never: fires.

use std::ops::Range;

/// How far some key groups of a window have been handed out. Results come in the order (key group, key).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Emitted {
    /// Not at all.
    Nothing,
    /// Up to this key, included.
    UpTo {
        /// Its key group.
        group: u16,
        /// Its canonical bytes.
        key: Box<[u8]>,
    },
    /// All; the window is kept for late rows.
    All,
}

/// A window at an instant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SliceStatus {
    /// Its end.
    pub end: i64,
    /// Input rows that its states account for, those included that are still to come from a checkpoint.
    pub input_rows: u64,
    /// What has been handed out: all key groups of the operator, in order. More than one range only while a window
    /// that several slots had begun to hand out is not done.
    pub emitted: Vec<(Range<u32>, Emitted)>,
}

/// A window of a checkpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RestoredSlice {
    /// Its end.
    pub end: i64,
    /// Input rows that the states which come later account for.
    pub input_rows: u64,
    /// What has been handed out, in the order of key groups. Other key groups count as not handed out; those that
    /// are not the operator's are passed over.
    pub emitted: Vec<(Range<u32>, Emitted)>,
    /// Whether there are states that come later, by
    /// [`add_restored`](super::WindowOperator::add_restored).
    pub awaiting: bool,
}
