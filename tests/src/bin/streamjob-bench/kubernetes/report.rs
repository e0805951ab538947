//! From rounds to the section of BENCHMARKS.md.
//!
//! Owns: the targets, and what stands between the markers.
//! Never: measures.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;

use super::{Round, Writes};
use crate::figures::quantile;
use crate::machine;

const BEGIN: &str = "<!-- cluster:begin -->\n";
const END: &str = "<!-- cluster:end -->";

/// A line: its name, how it comes from a round, and its target.
type Line = (&'static str, fn(&Round) -> f64, Option<f64>);

const LINES: [Line; 14] = [
    ("**`kubectl apply` to the first row in a window**", |round| round.apply.whole, Some(3.0)),
    ("- of which ours: operator and worker", |round| round.apply.operator + round.apply.worker, Some(0.5)),
    ("- kubectl, until the job is stored", |round| round.apply.kubectl, None),
    ("- operator, until the StatefulSet is applied", |round| round.apply.operator, None),
    ("- Kubernetes, until the process begins", |round| round.apply.kubernetes, None),
    ("- worker, until the first row", |round| round.apply.worker, None),
    (
        "**upgrade: last row of the old workers to the first of the new**",
        |round| round.upgrade.whole,
        Some(3.0),
    ),
    ("- last checkpoint and hand-over", |round| round.upgrade.handover, None),
    ("- operator, until the new StatefulSet is applied", |round| round.upgrade.operator, None),
    ("- Kubernetes, until the process begins", |round| round.upgrade.kubernetes, None),
    ("- worker, until the first row", |round| round.upgrade.worker, None),
    ("**`kill -9` in a fresh pod to the first row again**", |round| round.kill.whole, Some(2.0)),
    ("- kubelet and runtime, until the process begins", |round| round.kill.kubelet, None),
    ("- worker, until the first row", |round| round.kill.worker, None),
];
/// Writes a minute.
const RUNNING_MOST: f64 = 1.0;

/// The section, without its markers.
pub(super) fn section(rounds: &[Round], writes: &Writes) -> String {
    let mut text = format!("{}\n\n| what | median | worst | rounds | target | |\n", machine::describe());
    text.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for (what, figure, target) in LINES {
        let values: Vec<f64> = rounds.iter().map(figure).collect();
        let (median, worst) = (quantile(&values, 0.5), quantile(&values, 1.0));
        let judged = target.map_or("| reported".to_owned(), |target| judged(median, target, "s"));
        // Writing into a String cannot fail.
        let _ = writeln!(text, "| {what} | {median:.2} s | {worst:.2} s | {} | {judged} |", rounds.len());
    }
    for (what, figure, target) in
        [("running", writes.running, RUNNING_MOST), ("suspended", writes.suspended, 0.0)]
    {
        let judged = judged(figure, target, "a minute");
        let _ = writeln!(text, "| writes to the API, {what} | {figure:.2} a minute | | 1 | {judged} |");
    }
    text
}

fn judged(figure: f64, target: f64, unit: &str) -> String {
    let verdict = if figure <= target { "met" } else { "missed" };
    format!("{target} {unit} | {verdict}")
}

/// Puts the section between its markers.
pub(super) fn replace_section(path: &Path, section: &str) -> Result<()> {
    crate::report::replace(path, section, (BEGIN, END))
}

#[cfg(test)]
mod tests {
    use super::super::{Apply, Kill, Upgrade};
    use super::*;

    #[test]
    fn each_line_has_its_median_worst_and_verdict() {
        let round = |whole: f64| Round {
            apply: Apply { whole, kubectl: 0.2, operator: 0.3, kubernetes: 1.0, worker: 0.4 },
            kill: Kill { whole: 1.5, kubelet: 1.0, worker: 0.5 },
            upgrade: Upgrade { whole: 4.0, handover: 0.5, operator: 1.0, kubernetes: 2.0, worker: 0.5 },
        };

        let text = section(&[round(2.0), round(2.5), round(9.0)], &Writes { running: 0.67, suspended: 0.0 });

        assert!(text.contains("first row in a window** | 2.50 s | 9.00 s | 3 | 3 s | met |"), "{text}");
        assert!(text.contains("operator and worker | 0.70 s | 0.70 s | 3 | 0.5 s | missed |"), "{text}");
        assert!(text.contains("first of the new** | 4.00 s | 4.00 s | 3 | 3 s | missed |"), "{text}");
        assert!(text.contains("suspended | 0.00 a minute | | 1 | 0 a minute | met |"), "{text}");
    }
}
