//! Dividing the rows of a batch among slices.
//!
//! Owns: which rows belong to which slice, and which are late.
//! Never: changes a slice.

use super::Tumbling;

/// The rules by which rows are divided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) tumbling: Tumbling,
    pub(crate) allowed_lateness_ms: i64,
    pub(crate) watermark: i64,
}

impl Rule {
    /// Whether a slice's results have been due.
    pub(crate) fn has_fired(&self, slice_end: i64) -> bool {
        slice_end - 1 <= self.watermark
    }

    /// Whether a slice takes no more rows.
    pub(crate) fn is_closed(&self, slice_end: i64) -> bool {
        (slice_end - 1).saturating_add(self.allowed_lateness_ms) <= self.watermark
    }
}

/// The rows of a batch by slice. Memory is used again for the next batch.
#[derive(Debug, Default)]
pub(crate) struct Division {
    /// Slices that have not fired, with their rows. More than are in use.
    slices: Vec<(i64, Vec<u32>)>,
    used: usize,
    /// Rows of slices that have fired and are not closed, with the slice's end.
    fired: Vec<(i64, u32)>,
}

impl Division {
    /// The slice that all rows belong to, if that is one that has not fired.
    pub(crate) fn only_slice(rule: &Rule, times: &[i64]) -> Option<i64> {
        let (mut least, mut greatest) = (i64::MAX, i64::MIN);
        for &time in times {
            least = least.min(time);
            greatest = greatest.max(time);
        }
        let end = rule.tumbling.end(greatest);
        (least >= rule.tumbling.start(greatest) && !rule.has_fired(end)).then_some(end)
    }

    /// Divides rows; the indices of late ones are appended to `late`.
    pub(crate) fn divide(&mut self, rule: &Rule, times: &[i64], late: &mut Vec<u32>) {
        self.fired.clear();
        self.used = 0;
        // The slice of the row before: start, end, place in `slices`.
        let mut last = (i64::MAX, i64::MIN, 0);
        for (row, &time) in times.iter().enumerate() {
            let row = row as u32;
            if last.0 <= time && time < last.1 {
                self.slices[last.2].1.push(row);
                continue;
            }
            let end = rule.tumbling.end(time);
            if rule.is_closed(end) {
                late.push(row);
            } else if rule.has_fired(end) {
                self.fired.push((end, row));
            } else {
                let place = self.place(end);
                self.slices[place].1.push(row);
                last = (rule.tumbling.start(time), end, place);
            }
        }
    }

    /// Slices that have not fired, with their rows in order.
    pub(crate) fn slices(&self) -> &[(i64, Vec<u32>)] {
        &self.slices[..self.used]
    }

    /// Rows of slices that have fired but are not closed, in order.
    pub(crate) fn fired(&self) -> &[(i64, u32)] {
        &self.fired
    }

    fn place(&mut self, end: i64) -> usize {
        if let Some(place) = self.slices().iter().position(|slice| slice.0 == end) {
            return place;
        }
        if self.used == self.slices.len() {
            self.slices.push((end, Vec::new()));
        }
        let slice = &mut self.slices[self.used];
        slice.0 = end;
        slice.1.clear();
        self.used += 1;
        self.used - 1
    }
}
