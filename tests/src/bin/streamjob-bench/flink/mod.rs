//! Flink beside StreamJob: the same jobs, by turns, with equal outputs.
//!
//! Owns: the options, the order of runs, which pair is thrown away.
//! Never: measures one of them on another day.

mod cells;
mod engines;
mod latency;
mod pace;
mod plots;
mod recovery;
mod report;
mod results;
mod runs;
mod topics;
mod watched;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use self::cells::{Cell, Kind};
use self::engines::Engine;
use self::results::{Kept, Numbers, Pair, Run};
use self::runs::Place;

/// What is compared, and where things lie.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  streamjob-bench flink --list                          all cells, and what is measured of them already
  streamjob-bench flink                                 everything that is missing; about two hours
  streamjob-bench flink --cells w1-100k,w3        that cell, and all cells that begin so
  streamjob-bench flink --rows 200000 --seconds 10 --pairs 1 --others 100 --streamjob target/debug/streamjob
                                                        does it work at all? The table is printed, not written
  streamjob-bench flink --report                        only writes the table again")]
pub(crate) struct Compare {
    /// The program to measure: a release build.
    #[arg(long, default_value = "target/release/streamjob")]
    streamjob: PathBuf,
    /// Keeps the inputs (up to 5 GB) between runs.
    #[arg(long, default_value = "target/bench/cache")]
    cache: PathBuf,
    /// Keeps what was measured, a folder for each build of the program. A finished pair is not measured again.
    #[arg(long, default_value = "target/bench-flink")]
    results: PathBuf,
    /// Only these cells; a name that none has stands for all that begin with it.
    #[arg(long, value_delimiter = ',')]
    cells: Vec<String>,
    /// Rows of every input that has an end. Another number than the cells' own is for trying the bench out.
    #[arg(long, value_parser = clap::value_parser!(u64).range(20_000..))]
    rows: Option<u64>,
    /// How often both run, at most.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: Option<u32>,
    /// Rows per second, where the rate is fixed.
    #[arg(long, default_value_t = RATE, value_parser = clap::value_parser!(u64).range(1_000..))]
    rate: u64,
    /// For how long, where the rate is fixed.
    #[arg(long, default_value_t = SECONDS, value_parser = clap::value_parser!(u64).range(8..))]
    seconds: u64,
    /// Percent of a core that others may use; a pair in which they use more is thrown away and measured again.
    #[arg(long, default_value_t = 10.0)]
    others: f64,
    /// How often a pair is measured before the quietest one is kept as it is.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// The file with the table, and the folder for its plots.
    #[arg(long, default_value = "BENCHMARKS.md")]
    table: PathBuf,
    #[arg(long, default_value = "docs/flink")]
    plots: PathBuf,
    /// Lists the cells and ends.
    #[arg(long)]
    list: bool,
    /// Measures nothing, and writes the table of what was measured.
    #[arg(long)]
    report: bool,
}

const RATE: u64 = 100_000;
const SECONDS: u64 = 60;

/// Measures what is missing and writes what there is.
pub(crate) fn compare(args: &Compare) -> Result<()> {
    let streamjob = fs::canonicalize(&args.streamjob)
        .with_context(|| format!("{}: build it with `cargo build --release`", args.streamjob.display()))?;
    let kept = Kept::of(&args.results, &streamjob)?;
    let cells = args.chosen_cells()?;
    if args.list {
        for cell in &cells {
            let (done, minutes) = (kept.pairs(cell).len(), cell.estimate_s(args.seconds) / 60.0);
            println!("{:<24} {done} of {} pairs, {minutes:.0} min each", cell.name, cell.pairs);
        }
        return Ok(());
    }
    if !args.report {
        fs::create_dir_all(&args.cache)?;
        let cache = fs::canonicalize(&args.cache)?;
        let (rate, seconds) = (args.rate, args.seconds);
        let place = Place { streamjob, cache, rate, seconds, cluster: None, filled: None, run: 0 };
        measure(args, &cells, &kept, place)?;
    }
    args.write(&kept)?;
    let failed = kept.failures()?;
    ensure!(failed.is_empty(), "{} pairs failed, and are in no line of the table", failed.len());
    Ok(())
}

impl Compare {
    fn chosen_cells(&self) -> Result<Vec<Cell>> {
        let all = self.all_cells();
        let is = |name: &String, cell: &Cell| {
            if all.iter().any(|cell| cell.name == *name) {
                cell.name == *name
            } else {
                cell.name.starts_with(name)
            }
        };
        for name in &self.cells {
            ensure!(all.iter().any(|cell| is(name, cell)), "no cell begins with `{name}`; --list shows them");
        }
        let chosen = |cell: &&Cell| self.cells.is_empty() || self.cells.iter().any(|name| is(name, cell));
        Ok(all.iter().filter(chosen).cloned().collect())
    }

    fn all_cells(&self) -> Vec<Cell> {
        let sized = |cell: Cell| Cell {
            rows: match cell.kind {
                Kind::Json | Kind::Typed | Kind::Kafka => self.rows.unwrap_or(cell.rows),
                Kind::Latency | Kind::Recovery => self.rate * self.seconds,
            },
            pairs: self.pairs.unwrap_or(cell.pairs).min(cell.pairs),
            ..cell
        };
        cells::all().into_iter().map(sized).collect()
    }

    /// Writes the table, or prints it if it is none to be kept.
    fn write(&self, kept: &Kept) -> Result<()> {
        let measured: Vec<(Cell, Vec<Pair>)> =
            self.all_cells().into_iter().map(|cell| (cell.clone(), kept.pairs(&cell))).collect();
        let is_trial = self.rows.is_some() || (self.rate, self.seconds) != (RATE, SECONDS);
        let plots = if is_trial { kept.folder().to_owned() } else { self.plots.clone() };
        fs::create_dir_all(&plots)?;
        let section = report::section(&measured, &kept.failures()?, &plots)?;
        println!("\n{section}");
        if !is_trial {
            report::replace_section(&self.table, &section)?;
            println!("written to {}; each pair is in {}", self.table.display(), kept.folder().display());
        }
        Ok(())
    }
}

/// Measures all that is missing, the most telling first. A failure is kept, too, and the others go on.
fn measure(args: &Compare, cells: &[Cell], kept: &Kept, mut place: Place) -> Result<()> {
    let missing: Vec<(&Cell, u32)> = cells
        .iter()
        .flat_map(|cell| (1..=cell.pairs).map(move |number| (cell, number)))
        .filter(|(cell, number)| kept.pair(cell, *number).is_none())
        .collect();
    let estimate =
        |from: usize| missing[from..].iter().map(|(cell, _)| cell.estimate_s(args.seconds)).sum::<f64>();
    let (whole, began) = (estimate(0), Instant::now());
    for (done, (cell, number)) in missing.iter().enumerate() {
        // The estimate learns from what was done.
        let pace = if done > 0 { began.elapsed().as_secs_f64() / (whole - estimate(done)) } else { 1.0 };
        let left = estimate(done) * pace / 60.0;
        println!(
            "{} pair {number} of {}: about {left:.0} min left for {} pairs",
            cell.name,
            cell.pairs,
            missing.len() - done
        );
        match quiet_pair(args, &mut place, cell, *number) {
            Ok(pair) => kept.keep(cell, &pair)?,
            Err(error) => {
                println!("  FAILED: {error:#}");
                kept.fail(cell, *number, &format!("{error:#}"))?;
                place.forget();
            }
        }
    }
    Ok(())
}

/// Both engines, again if others disturbed them.
fn quiet_pair(args: &Compare, place: &mut Place, cell: &Cell, number: u32) -> Result<Pair> {
    place.prepare(cell)?;
    let mut quietest: Option<Pair> = None;
    for _ in 0..args.attempts {
        let mut run = |engine: Engine| {
            let run = place.run(cell, engine).with_context(|| engine.name())?;
            println!("  {}", shown(&run));
            anyhow::Ok(run)
        };
        let (streamjob, flink) = (run(Engine::StreamJob)?, run(Engine::Flink)?);
        let noisy = streamjob.others.max(flink.others) * 100.0 > args.others;
        let pair = Pair { cell: cell.name.clone(), number, streamjob, flink, noisy };
        if !pair.noisy {
            return Ok(pair);
        }
        println!("  thrown away: others used {:.0} % of a core", pair.others() * 100.0);
        if quietest.as_ref().is_none_or(|best| pair.others() < best.others()) {
            quietest = Some(pair);
        }
    }
    println!("  kept all the same: the quietest of {}, marked as noisy", args.attempts);
    quietest.context("there is an attempt")
}

/// A run in one line.
fn shown(run: &Run) -> String {
    let what = match &run.numbers {
        Numbers::Throughput(of) => {
            let per_million = report::cpu_per_million(run).unwrap_or_default();
            let mb = of.rss_bytes as f64 / 1e6;
            format!("{per_million:.3} CPU-s per million rows, {:.1} s, {mb:.0} MB", of.wall_s)
        }
        Numbers::Latency(of) => {
            let since = of
                .barrier_ms
                .map_or(String::new(), |of| format!(", since the barrier {:.0}, {:.0}", of.p50, of.p99));
            let (p50, p99) = (of.end_to_end_ms.p50, of.end_to_end_ms.p99);
            format!(
                "end to end p50 {p50:.0} ms, p99 {p99:.0}{since}, driver late by up to {:.0}",
                of.driver_late_ms
            )
        }
        Numbers::Recovery(of) => {
            let kills = of.kills.iter().map(|kill| {
                format!(
                    "{:.2} s to the first row, {:.2} to results, {:.1} until caught up",
                    kill.first_row_s, kill.results_s, kill.caught_up_s
                )
            });
            kills.collect::<Vec<_>>().join("; ")
        }
    };
    format!("{}: {what}; others used {:.0} % of a core; output right", run.engine.name(), run.others * 100.0)
}
