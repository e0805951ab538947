//! What the output must be, computed without any code of the product, and the comparison with what it is.
//!
//! Owns: sums and counts per key and window.
//! Never: accepts a row twice, or one too few.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::input::{START_MS, Uniform, WINDOW_MS, time_ms};

/// What the keys begin with.
const PREFIX: &str = "user-";

/// Sum and count of a key in a window; a count of zero means that no row is expected.
#[derive(Clone, Copy, Default)]
struct Cell {
    total: i64,
    rows: u64,
}

/// All results of a job.
pub(crate) struct Expected {
    keys: usize,
    start_ms: i64,
    window_ms: i64,
    /// Window after window, in each one cell per key.
    cells: Vec<Cell>,
}

/// A line of output.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    key: &'a str,
    window_start: i64,
    window_end: i64,
    total: i64,
    rows: u64,
}

impl Expected {
    /// The results over uniform keys.
    pub(crate) fn of_uniform(input: &Uniform) -> Self {
        let mut expected = Self::empty(input.keys as usize, input.rows);
        for i in 0..input.rows {
            let row = input.row(i);
            expected.add(row.key as usize, i64::from(row.value), row.time_ms);
        }
        expected
    }

    /// The results over keys in sequence, where row *i* has the value *i* modulo 1000.
    pub(crate) fn of_sequence(keys: usize, rows: u64) -> Self {
        let mut expected = Self::empty(keys, rows);
        for i in 0..rows {
            expected.add((i % keys as u64) as usize, (i % 1000) as i64, time_ms(i));
        }
        expected
    }

    /// Nothing, of so many keys; windows come as rows do.
    pub(crate) fn nothing(keys: usize, start_ms: i64, window_ms: i64) -> Self {
        Self { keys, start_ms, window_ms, cells: Vec::new() }
    }

    fn empty(keys: usize, rows: u64) -> Self {
        let mut expected = Self::nothing(keys, START_MS, WINDOW_MS);
        expected.reach(time_ms(rows - 1));
        expected
    }

    /// Makes room for a row of this time.
    fn reach(&mut self, time_ms: i64) {
        let cells = (self.window_of(time_ms) + 1) * self.keys;
        if cells > self.cells.len() {
            self.cells.resize(cells, Cell::default());
        }
    }

    /// A row that is in the results.
    pub(crate) fn add(&mut self, key: usize, value: i64, time_ms: i64) {
        self.reach(time_ms);
        let cell = self.window_of(time_ms) * self.keys + key;
        self.cells[cell].total += value;
        self.cells[cell].rows += 1;
    }

    /// How many results are expected and have not come.
    pub(crate) fn missing(&self) -> usize {
        self.cells.iter().filter(|cell| cell.rows > 0).count()
    }

    fn window_of(&self, time_ms: i64) -> usize {
        ((time_ms - self.start_ms) / self.window_ms) as usize
    }

    /// Fails unless the folder holds exactly these results.
    pub(crate) fn check(mut self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("no output in {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(['_', '.']) {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            for line in text.lines() {
                self.take(line).with_context(|| format!("{name}: {line}"))?;
            }
        }
        let missing = self.missing();
        ensure!(missing == 0, "{missing} results are missing in {}", folder.display());
        Ok(())
    }

    /// A result that came. Fails unless it is expected, right, and the first for its key and window.
    pub(crate) fn take(&mut self, line: &str) -> Result<()> {
        let line: Line<'_> = serde_json::from_str(line)?;
        ensure!(line.window_end - line.window_start == self.window_ms, "the window has another length");
        let key: usize = line.key.strip_prefix(PREFIX).context("no such key")?.parse()?;
        let cell = match line.window_start >= self.start_ms && key < self.keys {
            true => {
                let cell = self.window_of(line.window_start) * self.keys + key;
                self.cells.get_mut(cell)
            }
            false => None,
        };
        let Some(cell) = cell else { bail!("no such key or window") };
        ensure!(cell.rows > 0, "nothing is expected here, or it came before");
        let Cell { total, rows } = std::mem::take(cell);
        ensure!((total, rows) == (line.total, line.rows), "expected total {total} and rows {rows}");
        Ok(())
    }
}

#[cfg(test)]
fn checked(lines: &[&str]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("a-1-0.jsonl"), lines.join("\n"))?;
    Expected::of_sequence(2, 3).check(folder.path())
}

#[cfg(test)]
const RIGHT: [&str; 2] = [
    r#"{"key":"user-0","window_start":1700000000000,"window_end":1700000010000,"total":2,"rows":2}"#,
    r#"{"key":"user-1","window_start":1700000000000,"window_end":1700000010000,"total":1,"rows":1}"#,
];

#[test]
fn the_right_output_passes() {
    checked(&RIGHT).expect("the output is right");
}

#[test]
fn a_missing_a_repeated_and_a_wrong_row_fail() {
    let wrong = RIGHT[1].replace("\"rows\":1", "\"rows\":2");

    let results =
        [checked(&RIGHT[..1]), checked(&[RIGHT[0], RIGHT[1], RIGHT[1]]), checked(&[RIGHT[0], &wrong])];

    assert!(results.iter().all(Result::is_err), "{results:?}");
}
