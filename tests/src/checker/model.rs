//! The results of one partition, row by row.
//!
//! Owns: when a window of one partition fires, and when a late row updates it.
//! Never: is fast.

use std::collections::{BTreeMap, BTreeSet};

use super::input::Input;
use super::{Aggregate, Cell, Rules};

/// All results, updated ones included.
pub(super) fn results(input: &Input, rules: &Rules) -> Vec<(Cell, Aggregate)> {
    let mut windows: BTreeMap<i64, BTreeMap<u32, Aggregate>> = BTreeMap::new();
    let mut fired: BTreeSet<i64> = BTreeSet::new();
    let mut results = Vec::new();
    for row in &input.rows {
        let watermark = row.watermark_ms.unwrap_or(i64::MIN);
        let due: Vec<i64> =
            windows.keys().copied().filter(|end| end - 1 <= watermark && !fired.contains(end)).collect();
        for end in due {
            fire(input, &windows, end, &mut results);
            fired.insert(end);
        }
        windows.retain(|end, _| end - 1 + rules.lateness_ms > watermark);
        if rules.is_gone(row.at_ms, row.watermark_ms) {
            continue;
        }
        let end = rules.end_ms(row.at_ms);
        let aggregate = windows.entry(end).or_default().entry(row.key).or_insert(Aggregate::NOTHING);
        aggregate.add(row);
        if end - 1 <= watermark {
            results.push(((input.name_of(row.key).clone(), end), *aggregate));
            fired.insert(end);
        }
    }
    for end in windows.keys().filter(|end| !fired.contains(end)) {
        fire(input, &windows, *end, &mut results);
    }
    results
}

fn fire(
    input: &Input,
    windows: &BTreeMap<i64, BTreeMap<u32, Aggregate>>,
    end: i64,
    results: &mut Vec<(Cell, Aggregate)>,
) {
    let keys = windows.get(&end).into_iter().flatten();
    results.extend(keys.map(|(key, aggregate)| ((input.name_of(*key).clone(), end), *aggregate)));
}
