//! The input of the benchmark: rows that are a pure function of their number, as JSON lines.
//!
//! Owns: which key and value row *i* has; the files in the cache folder.
//! Never: is read by what is measured other than as bytes.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;

/// The event time of row 0, a multiple of the window.
pub(crate) const START_MS: i64 = 1_700_000_000_000;
/// Rows per millisecond of event time.
pub(crate) const ROWS_PER_MS: u64 = 1_000;
/// The length of a window.
pub(crate) const WINDOW_MS: i64 = 10_000;

/// Rows with keys drawn uniformly, in order of event time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uniform {
    /// How many different keys.
    pub(crate) keys: u32,
    /// How many rows, over all files.
    pub(crate) rows: u64,
    /// Row *i* is in file *i* modulo this.
    pub(crate) files: u64,
}

/// A row.
pub(crate) struct Row {
    pub(crate) key: u32,
    pub(crate) value: u32,
    pub(crate) time_ms: i64,
}

/// The event time of row *i*.
pub(crate) fn time_ms(i: u64) -> i64 {
    START_MS + (i / ROWS_PER_MS) as i64
}

impl Uniform {
    /// Row *i*.
    pub(crate) fn row(&self, i: u64) -> Row {
        let random = mix(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let key = (((random >> 32) * u64::from(self.keys)) >> 32) as u32;
        Row { key, value: (random & 1023) as u32, time_ms: time_ms(i) }
    }

    /// The folder with the files. Its name says everything that the content depends on.
    pub(crate) fn folder(&self, cache: &Path) -> PathBuf {
        cache.join(format!("uniform-{}-keys-{}-rows-{}-files", self.keys, self.rows, self.files))
    }

    /// Writes the files unless they are there.
    pub(crate) fn make(&self, cache: &Path) -> Result<()> {
        let folder = self.folder(cache);
        if folder.exists() {
            return Ok(());
        }
        println!("making {}", folder.display());
        let partial = folder.with_extension("partial");
        fs::create_dir_all(&partial)?;
        for file in 0..self.files {
            let mut out =
                BufWriter::with_capacity(1 << 20, File::create(partial.join(format!("{file}.jsonl")))?);
            let mut line = Vec::with_capacity(64);
            for i in (file..self.rows).step_by(self.files as usize) {
                write_line(&mut line, &self.row(i));
                out.write_all(&line)?;
            }
            out.flush()?;
        }
        // The folder appears whole: half an input would give half the answers.
        fs::rename(partial, folder)?;
        Ok(())
    }
}

/// Stafford's variant 13 of the 64-bit finaliser of MurmurHash3, as in SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The row as JSON, with the end of the line, in place of what was there.
pub(crate) fn write_line(line: &mut Vec<u8>, row: &Row) {
    line.clear();
    line.extend_from_slice(b"{\"key\":\"user-");
    write_digits(line, u64::from(row.key), 8);
    line.extend_from_slice(b"\",\"ts\":");
    write_digits(line, row.time_ms as u64, 13);
    line.extend_from_slice(b",\"value\":");
    write_digits(
        line,
        u64::from(row.value),
        row.value.checked_ilog10().map_or(1, |digits| digits as usize + 1),
    );
    line.extend_from_slice(b"}\n");
}

fn write_digits(line: &mut Vec<u8>, mut number: u64, digits: usize) {
    let begin = line.len();
    line.resize(begin + digits, b'0');
    for digit in line[begin..].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[test]
fn a_line_looks_as_documented() {
    let mut line = Vec::new();

    write_line(&mut line, &Row { key: 1234, value: 1023, time_ms: START_MS });

    assert_eq!(line, b"{\"key\":\"user-00001234\",\"ts\":1700000000000,\"value\":1023}\n");
}

#[test]
fn keys_are_uniform_and_within_bounds() {
    let input = Uniform { keys: 10, rows: 100_000, files: 1 };
    let mut counts = [0u32; 10];

    (0..input.rows).for_each(|i| counts[input.row(i).key as usize] += 1);

    assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
}
