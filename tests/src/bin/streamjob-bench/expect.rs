//! What the output must be, computed without any code of the product, and the comparison with what it is.
//!
//! Owns: sums and counts per key and window.
//! Never: accepts a row twice, or one too few.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::input::{START_MS, Uniform, WINDOW_MS, time_ms};

/// Sum and count of a key in a window; a count of zero means that no row is expected.
#[derive(Clone, Copy, Default)]
struct Cell {
    total: i64,
    rows: u64,
}

/// All results of a job.
pub(crate) struct Expected {
    prefix: &'static str,
    keys: usize,
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
        let mut expected = Self::empty("user-", input.keys as usize, input.rows);
        for i in 0..input.rows {
            let row = input.row(i);
            expected.add(row.key as usize, i64::from(row.value), row.time_ms);
        }
        expected
    }

    /// The results over keys in sequence, where row *i* has the value *i* modulo 1000.
    pub(crate) fn of_sequence(keys: usize, rows: u64) -> Self {
        let mut expected = Self::empty("user-", keys, rows);
        for i in 0..rows {
            expected.add((i % keys as u64) as usize, (i % 1000) as i64, time_ms(i));
        }
        expected
    }

    fn empty(prefix: &'static str, keys: usize, rows: u64) -> Self {
        let windows = window_of(time_ms(rows - 1)) + 1;
        Self { prefix, keys, cells: vec![Cell::default(); windows * keys] }
    }

    fn add(&mut self, key: usize, value: i64, time_ms: i64) {
        let cell = &mut self.cells[window_of(time_ms) * self.keys + key];
        cell.total += value;
        cell.rows += 1;
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
        let missing = self.cells.iter().filter(|cell| cell.rows > 0).count();
        ensure!(missing == 0, "{missing} results are missing in {}", folder.display());
        Ok(())
    }

    fn take(&mut self, line: &str) -> Result<()> {
        let line: Line<'_> = serde_json::from_str(line)?;
        ensure!(line.window_end - line.window_start == WINDOW_MS, "the window has another length");
        let key: usize = line.key.strip_prefix(self.prefix).context("no such key")?.parse()?;
        let cell = match line.window_start >= START_MS && key < self.keys {
            true => self.cells.get_mut(window_of(line.window_start) * self.keys + key),
            false => None,
        };
        let Some(cell) = cell else { bail!("no such key or window") };
        ensure!(cell.rows > 0, "nothing is expected here, or it came before");
        let Cell { total, rows } = std::mem::take(cell);
        ensure!((total, rows) == (line.total, line.rows), "expected total {total} and rows {rows}");
        Ok(())
    }
}

fn window_of(time_ms: i64) -> usize {
    ((time_ms - START_MS) / WINDOW_MS) as usize
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
