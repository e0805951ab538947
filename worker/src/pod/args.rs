//! What a pod is started with.
//!
//! Owns: the arguments of `streamjob-worker`, which only the operator writes; what each may be.
//! Never: acts.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::RangedU64ValueParser;
use clap::{Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0  done: stopped by SIGTERM, the check found nothing wrong, the state is deleted
  1  failed; the termination message says why
  2  it cannot read what it was started with
  3  fenced: a newer incarnation owns the state

On a machine without a cluster, `streamjob run` runs the same job.";

/// A pod of a StreamJob. The operator starts it
#[derive(Debug, Parser)]
#[command(name = "streamjob-worker", version, after_help = EXIT_CODES)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the slots of a job, and wait after its end
    Run(Box<RunArgs>),
    /// Look whether a job could start, and change nothing
    Check(CheckArgs),
    /// Delete the state of a job, but for its savepoints
    Janitor(JanitorArgs),
}

/// Which job it is, and how its store is reached.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct JobArgs {
    /// The manifest, with all defaults applied and secrets as files
    #[arg(long, value_name = "FILE")]
    pub(super) job: PathBuf,

    /// The cluster; part of the state's owner
    #[arg(long, value_name = "UID")]
    pub(super) cluster_id: String,

    /// The job's namespace; part of the state's owner
    #[arg(long)]
    pub(super) namespace: String,

    /// The folder of the state in its location
    #[arg(long, value_name = "ID", value_parser = parse_state_id)]
    pub(super) state_id: String,

    /// The number of slots, if it is not that of the manifest
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=65_536))]
    pub(super) parallelism: Option<u32>,

    /// A folder with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and perhaps AWS_SESSION_TOKEN, read again when they change
    #[arg(long, value_name = "DIR")]
    pub(super) store_credentials: Option<PathBuf>,

    /// The authorities of the store's certificate, as PEM
    #[arg(long, value_name = "FILE")]
    pub(super) store_ca: Option<PathBuf>,

    /// Where the reason of a failure is left
    #[arg(long, value_name = "FILE", default_value = TERMINATION_LOG)]
    pub(super) termination_log: PathBuf,
}

/// Where Kubernetes looks, unless it is told otherwise.
pub(super) const TERMINATION_LOG: &str = "/dev/termination-log";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) job: JobArgs,

    /// The number of this set of workers; grows over the life of the state
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    pub(super) incarnation: u64,

    /// With what it begins: `latest`, `nothing`, or the URL of a savepoint
    #[arg(long, value_name = "latest|nothing|URI")]
    pub(super) restore: RestoreFrom,

    /// The request of a restore, which happens once. Without one, `nothing` is refused where there is state
    #[arg(long, value_name = "ID")]
    pub(super) restore_request: Option<String>,

    /// Whose state the job makes its own, with `--restore=latest`, as `CLUSTER/NAMESPACE/NAME`: that owner's and no other's
    #[arg(long, value_name = "OWNER")]
    pub(super) take_over: Option<String>,

    /// The log must have come to this record, or it is not the log that was left
    #[arg(long, value_name = "SEQ")]
    pub(super) floor: Option<u64>,

    /// Where health, metrics and status are served
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) admin: String,

    /// Where the operator asks for stops and savepoints
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) control: String,

    /// Keys that tokens are checked by: a JSON Web Key Set
    #[arg(long, value_name = "JWKS")]
    pub(super) token_keys: String,

    /// Who must have issued a token
    #[arg(long, value_name = "URL")]
    pub(super) token_issuer: String,

    /// Whose token it must be
    #[arg(long, value_name = "SUBJECT")]
    pub(super) token_subject: String,

    /// For whom it must be meant
    #[arg(long, value_name = "UID")]
    pub(super) token_audience: String,

    /// How long the process has after SIGTERM
    #[arg(long, value_name = "SECONDS")]
    pub(super) grace: u64,

    /// Rows that are read at once. For tests
    #[arg(long, hide = true, default_value_t = 8_192, value_parser = RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    pub(super) batch_rows: usize,

    /// After so many seconds a coordinator that does not come round makes the pod unhealthy. For tests
    #[arg(long, hide = true, default_value_t = 30)]
    pub(super) stuck_seconds: u64,

    /// Where control groups are found. For tests
    #[arg(long, hide = true, default_value = "/sys/fs/cgroup")]
    pub(super) cgroup: PathBuf,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) job: JobArgs,

    /// With what the job is to begin: `latest`, `nothing`, or the URL of a savepoint
    #[arg(long, value_name = "latest|nothing|URI", default_value = "latest")]
    pub(super) restore: RestoreFrom,

    /// The request of a restore; one that was done before is `latest`
    #[arg(long, value_name = "ID")]
    pub(super) restore_request: Option<String>,

    /// Whose state the job makes its own, with `--restore=latest`, as `CLUSTER/NAMESPACE/NAME`: that owner's and no other's
    #[arg(long, value_name = "OWNER")]
    pub(super) take_over: Option<String>,

    /// For how long a store or broker that does not answer is asked
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(super) patience: u64,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct JanitorArgs {
    #[command(flatten)]
    pub(super) job: JobArgs,

    /// The last incarnation of the job: the end of its state is that of the next
    #[arg(long, value_name = "N")]
    pub(super) incarnation: u64,

    /// For how long a store that does not answer is asked
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) patience: u64,
}

/// With what a job begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum RestoreFrom {
    /// With the newest state.
    Latest,
    /// With nothing.
    Nothing,
    /// With the savepoint in this folder.
    Savepoint(String),
}

impl FromStr for RestoreFrom {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "latest" => Self::Latest,
            "nothing" => Self::Nothing,
            uri => Self::Savepoint(uri.to_owned()),
        })
    }
}

/// It becomes a folder, and a part of transactional ids.
fn parse_state_id(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let inner = !text.starts_with('.') && !text.is_empty() && text.len() <= 256 && text.bytes().all(fits);
    if inner { Ok(text.to_owned()) } else { Err("write letters, digits, `.`, `-` and `_`".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: [&str; 4] =
        ["--job=/etc/streamjob/job.json", "--cluster-id=c", "--namespace=n", "--state-id=n.j"];

    fn parse(command: &str, more: &[&str]) -> Result<Command, clap::Error> {
        let words = ["streamjob-worker", command].into_iter().chain(JOB).chain(more.iter().copied());
        Args::try_parse_from(words).map(|args| args.command)
    }

    #[test]
    fn a_worker_is_told_all_that_it_needs_in_its_arguments() {
        let run = [
            "--incarnation=8",
            "--restore=s3://streams/prod/n.j/savepoints/a",
            "--restore-request=incident-4711",
            "--take-over=c0/n/j",
            "--floor=18231",
            "--admin=[::]:8080",
            "--control=[::]:8081",
            "--token-keys={\"keys\":[]}",
            "--token-issuer=https://issuer",
            "--token-subject=system:serviceaccount:ns:operator",
            "--token-audience=uid",
            "--grace=120",
        ];

        let parsed = parse("run", &run).expect("all is there");

        let Command::Run(args) = parsed else { panic!("{parsed:?}") };
        let from = RestoreFrom::Savepoint("s3://streams/prod/n.j/savepoints/a".to_owned());
        assert_eq!((args.incarnation, args.restore, args.floor, args.grace), (8, from, Some(18_231), 120));
        assert_eq!(args.job.termination_log, PathBuf::from(TERMINATION_LOG));
        for missing in 0..run.len() {
            let mut some = run.to_vec();
            let left_out = some.remove(missing);
            let may_go = ["--restore-request", "--take-over", "--floor"];
            let optional = may_go.iter().any(|name| left_out.starts_with(name));
            assert_eq!(parse("run", &some).is_ok(), optional, "{left_out}");
        }
    }

    #[test]
    fn a_state_id_stays_in_its_folder() {
        for id in ["../other", ".hidden", "a/b", ""] {
            let words = [format!("--state-id={id}")];
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let args = ["streamjob-worker", "check", "--job=j", "--cluster-id=c", "--namespace=n"];
            assert!(Args::try_parse_from(args.into_iter().chain(words)).is_err(), "{id}");
        }
        assert!(parse("check", &[]).is_ok() && parse("janitor", &["--incarnation=7"]).is_ok());
    }
}
