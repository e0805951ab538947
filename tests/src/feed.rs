//! Input that is a pure function of a seed: (seed, partition, number of the row) to its key, time and value.
//!
//! Owns: the rows, and the files they are written to.
//! Never: asks a clock or the system for randomness.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

/// The event time of the first row: 2026-01-01T00:00:00Z.
pub const START_MS: i64 = 1_767_225_600_000;

/// Rows of a partition at most: ids are `partition * PARTITION_ROWS + index`.
pub const PARTITION_ROWS: u64 = 1_000_000_000;

/// What the input looks like.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Everything depends on it.
    pub seed: u64,
    /// Files; each is a partition.
    pub partitions: u32,
    /// Rows of each.
    pub rows: u64,
    /// Different keys; one of them is null.
    pub keys: u64,
    /// From one row to the next, before disorder.
    pub step_ms: i64,
    /// A row may be this much earlier than those before it.
    pub disorder_ms: i64,
    /// One of so many rows is earlier by `late_ms`; 0 for none.
    pub late_every: u64,
    /// How much earlier.
    pub late_ms: i64,
    /// Every second file is compressed.
    pub gzip: bool,
}

/// A row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// Unique in the input.
    pub id: u64,
    /// Its key; `None` is a key like others.
    pub key: Option<String>,
    /// Rows of the key before it in the partition.
    pub sequence: u64,
    /// Its event time.
    pub at_ms: i64,
    /// A random number: sums of them tell which rows are in.
    pub value: i64,
}

impl Default for Feed {
    /// Four partitions of 50,000 rows in order, 500 keys, 5 s of event time for each 10,000 rows.
    fn default() -> Self {
        Self {
            seed: 1,
            partitions: 4,
            rows: 50_000,
            keys: 500,
            step_ms: 1,
            disorder_ms: 0,
            late_every: 0,
            late_ms: 0,
            gzip: true,
        }
    }
}

impl Feed {
    /// One row.
    pub fn row(&self, partition: u32, index: u64) -> Row {
        let random = mix(self.seed, u64::from(partition), index);
        // In each round of rows every key comes once, in an order of that round: so the sequence is known.
        let (round, place) = (index / self.keys, index % self.keys);
        let key = (place + mix(self.seed, u64::from(partition), round | 1 << 63) % self.keys) % self.keys;
        let disorder = (random >> 40) as i64 % (self.disorder_ms + 1);
        let late = if self.is_late(random) { self.late_ms } else { 0 };
        Row {
            id: u64::from(partition) * PARTITION_ROWS + index,
            key: (key > 0).then(|| format!("key-{key:06}")),
            sequence: round,
            at_ms: START_MS + index as i64 * self.step_ms - disorder - late,
            value: (random >> 24) as i64 - (1 << 39),
        }
    }

    /// Writes `in-<partition>.jsonl` or `.jsonl.gz` files into a folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        assert!(self.rows <= PARTITION_ROWS, "ids are unique");
        for partition in 0..self.partitions {
            let path = folder.join(format!("in-{partition:02}.jsonl"));
            let mut file = BufWriter::new(File::create(&path)?);
            for index in 0..self.rows {
                writeln!(file, "{}", self.row(partition, index).line())?;
            }
            file.into_inner()?.sync_all()?;
            if self.gzip && partition % 2 == 1 {
                let status = Command::new("gzip").arg("-1").arg(&path).status()?;
                ensure!(status.success(), "gzip {} failed", path.display());
            }
        }
        Ok(())
    }

    fn is_late(&self, random: u64) -> bool {
        self.late_every > 0 && random.is_multiple_of(self.late_every)
    }
}

impl Row {
    /// As JSON.
    pub fn line(&self) -> String {
        let Self { id, key, sequence, at_ms, value } = self;
        let key = key.as_ref().map_or("null".to_owned(), |key| format!("\"{key}\""));
        format!(r#"{{"id":{id},"key":{key},"seq":{sequence},"ts":{at_ms},"value":{value}}}"#)
    }
}

/// Splitmix64 over three numbers.
fn mix(a: u64, b: u64, c: u64) -> u64 {
    [a, b, c].into_iter().fold(0x9e37_79b9_7f4a_7c15, |state: u64, word| {
        let mut z = state.wrapping_add(word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
