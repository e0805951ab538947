//! The command line of the plugin.
//!
//! Owns: names and help of commands and options.
//! Never: reads one anywhere else.

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Looks at StreamJobs and asks the operator for things.
///
/// Examples:
///
///   What runs, and how far it is:
///     kubectl streamjob status clicks -n analytics
///   Why it does not:
///     kubectl streamjob why clicks
///   Stop it, keep its state, go on later:
///     kubectl streamjob suspend clicks
///     kubectl streamjob resume clicks
///   Keep a copy of its state:
///     kubectl streamjob savepoint clicks --name before-upgrade
///   Go back to it:
///     kubectl streamjob restore clicks --from Savepoint --savepoint before-upgrade
///   Go on from the state of a cluster that was lost:
///     kubectl streamjob restore clicks --from Latest --take-over OLD-CLUSTER/analytics/clicks
#[derive(Debug, Parser)]
#[command(name = "kubectl-streamjob", bin_name = "kubectl streamjob", version, verbatim_doc_comment)]
pub(crate) struct Args {
    /// The namespace of the job; otherwise that of your kubeconfig.
    #[arg(long, short, global = true)]
    pub(crate) namespace: Option<String>,
    /// The context of your kubeconfig.
    #[arg(long, global = true)]
    pub(crate) context: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows jobs, or one with its operation, sets, pods and checkpoints.
    Status {
        /// The job; all of the namespace if not given.
        job: Option<String>,
    },
    /// Says why a job is not as it should be, and what to do: conditions, what workers said last, events.
    Why {
        /// The job.
        job: String,
    },
    /// Waits until a condition of a job is True.
    Wait {
        /// The job.
        job: String,
        /// Which condition.
        #[arg(long = "for", default_value = "Ready")]
        condition: String,
        /// How many seconds at most; a number, or one with `s` or `m` behind it.
        #[arg(long, default_value = "2m", value_parser = seconds)]
        timeout: u64,
    },
    /// Stops a job after a last checkpoint; its state is kept.
    Suspend {
        /// The job.
        job: String,
    },
    /// Lets a suspended job go on where it stopped.
    Resume {
        /// The job.
        job: String,
    },
    /// Restarts a job once, from a last checkpoint, with today's worker image.
    Restart {
        /// The job.
        job: String,
    },
    /// Takes a savepoint, and waits for it unless told otherwise.
    Savepoint {
        /// The job.
        job: String,
        /// The name of the savepoint; made of the job's and the time if not given.
        #[arg(long)]
        name: Option<String>,
        /// Does not wait.
        #[arg(long)]
        no_wait: bool,
    },
    /// Restarts a job from another state. Output since then is produced again.
    Restore(RestoreArgs),
    /// Prints completions for a shell.
    ///
    /// For bash: kubectl-streamjob completions bash > /etc/bash_completion.d/kubectl-streamjob
    #[command(verbatim_doc_comment)]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

#[derive(Debug, Parser)]
pub(crate) struct RestoreArgs {
    /// The job.
    pub(crate) job: String,
    /// From what.
    #[arg(long, value_enum)]
    pub(crate) from: From,
    /// With `--from Savepoint`: its name.
    #[arg(long, required_if_eq("from", "Savepoint"))]
    pub(crate) savepoint: Option<String>,
    /// With `--from URI`: where it is.
    #[arg(long, required_if_eq("from", "URI"))]
    pub(crate) uri: Option<String>,
    /// With `--from Nothing`: yes, all state is to be given up.
    #[arg(long)]
    pub(crate) allow_state_loss: bool,
    /// With `--from Latest`: whose state this job makes its own, as the message of `StateOwned` has it. Whoever it is never
    /// works on that state again.
    #[arg(long, value_name = "OWNER")]
    pub(crate) take_over: Option<String>,
    /// Makes the request known: the same one is done only once. Made of the time if not given.
    #[arg(long)]
    pub(crate) request_id: Option<String>,
}

fn seconds(text: &str) -> Result<u64, String> {
    let (number, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no time: write 90s or 2m"))?;
    Ok(number * factor)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum From {
    /// The latest checkpoint.
    #[value(name = "Latest")]
    Latest,
    /// A StreamJobSavepoint of the same namespace.
    #[value(name = "Savepoint")]
    Savepoint,
    /// A savepoint or checkpoint in a store.
    #[value(name = "URI")]
    Uri,
    /// Nothing: the job begins anew.
    #[value(name = "Nothing")]
    Nothing,
}

impl From {
    /// As in a manifest.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Latest => "Latest",
            Self::Savepoint => "Savepoint",
            Self::Uri => "URI",
            Self::Nothing => "Nothing",
        }
    }
}
