//! From pairs to the section of BENCHMARKS.md.
//!
//! Owns: the targets, what is compared with what, the words around the table.
//! Never: measures, or leaves out a pair.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::cells::{Backend, Cell, Kind};
use super::engines::Engine;
use super::plots::{self, Bars, short};
use super::results::{Latency, Numbers, Pair, Quantiles, Recovery, Run, Throughput};
use crate::figures::{median, quantile};
use crate::machine;

const BEGIN: &str = "<!-- flink:begin -->\n";
const END: &str = "<!-- flink:end -->";

/// Cells with their pairs.
type Measured = [(Cell, Vec<Pair>)];

/// What is asked of a line: a target and a moonshot.
#[derive(Clone, Copy)]
enum Asked {
    /// So many times better than Flink.
    Times(f64, f64),
    /// StreamJob's value at most.
    Most(f64, f64),
    /// StreamJob's value at least.
    Least(f64, f64),
    Nothing,
}

/// A row of the table: for each pair one value of StreamJob and one of Flink.
struct Line {
    what: String,
    unit: &'static str,
    asked: Asked,
    values: Vec<(f64, f64)>,
}

/// The section, and its plots as files beside it.
pub(crate) fn section(measured: &Measured, failed: &[String], plots: &Path) -> Result<String> {
    let mut text = format!("{}\n\n", machine::describe());
    text.push_str("| what | StreamJob | Flink | times better | range | pairs | target | moonshot | |\n");
    text.push_str("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    let groups = [cpu(measured), from_kafka(measured), latencies(measured), recoveries(measured)];
    for line in groups.iter().flatten().filter(|line| !line.values.is_empty()) {
        write_line(&mut text, line);
    }
    let noisy = measured.iter().flat_map(|(_, pairs)| pairs).filter(|pair| pair.noisy).count();
    let all = measured.iter().map(|(_, pairs)| pairs.len()).sum::<usize>();
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "\n{all} pairs; in {noisy} of them others used the machine, too. Every output of these was right."
    );
    if !failed.is_empty() {
        let _ = writeln!(text, "\n**Failed, and in no line above:**\n");
        failed.iter().for_each(|failed| text.push_str(&format!("- {failed}\n")));
    }
    let drawings = [
        ("cpu", "CPU per million rows", "CPU seconds", &groups[0]),
        ("latency", "At 100,000 rows a second", "milliseconds", &groups[2]),
        ("recovery", "After kill -9", "seconds", &groups[3]),
    ];
    for (name, title, unit, lines) in drawings {
        let bars: Vec<Bars> = lines.iter().filter_map(bars).collect();
        if !bars.is_empty() {
            fs::write(plots.join(format!("{name}.svg")), plots::svg(title, unit, &bars))?;
            let _ = writeln!(text, "\n![{title}]({}/{name}.svg)", plots.display());
        }
    }
    Ok(text)
}

/// Puts the section between its markers.
pub(crate) fn replace_section(path: &Path, section: &str) -> Result<()> {
    crate::report::replace(path, section, (BEGIN, END))
}

fn write_line(text: &mut String, line: &Line) {
    let (ours, theirs): (Vec<f64>, Vec<f64>) = line.values.iter().copied().unzip();
    let (ours, theirs) = (median(&ours).unwrap_or_default(), median(&theirs).unwrap_or_default());
    let times = line.times();
    let better = median(&times);
    let range = better.map_or("-".to_owned(), |_| {
        format!("{}-{}", short(quantile(&times, 0.0)), short(quantile(&times, 1.0)))
    });
    let verdict = |met: bool, beyond: bool| match (met, beyond) {
        (_, true) => "moonshot",
        (true, false) => "met",
        (false, false) => "missed",
    };
    let judged = match line.asked {
        Asked::Nothing => "| | reported".to_owned(),
        Asked::Times(target, moonshot) => {
            let better = better.unwrap_or_default();
            format!("{target} × | {moonshot} × | {}", verdict(better >= target, better >= moonshot))
        }
        Asked::Most(target, moonshot) => {
            format!("{target} | {moonshot} | {}", verdict(ours <= target, ours <= moonshot))
        }
        Asked::Least(target, moonshot) => {
            format!("{target} | {moonshot} | {}", verdict(ours >= target, ours >= moonshot))
        }
    };
    let (what, unit, pairs) = (&line.what, line.unit, line.values.len());
    let better = better.map_or("-".to_owned(), short);
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "| {what} | {} {unit} | {} {unit} | {better} | {range} | {pairs} | {judged} |",
        short(ours),
        short(theirs)
    );
}

impl Line {
    /// In each pair, how many times better StreamJob was; none where a value is nothing or less.
    fn times(&self) -> Vec<f64> {
        let positive = self.values.iter().filter(|(ours, theirs)| *ours > 0.0 && *theirs > 0.0);
        let more_is_better = matches!(self.asked, Asked::Least(..));
        positive.map(|(ours, theirs)| if more_is_better { ours / theirs } else { theirs / ours }).collect()
    }
}

fn bars(line: &Line) -> Option<Bars> {
    let (ours, theirs): (Vec<f64>, Vec<f64>) = line.values.iter().copied().unzip();
    Some((line.what.clone(), median(&ours)?, median(&theirs)?))
}

/// CPU per million rows of every cell over input that has an end.
fn cpu(measured: &Measured) -> Vec<Line> {
    let lines =
        measured.iter().filter(|(cell, _)| matches!(cell.kind, Kind::Json | Kind::Typed | Kind::Kafka));
    lines
        .map(|(cell, pairs)| {
            let asked = match (cell.kind, cell.backend) {
                _ if cell.parallelism > 1 || cell.interval_ms == 0 => Asked::Nothing,
                (Kind::Kafka, _) => Asked::Times(5.0, 10.0),
                (_, Backend::Rocksdb) => Asked::Times(60.0, 120.0),
                (_, Backend::Hashmap) if cell.keys >= 1_000_000 => Asked::Times(20.0, 40.0),
                (_, Backend::Hashmap) => Asked::Times(15.0, 25.0),
            };
            let values = both(pairs, cpu_per_million);
            Line { what: described(cell), unit: "CPU-s", asked, values }
        })
        .collect()
}

fn described(cell: &Cell) -> String {
    let keys = if cell.keys >= 1_000_000 { "1 M keys" } else { "100 k keys" };
    let job = match cell.kind {
        Kind::Json => "JSON lines".to_owned(),
        Kind::Typed => "typed rows".to_owned(),
        Kind::Kafka | Kind::Latency | Kind::Recovery if cell.interval_ms == 0 => {
            "Kafka, at least once".to_owned()
        }
        Kind::Kafka | Kind::Latency | Kind::Recovery => format!("Kafka, {} s", cell.interval_ms / 1_000),
    };
    let against = match (cell.backend, cell.parallelism) {
        (Backend::Rocksdb, _) => ", RocksDB",
        (Backend::Hashmap, 1) => "",
        (Backend::Hashmap, _) => ", parallelism 2",
    };
    format!("{job}, {keys}{against}")
}

/// What else the runs from topic to topic tell.
fn from_kafka(measured: &Measured) -> Vec<Line> {
    let pairs = |name: &str| pairs_of(measured, name);
    let (once, off) = (pairs("w3-100k-1s"), pairs("w3-100k-off"));
    let rate = both(once, |run| Some(1.0 / cpu_per_million(run)?));
    let memory = |pairs| both(pairs, |run| Some(throughput(run)?.rss_bytes as f64 / 1e6));
    let extra = |run: &Run, base: &Run| -> Option<f64> {
        Some((cpu_per_million(run)? / cpu_per_million(base)? - 1.0) * 100.0)
    };
    let extras = once.iter().zip(off).filter_map(|(with, without)| {
        Some((extra(&with.streamjob, &without.streamjob)?, extra(&with.flink, &without.flink)?))
    });
    let many = pairs("w3-1m-1s");
    let line = |what: &str, unit, asked, values| Line { what: what.to_owned(), unit, asked, values };
    vec![
        line("records per CPU-second, Kafka, 1 s, 100 k keys", "M", Asked::Least(1.5, 3.0), rate),
        line(
            "CPU per million rows with start and warming up, Kafka, 1 s, 100 k keys",
            "CPU-s",
            Asked::Nothing,
            both(once, |run| throughput(run).map(|of| of.cpu_s / of.rows as f64 * 1e6)),
        ),
        line("peak memory, Kafka, 100 k keys", "MB", Asked::Most(150.0, 80.0), memory(once)),
        line("the same, 1 M keys", "MB", Asked::Nothing, memory(many)),
        line("extra CPU of exactly once, 1 s, 100 k keys", "%", Asked::Most(5.0, 2.0), extras.collect()),
        line(
            "start of the process to the first row",
            "s",
            Asked::Nothing,
            both(once, |run| throughput(run)?.first_row_s),
        ),
        line("barrier to durable, 100 k keys", "ms", Asked::Nothing, both(once, checkpoint_ms)),
        line("the same, 1 M keys", "ms", Asked::Nothing, both(many, checkpoint_ms)),
        line("state written per checkpoint, 100 k keys", "MB", Asked::Nothing, both(once, checkpoint_mb)),
        line("standstill at a barrier, p99, 100 k keys", "ms", Asked::Nothing, both(once, pause_ms)),
    ]
}

fn latencies(measured: &Measured) -> Vec<Line> {
    let (once, some) = (pairs_of(measured, "visible-10k"), pairs_of(measured, "at-least-once-1k"));
    let line = |what: &str, asked, pairs, value: fn(&Latency) -> Option<f64>| {
        let values = both(pairs, |run| match &run.numbers {
            Numbers::Latency(of) => value(of),
            Numbers::Throughput(_) | Numbers::Recovery(_) => None,
        });
        Line { what: what.to_owned(), unit: "ms", asked, values }
    };
    vec![
        line("barrier to readable, 10 k keys, p50", Asked::Times(2.0, 5.0), once, |of| {
            Some(of.barrier_ms?.p50)
        }),
        line("barrier to readable, 10 k keys, p99", Asked::Times(2.0, 5.0), once, |of| {
            Some(of.barrier_ms?.p99)
        }),
        line("exactly once, 10 k keys, end to end, p50", Asked::Nothing, once, |of| {
            Some(of.end_to_end_ms.p50)
        }),
        line("exactly once, 10 k keys, end to end, p99", Asked::Nothing, once, |of| {
            Some(of.end_to_end_ms.p99)
        }),
        line("at least once, 1 k keys, end to end, p50", Asked::Nothing, some, |of| {
            Some(of.end_to_end_ms.p50)
        }),
        line("at least once, 1 k keys, end to end, p99", Asked::Most(50.0, 15.0), some, |of| {
            Some(of.end_to_end_ms.p99)
        }),
    ]
}

fn recoveries(measured: &Measured) -> Vec<Line> {
    let pairs = pairs_of(measured, "recovery-10k");
    let kills = |of: &Run| match &of.numbers {
        Numbers::Recovery(Recovery { kills, .. }) => kills.clone(),
        Numbers::Throughput(_) | Numbers::Latency(_) => Vec::new(),
    };
    let both: Vec<_> =
        pairs.iter().flat_map(|pair| kills(&pair.streamjob).into_iter().zip(kills(&pair.flink))).collect();
    let line = |what: &str, asked, value: fn(&super::results::Kill) -> f64| Line {
        what: what.to_owned(),
        unit: "s",
        asked,
        values: both.iter().map(|(ours, theirs)| (value(ours), value(theirs))).collect(),
    };
    vec![
        line("kill -9 to the first row, 10 k keys", Asked::Most(1.0, 0.3), |kill| kill.first_row_s),
        line("kill -9 to results", Asked::Most(2.0, 1.0), |kill| kill.results_s),
        line("kill -9 to results in time", Asked::Nothing, |kill| kill.caught_up_s),
    ]
}

fn pairs_of<'a>(measured: &'a Measured, name: &str) -> &'a [Pair] {
    measured.iter().find(|(cell, _)| cell.name == name).map_or(&[], |(_, pairs)| pairs)
}

/// One value of each run, where both have it.
fn both(pairs: &[Pair], value: impl Fn(&Run) -> Option<f64>) -> Vec<(f64, f64)> {
    pairs.iter().filter_map(|pair| Some((value(&pair.streamjob)?, value(&pair.flink)?))).collect()
}

fn throughput(run: &Run) -> Option<&Throughput> {
    match &run.numbers {
        Numbers::Throughput(of) => Some(of),
        Numbers::Latency(_) | Numbers::Recovery(_) => None,
    }
}

/// Of the second half of the rows: Java is warm then. StreamJob has read ahead by then: if its whole run needed more, that
/// counts.
pub(super) fn cpu_per_million(run: &Run) -> Option<f64> {
    let of = throughput(run)?;
    let second_half = (of.cpu_s - of.half_cpu_s) / (of.rows - of.half_rows) as f64 * 1e6;
    match run.engine {
        Engine::StreamJob => Some(second_half.max(of.cpu_s / of.rows as f64 * 1e6)),
        Engine::Flink => Some(second_half),
    }
}

fn checkpoint_ms(run: &Run) -> Option<f64> {
    median(&throughput(run)?.checkpoints.all.iter().map(|of| of.duration_ms).collect::<Vec<_>>())
}

fn checkpoint_mb(run: &Run) -> Option<f64> {
    median(&throughput(run)?.checkpoints.all.iter().map(|of| of.bytes as f64 / 1e6).collect::<Vec<_>>())
}

fn pause_ms(run: &Run) -> Option<f64> {
    Some(Quantiles::of(throughput(run)?.checkpoints.pauses_ms.clone())?.p99)
}

#[test]
fn a_line_has_medians_and_how_many_times_better_each_pair_was() {
    let mut text = String::new();
    let values = vec![(0.1, 2.0), (0.2, 2.0), (0.1, 3.0)];

    write_line(
        &mut text,
        &Line { what: "w1".into(), unit: "CPU-s", asked: Asked::Times(15.0, 25.0), values },
    );

    assert_eq!(text, "| w1 | 0.100 CPU-s | 2.00 CPU-s | 20.0 | 10.0-30.0 | 3 | 15 × | 25 × | met |\n");
}
