//! Tumbling windows: which one an instant belongs to, and where batches are cut.
//!
//! Owns: the arithmetic of windows. It saturates at both ends of time.
//! Never: holds state.

use crate::watermark::PartitionWatermark;

/// Windows of one size that follow one another without gaps. Each is one slice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tumbling {
    size_ms: i64,
    offset_ms: i64,
}

impl Tumbling {
    /// Windows of `size_ms` that start at `offset_ms` after the multiples of their size.
    ///
    /// # Panics
    /// If the size is not positive or the offset, which may be negative, is not smaller.
    pub fn new(size_ms: i64, offset_ms: i64) -> Self {
        assert!(size_ms > 0, "a window of {size_ms} ms is empty");
        assert!(
            offset_ms.unsigned_abs() < size_ms as u64,
            "an offset of {offset_ms} ms is not within a window"
        );
        Self { size_ms, offset_ms }
    }

    /// How long a window is.
    pub fn size_ms(&self) -> i64 {
        self.size_ms
    }

    /// The first instant of the window that holds an instant.
    pub fn start(&self, timestamp: i64) -> i64 {
        timestamp.saturating_sub(self.offset_ms_in(timestamp))
    }

    /// The first instant after the window that holds an instant.
    pub fn end(&self, timestamp: i64) -> i64 {
        timestamp.saturating_add(self.size_ms - self.offset_ms_in(timestamp))
    }

    /// How far an instant is from the start of its window.
    fn offset_ms_in(&self, timestamp: i64) -> i64 {
        timestamp.saturating_sub(self.offset_ms).rem_euclid(self.size_ms)
    }
}

/// Finds the rows of a batch after which the watermark passes an instant that means something to a window: the last
/// of the window, or that plus the allowed lateness.
#[derive(Clone, Copy, Debug)]
pub struct CutFinder {
    tumbling: Tumbling,
    allowed_lateness_ms: i64,
}

impl CutFinder {
    /// For these windows.
    pub fn new(tumbling: Tumbling, allowed_lateness_ms: i64) -> Self {
        Self { tumbling, allowed_lateness_ms }
    }

    /// Calls `cut(end, watermark)` for each piece of a batch, in order: the rows before `end` that were not in an
    /// earlier piece come before this watermark. The last piece, maybe empty, ends with the batch. A time of
    /// `i64::MIN` belongs to a row that was rejected and does not move the watermark.
    pub fn find(&self, watermark: &mut PartitionWatermark, times: &[i64], mut cut: impl FnMut(usize, i64)) {
        let mut next = self.next_instant(watermark.current());
        let mut after = *watermark;
        let greatest = times.iter().copied().fold(i64::MIN, i64::max);
        if greatest > i64::MIN {
            after.observe(greatest);
        }
        if after.current() < next || times.is_empty() {
            *watermark = after;
            return cut(times.len(), watermark.current());
        }
        let mut end = 0;
        for (row, &time) in times.iter().enumerate().filter(|&(_, &time)| time > i64::MIN) {
            watermark.observe(time);
            if watermark.current() >= next {
                end = row + 1;
                cut(end, watermark.current());
                next = self.next_instant(watermark.current());
            }
        }
        if end < times.len() {
            cut(times.len(), watermark.current());
        }
    }

    /// The first instant after a watermark that means something.
    fn next_instant(&self, watermark: i64) -> i64 {
        if watermark == i64::MIN {
            return i64::MIN + 1;
        }
        // The windows that are not over end after the instant that follows the watermark.
        let after = watermark.saturating_add(1);
        let fires = self.tumbling.end(after) - 1;
        let lateness = self.allowed_lateness_ms;
        let closes = (self.tumbling.end(after.saturating_sub(lateness)) - 1).saturating_add(lateness);
        fires.min(closes)
    }
}
