//! From samples to the table: medians, ranges, targets.
//!
//! Owns: the targets, and how a number is derived from samples.
//! Never: leaves out a run.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cases::{Case, Numbers, Sample};
use crate::checkpoints::{Checkpoint, Checkpoints};
use crate::machine;
use crate::prebuilt::Measured;
use crate::process::Usage;

const BEGIN: &str = "<!-- bench:begin -->\n";
const END: &str = "<!-- bench:end -->";
/// A run during which others used more than this part of a core says little.
const QUIET: f64 = 0.1;

/// A row of the table.
struct Line {
    what: &'static str,
    unit: &'static str,
    target: f64,
    moonshot: f64,
    decimals: usize,
    values: Vec<f64>,
}

/// The table, with what was measured above and below it.
pub(crate) fn table(samples: &[Sample], rows: u64) -> String {
    let mut text = format!("{}\nInputs of {rows} rows.\n\n", machine::describe());
    text.push_str("| what | median | range | runs | target | moonshot | |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
    let all = lines(samples).into_iter().chain(checkpoint_lines(samples));
    for line in all.filter(|line| !line.values.is_empty()) {
        write_line(&mut text, &line);
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
    text
}

fn write_line(text: &mut String, line: &Line) {
    let Line { what, unit, target, moonshot, decimals, values } = line;
    let (median, least, most) = spread(values);
    let verdict = match () {
        () if median <= *moonshot => "moonshot",
        () if median <= *target => "met",
        () => "missed",
    };
    let runs = values.len();
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "| {what} | {median:.decimals$} {unit} | {least:.decimals$}-{most:.decimals$} | {runs} | {target} | {moonshot} | {verdict} |"
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
    vec![
        line(
            "a checkpoint every 5 s, 100 k keys, of one core",
            "%",
            (3.0, 1.0),
            2,
            checkpoint_cost_percent(samples, Case::Checkpoints100k, Case::Json100k),
        ),
        line(
            "the same, 1 M keys",
            "%",
            (15.0, 5.0),
            2,
            checkpoint_cost_percent(samples, Case::Checkpoints1m, Case::Json1m),
        ),
        line(
            "longest gap between batches within 100 ms of a barrier, p99, 1 M keys",
            "ms",
            (1.0, 0.2),
            2,
            barrier_gaps_ms(samples, Case::Checkpoints1m),
        ),
        line(
            "barrier to committed record, 100 k keys",
            "ms",
            (100.0, 50.0),
            0,
            durations(Case::Checkpoints100k),
        ),
        line(
            "barrier to committed record, 1 M keys",
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
            per_checkpoint(samples, Case::Checkpoints1m, |of| of.state_bytes as f64 / of.keys as f64),
        ),
        line(
            "kill -9 to first row, 100 k keys",
            "ms",
            (300.0, 100.0),
            0,
            restarts_ms(samples, Case::Restart100k),
        ),
        line(
            "kill -9 to first row, 1 M keys",
            "ms",
            (500.0, 100.0),
            0,
            restarts_ms(samples, Case::Restart1m),
        ),
        line(
            "kill -9 to first row, 10 M keys",
            "ms",
            (500.0, 100.0),
            0,
            restarts_ms(samples, Case::Restart10m),
        ),
    ]
}

fn line(
    what: &'static str,
    unit: &'static str,
    (target, moonshot): (f64, f64),
    decimals: usize,
    values: Vec<f64>,
) -> Line {
    Line { what, unit, target, moonshot, decimals, values }
}

fn usages(samples: &[Sample], only: Option<Case>) -> impl Iterator<Item = (f64, &Usage)> {
    let chosen = samples.iter().filter(move |sample| only.is_none_or(|case| sample.case == case));
    chosen.filter_map(|sample| match &sample.numbers {
        Numbers::Usage(usage) => Some((sample.rows as f64, usage)),
        Numbers::Checkpoints(run) => Some((sample.rows as f64, &run.usage)),
        Numbers::FirstOutputS(_) | Numbers::Prebuilt(_) | Numbers::Restart(_) => None,
    })
}

fn runs_with_checkpoints(samples: &[Sample], case: Case) -> impl Iterator<Item = &Checkpoints> {
    samples.iter().filter(move |sample| sample.case == case).filter_map(|sample| match &sample.numbers {
        Numbers::Checkpoints(run) => Some(run),
        Numbers::Usage(_) | Numbers::FirstOutputS(_) | Numbers::Prebuilt(_) | Numbers::Restart(_) => None,
    })
}

/// What a checkpoint every 5 s would add to one busy core: CPU of runs with many checkpoints, less that of runs with
/// only the last one, for each checkpoint more.
fn checkpoint_cost_percent(samples: &[Sample], many: Case, few: Case) -> Vec<f64> {
    let few = usages(samples, Some(few)).map(|(_, usage)| usage.cpu_s);
    let cost = |(run, few): (&Checkpoints, f64)| {
        (run.usage.cpu_s - few) / (run.checkpoints.len().max(2) - 1) as f64 / 5.0 * 100.0
    };
    runs_with_checkpoints(samples, many).zip(few).map(cost).collect()
}

/// For each run, the 99th percentile over its checkpoints.
fn barrier_gaps_ms(samples: &[Sample], case: Case) -> Vec<f64> {
    let p99 = |run: &Checkpoints| {
        let mut gaps = run.gaps_ms.clone();
        gaps.sort_by(f64::total_cmp);
        gaps[((gaps.len() - 1) as f64 * 0.99).round() as usize]
    };
    runs_with_checkpoints(samples, case).map(p99).collect()
}

/// For each run, the median over its checkpoints.
fn per_checkpoint(samples: &[Sample], case: Case, value: impl Fn(&Checkpoint) -> f64) -> Vec<f64> {
    let of_run = |run: &Checkpoints| median(&run.checkpoints.iter().map(&value).collect::<Vec<_>>());
    runs_with_checkpoints(samples, case).filter_map(of_run).collect()
}

fn restarts_ms(samples: &[Sample], case: Case) -> Vec<f64> {
    let chosen = samples.iter().filter(|sample| sample.case == case);
    chosen
        .filter_map(|sample| match &sample.numbers {
            Numbers::Restart(restart) => Some(restart.first_row_s * 1e3),
            Numbers::Usage(_) | Numbers::FirstOutputS(_) | Numbers::Prebuilt(_) | Numbers::Checkpoints(_) => {
                None
            }
        })
        .collect()
}

fn prebuilt(samples: &[Sample], case: Case) -> impl Iterator<Item = (f64, &Measured)> {
    let chosen = samples.iter().filter(move |sample| sample.case == case);
    chosen.filter_map(|sample| match &sample.numbers {
        Numbers::Prebuilt(measured) => Some((sample.rows as f64, measured)),
        Numbers::Usage(_) | Numbers::FirstOutputS(_) | Numbers::Checkpoints(_) | Numbers::Restart(_) => None,
    })
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

fn per_run(samples: &[Sample], case: Case, value: impl Fn(f64, &Usage) -> f64) -> Vec<f64> {
    usages(samples, Some(case)).map(|(rows, usage)| value(rows, usage)).collect()
}

/// Pairs of runs of the same round.
fn pairs(samples: &[Sample], case: Case, base: Case, value: impl Fn(&Usage, &Usage) -> f64) -> Vec<f64> {
    let both = usages(samples, Some(case)).zip(usages(samples, Some(base)));
    both.map(|((_, usage), (_, base))| value(usage, base)).collect()
}

fn bytes_per_key(samples: &[Sample]) -> Vec<f64> {
    let per_key = |large: &Usage, small: &Usage| (large.rss_bytes as f64 - small.rss_bytes as f64) / 9e6;
    pairs(samples, Case::Sequence10m, Case::Sequence1m, per_key)
}

fn cost_of_two_slots(samples: &[Sample]) -> Vec<f64> {
    pairs(samples, Case::TwoFilesTwoSlots, Case::TwoFilesOneSlot, |two, one| two.cpu_s / one.cpu_s)
}

fn unused_percent(samples: &[Sample]) -> Vec<f64> {
    per_run(samples, Case::TwoFilesTwoSlots, |_, usage| 100.0 - usage.cpu_s / usage.wall_s / 2.0 * 100.0)
}

fn first_output_ms(samples: &[Sample]) -> Vec<f64> {
    let numbers = samples.iter().map(|sample| &sample.numbers);
    numbers
        .filter_map(|numbers| match numbers {
            Numbers::FirstOutputS(seconds) => Some(seconds * 1e3),
            Numbers::Usage(_) | Numbers::Prebuilt(_) | Numbers::Checkpoints(_) | Numbers::Restart(_) => None,
        })
        .collect()
}

fn median(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| spread(values).0)
}

/// Median, least and most. There is at least one value.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    ((sorted[last / 2] + sorted[last.div_ceil(2)]) / 2.0, sorted[0], sorted[last])
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
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let replaced =
        between_markers(&text, table).with_context(|| format!("no markers in {}", path.display()))?;
    fs::write(path, replaced)?;
    Ok(())
}

fn between_markers(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(case: Case, cpu_s: f64, rss_bytes: u64) -> Sample {
        let usage = Usage { wall_s: cpu_s / 1.9, cpu_s, rss_bytes, foreign_s: 0.0 };
        Sample { case, rows: 10_000_000, numbers: Numbers::Usage(usage) }
    }

    #[test]
    fn the_table_has_medians_ranges_and_verdicts() {
        let samples = [1.5, 1.2, 2.5].map(|cpu_s| sample(Case::Json100k, cpu_s, 50_000_000));

        let table = table(&samples, 10_000_000);

        assert!(
            table.contains("| 0.150 CPU-s per million rows | 0.120-0.250 | 3 | 0.17 | 0.1 | met |"),
            "{table}"
        );
    }

    #[test]
    fn derived_numbers_pair_runs_of_a_round() {
        let samples = [
            sample(Case::Sequence1m, 1.0, 100_000_000),
            sample(Case::Sequence10m, 1.0, 1_000_000_000),
            sample(Case::TwoFilesOneSlot, 2.0, 1),
            sample(Case::TwoFilesTwoSlots, 2.1, 1),
        ];

        assert_eq!(bytes_per_key(&samples), [100.0]);
        assert_eq!(cost_of_two_slots(&samples), [1.05]);
        assert!((unused_percent(&samples)[0] - 5.0).abs() < 1e-9);
    }

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let text = format!("a\n{BEGIN}old\n{END}\nb\n");

        let replaced = between_markers(&text, "new\n");

        assert_eq!(replaced, Some(format!("a\n{BEGIN}new\n{END}\nb\n")));
        assert_eq!(between_markers("nothing", "new\n"), None);
    }
}
