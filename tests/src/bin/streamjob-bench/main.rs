//! Measures StreamJob on this machine and writes the table of BENCHMARKS.md.
//!
//! Owns: the options, and the order in which cases run: round by round, so that a slow minute hits all of them.
//! Never: is linked into what it measures, except for the case that feeds the pipeline from memory.

#![forbid(unsafe_code)]

mod cases;
mod checkpoints;
mod expect;
mod figures;
mod flink;
mod input;
mod kubernetes;
mod machine;
mod prebuilt;
mod process;
mod report;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::cases::{Bench, Case, Sample};
use crate::input::Uniform;

/// Measures StreamJob on this machine and writes the table of BENCHMARKS.md.
#[derive(Debug, Parser)]
#[command(name = "streamjob-bench", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(flatten)]
    measure: Measure,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What is measured, and where things lie.
#[derive(Debug, clap::Args)]
struct Measure {
    /// The program to measure: a release build.
    #[arg(long, default_value = "target/release/streamjob")]
    streamjob: PathBuf,
    /// Keeps the inputs (about 4 GB) between runs, and the outputs (up to 3 GB) while they are checked.
    #[arg(long, default_value = "target/bench/cache")]
    cache: PathBuf,
    /// How often each case runs; the table has the median and the range.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Rows of each input. Less than the default is for trying the bench out, not for the table.
    #[arg(long, default_value_t = 24_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    rows: u64,
    /// Only cases whose name begins with this; may be repeated. The table is then printed, not written.
    #[arg(long)]
    only: Vec<String>,
    /// The file with the table.
    #[arg(long, default_value = "BENCHMARKS.md")]
    table: PathBuf,
    /// Each run's numbers, as JSON.
    #[arg(long, default_value = "target/bench")]
    results: PathBuf,
}

/// What the bench asks of itself.
#[derive(Debug, Subcommand)]
enum Part {
    /// Measures StreamJob and Flink by turns, and writes the section of BENCHMARKS.md that compares them.
    Flink(flink::Compare),
    /// Measures jobs on a running Kubernetes, and writes the section of BENCHMARKS.md about it.
    Cluster(kubernetes::OnCluster),
    /// Runs one job over batches in memory and prints what it needed.
    #[command(hide = true)]
    Prebuilt {
        /// The job.
        manifest: PathBuf,
        /// How many different keys.
        keys: u32,
        /// How many rows.
        rows: u64,
        /// In how many partitions.
        parts: u64,
    },
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.part {
        None => measure(&args.measure),
        Some(Part::Flink(args)) => flink::compare(&args),
        Some(Part::Cluster(args)) => kubernetes::measure(&args),
        Some(Part::Prebuilt { manifest, keys, rows, parts }) => {
            let measured = prebuilt::run(&manifest, &Uniform { keys, rows, files: parts })?;
            println!("{}", serde_json::to_string(&measured)?);
            Ok(())
        }
    }
}

fn measure(args: &Measure) -> Result<()> {
    let streamjob = fs::canonicalize(&args.streamjob)
        .with_context(|| format!("{}: build it with `cargo build --release`", args.streamjob.display()))?;
    fs::create_dir_all(&args.cache)?;
    let bench = Bench { streamjob, cache: fs::canonicalize(&args.cache)?, rows: args.rows };
    let chosen =
        |case: &Case| args.only.is_empty() || args.only.iter().any(|name| case.name().starts_with(name));
    let cases: Vec<Case> = Case::ALL.into_iter().filter(chosen).collect();

    for case in &cases {
        case.prepare(&bench)?;
    }
    let mut samples: Vec<Sample> = Vec::new();
    for round in 1..=args.runs {
        for &case in &cases {
            let sample = case.run(&bench).with_context(|| format!("case {}", case.name()))?;
            println!("round {round}: {sample}");
            samples.push(sample);
        }
    }

    report::write_json(&args.results, &samples)?;
    let whole = args.only.is_empty();
    let table = report::table(&samples, args.rows, whole)?;
    println!("\n{table}");
    if whole {
        report::replace_table(&args.table, &table)?;
        println!("written to {}", args.table.display());
    }
    Ok(())
}
