//! The command line of the operator.
//!
//! Owns: names, defaults and help of options.
//! Never: reads one anywhere else.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Runs StreamJobs on Kubernetes.
///
/// Examples:
///
///   Run in a pod (what the chart does):
///     streamjob-operator run --namespace streamjob --service-account streamjob-operator \
///       --worker-image registry.example/streamjob-worker:1.0
///
///   Run against the cluster of your kubeconfig, for one namespace:
///     streamjob-operator run --namespace streamjob --watch-namespaces analytics --worker-image …
///
///   See what a job would be made of, without a cluster:
///     streamjob-operator render job.yaml --worker-image …
#[derive(Debug, Parser)]
#[command(name = "streamjob-operator", version, verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Works until it gets SIGTERM, or loses its lease (exit code 1).
    Run(RunArgs),
    /// Looks whether `run` with the same options would find what it needs, prints what that is, and ends.
    CheckConfig(RunArgs),
    /// Prints the objects that a manifest would become, as YAML documents. Needs no cluster.
    Render(RenderArgs),
    /// Prints completions for a shell.
    ///
    /// For bash: streamjob-operator completions bash > /etc/bash_completion.d/streamjob-operator
    #[command(verbatim_doc_comment)]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

#[derive(Clone, Debug, Parser)]
pub(crate) struct RunArgs {
    /// The operator's own namespace: its lease is there, and workers accept connections from there.
    #[arg(long)]
    pub(crate) namespace: String,
    /// The operator's pod; tells candidates for the lease apart.
    #[arg(long, default_value = "streamjob-operator")]
    pub(crate) pod_name: String,
    /// The service account it runs as; workers accept its tokens.
    #[arg(long, default_value = "streamjob-operator")]
    pub(crate) service_account: String,
    /// The image of workers whose job names none. Takes effect with a job's next revision.
    #[arg(long)]
    pub(crate) worker_image: String,
    /// Only these namespaces, separated by commas. All if not given, which needs rights in all.
    #[arg(long, value_delimiter = ',')]
    pub(crate) watch_namespaces: Vec<String>,
    /// Names this cluster in the stores of all jobs; must never change. The uid of kube-system if not given.
    #[arg(long)]
    pub(crate) cluster_id: Option<String>,
    /// Only pods of this namespace may read workers' metrics. All if not given.
    #[arg(long)]
    pub(crate) metrics_namespace: Option<String>,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, default_value = "[::]:8080")]
    pub(crate) health: SocketAddr,
    /// The name of the lease.
    #[arg(long, default_value = "streamjob-operator")]
    pub(crate) lease: String,
    /// How lines of the log look.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub(crate) log_format: LogFormat,
    /// What is logged: `info`, `debug`, or `streamjob_operator=debug,kube=info`.
    #[arg(long, default_value = "info")]
    pub(crate) log_filter: String,
    /// Workers are reached through this HTTP gateway, which reads the pod's address from `Host`. For running outside of
    /// the cluster; not given, pods are dialled directly.
    #[arg(long)]
    pub(crate) worker_gateway: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For eyes.
    Text,
}

#[derive(Debug, Parser)]
pub(crate) struct RenderArgs {
    /// The manifest of a StreamJob.
    pub(crate) manifest: PathBuf,
    /// Where it would be created, if it does not say.
    #[arg(long, default_value = "default")]
    pub(crate) namespace: String,
    /// The image of workers if the job names none.
    #[arg(long, default_value = "streamjob-worker:latest")]
    pub(crate) worker_image: String,
}
