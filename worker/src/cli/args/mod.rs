//! What can be written on the command line.
//!
//! Owns: options, their defaults and ranges, help with examples, the exit codes in words.
//! Never: acts.

mod state;

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(super) use state::{
    CheckpointsCommand, ExportArgs, ExportFormat, ListArgs, RestorePoint, SavepointCommand, ShowArgs,
    StateCommand, TakeArgs, VerifyCheckpointsArgs, VerifySavepointsArgs,
};

const EXIT_CODES: &str = "\
Exit codes:
  0    done: the input is read to its end, or the reader of standard output has seen enough
  1    the job failed; the last line on standard error says why and what to do
  2    the command line or the manifest has mistakes; all of them are printed
  3    fenced: a newer start of the same job has taken over; nothing was published after that
  130  stopped by Ctrl-C: complete up to its last epoch, nothing fired early, goes on there when it is run again
       (at once at the second Ctrl-C)
  143  the same by SIGTERM";

const RUN_EXAMPLES: &str = "\
Examples:
  streamjob run job.yaml                                run to the end of the input, or until Ctrl-C; run again,
                                                        it goes on where it stood, also after a crash
  streamjob run job.yaml --from 17                      go back to checkpoint 17 (`streamjob checkpoints list job.yaml`)
  streamjob run job.yaml --from before-upgrade          go back to a savepoint: its id, or the folder it lies in
  streamjob run job.yaml --fresh                        begin with nothing; refused if that would lose state
  streamjob run job.yaml --fresh --discard-state        begin with nothing, and give up the state that there is
  streamjob run job.yaml --admin 127.0.0.1:8080         with /metrics and /healthz
  streamjob run job.yaml --log-format json 2> job.log   logs for machines";

const VALIDATE_EXAMPLES: &str = "\
Examples:
  streamjob validate job.yaml      prints every mistake with line, field and remedy
  streamjob validate jobs/*.yaml   checks them all, in one go
  streamjob validate --cluster job.yaml   what a cluster would say to it, without one";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  streamjob explain job.yaml       operators, their columns and types, what is read from the input";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  streamjob completions bash > ~/.local/share/bash-completion/completions/streamjob
  streamjob completions zsh > ~/.zfunc/_streamjob
  streamjob completions fish > ~/.config/fish/completions/streamjob.fish";

/// Keyed, windowed stream processing, described by a manifest.
#[derive(Debug, Parser)]
#[command(name = "streamjob", version, after_help = EXIT_CODES)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a job on this machine
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// The slots of a job whose coordinator is another process
    #[command(hide = true)]
    Worker(WorkerArgs),
    /// Check manifests, and print everything that is wrong with them
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(ValidateArgs),
    /// Show what a job would do
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Look at the checkpoints of a job, running or not
    #[command(subcommand)]
    Checkpoints(CheckpointsCommand),
    /// Take a savepoint of a running job, and look at those there are
    #[command(subcommand)]
    Savepoint(SavepointCommand),
    /// Take the state of a checkpoint out of the store
    #[command(subcommand)]
    State(StateCommand),
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The job's YAML; relative paths in it are relative to it
    pub(super) manifest: PathBuf,

    /// Go back to a checkpoint (its epoch) or to a savepoint (its id, folder or URL), once. What was put out after it is put out again
    #[arg(long, value_name = "CHECKPOINT|SAVEPOINT", conflicts_with = "fresh")]
    pub(super) from: Option<RestorePoint>,

    /// Begin with nothing. Refused, saying what would be lost, if the job has state
    #[arg(long)]
    pub(super) fresh: bool,

    /// With --fresh: give up the job's state
    #[arg(long, requires = "fresh")]
    pub(super) discard_state: bool,

    /// Serve /metrics (Prometheus) and /healthz here; with port 0 on any free port, which is logged
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) admin: Option<String>,

    /// What is logged: error, warn, info, debug, trace, or filters such as streamjob_worker=debug [default: RUST_LOG or info]
    #[arg(long, value_name = "FILTER")]
    pub(super) log: Option<String>,

    /// How logs are written to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,

    /// Rows that are read at once. Fewer cost more CPU, more cost more memory and delay; results do not depend on it
    #[arg(long, value_name = "ROWS", default_value_t = 8_192, value_parser = RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    pub(super) batch_rows: usize,

    /// Output that waits to be published, in bytes: at so many slots stop reading. For tests
    #[arg(long, hide = true, default_value_t = 256 << 20)]
    pub(super) unpublished_bytes: u64,

    /// Run the slots in a process of their own, as on a cluster. For tests: metrics of slots stay zero
    #[arg(long, hide = true)]
    pub(super) worker_process: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct WorkerArgs {
    pub(super) manifest: PathBuf,

    #[arg(long)]
    pub(super) incarnation: u64,

    #[arg(long)]
    pub(super) attempt: u64,

    #[arg(long)]
    pub(super) partitions: usize,

    #[arg(long)]
    pub(super) batch_rows: usize,

    #[arg(long)]
    pub(super) log: Option<String>,

    #[arg(long, value_enum)]
    pub(super) log_format: LogFormat,
}

#[derive(Debug, clap::Args)]
pub(super) struct ValidateArgs {
    /// The manifests
    #[arg(required = true)]
    pub(super) manifests: Vec<PathBuf>,

    /// Judge them as a cluster does: state in an object store, secrets in Secrets
    #[arg(long)]
    pub(super) cluster: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The job's YAML
    pub(super) manifest: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub(super) shell: Shell,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}
