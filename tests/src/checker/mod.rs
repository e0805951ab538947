//! Whether every input row is accounted for once in what was published.
//!
//! Owns: the definition: a row that is on time by its own partition's watermark is in its window; any other is in its
//! window or in the late output, never in both, never in neither; each result is the aggregate of the rows that are not
//! in the late output, and there is one for each key and window; nothing else was published. With one partition the
//! late rows, and with allowed lateness the updated results, are known exactly.
//! Never: looks at the program's state, or trusts what the input should be: it reads the files as stored.

mod input;
mod model;
mod output;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use anyhow::Result;

pub use input::{Input, InputRow};
pub use output::{LateRow, Published, ResultRow, file_hashes};

/// What the job does with the rows. Its results have `key`, `window_start`, `window_end`, `rows`, `total`, `least` and
/// `greatest`: the number of rows, the sum of `value`, the least and the greatest `id`.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The size of a window.
    pub size_ms: i64,
    /// How late a row may be.
    pub bound_ms: i64,
    /// How long a window that has fired lives on. Above 0 only one partition can be checked.
    pub lateness_ms: i64,
}

/// What is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// In which way.
    pub kind: Kind,
    /// In words.
    pub what: String,
    /// The epochs that published what is wrong.
    pub epochs: Vec<u64>,
    /// A row of the input that it is about: partition and number.
    pub row: Option<(u32, u64)>,
}

/// In which way an output is wrong.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A result, or a late row, is missing.
    Lost,
    /// It is there more often than once.
    Doubled,
    /// A result has another value than the rows that are not in the late output.
    Wrong,
    /// A row on time is in the late output.
    FalselyLate,
    /// A row that belongs to no input.
    Foreign,
    /// Files and `_epoch-<n>.json` do not agree.
    Files,
    /// There are files of several lives of a state.
    Lives,
}

/// What a result says of its rows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Aggregate {
    /// How many.
    pub rows: i64,
    /// The sum of their values.
    pub total: i64,
    /// The least id.
    pub least: u64,
    /// The greatest id.
    pub greatest: u64,
}

/// A key and the end of a window.
pub type Cell = (Option<String>, i64);

impl Rules {
    /// The end of the window that a time is in.
    pub fn end_ms(&self, at_ms: i64) -> i64 {
        at_ms.div_euclid(self.size_ms) * self.size_ms + self.size_ms
    }

    /// Whether the window of a row is gone at this watermark.
    pub fn is_gone(&self, at_ms: i64, watermark_ms: Option<i64>) -> bool {
        watermark_ms.is_some_and(|watermark| self.end_ms(at_ms) - 1 + self.lateness_ms <= watermark)
    }
}

impl Aggregate {
    /// Of no rows.
    pub const NOTHING: Self = Self { rows: 0, total: 0, least: u64::MAX, greatest: 0 };

    /// With a row more.
    pub fn add(&mut self, row: &InputRow) {
        self.rows += 1;
        self.total += row.value;
        self.least = self.least.min(row.id);
        self.greatest = self.greatest.max(row.id);
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)
    }
}

impl Difference {
    /// A difference that no epoch and no row is known of.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), epochs: Vec::new(), row: None }
    }

    fn of_row(kind: Kind, row: &InputRow, what: impl Into<String>) -> Self {
        Self { row: Some((row.partition, row.index)), ..Self::new(kind, what) }
    }

    fn in_epochs(self, epochs: impl IntoIterator<Item = u64>) -> Self {
        Self { epochs: epochs.into_iter().collect(), ..self }
    }
}

/// Compares a folder's input files (`in-*`) with what was published in its folders `out` and `late`, after the job has
/// read all of it.
pub fn check(folder: &Path, rules: &Rules) -> Result<Vec<Difference>> {
    checked(folder, rules, |_| false)
}

/// The same, but for epochs whose output was taken back by a restore: what followed, in another life, repeats it.
pub fn check_without(
    folder: &Path,
    rules: &Rules,
    taken_back: impl Fn(u64) -> bool,
) -> Result<Vec<Difference>> {
    let mut found = checked(folder, rules, taken_back)?;
    found.retain(|difference| difference.kind != Kind::Lives);
    Ok(found)
}

fn checked(folder: &Path, rules: &Rules, taken_back: impl Fn(u64) -> bool) -> Result<Vec<Difference>> {
    let input = Input::read(folder, rules.bound_ms)?;
    let mut found = Vec::new();
    let mut published = Published::read(folder, &mut found)?;
    published.results.retain(|row| !taken_back(row.epoch));
    published.late.retain(|row| !taken_back(row.epoch));
    found.extend(compare(&input, &published, rules));
    Ok(found)
}

/// Compares an input with what was published of it.
pub fn compare(input: &Input, published: &Published, rules: &Rules) -> Vec<Difference> {
    let mut found = Vec::new();
    let late = check_late(input, published, rules, &mut found);
    if rules.lateness_ms > 0 {
        assert!(input.partitions == 1, "with allowed lateness only one partition has a known output");
        check_exactly(model::results(input, rules), &published.results, &mut found);
    } else {
        check_results(input, published, &late, rules, &mut found);
    }
    found
}

/// Checks the late output and gives the ids of the input rows in it.
fn check_late<'a>(
    input: &'a Input,
    published: &Published,
    rules: &Rules,
    found: &mut Vec<Difference>,
) -> HashMap<u64, &'a InputRow> {
    let by_id: HashMap<u64, &InputRow> = input.rows.iter().map(|row| (row.id, row)).collect();
    let mut late: HashMap<u64, &InputRow> = HashMap::new();
    for row in &published.late {
        let Some(stored) = by_id.get(&row.id).filter(|stored| row.is(stored, input)) else {
            let what = format!("the late output has {row:?}, which is not in the input");
            found.push(Difference::new(Kind::Foreign, what).in_epochs([row.epoch]));
            continue;
        };
        if late.insert(row.id, stored).is_some() {
            let what = format!("row {} is in the late output more often than once", row.id);
            found.push(Difference::of_row(Kind::Doubled, stored, what).in_epochs([row.epoch]));
        }
        if !rules.is_gone(stored.at_ms, stored.watermark_ms) {
            let what = format!("row {} is on time and in the late output", row.id);
            found.push(Difference::of_row(Kind::FalselyLate, stored, what).in_epochs([row.epoch]));
        }
    }
    if input.partitions == 1 {
        let must = input.rows.iter().filter(|row| rules.is_gone(row.at_ms, row.watermark_ms));
        for row in must.filter(|row| !late.contains_key(&row.id)) {
            let what = format!("row {} is late and not in the late output", row.id);
            found.push(Difference::of_row(Kind::Lost, row, what));
        }
    }
    late
}

fn check_results(
    input: &Input,
    published: &Published,
    late: &HashMap<u64, &InputRow>,
    rules: &Rules,
    found: &mut Vec<Difference>,
) {
    let mut cells: HashMap<(u32, i64), (Aggregate, &InputRow)> = HashMap::new();
    for row in input.rows.iter().filter(|row| !late.contains_key(&row.id)) {
        let cell = cells.entry((row.key, rules.end_ms(row.at_ms)));
        cell.or_insert((Aggregate::NOTHING, row)).0.add(row);
    }
    let mut seen: HashMap<(u32, i64), Vec<u64>> = HashMap::new();
    for row in &published.results {
        let key = input.keys.get(&row.key).copied();
        let expected =
            key.and_then(|key| Some(((key, row.end_ms), cells.get(&(key, row.end_ms))?))).filter(|_| {
                // Both bounds belong to the window's identity.
                row.start_ms == row.end_ms - rules.size_ms
            });
        let Some((cell, (aggregate, first))) = expected else {
            let what = format!("{row:?} has no row in the input");
            found.push(Difference::new(Kind::Foreign, what).in_epochs([row.epoch]));
            continue;
        };
        let epochs = seen.entry(cell).or_default();
        epochs.push(row.epoch);
        if epochs.len() > 1 {
            let what = format!("{:?} of the window that ends at {} is there again", row.key, row.end_ms);
            found.push(Difference::of_row(Kind::Doubled, first, what).in_epochs(epochs.iter().copied()));
        }
        if row.aggregate != *aggregate {
            let (key, end, is) = (&row.key, row.end_ms, &row.aggregate);
            let what = format!("{key:?} of the window that ends at {end} is {is:?}, not {aggregate:?}");
            found.push(Difference::of_row(Kind::Wrong, first, what).in_epochs([row.epoch]));
        }
    }
    let mut lost: Vec<_> = cells.iter().filter(|(cell, _)| !seen.contains_key(cell)).collect();
    lost.sort_by_key(|(_, (_, first))| first.id);
    for ((_, end), (aggregate, first)) in lost {
        let key = input.name_of(first.key);
        let what = format!("{key:?} of the window that ends at {end} is missing: {aggregate:?}");
        found.push(Difference::of_row(Kind::Lost, first, what));
    }
}

/// Every result as often as the model gives it.
fn check_exactly(expected: Vec<(Cell, Aggregate)>, published: &[ResultRow], found: &mut Vec<Difference>) {
    let mut left: BTreeMap<(Cell, Aggregate), i64> = BTreeMap::new();
    for result in expected {
        *left.entry(result).or_default() += 1;
    }
    for row in published {
        let result = ((row.key.clone(), row.end_ms), row.aggregate);
        let expected = left.contains_key(&result);
        let count = left.entry(result).or_default();
        *count -= 1;
        if *count < 0 {
            let kind = if expected { Kind::Doubled } else { Kind::Wrong };
            let what = format!("{row:?} is there more often than the model gives it");
            found.push(Difference::new(kind, what).in_epochs([row.epoch]));
        }
    }
    for ((cell, aggregate), _) in left.into_iter().filter(|(_, count)| *count > 0) {
        found.push(Difference::new(Kind::Lost, format!("{cell:?} is missing: {aggregate:?}")));
    }
}
