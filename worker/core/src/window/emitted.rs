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
    /// What has been handed out, in the order of key groups. Those that are not the operator's are passed over. Those
    /// that are missing had no state, or their slot has closed the window: nothing of them is handed out any more
    /// once the window has fired.
    pub emitted: Vec<(Range<u32>, Emitted)>,
    /// Whether there are states that come later, by
    /// [`add_restored`](super::WindowOperator::add_restored).
    pub awaiting: bool,
}

/// How far a window has been handed out: all key groups of an operator, in order. Neighbours that one range can stand
/// for are one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Progress {
    parts: Vec<(Range<u32>, Emitted)>,
}

impl Progress {
    /// The same for all key groups.
    pub(crate) fn whole(key_groups: &Range<u32>, emitted: Emitted) -> Self {
        Self { parts: vec![(key_groups.clone(), emitted)] }
    }

    /// What a checkpoint says of these key groups. It may say something of others, and of some nothing, as they had
    /// no state: of these it is `unsaid`.
    ///
    /// # Panics
    /// If parts overlap or are not in order.
    pub(crate) fn restored(
        key_groups: &Range<u32>,
        parts: Vec<(Range<u32>, Emitted)>,
        unsaid: &Emitted,
    ) -> Self {
        let mut progress = Self { parts: Vec::new() };
        let mut next = key_groups.start;
        let mut before = 0;
        for (groups, emitted) in parts {
            assert!(before <= groups.start, "what was handed out of key groups {groups:?} is said in order");
            before = groups.end;
            let own = groups.start.max(key_groups.start)..groups.end.min(key_groups.end);
            if own.is_empty() {
                continue;
            }
            progress.push(next..own.start, unsaid.clone());
            next = own.end;
            let emitted = within(&own, emitted);
            progress.push(own, emitted);
        }
        progress.push(next..key_groups.end, unsaid.clone());
        progress
    }

    /// Whether all results have been handed out.
    pub(crate) fn is_all(&self) -> bool {
        self.parts.iter().all(|(_, emitted)| *emitted == Emitted::All)
    }

    /// Whether no result has been handed out.
    pub(crate) fn is_nothing(&self) -> bool {
        self.parts.iter().all(|(_, emitted)| *emitted == Emitted::Nothing)
    }

    /// What is handed out next: of these key groups all, of the first one only keys after this one.
    pub(crate) fn next(&self) -> Option<(Range<u32>, Option<&[u8]>)> {
        let (groups, emitted) = self.parts.iter().find(|(_, emitted)| *emitted != Emitted::All)?;
        Some(match emitted {
            Emitted::UpTo { group, key } => (u32::from(*group)..groups.end, Some(key)),
            Emitted::Nothing | Emitted::All => (groups.clone(), None),
        })
    }

    /// What [`next`](Self::next) gave has been handed out this far.
    pub(crate) fn advance(&mut self, emitted: Emitted) {
        let mut left = Some(emitted);
        for (groups, before) in std::mem::take(&mut self.parts) {
            let now = if before == Emitted::All { None } else { left.take() };
            self.push(groups, now.unwrap_or(before));
        }
    }

    pub(crate) fn into_parts(self) -> Vec<(Range<u32>, Emitted)> {
        self.parts
    }

    /// Adds a range behind the others, or to the last one if that can stand for both.
    fn push(&mut self, groups: Range<u32>, emitted: Emitted) {
        if groups.is_empty() {
            return;
        }
        if let Some((last, before)) = self.parts.last_mut() {
            match (&*before, &emitted) {
                (Emitted::Nothing, Emitted::Nothing)
                | (Emitted::UpTo { .. }, Emitted::Nothing)
                | (Emitted::All, Emitted::All) => return last.end = groups.end,
                (Emitted::All, Emitted::UpTo { .. }) => {
                    last.end = groups.end;
                    return *before = emitted;
                }
                (Emitted::All, Emitted::Nothing)
                | (Emitted::Nothing | Emitted::UpTo { .. }, Emitted::UpTo { .. } | Emitted::All) => {}
            }
        }
        self.parts.push((groups, emitted));
    }
}

/// What was said of more key groups, said of these.
fn within(groups: &Range<u32>, emitted: Emitted) -> Emitted {
    match emitted {
        Emitted::UpTo { group, .. } if u32::from(group) < groups.start => Emitted::Nothing,
        Emitted::UpTo { group, .. } if u32::from(group) >= groups.end => Emitted::All,
        Emitted::Nothing | Emitted::UpTo { .. } | Emitted::All => emitted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up_to(group: u16) -> Emitted {
        Emitted::UpTo { group, key: Box::from(*b"k") }
    }

    #[test]
    fn what_slots_said_becomes_what_another_slot_says() {
        let said = vec![(0..100, up_to(50)), (100..200, Emitted::All), (250..300, Emitted::Nothing)];
        let restored = |groups, unsaid| Progress::restored(&groups, said.clone(), &unsaid).into_parts();

        assert_eq!(restored(0..40, Emitted::Nothing), [(0..40, Emitted::All)]);
        assert_eq!(restored(60..90, Emitted::Nothing), [(60..90, Emitted::Nothing)]);
        assert_eq!(
            restored(40..300, Emitted::All),
            [(40..100, up_to(50)), (100..250, Emitted::All), (250..300, Emitted::Nothing)]
        );
        assert_eq!(
            restored(90..400, Emitted::Nothing),
            [(90..100, Emitted::Nothing), (100..200, Emitted::All), (200..400, Emitted::Nothing)]
        );
    }

    #[test]
    fn parts_are_handed_out_one_after_another_until_one_range_stands_for_all() {
        let said = vec![(0..100, Emitted::All), (100..200, Emitted::Nothing), (200..300, up_to(250))];
        let mut progress = Progress::restored(&(0..300), said, &Emitted::Nothing);

        assert_eq!(progress.next(), Some((100..200, None)));
        progress.advance(up_to(150));
        assert_eq!(progress.clone().into_parts(), [(0..200, up_to(150)), (200..300, up_to(250))]);
        assert_eq!(progress.next(), Some((150..200, Some(b"k".as_slice()))));
        progress.advance(Emitted::All);
        assert_eq!(progress.clone().into_parts(), [(0..300, up_to(250))]);
        progress.advance(Emitted::All);
        assert!(progress.is_all() && progress.next().is_none());
    }
}
