//! From figures to the table: medians, ranges, targets.
//!
//! Owns: the targets, and what stands in BENCHMARKS.md between the markers.
//! Never: measures.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::cases::{Case, Sample};
use crate::checkpoints::Checkpoint;
use crate::figures::*;
use crate::machine;

const BEGIN: &str = "<!-- bench:begin -->\n";
const END: &str = "<!-- bench:end -->";
/// A run during which others used more than this part of a core says little.
const QUIET: f64 = 0.1;

/// A row of the table.
struct Line {
    what: &'static str,
    unit: &'static str,
    /// Target and moonshot, if there are any.
    targets: Option<(f64, f64)>,
    decimals: usize,
    /// Which of the values stands for all of them: 0.5 is the median.
    quantile: f64,
    values: Vec<f64>,
}

/// The table, with what was measured above and below it.
///
/// `whole`: no line may be missing.
pub(crate) fn table(samples: &[Sample], rows: u64, whole: bool) -> Result<String> {
    let mut text = format!("{}\nInputs of {rows} rows.\n\n", machine::describe());
    text.push_str("| what | median | range | values | target | moonshot | |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    let all = lines(samples).into_iter().chain(checkpoint_lines(samples)).chain(restart_lines(samples));
    for line in all {
        ensure!(!(whole && line.values.is_empty()), "nothing was measured of `{}`; too few rows?", line.what);
        if !line.values.is_empty() {
            write_line(&mut text, &line);
        }
    }
    text.push_str(&breakdown(samples).unwrap_or_default());
    let noisy = usages(samples, None).filter(|(_, usage)| usage.foreign_s > QUIET * usage.wall_s).count();
    let all = usages(samples, None).count();
    if noisy > 0 {
        let _ = writeln!(
            text,
            "\n{noisy} of {all} runs shared the machine with others that used more than a tenth of a core."
        );
    }
    Ok(text)
}

fn write_line(text: &mut String, line: &Line) {
    let Line { what, unit, targets, decimals, quantile: at, values } = line;
    let [least, figure, most] = [0.0, *at, 1.0].map(|at| quantile(values, at));
    let judged = match *targets {
        None => "| | reported".to_owned(),
        Some((target, moonshot)) if figure <= moonshot => format!("{target} | {moonshot} | moonshot"),
        Some((target, moonshot)) if figure <= target => format!("{target} | {moonshot} | met"),
        Some((target, moonshot)) => format!("{target} | {moonshot} | missed"),
    };
    let count = values.len();
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "| {what} | {figure:.decimals$} {unit} | {least:.decimals$}-{most:.decimals$} | {count} | {judged} |"
    );
}

fn lines(samples: &[Sample]) -> Vec<Line> {
    let cpu = |case| per_run(samples, case, |rows, usage| usage.cpu_s / rows * 1e6);
    let rss = |case| per_run(samples, case, |_, usage| usage.rss_bytes as f64 / 1e6);
    let without_source =
        |case| prebuilt(samples, case).map(|(rows, measured)| measured.cpu_s / rows * 1e6).collect();
    let gaps = prebuilt(samples, Case::Prebuilt1m).map(|(_, measured)| measured.longest_gap_ms).collect();
    let per_million = "CPU-s per million rows";
    vec![
        line("JSON lines to JSON, 100 k keys", per_million, (0.17, 0.10), 3, cpu(Case::Json100k)),
        line("JSON lines to JSON, 1 M keys", per_million, (0.33, 0.15), 3, cpu(Case::Json1m)),
        line(
            "the same from batches in memory, 100 k keys",
            per_million,
            (0.08, 0.05),
            3,
            without_source(Case::Prebuilt100k),
        ),
        line(
            "the same from batches in memory, 1 M keys",
            per_million,
            (0.15, 0.08),
            3,
            without_source(Case::Prebuilt1m),
        ),
        line("longest gap while 1 M keys fire", "ms", (20.0, 2.0), 1, gaps),
        line("peak memory, 100 k keys", "MB", (100.0, 40.0), 0, rss(Case::Json100k)),
        line("peak memory, 1 M keys", "MB", (300.0, 160.0), 0, rss(Case::Json1m)),
        line(
            "memory per key with checkpoints, from 1 M to 10 M keys",
            "B",
            (160.0, 100.0),
            0,
            bytes_per_key(samples),
        ),
        line("start to first row", "ms", (200.0, 50.0), 0, first_output_ms(samples)),
        line("CPU per row at parallelism 2 over 1", "×", (1.1, 1.02), 3, cost_of_two_slots(samples)),
        line("cores left unused at parallelism 2", "%", (10.0, 2.0), 0, unused_percent(samples)),
    ]
}

fn checkpoint_lines(samples: &[Sample]) -> Vec<Line> {
    let durations = |case| per_checkpoint(samples, case, |of| of.duration_ms);
    let extra_cpu = |with, without| checkpoint_cost_percent(samples, with, without);
    let bytes_per_key = |of: &Checkpoint| of.state_bytes as f64 / of.keys as f64;
    vec![
        line(
            "a checkpoint every 5 s, 100 k keys, of one core",
            "%",
            (3.0, 1.0),
            2,
            extra_cpu(Case::Checkpoints100k, Case::NoCheckpoints100k),
        ),
        Line {
            targets: None,
            ..line(
                "the same, 1 M keys",
                "%",
                (0.0, 0.0),
                2,
                extra_cpu(Case::Checkpoints1m, Case::NoCheckpoints1m),
            )
        },
        Line {
            quantile: 0.99,
            ..line(
                "longest gap between batches within 100 ms of a barrier, p99, 1 M keys",
                "ms",
                (1.0, 0.2),
                2,
                barrier_gaps_ms(samples),
            )
        },
        line(
            "barrier to committed record, 100 k changed keys",
            "ms",
            (100.0, 50.0),
            0,
            durations(Case::Checkpoints100k),
        ),
        line(
            "barrier to committed record, 1 M changed keys",
            "ms",
            (300.0, 150.0),
            0,
            durations(Case::Checkpoints1m),
        ),
        line(
            "bytes written per changed key",
            "B",
            (40.0, 12.0),
            1,
            per_checkpoint(samples, Case::Checkpoints1m, bytes_per_key),
        ),
    ]
}

fn restart_lines(samples: &[Sample]) -> [Line; 3] {
    let first_row = |what, target, case| line(what, "ms", (target, 100.0), 0, restarts_ms(samples, case));
    [
        first_row("kill -9 to first row, 100 k keys", 300.0, Case::Restart100k),
        first_row("kill -9 to first row, 1 M keys", 500.0, Case::Restart1m),
        first_row("kill -9 to first row, 10 M keys", 500.0, Case::Restart10m),
    ]
}

fn line(
    what: &'static str,
    unit: &'static str,
    targets: (f64, f64),
    decimals: usize,
    values: Vec<f64>,
) -> Line {
    Line { what, unit, targets: Some(targets), decimals, quantile: 0.5, values }
}

/// Where the time goes, by what is left when a part is taken away: median nanoseconds of CPU per row.
fn breakdown(samples: &[Sample]) -> Option<String> {
    let mut text = String::from("\n| CPU ns per row | 100 k keys | 1 M keys |\n| --- | --- | --- |\n");
    let column = |json, memory, blackhole| -> Option<[f64; 3]> {
        let whole = median(&per_run(samples, json, |rows, usage| usage.cpu_s / rows * 1e9))?;
        let per_row = |case| -> Vec<f64> {
            prebuilt(samples, case).map(|(rows, measured)| measured.cpu_s / rows * 1e9).collect()
        };
        let (memory, blackhole) = (median(&per_row(memory))?, median(&per_row(blackhole))?);
        Some([whole - memory, blackhole, memory - blackhole])
    };
    let few = column(Case::Json100k, Case::Prebuilt100k, Case::Blackhole100k)?;
    let many = column(Case::Json1m, Case::Prebuilt1m, Case::Blackhole1m)?;
    let parts = ["start, read and decode JSON lines", "key, window, fire", "encode and write results"];
    for (part, (few, many)) in parts.into_iter().zip(few.into_iter().zip(many)) {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "| {part} | {few:.0} | {many:.0} |");
    }
    Some(text)
}

/// Each run's numbers, one JSON object a line, in a file per bench.
pub(crate) fn write_json(folder: &Path, samples: &[Sample]) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut text = String::new();
    for sample in samples {
        text.push_str(&serde_json::to_string(sample)?);
        text.push('\n');
    }
    let path = folder.join("samples.jsonl");
    fs::write(&path, text).with_context(|| path.display().to_string())
}

/// Puts the table between its markers.
pub(crate) fn replace_table(path: &Path, table: &str) -> Result<()> {
    replace(path, table, (BEGIN, END))
}

/// Puts a text between the two markers of a file.
pub(crate) fn replace(path: &Path, text: &str, markers: (&str, &str)) -> Result<()> {
    let before = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let replaced = between(&before, text, markers)
        .with_context(|| format!("no `{}` in {}", markers.0.trim(), path.display()))?;
    Ok(fs::write(path, replaced)?)
}

/// The text with something else between two markers; `None` if they are not in it.
fn between(text: &str, table: &str, (begin, end): (&str, &str)) -> Option<String> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::tests::sample;

    #[test]
    fn the_table_has_medians_ranges_and_verdicts() {
        let samples = [1.5, 1.2, 2.5].map(|cpu_s| sample(Case::Json100k, cpu_s, 50_000_000));

        let table = table(&samples, 10_000_000, false).expect("lines may be missing");

        assert!(
            table.contains("| 0.150 CPU-s per million rows | 0.120-0.250 | 3 | 0.17 | 0.1 | met |"),
            "{table}"
        );
    }

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let text = format!("a\n{BEGIN}old\n{END}\nb\n");

        let replaced = between(&text, "new\n", (BEGIN, END));

        assert_eq!(replaced, Some(format!("a\n{BEGIN}new\n{END}\nb\n")));
        assert_eq!(between("nothing", "new\n", (BEGIN, END)), None);
    }
}
