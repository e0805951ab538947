//! The commands that look at what a job has stored.
//!
//! Owns: their options and help with examples; what names a checkpoint or savepoint.
//! Never: acts.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Subcommand, ValueEnum};
use streamjob_checkpoint::ids::Epoch;

const LIST_EXAMPLES: &str = "\
Examples:
  streamjob checkpoints list job.yaml                              the newest is the last line
  streamjob checkpoints list s3://streams/prod/clicks               without the manifest
  streamjob checkpoints list job.yaml --json | jq '.checkpoints[-1].epoch'";

const SHOW_EXAMPLES: &str = "\
Examples:
  streamjob checkpoints show job.yaml         positions, watermarks, windows, objects of the newest checkpoint
  streamjob checkpoints show job.yaml 17      of checkpoint 17
  streamjob checkpoints show job.yaml --json  all that its record says";

const VERIFY_EXAMPLES: &str = "\
Examples:
  streamjob checkpoints verify job.yaml       reads every byte of every checkpoint; exit code 1 if one is damaged
  streamjob checkpoints verify job.yaml 17    of checkpoint 17 only";

const TAKE_EXAMPLES: &str = "\
Examples:
  streamjob savepoint take job.yaml                       of the running job; prints where it lies
  streamjob savepoint take job.yaml --id before-upgrade   with a name of your choice
  streamjob run job.yaml --from before-upgrade            goes back to it";

const SAVEPOINT_LIST_EXAMPLES: &str = "\
Examples:
  streamjob savepoint list job.yaml
  streamjob savepoint list job.yaml --json";

const SAVEPOINT_VERIFY_EXAMPLES: &str = "\
Examples:
  streamjob savepoint verify job.yaml                   reads every byte of all savepoints of the job
  streamjob savepoint verify job.yaml before-upgrade    of this one
  streamjob savepoint verify job.yaml /backup/sp-1      of one that was copied elsewhere";

const EXPORT_EXAMPLES: &str = "\
Examples:
  streamjob state export job.yaml --output state.parquet          the open windows of the newest checkpoint
  streamjob state export job.yaml --from 17 --format csv          of checkpoint 17, on standard output
  streamjob state export job.yaml --from before-upgrade --format json --output state.jsonl";

/// `streamjob checkpoints …`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CheckpointsCommand {
    /// List the checkpoints that a job can go back to
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Show what is in a checkpoint
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowArgs),
    /// Read everything that checkpoints consist of, and name what is damaged
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyCheckpointsArgs),
}

/// `streamjob savepoint …`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SavepointCommand {
    /// Take a savepoint of a running job: a self-contained copy that nothing deletes
    #[command(after_help = TAKE_EXAMPLES)]
    Take(TakeArgs),
    /// List the savepoints of a job
    #[command(after_help = SAVEPOINT_LIST_EXAMPLES)]
    List(ListArgs),
    /// Read everything that savepoints consist of, and name what is damaged
    #[command(after_help = SAVEPOINT_VERIFY_EXAMPLES)]
    Verify(VerifySavepointsArgs),
}

/// `streamjob state …`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum StateCommand {
    /// Write the windows of a checkpoint, with what their aggregates come to so far, as Parquet, CSV or JSON
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(ExportArgs),
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// The job's YAML, or the folder or URL of its state
    pub(in crate::cli) manifest: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowArgs {
    /// The job's YAML, or the folder or URL of its state
    pub(in crate::cli) manifest: PathBuf,

    /// Which checkpoint [default: the newest]
    #[arg(value_parser = parse_epoch)]
    pub(in crate::cli) epoch: Option<Epoch>,

    /// Print one JSON object
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct VerifyCheckpointsArgs {
    /// The job's YAML, or the folder or URL of its state
    pub(in crate::cli) manifest: PathBuf,

    /// Which checkpoint [default: all]
    #[arg(value_parser = parse_epoch)]
    pub(in crate::cli) epoch: Option<Epoch>,

    /// Print one JSON object
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TakeArgs {
    /// The job's YAML
    pub(in crate::cli) manifest: PathBuf,

    /// What to call it: letters, digits, `-` and `_`, at least one of them not a digit [default: epoch and time]
    #[arg(long, value_parser = parse_savepoint_id)]
    pub(in crate::cli) id: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct VerifySavepointsArgs {
    /// The job's YAML, or the folder or URL of its state
    pub(in crate::cli) manifest: PathBuf,

    /// Its id, or the folder or URL it lies in [default: all savepoints of the job]
    pub(in crate::cli) savepoint: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExportArgs {
    /// The job's YAML
    pub(in crate::cli) manifest: PathBuf,

    /// A checkpoint (its epoch) or a savepoint (its id, folder or URL) [default: the newest checkpoint]
    #[arg(long, value_name = "CHECKPOINT|SAVEPOINT")]
    pub(in crate::cli) from: Option<RestorePoint>,

    /// How rows are written [default: as the output's name ends, else csv]
    #[arg(long, value_enum)]
    pub(in crate::cli) format: Option<ExportFormat>,

    /// The file to write; it appears whole, in place of one that is there [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(in crate::cli) output: Option<PathBuf>,
}

/// How exported rows are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(in crate::cli) enum ExportFormat {
    /// Columns with their types
    Parquet,
    /// RFC 4180 with a header; null is an empty field
    Csv,
    /// One object a line
    Json,
}

/// A checkpoint or savepoint, as people name it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::cli) enum RestorePoint {
    /// Digits are an epoch.
    Epoch(Epoch),
    /// Everything else is the id of a savepoint of the job, or a folder.
    Savepoint(String),
}

impl FromStr for RestorePoint {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(parse_epoch(text).map_or_else(|_| Self::Savepoint(text.to_owned()), Self::Epoch))
    }
}

impl fmt::Display for RestorePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epoch(epoch) => write!(f, "epoch {epoch}"),
            Self::Savepoint(named) => write!(f, "savepoint {named}"),
        }
    }
}

fn parse_epoch(text: &str) -> Result<Epoch, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.map(Epoch).ok_or_else(|| "a checkpoint is named by its epoch, such as 17".to_owned())
}

/// Ids become names of folders, and must not look like epochs.
fn parse_savepoint_id(text: &str) -> Result<String, String> {
    let fits = text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && text.bytes().any(|byte| !byte.is_ascii_digit());
    if fits && !text.is_empty() && !text.starts_with('-') {
        return Ok(text.to_owned());
    }
    Err("write letters, digits, `-` and `_`, 64 at most, at least one of them not a digit: `before-upgrade`"
        .to_owned())
}
